"""dvc.yaml and baselines/dvc.yaml, written from the stage definitions."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import yaml

from unstained.files import write_text
from unstained.pipeline.catalogue import (
    BASELINES,
    REPLICATES,
    RUNS,
    STAGES,
    stage_definition,
    takes_replicate,
)
from unstained.pipeline.configure import CONFIGURE, configured_path
from unstained.pipeline.contract import REPORT, Stage
from unstained.pipeline.holdings import HOLDINGS, holdings_file
from unstained.pipeline.source_files import source_file

NAMES: Final = {"study": "${item.study}", "model": "${item.model}"}
REPLICATE: Final = "fold${item.fold}-seed${item.seed}"
WRITTEN: Final = "# Written by `unstained dvc` from the stages' definitions: change those.\n"
FILES: Final = {
    "dvc.yaml": (WRITTEN, {}, STAGES),
    "baselines/dvc.yaml": (
        WRITTEN + "# Every model on every fold with every seed: `make baselines`.\n",
        {"vars": ["../params.yaml"]},
        BASELINES,
    ),
}
"""File -> comment, what stands before the stages, names of the stages."""

CONFIGURATION: Final = {
    "cmd": "unstained configure",
    "params": [{"params.yaml": None}],
    "outs": [{f"{RUNS}/{CONFIGURE}": {"persist": True}}],
    "always_changed": True,
}
"""The first stage: all of params.yaml in, and what DVC does not see, the code and what lies at the
sources: so it always runs. Out comes what each stage is asked for and the digest of its code; what
was seen of a source stays there."""

LOOK: Final = {
    "matrix": {"study": "${active}"},
    "cmd": f"unstained holdings {NAMES['study']}",
    "outs": [{holdings_file(NAMES["study"]): {"persist": True}}],
    "always_changed": True,
}
"""Whether the registry, which DVC does not see either, still holds what was registered."""


def write_dvc_files(root: Path) -> list[str]:
    """Write the DVC files of a project; those that are current are left alone.

    Returns:
        Names of the files that changed.
    """
    changed = [name for name in FILES if _text_of(root / name) != dvc_file(name)]
    for name in changed:
        write_text(root / name, dvc_file(name))
    return changed


def dvc_file(name: str) -> str:
    """The text of a DVC file that the definitions ask for.

    Args:
        name: key of FILES.
    """
    comment, before, stages = FILES[name]
    grid = stages is BASELINES
    watching = {} if grid else {CONFIGURE: CONFIGURATION, HOLDINGS: LOOK}
    content = before | {
        "stages": watching | {stage: entry(stage_definition(stage), grid) for stage in stages}
    }
    return comment + yaml.dump(content, Dumper=_Indented, sort_keys=False, width=1000)


def entry(stage: Stage, grid: bool) -> dict[str, Any]:
    """One stage's entry.

    Args:
        stage: its definition.
        grid: whether it is for `baselines`, every fold and seed, and not for the main job.
    """
    replicate = grid and takes_replicate(stage)
    home = _home(stage, replicate)
    written: dict[str, list[Any]] = {"outs": [], "metrics": [], "plots": []}
    for output in stage.outputs.values():
        path = f"{home}/{output.path}"
        kind = "outs" if replicate or output.kind == "data" else output.kind
        written[kind].append({path: dict(output.plot)} if kind == "plots" and output.plot else path)
    written["outs"].append(f"{home}/{REPORT}")
    matrix, command = _axes(stage, replicate)
    parameters = configured_path(stage, NAMES["study"], NAMES["model"])
    content = {
        "matrix": matrix,
        "wdir": ".." if grid else None,
        "cmd": command,
        "deps": sorted({parameters, *_inputs(stage, replicate)}),
        **written,
    }
    return {key: value for key, value in content.items() if value}


def _axes(stage: Stage, replicate: bool) -> tuple[dict[str, str], str]:
    """What a stage runs once for, and its command."""
    command = f"unstained run {stage.name} {NAMES['study']}"
    matrix = {"study": "${active}"}
    if stage.per == "model":
        command += f" --model {NAMES['model']}"
        matrix["model"] = "${baselines.models}" if replicate else "${models}"
    if replicate:
        command += " --fold ${item.fold} --seed ${item.seed}"
        matrix |= {"fold": "${baselines.folds}", "seed": "${baselines.seeds}"}
    return matrix, command


def _home(stage: Stage, replicate: bool) -> str:
    study = f"{RUNS}/{NAMES['study']}"
    if replicate:
        return f"{study}/{REPLICATES}/{stage.name}/{NAMES['model']}/{REPLICATE}"
    return f"{study}/{stage.name}" + (f"/{NAMES['model']}" if stage.per == "model" else "")


def _inputs(stage: Stage, replicate: bool) -> Iterable[str]:
    """Outputs of earlier stages, and what was seen of what DVC does not see."""
    if stage.watches == "source":
        yield source_file(NAMES["study"])
    elif stage.watches == "registry" and not replicate:
        yield holdings_file(NAMES["study"])
    for source in stage.inputs.values():
        producer = stage_definition(source.stage)
        if source.main and replicate:
            continue
        if source.every_replicate:
            yield f"{RUNS}/{NAMES['study']}/{REPLICATES}/{producer.name}"
        elif source.every_model:
            yield f"{RUNS}/{NAMES['study']}/{producer.name}"
        else:
            home = _home(producer, replicate and takes_replicate(producer))
            yield f"{home}/{producer.outputs[source.output].path}"


def _text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.is_file() else ""


class _Indented(yaml.SafeDumper):
    """Lists stand below their key by two spaces, as everywhere in this repository."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)

    def ignore_aliases(self, data: Any) -> bool:
        return True

"""dvc.yaml says what the stage definitions say: commands, dependencies, parameters, outputs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from unstained.config import read_yaml
from unstained.pipeline.catalogue import COMPANIONS, RUNS, STAGES, stage_definition
from unstained.pipeline.contract import Stage
from unstained.pipeline.runner import REPORT

NAMES = {"study": "${item.study}", "model": "${item.model}", "recipe": "${recipe}"}
REPLICATE = "fold${item.fold}-seed${item.seed}"
FILES = dict.fromkeys(STAGES, "dvc.yaml") | dict.fromkeys(COMPANIONS, "companions/dvc.yaml")


def home(stage: Stage) -> str:
    parts = [RUNS, NAMES["study"], stage.name]
    parts += [NAMES["model"]] if stage.per != "study" else []
    return "/".join([*parts, REPLICATE] if stage.per == "replicate" else parts)


def dependencies(stage: Stage) -> list[str]:
    found = [f"src/unstained/stages/{stage.name}.py"]
    found += [f"src/unstained/{layer}" for layer in stage.layers]
    for source in stage.inputs.values():
        producer = stage_definition(source.stage)
        if source.every_model or source.every_replicate:
            found.append(f"{RUNS}/{NAMES['study']}/{producer.name}")
        else:
            found.append(f"{home(producer)}/{producer.outputs[source.output].path}")
    return sorted(set(found))


def derived(stage: Stage) -> dict[str, Any]:
    """The dvc.yaml entry that a stage definition asks for."""
    command = f"unstained run {stage.name} {NAMES['study']}"
    matrix = {"study": "${active}"}
    parameters = {"recipe", *(path.format_map(NAMES) for path in stage.sections.values())}
    if stage.per != "study":
        command += f" --model {NAMES['model']}"
        matrix["model"] = "${models}" if stage.per == "model" else "${companions.models}"
    elif any(source.every_model for source in stage.inputs.values()):
        parameters.add("models")
    elif any(source.every_replicate for source in stage.inputs.values()):
        parameters.add("companions")
    if stage.per == "replicate":
        command += " --fold ${item.fold} --seed ${item.seed}"
        matrix |= {"fold": "${companions.folds}", "seed": "${companions.seeds}"}
    entry: dict[str, Any] = {
        "matrix": matrix,
        "wdir": ".." if stage.name in COMPANIONS else None,
        "cmd": command,
        "deps": dependencies(stage),
        "params": sorted(parameters),
        "outs": [],
        "metrics": [f"{home(stage)}/{REPORT}"],
        "plots": [],
    }
    keys = {"data": "outs", "metrics": "metrics", "plots": "plots"}
    for output in stage.outputs.values():
        path = f"{home(stage)}/{output.path}"
        entry[keys[output.kind]].append({path: dict(output.plot)} if output.plot else path)
    return {key: value for key, value in entry.items() if value}


@pytest.mark.parametrize("name", FILES)
def test_entry_agrees_with_the_definition(repository: Path, name: str) -> None:
    actual = read_yaml(repository / FILES[name])["stages"][name]
    assert actual == derived(stage_definition(name))


def test_stages_are_the_same_in_the_same_order(repository: Path) -> None:
    assert tuple(read_yaml(repository / "dvc.yaml")["stages"]) == STAGES
    assert tuple(read_yaml(repository / "companions/dvc.yaml")["stages"]) == COMPANIONS


@pytest.mark.parametrize("name", FILES)
def test_inputs_come_from_earlier_stages(name: str) -> None:
    order = list(FILES)
    for source in stage_definition(name).inputs.values():
        assert order.index(source.stage) < order.index(name)
        assert source.output in stage_definition(source.stage).outputs


@pytest.mark.parametrize("name", FILES)
def test_parameters_are_the_fields_of_the_sections(name: str) -> None:
    stage = stage_definition(name)
    assert set(stage.params.model_fields) == set(stage.sections)

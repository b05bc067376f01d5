"""What each stage is asked for, as small files that DVC compares: one a stage, study and model.

params.yaml is composed from layers, so no key of it says which stages it concerns; and a stage's
code is some hundred files, which DVC would list and write anew for each stage that it runs.
`configure` writes what is effective and the digest of the code, and each stage depends on its own
file: a change of one model's width reaches that model's stages alone, an edit of a module those
that use it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from unstained.config.project import ProjectParams, load_params
from unstained.errors import ParameterError
from unstained.files import write_text
from unstained.pipeline.catalogue import (
    BASELINES,
    RUNS,
    STAGES,
    STATE,
    replicates_of,
    stage_definition,
    takes_replicate,
)
from unstained.pipeline.contract import Replicate, Stage
from unstained.pipeline.freshness import code_digest
from unstained.pipeline.source_files import Memory, require_seen, source_file
from unstained.pipeline.task import Task, make_task

CONFIGURE: Final = "configure"
"""Name of the DVC stage, and of its directory below runs/."""

CODE: Final = "code"
"""Key of the digest of a stage's code in its file."""


def configured_path(stage: Stage, study: str, model: str | None) -> str:
    """Where the parameters of a stage lie, relative to the project's root."""
    name = stage.name if stage.per == "study" else f"{stage.name}/{model}"
    return f"{RUNS}/{CONFIGURE}/{study}/{name}.json"


def configure(root: Path, tell: Callable[[str], None] = lambda _: None) -> int:
    """Write what all stages of the active studies depend on; files that are current stay.

    With them stands what lies at the studies' sources; of one that is away, what was last seen.

    Args:
        root: the project's directory.
        tell: takes a sentence on each source that changed since its last ingest, and one on the
            stages whose code changed.

    Returns:
        How many files are new, changed or gone.

    Raises:
        ParameterError: params.yaml is wrong, or runs is a link, which DVC does not follow.
        SourceError: a source is away that was never seen, or cannot be read.
    """
    _require_own_runs(root)
    project = load_params(root / "params.yaml")
    wanted = dict(_files(project)) | dict(_sources(root, project, tell))
    found = {
        path.relative_to(root).as_posix(): path
        for path in (root / RUNS / CONFIGURE).rglob("*.json")
    }
    if news := _other_code(found, wanted):
        tell(f"code has changed that these stages use: {', '.join(news)}")
    gone = found.keys() - wanted.keys()
    for name in gone:
        found[name].unlink()
    changed = [n for n in wanted if n not in found or found[n].read_text() != wanted[n]]
    for name in changed:
        write_text(root / name, wanted[name])
    return len(changed) + len(gone)


def _require_own_runs(root: Path) -> None:
    runs = root / RUNS
    if runs.is_symlink() and (root / ".dvc").is_dir():
        raise ParameterError(
            f"{runs} is a link to {runs.resolve()}, and DVC takes no outputs that lie elsewhere",
            "put DVC's cache on the other disk in its place (`dvc cache dir --local FOLDER`), or "
            "mount a directory of that disk at runs",
        )


def require_current(root: Path, task: Task) -> None:
    """Check that a run that DVC started has the parameters and code that DVC will record for it.

    Args:
        root: the project's directory.
        task: the run, as params.yaml is now.

    Raises:
        ParameterError: params.yaml or the code was edited since DVC ran `configure`.
    """
    path = root / configured_path(task.stage, task.study, task.model)
    by_dvc = "DVC_STAGE" in os.environ and Path(os.environ.get("DVC_ROOT", "")) == root
    if by_dvc and path.is_file() and (recorded := path.read_text()) != (wanted := _text(task)):
        edited = "the code" if _code(recorded) != _code(wanted) else "params.yaml"
        raise ParameterError(
            f"{edited} was edited after DVC had read it: {path.relative_to(root)} differs",
            "run `dvc repro` again",
        )


def _files(project: ProjectParams) -> Iterator[tuple[str, str]]:
    """Path and text of every file."""
    for study in project.active:
        for name in (*STAGES, *BASELINES):
            stage = stage_definition(name)
            runs: list[tuple[str | None, Replicate | None]] = [(None, None)]
            if stage.per == "model":
                runs = [(model, None) for model in project.models if name in STAGES]
            if takes_replicate(stage):
                one = replicates_of(project.baselines)[0]
                runs += [(model, one) for model in project.baselines.models]
            for model, replicate in runs:
                task = make_task(project, name, study, model, replicate)
                yield configured_path(stage, study, model), _text(task)


def _sources(
    root: Path, project: ProjectParams, tell: Callable[[str], None]
) -> Iterator[tuple[str, str]]:
    """Path and text of what was seen at each source."""
    for study in project.active:
        data = project.studies[study].data
        seen, news = Memory(root / STATE, study).look(root, data)
        if news:
            tell(f"{study}: {news}")
        yield source_file(study), _json(require_seen(root, study, data, seen).as_json())


def _text(task: Task) -> str:
    """All that a task is asked for but fold and seed, which are in its name."""
    inputs = task.stage.inputs.values()
    content: dict[str, Any] = {
        CODE: code_digest(task.stage.name),
        "recipe": task.recipe,
        "params": task.params.model_dump(mode="json"),
    }
    if any(source.every_model or source.every_replicate for source in inputs):
        content["models"] = list(task.models)
        content["replicates"] = [replicate.name for replicate in task.replicates]
    return _json(content)


def _code(text: str) -> object:
    """Digest of the code in the text of a file; None in files that hold none."""
    return json.loads(text).get(CODE)


def _other_code(found: Mapping[str, Path], wanted: Mapping[str, str]) -> list[str]:
    """Names of the stages whose code is another than what their files hold."""
    names = {Path(name).parts[3].removesuffix(".json"): name for name in wanted if name in found}
    return sorted(
        stage
        for stage, name in names.items()
        if _code(found[name].read_text()) != _code(wanted[name])
    )


def _json(content: dict[str, Any]) -> str:
    return json.dumps(content, indent=1, sort_keys=True) + "\n"

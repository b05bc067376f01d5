"""Arguments of a pipeline run, from the sections of params.yaml."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from unstained.config.project import load_params
from unstained.config.study import StudyData
from unstained.config.tasks import named_tasks
from unstained.pipeline.source_files import see

SECTIONS: Final = (
    "common",
    "data",
    "ingest",
    "validate",
    "split",
    "tune",
    "train",
    "evaluate",
    "export",
    "register",
    "compare",
    "promote",
    "report",
    "monitor",
)

SIMULATORS: Final = ("simulate", "simulate_slides", "simulate_monolayers")
"""Sections of which a study has one at most."""


def run_arguments(
    root: Path,
    study: str,
    *,
    recipe: str | None = None,
    models: tuple[str, ...] = (),
    repository: str = "",
    revision: str = "",
    promotion: bool = True,
) -> dict[str, Any]:
    """Arguments of the graph `training` for one study.

    Args:
        root: the project's root.
        study: key of params.yaml `studies`.
        recipe: other than params.yaml's.
        models: other than params.yaml's; architectures or variants.
        repository: git address of a DVC project; empty means that the run packs the images itself.
        revision: commit, branch or tag in `repository`.
        promotion: whether the gate is asked at the end; else promote.mode is off.

    Raises:
        ParameterError: params.yaml breaks its schema, or a name is unknown.
    """
    project = load_params(root / "params.yaml")
    content = project.content(study, models or project.models, recipe)
    arguments = {
        "study": study,
        "recipe": recipe or project.recipe,
        "models": [{"model": name, "params": p} for name, p in content["models"].items()],
        "repository": repository,
        "revision": revision,
        **{name: content.get(name) or {} for name in SIMULATORS},
        "source": "" if repository else _digest(root, project.studies[study].data),
        **{name: content[name] for name in SECTIONS},
        "data": _ordered(content["data"]),
    }
    if not promotion:
        arguments["promote"] = content["promote"] | {"mode": "off"}
    return dict(_without_nulls(arguments))


def _digest(root: Path, data: StudyData) -> str:
    """Of what lies at the source now: a part of what Kubeflow's cache knows `ingest` by."""
    seen = see(root, data)
    return seen.digest if seen else ""


def _ordered(data: dict[str, Any]) -> dict[str, Any]:
    """A study's data with its tasks as a list: Kubeflow sorts the keys of a mapping."""
    return data | {"tasks": named_tasks(data["tasks"])}


def _without_nulls(content: Any) -> Any:
    """Kubeflow's arguments have no null; in params.yaml an absent key means the same."""
    if isinstance(content, dict):
        return {key: _without_nulls(value) for key, value in content.items() if value is not None}
    if isinstance(content, list):
        return [_without_nulls(value) for value in content]
    return content

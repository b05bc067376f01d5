"""Arguments of a pipeline run, from the sections of params.yaml."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from unstained.config import load_params, read_yaml
from unstained.config.tasks import named_tasks
from unstained.errors import ParameterError

SHARED: Final = (
    "common",
    "ingest",
    "validate",
    "evaluate",
    "export",
    "register",
    "compare",
    "promote",
    "report",
    "monitor",
)


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
        models: other than params.yaml's; keys of the recipe's `models`.
        repository: git address of a DVC project; empty means that the run packs the images itself.
        revision: commit, branch or tag in `repository`.
        promotion: whether the gate is asked at the end; else promote.mode is off.

    Raises:
        ParameterError: params.yaml breaks its schema, or a name is unknown.
    """
    project = load_params(root / "params.yaml")
    content = read_yaml(root / "params.yaml")
    if study not in project.studies:
        known = ", ".join(project.studies)
        raise ParameterError(f"there is no study {study!r} in params.yaml", f"use one of: {known}")
    recipe = recipe or project.recipe
    recipes = content["studies"][study]["recipes"]
    if recipe not in recipes:
        raise ParameterError(
            f"{study} has no recipe {recipe!r} in params.yaml", f"use one of: {', '.join(recipes)}"
        )
    chosen = recipes[recipe]
    names = models or project.models
    unknown = [name for name in names if name not in chosen["models"]]
    if unknown:
        raise ParameterError(
            f"{study}, recipe {recipe}, does not define the model {unknown[0]!r}",
            f"use some of: {', '.join(chosen['models'])}",
        )
    arguments = {
        "study": study,
        "recipe": recipe,
        "models": [{"model": name, "params": chosen["models"][name]} for name in names],
        "repository": repository,
        "revision": revision,
        "data": _ordered(content["studies"][study]["data"]),
        "simulate": chosen.get("simulate") or {},
        "split": chosen["split"],
        "tune": chosen["tune"],
        "train": chosen["train"],
        **{name: content[name] for name in SHARED},
    }
    if not promotion:
        arguments["promote"] = content["promote"] | {"mode": "off"}
    return dict(_without_nulls(arguments))


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

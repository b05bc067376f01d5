"""All stages by name: their definitions, where their outputs lie, and their parameters."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from unstained.config.base import Params, parse
from unstained.config.companions import CompanionsParams
from unstained.errors import ParameterError
from unstained.pipeline.contract import Replicate, Stage

STAGES: Final = (
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
)
"""The stages of every study, in the order in which they run."""

OPERATIONS = ("monitor",)
"""Stages that look at what changes without them (the registry): not part of `dvc repro`."""

COMPANIONS = ("replicate", "enrol", "companions", "explain", "uncertainty")
"""Stages of companions/dvc.yaml: every model, fold and seed, and the tables made of them."""

RUNS = "runs"


def stage_module(name: str) -> ModuleType:
    """The module of a stage.

    Raises:
        ParameterError: there is no such stage.
    """
    known = (*STAGES, *COMPANIONS, *OPERATIONS)
    if name not in known:
        raise ParameterError(f"there is no stage {name!r}", f"use one of: {', '.join(known)}")
    return importlib.import_module(f"unstained.stages.{name}")


def stage_definition(name: str) -> Stage:
    """The contract of a stage, by name."""
    definition: Stage = stage_module(name).STAGE
    return definition


def stage_directory(
    root: Path, stage: Stage, study: str, model: str | None, replicate: Replicate | None = None
) -> Path:
    """Where a stage's outputs lie: runs/<study>/<stage>[/<model>[/<replicate>]]."""
    directory = root / RUNS / study / stage.name
    if stage.per != "study" and model:
        directory /= model
    if stage.per == "replicate" and replicate:
        directory /= replicate.name
    return directory


def replicates_of(asked: CompanionsParams) -> tuple[Replicate, ...]:
    """Every fold with every seed, in the order of params.yaml."""
    return tuple(Replicate(fold, seed) for fold in asked.folds for seed in asked.seeds)


def is_about_replicates(stage: Stage) -> bool:
    """Whether a stage is one replicate, or reads all of them."""
    return stage.per == "replicate" or any(i.every_replicate for i in stage.inputs.values())


def pick_params(stage: Stage, content: Mapping[str, Any], model: str | None) -> Params:
    """The stage's parameters, picked from what params.yaml says of a study.

    Args:
        stage: the contract, whose `sections` are paths such as 'data' or 'models.{model}'.
        content: see `ProjectParams.content`.
        model: name.

    Raises:
        ParameterError: a section is missing or breaks its schema.
    """
    picked = {}
    for field, template in stage.sections.items():
        node: Any = content
        path = template.format(model=model)
        for key in path.split("."):
            node = node.get(key)
        picked[field] = node
    return parse(stage.params, picked, "params.yaml")

"""All stages by name: their definitions, where their outputs lie, and their parameters."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from unstained.config.base import Params, parse
from unstained.config.baselines import BaselinesParams
from unstained.errors import ParameterError
from unstained.pipeline.contract import Input, Replicate, Stage

STAGES: Final = (
    "ingest",
    "validate",
    "split",
    "tune",
    "train",
    "evaluate",
    "controls",
    "export",
    "register",
    "compare",
    "promote",
    "report",
)
"""The stages of every study, in the order in which they run."""

OPERATIONS = ("monitor",)
"""Stages that look at what changes without them (the registry): not part of `dvc repro`."""

BASELINES = ("train", "evaluate", "export", "register", "baselines", "explain", "uncertainty")
"""Stages of baselines/dvc.yaml: every model, fold and seed, and the tables made of them."""

LEARNING: Final = ("train", "evaluate")
"""Stages of a replicate that run side by side with other replicates."""

SHIPPING: Final = ("export", "register")
"""Stages of a replicate that run alone: times are measured, and versions are counted."""

RUNS = "runs"
STATE = "state"

REPLICATES = "replicates"
"""Where replicates lie below runs/<study>, apart from the main job's results."""


def stage_module(name: str) -> ModuleType:
    """The module of a stage.

    Raises:
        ParameterError: there is no such stage.
    """
    known = (*STAGES, *BASELINES, *OPERATIONS)
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
    """Where a stage's outputs lie.

    runs/<study>/<stage>[/<model>], or runs/<study>/replicates/<stage>/<model>/<replicate>.
    """
    if replicate is not None:
        return replicates_directory(root, stage.name, study) / str(model) / replicate.name
    directory = root / RUNS / study / stage.name
    return directory / model if stage.per == "model" and model else directory


def replicates_directory(root: Path, stage: str, study: str) -> Path:
    """Where a stage's outputs of all replicates lie, a sub-directory a model."""
    return root / RUNS / study / REPLICATES / stage


def takes_replicate(stage: Stage) -> bool:
    """Whether a stage runs for a fold and seed of `baselines`."""
    return stage.per == "model" and stage.name in BASELINES


def replicates_of(asked: BaselinesParams) -> tuple[Replicate, ...]:
    """Every fold with every seed, in the order of params.yaml."""
    return tuple(Replicate(fold, seed) for fold in asked.folds for seed in asked.seeds)


def reads_replicates(stage: Stage) -> bool:
    """Whether a stage reads all replicates."""
    return any(source.every_replicate for source in stage.inputs.values())


def inputs_of(stage: Stage, replicate: Replicate | None) -> dict[str, Input]:
    """The inputs of a run of a stage, in the main job or for a replicate."""
    return {key: i for key, i in stage.inputs.items() if replicate is None or not i.main}


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

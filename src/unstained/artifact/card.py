"""The model card: what a served model is, as JSON that people and programs read.

Nothing in it depends on the time or the machine, so equal models have equal cards.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from unstained import __version__
from unstained.artifact.abstention import REASONS, Rules
from unstained.artifact.artifact import (
    ABSTENTION_FILE,
    CALIBRATION_FILE,
    CARD_FORMAT,
    GOLDEN_FILE,
    INT8_FILE,
    MODEL_FILE,
)
from unstained.artifact.calibrations import Calibrations, calibration_content
from unstained.artifact.inference import INPUT_NAME
from unstained.artifact.intervals import Interval
from unstained.artifact.onnx_export import Exported
from unstained.artifact.padding import padding_rule
from unstained.artifact.parity import BATCHES, Parity
from unstained.artifact.quantise import METHOD, Int8Verdict
from unstained.config.study import StudyData
from unstained.files import file_sha256
from unstained.models.trained import ModelSpec
from unstained.tasks.classes import Classes
from unstained.tasks.study import Task, Tasks
from unstained.tasks.value import Value

INTENDED_USE: Final = (
    "Research use only. Single cells from the instrument, magnification and preparation that the "
    "training cells came from. Not a medical device; not for diagnosis or treatment."
)

LIMITS: Final = (
    "Cells from another instrument, focus, magnification or preparation may be judged wrongly; the "
    "rules of `abstention` notice some of them, not all.",
    "Background 0 (a black image) carries no contrast and no information.",
)

LIMITS_OF_CLASSES: Final = (
    "Probabilities are calibrated, and conformal sets cover, for cells like the validation cells; "
    "neither is promised where instrument, preparation or class proportions differ.",
)

LIMITS_OF_RULES: Final = (
    "Class labels come from how samples were prepared, not from an expert's look at each cell.",
)
"""Of classes that directory names tell."""

LIMITS_OF_NUMBERS: Final = (
    "Values and shares are single best guesses, without an interval: their errors on test cells "
    "are under `metrics`.",
)

LIMITS_OF_INTERVALS: Final = (
    "Intervals of values hold them as often as promised for cells like the validation cells; what "
    "they reach on test and external cells is under `metrics`.",
)


@dataclass(frozen=True)
class Origin:
    """Where a model comes from.

    Attributes:
        study, model, recipe: names.
        git_commit: of the code.
        data_digest: of cells, labels and targets.
        split_digest: of the partition.
        groups: all groups of the data: cells of another one are new to the model.
        simulated: whether the cells came from the simulator.
        params: effective parameters: model, train (with tuned values), seed.
        params_digest: of these parameters.
        tuned: dotted parameters that tuning changed, with their values.
    """

    study: str
    model: str
    recipe: str
    git_commit: str
    data_digest: str
    split_digest: str
    groups: tuple[str, ...]
    simulated: bool
    params: Mapping[str, Any]
    params_digest: str
    tuned: Mapping[str, Any]


@dataclass(frozen=True)
class CardFacts:
    """What a card is made of.

    Attributes:
        data: the study.
        spec: the trained model's description.
        dtype: of the pixels.
        calibrations: from evaluation, by classes task.
        intervals: from evaluation, by value; empty where nothing can be promised.
        origin: lineage.
        exported: how the file was made.
        parity: the comparison with torch that it passed.
        int8: what became of the INT8 variant.
        golden: the golden batch, input and outputs by name.
        golden_cells: ids of its cells.
        metrics: of this model, from metrics.json.
        rules: which cells it refuses.
    """

    data: StudyData
    spec: ModelSpec
    dtype: np.dtype[Any]
    calibrations: Calibrations
    intervals: Mapping[str, Interval]
    origin: Origin
    exported: Exported
    parity: Parity
    int8: Int8Verdict
    golden: Mapping[str, np.ndarray]
    golden_cells: Sequence[str]
    metrics: Mapping[str, Any]
    rules: Rules


def make_card(folder: Path, facts: CardFacts) -> dict[str, Any]:
    """Content of card.json.

    Args:
        folder: the artifact so far: model, golden batch and calibration, the INT8 variant if any.
        facts: what to say.
    """
    origin, spec, parity = facts.origin, facts.spec, facts.parity
    return {
        "format": CARD_FORMAT,
        "name": f"{origin.study}/{origin.model}",
        "title": facts.data.title,
        "question": facts.data.question,
        "intended_use": INTENDED_USE,
        "limits": _limits(spec.asked, intervals=bool(facts.intervals)),
        "inputs": [_pixels(facts)],
        "outputs": _outputs(facts),
        "calibration": {
            "tasks": calibration_content(facts.calibrations, facts.intervals),
            "file": CALIBRATION_FILE,
        },
        "abstention": _abstention(facts.rules),
        "tasks": [_task(task) for task in spec.asked.all],
        "data": facts.data.model_dump(mode="json", exclude={"source"}),
        "golden": _golden(folder, facts),
        "parity": {
            "passed": parity.passed,
            "tolerance": parity.tolerance,
            "batches": list(BATCHES),
        },
        **asdict(facts.exported),
        "onnx_sha256": file_sha256(folder / MODEL_FILE),
        "variants": {"int8": _variant(folder, facts.int8)},
        "metrics": dict(facts.metrics),
        **asdict(origin),
        "training_data_digest": spec.data_digest,
        "package": {"version": __version__, "trained_by": spec.package_version},
    }


COUNTS: Final = "raw counts as the instrument wrote them; preprocessing is in the graph"


def _abstention(rules: Rules) -> dict[str, Any]:
    """Which cells the model refuses, and how often it may do so without need."""
    return {
        "file": ABSTENTION_FILE,
        "reasons": dict(REASONS),
        "false_alarms": rules.false_alarms,
        "cells": len(rules.reference),
        "meaning": "share of cells like the validation cells that are refused, at most",
    }


def _pixels(facts: CardFacts) -> dict[str, Any]:
    """The input; where the study has real numbers, also how a client makes counts of them."""
    spec, numbers = facts.spec, facts.data.float_range
    made = "real numbers from float_range[0] to float_range[1] as counts 0 to 65535, rounded"
    content = {
        "name": INPUT_NAME,
        "dtype": facts.dtype.name,
        "shape": ["batch", spec.axes.planes, "height", "width"],
        "channels": list(spec.channels),
        "frames": spec.frames,
        "planes": list(spec.axes.plane_names),
        "white": spec.white,
        "meaning": COUNTS if numbers is None else f"{made}; preprocessing is in the graph",
        "pixel_size_um": facts.data.pixel_size_um,
        "canvas": spec.canvas,
        "padding": padding_rule(spec.white),
    }
    return content if numbers is None else content | {"float_range": list(numbers)}


def _limits(tasks: Tasks, *, intervals: bool) -> list[str]:
    """What nobody should expect of answers to these tasks."""
    numbers = bool(tasks.proportions or (tasks.values and not intervals))
    by_rules = any(task.params.rules for task in tasks.classes)
    return [
        *LIMITS,
        *(LIMITS_OF_CLASSES if tasks.classes else ()),
        *(LIMITS_OF_RULES if by_rules else ()),
        *(LIMITS_OF_NUMBERS if numbers else ()),
        *(LIMITS_OF_INTERVALS if intervals else ()),
    ]


def _task(task: Task) -> dict[str, Any]:
    """What is asked, in a line."""
    if isinstance(task, Value):
        own: dict[str, Any] = {"transform": task.params.transform, "unit": task.params.unit}
    else:
        own = {"classes" if isinstance(task, Classes) else "parts": list(task.names)}
    return {"name": task.name, "kind": task.params.kind, **own}


def _outputs(facts: CardFacts) -> list[dict[str, Any]]:
    tasks = facts.spec.asked
    meanings: dict[str, dict[str, Any]] = {}
    for task in tasks.scored:
        names = tasks.served(task)
        if isinstance(task, Classes):
            own: dict[str, Any] = {"classes": list(task.names)}
            if len(tasks.classes) > 1:
                own["task"] = task.name
            meanings[names[0]] = {**own, "meaning": "softmax of logits / temperature"}
            meanings[names[1]] = {**own, "meaning": "class scores before the temperature"}
        else:
            own = {"task": task.name, "parts": list(task.names)}
            meanings[names[0]] = {**own, "meaning": "shares of the whole, which add up to 1"}
    values = [
        {"name": v.name, "transform": v.params.transform, "unit": v.params.unit}
        for v in tasks.values
    ]
    meanings["targets"] = {
        "targets": values,
        "meaning": "continuous targets in their own scale; 'log' ones as natural logarithm",
    }
    meanings["cam"] = _maps(tasks)
    meanings["embedding"] = {"meaning": "features before the head"}
    return [
        {
            "name": name,
            "dtype": "float32",
            "shape": ["batch", *facts.golden[name].shape[1:]],
            **meaning,
        }
        for name, meaning in meanings.items()
        if name in facts.golden
    ]


def _maps(tasks: Tasks) -> dict[str, Any]:
    """What the activation maps are of: the scores, or the values where nothing is scored."""
    if len(tasks.scored) == 1 == len(tasks.classes):
        meaning = "class activation map: its mean plus a constant is the class's logit"
        return {"classes": list(tasks.classes[0].names), "meaning": meaning}
    if not tasks.scored:
        meaning = "activation map: its mean plus a constant is the standardised value"
        return {"targets": [task.name for task in tasks.values], "meaning": meaning}
    columns = [f"{task.name}: {name}" for task in tasks.scored for name in task.names[: task.width]]
    return {"scores": columns, "meaning": "activation map: its mean plus a constant is the score"}


def _golden(folder: Path, facts: CardFacts) -> dict[str, Any]:
    return {
        "file": GOLDEN_FILE,
        "sha256": file_sha256(folder / GOLDEN_FILE),
        "cells": list(facts.golden_cells),
        "tolerance": facts.parity.tolerance,
        "meaning": f"feed `{INPUT_NAME}`, expect the other tensors within the tolerance",
    }


def _variant(folder: Path, int8: Int8Verdict) -> dict[str, Any]:
    content: dict[str, Any] = {"shipped": int8.shipped, "reason": int8.reason}
    if int8.shipped:
        content |= {
            "file": INT8_FILE,
            "sha256": file_sha256(folder / INT8_FILE),
            "method": METHOD,
            "losses": dict(int8.losses),
        }
    return content

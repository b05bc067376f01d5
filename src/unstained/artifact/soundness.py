"""What an artifact says of its own answers, checked before anybody is answered by it.

Digests and signatures show that files are as somebody sealed them; this shows that what they say
can be true: as many thresholds as classes, the same class names wherever they stand, no number
that makes every set empty or every cell usual.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from safetensors.numpy import load_file

from unstained.artifact.abstention import NUMBERS, Rules
from unstained.artifact.artifact import ABSTENTION_FILE, CALIBRATION_FILE, GOLDEN_FILE
from unstained.errors import IntegrityError

PROBABILITIES: Final = "probabilities"
LOGITS: Final = "logits"
MOST_TOLERANCE: Final = 0.1
"""Of a golden batch: one that allows more proves nothing."""
APART: Final = 1e-3
"""By which golden probabilities may differ from the softmax of logits / temperature."""

REMEDY: Final = "do not use this copy: fetch it again, or export the model again: `dvc repro`"


def require_sound(
    directory: Path, card: Mapping[str, Any], calibrations: Mapping[str, Any], rules: Rules
) -> None:
    """Refuse an artifact whose card, calibration or rules cannot be right.

    Args:
        directory: the artifact.
        card: content of its card.json.
        calibrations: content of its calibration.json.
        rules: of abstention.

    Raises:
        IntegrityError: naming what is wrong.
    """
    try:
        problems = [
            *_card_problems(card, calibrations),
            *_class_problems(card, calibrations, load_file(directory / GOLDEN_FILE)),
            *_interval_problems(card, calibrations),
            *_rule_problems(card, rules),
        ]
    except (KeyError, TypeError, IndexError, AttributeError, ValueError) as error:
        problems = [f"card.json or {CALIBRATION_FILE} is not as written by export: {error!r:.80}"]
    if problems:
        raise IntegrityError(f"{directory}: {'; '.join(problems)}", REMEDY)


def _card_problems(card: Mapping[str, Any], calibrations: Mapping[str, Any]) -> Iterator[str]:
    if card["calibration"]["tasks"] != calibrations:
        yield f"card.json and {CALIBRATION_FILE} tell different calibrations"
    if not 0 < float(card["golden"]["tolerance"]) <= MOST_TOLERANCE:
        yield f"the golden batch has a tolerance of {card['golden']['tolerance']}"


def _class_problems(
    card: Mapping[str, Any], calibrations: Mapping[str, Any], golden: Mapping[str, np.ndarray]
) -> Iterator[str]:
    outputs = {output["name"]: output for output in card["outputs"]}
    asked = {task["name"]: task["classes"] for task in card["tasks"] if task["kind"] == "classes"}
    said = {task["name"]: _class_names(task) for task in card["data"]["tasks"]}
    for name, output in outputs.items():
        if not name.startswith(PROBABILITIES):
            continue
        task = output.get("task") or next(iter(asked))
        classes = output["classes"]
        logits = name.replace(PROBABILITIES, LOGITS, 1)
        if not classes == asked[task] == outputs[logits]["classes"] == said[task]:
            yield f"card.json tells classes of {task} in different orders or words"
        if len(set(classes)) != len(classes) or not all(
            isinstance(label, str) and label for label in classes
        ):
            yield f"classes of {task} have no name or share one"
        if not len(classes) == output["shape"][1] == golden[name].shape[1]:
            yield f"{task} has {len(classes)} names for {golden[name].shape[1]} probabilities"
        yield from _calibration_problems(task, len(classes), calibrations[task])
        scaled = _softmax(golden[logits] / calibrations[task]["temperature"])
        if not np.abs(scaled - golden[name]).max(initial=0.0) <= APART:
            yield f"probabilities of {task} are not of the temperature that is told"


def _class_names(task: Mapping[str, Any]) -> list[str]:
    """Of a task as the study asks for it."""
    return list(task.get("names") or dict.fromkeys(r["name"] for r in task.get("rules") or ()))


def _calibration_problems(task: str, classes: int, found: Mapping[str, Any]) -> Iterator[str]:
    temperature, alpha, thresholds = found["temperature"], found["alpha"], found["thresholds"]
    if not (math.isfinite(temperature) and temperature > 0):
        yield f"the temperature of {task} is {temperature}"
    if not 0 < alpha < 1:
        yield f"sets of {task} are made for an error rate of {alpha}"
    if len(thresholds) != classes:
        yield f"{task} has {len(thresholds)} thresholds for {classes} classes"
    if not all(0 < threshold <= 1 for threshold in thresholds):
        yield f"thresholds of {task} are {thresholds}; each is above 0, and 1 at the most"
    confusion = np.array(found["confusion"], np.float64)
    if confusion.shape != (classes, classes) or not (confusion >= 0).all():
        yield f"{task} has no {classes} x {classes} counts of validation cells"


def _interval_problems(card: Mapping[str, Any], calibrations: Mapping[str, Any]) -> Iterator[str]:
    for task in card["tasks"]:
        found = calibrations.get(task["name"], {})
        if task["kind"] != "value" or found.get("margin") is None:
            continue
        numbers = [*found["low"], *found["high"], found["margin"]]
        if len(numbers) != 5 or not all(map(math.isfinite, numbers)):
            yield f"the interval of {task['name']} is made of {numbers}"
        if not 0 < found["alpha"] < 1:
            yield f"intervals of {task['name']} are made for an error rate of {found['alpha']}"


def _rule_problems(card: Mapping[str, Any], rules: Rules) -> Iterator[str]:
    (width,) = rules.spread.shape
    embedding = next(o["shape"][1] for o in card["outputs"] if o["name"] == "embedding")
    shapes = (rules.reference.shape[1:], rules.centre.shape, rules.reach.shape)
    if width != embedding or shapes != ((width,), (NUMBERS,), (2, NUMBERS)):
        yield f"{ABSTENTION_FILE} has arrays of other sizes than the embedding"
    arrays = (rules.reference, rules.centre, rules.spread, rules.reach)
    if not all(np.isfinite(array).all() for array in arrays):
        yield f"{ABSTENTION_FILE} holds numbers that are not finite"
    if not ((rules.spread > 0).all() and (rules.reach > 0).all() and rules.threshold > 0):
        yield f"{ABSTENTION_FILE} holds a scale or threshold that is not above 0"
    if math.isinf(rules.threshold) and len(rules.reference):
        yield f"{ABSTENTION_FILE} finds every cell usual"
    if not 0 <= rules.false_alarms < 1 or rules.false_alarms != card["abstention"]["false_alarms"]:
        yield f"{ABSTENTION_FILE} promises {rules.false_alarms} false alarms, card.json another"


def _softmax(scores: np.ndarray) -> np.ndarray:
    raised = np.exp(scores.astype(np.float64) - scores.max(axis=1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=1, keepdims=True))

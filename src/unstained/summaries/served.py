"""The facts of a cell from what a served artifact answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

import numpy as np

from unstained.summaries.facts import ClassFact, Facts, IntervalFact, ShareFact, ValueFact

PROBABILITIES, SETS, TARGETS, SHARES = "probabilities", "conformal_set", "targets", "proportions"
"""Beginnings of the names of a served graph's outputs."""

ENDS: Final = ("targets_low", "targets_high")
"""Outputs that hold the ends of the intervals of values."""


class Output(Protocol):
    """An output of a served artifact, see `serving.predictor.Tensor`."""

    @property
    def name(self) -> str:
        """Name of the tensor."""

    @property
    def notes(self) -> Mapping[str, Any]:
        """What its numbers mean, as in the model card."""


def facts_of(
    outputs: Sequence[Output],
    found: Mapping[str, np.ndarray],
    row: int,
    *,
    errors: Mapping[str, float],
    simulated: bool,
) -> Facts:
    """One cell's facts from the outputs of a served artifact.

    Args:
        outputs: of the artifact.
        found: by name, a row a cell, as `Predictor.predict` gives them.
        row: the cell.
        errors: value -> mean absolute error on test cells, where known.
        simulated: whether the model learned from simulated cells.
    """
    by_name = {output.name: output for output in outputs}
    classes, values, shares = [], [], []
    for name, output in by_name.items():
        if name not in found:
            continue
        numbers, notes = found[name][row], output.notes
        if name.startswith(PROBABILITIES):
            sets = name.replace(PROBABILITIES, SETS, 1)
            classes.append(
                _class_fact(notes, numbers, found[sets][row], by_name[sets].notes["alpha"])
            )
        elif name == TARGETS:
            between = _intervals(by_name, found, row)
            values += [
                ValueFact(
                    told["name"],
                    told["unit"],
                    _finite(number),
                    errors.get(told["name"]),
                    between[at] if between and np.isfinite(number) else None,
                )
                for at, (told, number) in enumerate(zip(notes["targets"], numbers, strict=True))
            ]
        elif name.startswith(SHARES):
            shares.append(ShareFact(notes["task"], tuple(notes["parts"]), _all_finite(numbers)))
    return Facts(tuple(classes), tuple(values), tuple(shares), simulated)


def _intervals(
    by_name: Mapping[str, Output], found: Mapping[str, np.ndarray], row: int
) -> list[IntervalFact | None]:
    """The interval of each value in the order of the targets; empty where none is served."""
    if any(name not in by_name or name not in found for name in ENDS):
        return []
    alphas = by_name[ENDS[0]].notes["alpha"]
    ends = zip(*(found[name][row] for name in ENDS), alphas, strict=True)
    return [
        IntervalFact(float(low), float(high), alpha)
        if np.isfinite(low) and np.isfinite(high) and low <= high
        else None
        for low, high, alpha in ends
    ]


def _class_fact(
    notes: Mapping[str, Any], probabilities: np.ndarray, members: np.ndarray, alpha: float
) -> ClassFact:
    names = tuple(notes["classes"])
    held = tuple(name for name, inside in zip(names, members, strict=True) if inside)
    return ClassFact(notes.get("task", ""), names, _all_finite(probabilities), held, alpha)


def _all_finite(numbers: np.ndarray) -> tuple[float, ...]:
    return tuple(map(float, numbers)) if np.isfinite(numbers).all() else ()


def _finite(number: float) -> float | None:
    return float(number) if np.isfinite(number) else None

"""What was predicted of one cell, as far as a summary may tell it.

Neither a cell's id nor a file's name is among the facts: they are text from outside, which could
hold an instruction for a language model. What the facts hold comes from the artifact alone.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np

from unstained.config.names import alike

MARKER: Final = re.compile(r"(?:CD\d{1,3}[a-z]?|HLA-?(?:A|B|C|E|F|G|D[PQRM]))", re.IGNORECASE)
"""What surface markers are called: clusters of differentiation, and HLA's molecules."""

POOLED: Final = re.compile(r"[_/+]")
"""Between the markers that one channel holds together, e.g. CD3_CD19_CD56."""

OVER: Final = 99
UNDER: Final = 1
"""Per cent: a probability that would be rounded to 100 or 0 is 'over 99' or 'under 1'."""

SIGNIFICANT: Final = 3
"""Digits of a value that are told."""


@dataclass(frozen=True)
class ClassFact:
    """A classes task.

    Attributes:
        task: its name.
        classes: K names.
        probabilities: of each class, calibrated; empty where the model gave none that are finite.
        members: classes of the conformal set.
        alpha: how often such sets miss the true class.
    """

    task: str
    classes: tuple[str, ...]
    probabilities: tuple[float, ...]
    members: tuple[str, ...]
    alpha: float

    @property
    def top(self) -> str | None:
        """The most probable class."""
        if not self.probabilities:
            return None
        return self.classes[int(np.argmax(self.probabilities))]

    @property
    def decided(self) -> bool:
        """Whether the set holds the most probable class and no other."""
        return self.members == (self.top,)

    @property
    def coverage(self) -> float:
        """Per cent of cells whose set holds the true class."""
        return _coverage(self.alpha)

    def percent(self, name: str) -> int:
        """A class's probability as it is told; see `percent`."""
        return percent(self.probabilities[self.classes.index(name)])


@dataclass(frozen=True)
class IntervalFact:
    """Where a value lies for most cells.

    Attributes:
        low, high: ends, finite.
        alpha: how often such intervals miss the true value.
    """

    low: float
    high: float
    alpha: float

    @property
    def coverage(self) -> float:
        """Per cent of cells whose interval holds the true value."""
        return _coverage(self.alpha)


@dataclass(frozen=True)
class ValueFact:
    """A value: a marker, or another number.

    Attributes:
        name: of the task.
        unit: '' without one.
        value: None where the model gave none that is finite.
        error: mean absolute error on test cells, None where nobody measured it.
        interval: None where the artifact promises none.
    """

    name: str
    unit: str
    value: float | None
    error: float | None
    interval: IntervalFact | None = None

    @property
    def parts(self) -> tuple[str, ...]:
        """Markers that this one channel holds together; empty where it is one marker."""
        parts = tuple(POOLED.split(self.name))
        pooled = len(parts) > 1 and all(MARKER.fullmatch(part) for part in parts)
        return parts if pooled else ()

    @property
    def spellings(self) -> tuple[str, ...]:
        """How the whole may be written."""
        return (self.name, "/".join(self.parts)) if self.parts else (self.name,)


@dataclass(frozen=True)
class ShareFact:
    """Shares of a whole.

    Attributes:
        task: its name.
        parts, shares: names, and fractions; shares are empty where they are not finite.
    """

    task: str
    parts: tuple[str, ...]
    shares: tuple[float, ...]


@dataclass(frozen=True)
class Facts:
    """All that was predicted of one cell.

    Attributes:
        classes, values, shares: by kind of task, in the study's order.
        simulated: whether the model learned from simulated cells.
    """

    classes: tuple[ClassFact, ...] = ()
    values: tuple[ValueFact, ...] = ()
    shares: tuple[ShareFact, ...] = ()
    simulated: bool = False

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Every name that a text may say but those of tasks."""
        found = [name for fact in self.classes for name in fact.classes]
        found += [spelling for fact in self.values for spelling in dict.fromkeys(fact.spellings)]
        found += [part for fact in self.shares for part in fact.parts]
        return tuple(found)

    @property
    def tasks(self) -> tuple[str, ...]:
        """Names of tasks that a text may say beside those of what they ask."""
        told = [fact.task for fact in self.classes] + [fact.task for fact in self.shares]
        return tuple(name for name in told if name)

    @property
    def ambiguous(self) -> str | None:
        """A name that stands for two things, which no reader could tell apart; None without."""
        names = [*self.names, *self.tasks]
        seen: set[str] = set()
        for name in names:
            if name in seen:
                return name
            seen.add(name)
        found: tuple[str, str] | None = alike(names)
        return found[1] if found else None

    def as_json(self) -> dict[str, Any]:
        """Plain content, numbers as they are told: what a language model and a client read."""
        return {
            "classes": [_class_json(fact) for fact in self.classes],
            "values": [_value_json(fact) for fact in self.values],
            "shares": [
                {"task": f.task, "percent": dict(zip(f.parts, map(spoken, f.shares), strict=False))}
                for f in self.shares
            ],
            "model_learned_from_simulated_cells": self.simulated,
        }


def percent(fraction: float) -> int:
    """A probability in whole per cent, never 0 or 100: `OVER` stands for more, `UNDER` for less."""
    return min(max(round(100 * fraction), UNDER), OVER)


def bounded(fraction: float) -> str:
    """'over ' or 'under ' where a probability is beyond what `percent` says, else ''."""
    whole = round(100 * fraction)
    return "over " if whole > OVER else "under " if whole < UNDER else ""


def spoken(fraction: float) -> str:
    """A probability or share in words: '93 %', 'over 99 %'."""
    return f"{bounded(fraction)}{percent(fraction)} %"


def decimals(value: float, significant: int = SIGNIFICANT) -> int:
    """Decimals with which a value is told."""
    if value == 0:
        return 0
    return min(max(significant - 1 - math.floor(math.log10(abs(value))), 0), 8)


def rounded(value: float, significant: int = SIGNIFICANT) -> str:
    """A value as it is told, three significant digits without an exponent."""
    text = f"{value:.{decimals(value, significant)}f}"
    return text.lstrip("-") if not text.strip("-0.") else text


def _coverage(alpha: float) -> float:
    return round(100 * (1 - alpha), 1)


def _class_json(fact: ClassFact) -> dict[str, Any]:
    return {
        "task": fact.task,
        "most_probable": fact.top,
        "probability": {
            name: spoken(value)
            for name, value in zip(fact.classes, fact.probabilities, strict=False)
        },
        "prediction_set": list(fact.members),
        "coverage_percent": fact.coverage,
        "decided": fact.decided,
    }


def _value_json(fact: ValueFact) -> dict[str, Any]:
    return {
        "name": fact.spellings[-1],
        "pooled": bool(fact.parts),
        "value": None if fact.value is None else rounded(fact.value),
        "unit": fact.unit,
        "interval": _interval_json(fact.interval),
        "mean_absolute_error_on_test_cells": None if fact.error is None else rounded(fact.error, 2),
    }


def _interval_json(fact: IntervalFact | None) -> dict[str, Any] | None:
    if fact is None:
        return None
    low, high = rounded(fact.low), rounded(fact.high)
    return {"low": low, "high": high, "coverage_percent": fact.coverage}

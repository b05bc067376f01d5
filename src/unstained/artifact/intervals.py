"""Intervals of values in an artifact's calibration.json, for what writes and what serves them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Interval:
    """What makes the interval of a value, see `statistics.conformal.value_bounds`.

    Attributes:
        low, high: intercept and slope of both lines.
        margin: by which they are widened.
        alpha: fraction of cells outside that they are made for.
    """

    low: tuple[float, float]
    high: tuple[float, float]
    margin: float
    alpha: float

    def as_json(self) -> dict[str, Any]:
        """Plain content."""
        return {**asdict(self), "low": list(self.low), "high": list(self.high)}


def read_intervals(content: Mapping[str, Any], names: Sequence[str]) -> dict[str, Interval]:
    """Intervals of values from the content of calibration.json, in order.

    Args:
        content: as `evaluate` or `calibration_content` wrote it.
        names: of the values.

    Returns:
        None of them unless each has one: where validation cells were too few for a promise there
        is no margin, and a server would have to answer with infinite numbers.
    """
    found = {}
    for name in names:
        said = content.get(name, {})
        if said.get("margin") is None:
            return {}
        low, high = ((float(said[end][0]), float(said[end][1])) for end in ("low", "high"))
        found[name] = Interval(low, high, float(said["margin"]), float(said["alpha"]))
    return found

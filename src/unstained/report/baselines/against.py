"""Whether models are better than hand-crafted features, in sentences decided by intervals."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from unstained.report.numbers import listed
from unstained.report.prose import Prose
from unstained.statistics.evidence import Evidence, evidence
from unstained.statistics.intervals import HALF_A_POINT, Estimate

PROSE = Prose(__name__)

ORDER: Final[tuple[Evidence, ...]] = ("shown", "ruled out", "undecided")


def against_features(gains: Mapping[str, Estimate], limit: float = HALF_A_POINT) -> tuple[str, ...]:
    """How it was tested, and of which models what is told.

    Args:
        gains: model -> what it gains over the control of hand-crafted features; larger is better.
        limit: gain that matters; 0 for metrics in units of their own.
    """
    told: dict[Evidence, list[str]] = {verdict: [] for verdict in ORDER}
    for model, gain in gains.items():
        told[evidence(gain.low, gain.high, limit)].append(_words(model, gain))
    return (
        PROSE(
            "against_features",
            shown=listed(told["shown"]),
            ruled_out=listed(told["ruled out"]),
            undecided=listed(told["undecided"]),
        ),
    )


def _words(model: str, gain: Estimate) -> str:
    """'net +0.031 (+0.012 to +0.050)'."""
    parts = [f"{part:+.3f}".replace("-", "\u2212") for part in (gain.value, gain.low, gain.high)]
    bounds = "" if gain.low != gain.low else f" ({parts[1]} to {parts[2]})"
    return f"{model} {parts[0]}{bounds}"

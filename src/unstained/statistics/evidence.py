"""What an interval lets one say: shown, ruled out, or not to be told. One rule for every page.

The absence of evidence is no evidence of absence: an interval that holds both "no effect" and "an
effect that matters" says that the data cannot tell, and how many groups could.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

import numpy as np

if TYPE_CHECKING:
    from unstained.statistics.metrics import Floats

Evidence = Literal["shown", "ruled out", "undecided"]

HALF: Final = 0.5
"""Share of an effect above which a cause is most of it."""


@dataclass(frozen=True)
class Share:
    """The part of an effect that something else explains, 0 to 1 or beyond, with its interval."""

    value: float
    low: float
    high: float

    @property
    def is_most(self) -> Evidence:
        """Whether it is most of the effect."""
        return evidence(self.low, self.high, HALF)


def evidence(low: float, high: float, limit: float) -> Evidence:
    """Whether a quantity exceeds a limit, by its interval.

    Args:
        low: lower end of the interval; NaN where there is none.
        high: upper end.
        limit: what the quantity must exceed to matter.

    Returns:
        'shown' where the whole interval lies above the limit, 'ruled out' where none of it does.
    """
    if low > limit:
        return "shown"
    return "ruled out" if high <= limit else "undecided"


def groups_needed(groups: int, low: float, high: float, width: float) -> int:
    """About how many groups would narrow an interval to a width, as its square root law has it.

    Args:
        groups: that the interval comes from.
        low: its lower end.
        high: its upper end.
        width: half the width that is wanted.
    """
    return max(groups, math.ceil(round(groups * ((high - low) / 2 / width) ** 2, 6)))


def explained_share(
    part: float, whole: float, parts: Floats, wholes: Floats, confidence: float
) -> Share:
    """What share of one excess over chance another one reaches.

    Args:
        part: excess of what may explain.
        whole: excess of what is to be explained, above 0.
        parts: (R,) the first in each resample of groups.
        wholes: (R,) the second in the same resamples.
        confidence: of the percentile interval.

    Returns:
        The share; without an interval (NaN) where the second excess is itself not shown, for the
        share of what may be nothing can be anything.
    """
    usable = wholes > 0
    tail = (1 - confidence) / 2
    if whole <= 0 or np.mean(~usable) > tail:
        return Share(part / whole if whole > 0 else math.nan, math.nan, math.nan)
    shares = parts[usable] / wholes[usable]
    low, high = np.quantile(shares, [tail, 1 - tail])
    return Share(part / whole, float(low), float(high))

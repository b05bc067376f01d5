"""Do the cells that are asked about still look like those that the model was judged on?

The artifact's rules of abstention refuse a stated share of cells like its validation cells, at most
(artifact/abstention.py). Windows of served cells are held against that promise: one rings where
more are refused than could be by chance, and at least twice as many as promised, for the cells of a
new acquisition resemble each other and are refused a little more often. Chance is the exact
binomial tail at 1e-6, so a window of cells like the validation cells rings once in a million. What
rings is defocus, debris, clumps, a kind of cell that is not known. Another mix of known classes
does not, which is to be seen in the counts of classes, nor does a lamp of another strength by
itself: contrast is relative to the background, for the model, too.

Rules cost time, so they are asked about every batch of a server with little to do, and about some
batches a second of one that is busy.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Final, NamedTuple

import numpy as np

WINDOW: Final = 500
"""Cells."""
BY_CHANCE: Final = 1e-6
"""How often a window may ring whose cells are refused as often as promised."""
TIMES: Final = 2.0
"""As often as promised must be refused what rings."""
PAUSE_SECONDS: Final = 0.25
"""Between batches that rules are asked about."""


class Seen(NamedTuple):
    """The newest full window.

    Attributes:
        refused: share of its cells that the model should not be asked about.
        rings: whether these are too many.
    """

    refused: float
    rings: bool


class Watch:
    """Counts refused cells in windows, one after the other.

    Args:
        promised: share of usual cells that are refused at most; 0 where nothing is promised: then
            nothing rings.
        window: cells of a window.
        clock: seconds.

    Attributes:
        seen: the newest full window; None before the first one.
    """

    def __init__(
        self,
        promised: float,
        window: int = WINDOW,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._promised = promised
        self._window = window
        self._clock = clock
        self._next = -math.inf
        self._cells = self._refused = 0
        self._most = most_by_chance(window, promised)
        self.seen: Seen | None = None

    def due(self) -> bool:
        """Whether the next batch should be watched."""
        now = self._clock()
        if not self._promised or now < self._next:
            return False
        self._next = now + PAUSE_SECONDS
        return True

    def add(self, abstention: np.ndarray) -> None:
        """What the rules said of some cells, (B, R) bool."""
        for refused in np.any(abstention, axis=1):
            self._cells += 1
            self._refused += int(refused)
            if self._cells == self._window:
                share = self._refused / self._window
                self.seen = Seen(share, bool(self._promised) and self._refused > self._most)
                self._cells = self._refused = 0


def most_by_chance(window: int, promised: float) -> int:
    """Refused cells of a window that do not ring yet.

    Args:
        window: cells.
        promised: share of cells that are refused.
    """
    least = math.ceil(TIMES * promised * window) - 1
    count = window
    while count > least and binomial_tail(window, count, promised) <= BY_CHANCE:
        count -= 1
    return max(count, least)


def binomial_tail(trials: int, least: int, chance: float) -> float:
    """Probability of `least` or more successes among independent trials of the same chance."""
    if least <= 0:
        return 1.0
    if not 0 < chance < 1:
        return float(chance >= 1)
    whole, yes, no = math.lgamma(trials + 1), math.log(chance), math.log1p(-chance)
    return math.fsum(
        math.exp(
            whole - math.lgamma(k + 1) - math.lgamma(trials - k + 1) + k * yes + (trials - k) * no
        )
        for k in range(least, trials + 1)
    )

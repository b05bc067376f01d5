"""What intervals let one say, against plain arithmetic and simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unstained.statistics.evidence import Share, evidence, explained_share, groups_needed

NUMBER = st.floats(-2, 2)


@given(st.tuples(NUMBER, NUMBER).map(sorted), NUMBER)
def test_exactly_one_of_three_is_said(interval: list[float], limit: float) -> None:
    low, high = interval
    said = evidence(low, high, limit)
    assert (said == "shown") == (low > limit)
    assert (said == "ruled out") == (high <= limit)
    assert (said == "undecided") == (low <= limit < high)


def test_no_interval_tells_nothing() -> None:
    assert evidence(math.nan, math.nan, 0.0) == "undecided"


@given(st.integers(2, 50), st.floats(0.02, 0.5))
def test_groups_needed_follow_the_square_root_law(groups: int, half: float) -> None:
    needed = groups_needed(groups, 0.5 - half, 0.5 + half, 0.05)
    assert needed >= groups
    assert half * math.sqrt(groups / needed) <= 0.05 + 1e-9 or needed == groups


def test_share_of_an_excess_covers_the_truth() -> None:
    """Two correlated excesses whose means stand in the ratio 0.4."""
    covered = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        common, own = rng.normal(0, 0.05, 40), rng.normal(0, 0.05, 40)
        whole, part = 0.3 + common, 0.4 * (0.3 + common) + own
        draws = rng.integers(0, 40, (500, 40))
        parts, wholes = part[draws].mean(1), whole[draws].mean(1)
        share = explained_share(part.mean(), whole.mean(), parts, wholes, 0.9)
        assert share.value == pytest.approx(part.mean() / whole.mean())
        covered += share.low <= 0.4 <= share.high
    assert 46 <= covered <= 60


@pytest.mark.parametrize(
    ("share", "said"),
    [
        (Share(0.8, 0.6, 1.0), "shown"),
        (Share(0.83, 0.2, 1.4), "undecided"),
        (Share(0.1, 0.0, 0.3), "ruled out"),
    ],
)
def test_most_of_an_effect(share: Share, said: str) -> None:
    assert share.is_most == said

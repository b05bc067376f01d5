"""New cells without labels: another mix of classes does not ring as another image, and back."""

from __future__ import annotations

import numpy as np
import pytest

from unstained.evaluation.drift import Drift, Sample, compare_samples
from unstained.evaluation.drift_basis import Called, within

ERRORS = np.array([[0.8, 0.15, 0.05], [0.1, 0.8, 0.1], [0.1, 0.2, 0.7]])
"""How often cells of each class (rows) are predicted each class."""

EVEN, OTHER = (1 / 3, 1 / 3, 1 / 3), (0.7, 0.2, 0.1)
DRAWS = 12


def study(
    seed: int, name: str, shares: tuple[float, ...], *, pure: bool, shift: float = 0.0
) -> tuple[Called, np.ndarray]:
    """Predictions of 18 groups, and a statistic that depends on class, prediction and group.

    A cell that is taken for another class looks somewhat like one, so that a new mix alone changes
    what the cells of a predicted class look like.
    """
    rng = np.random.default_rng([seed, *name.encode()])
    groups, cells = 18, 60
    if pure:
        ends = np.round(np.cumsum(shares) * groups).astype(int)
        truth = np.repeat(np.searchsorted(ends, np.arange(groups), side="right"), cells)
    else:
        truth = rng.choice(3, groups * cells, p=shares)
    draw = rng.random(len(truth))[:, None]
    said = np.minimum((draw > ERRORS[truth].cumsum(axis=1)).sum(axis=1), 2)
    centre = np.repeat(rng.normal(0, 0.3, groups), cells)
    values = 1.2 * truth + 0.8 * said + centre + rng.normal(0, 1, len(truth)) + shift
    return Called(said, truth, np.repeat([f"{name}{k:02d}" for k in range(groups)], cells)), values


def hidden(called: Called) -> Called:
    """The same cells, their labels not known."""
    return Called(called.predicted, np.full(len(called.labels), -1), called.groups)


def compared(tested: tuple[Called, np.ndarray], new: tuple[Called, np.ndarray]) -> Drift:
    """New cells without labels against tested ones."""
    how = within(tested[0], hidden(new[0]), 3)
    first = Sample({"x": tested[1]}, tested[0].groups, how.kinds[0], how.mixes[0], how.weights)
    second = Sample({"x": new[1]}, new[0].groups, how.kinds[1], how.mixes[1])
    return compare_samples(first, second, permutations=99, alpha=0.05, least=0.1, seed=1)


def alarms(seed: int, *, tested_pure: bool, new_pure: bool) -> tuple[bool, bool, bool]:
    """Whether images ring in one draw: for another mix alone; for cells moved by one standard
    deviation; and for another mix within predicted classes, which takes no account of it.
    """
    tested = study(seed, "old", EVEN, pure=tested_pure)
    mixed = study(seed, "mix", OTHER, pure=new_pure)
    moved = study(seed, "moved", OTHER, pure=new_pure, shift=1.0)
    pair = [Sample({"x": x}, c.groups, c.predicted) for c, x in (tested, mixed)]
    naive = compare_samples(*pair, permutations=99, alpha=0.05, least=0.1, seed=1)
    drifts = (compared(tested, mixed), compared(tested, moved), naive)
    false, found, rung = (bool(drift.drifted("images")) for drift in drifts)
    return false, found, rung


@pytest.mark.parametrize(("pure", "rings"), [(True, 1), (False, 6)])
def test_causes_are_told_apart_without_labels(pure: bool, rings: int) -> None:
    """Of few draws; `python -m tests.bench.bench_monitor` makes more."""
    drawn = [alarms(seed, tested_pure=pure, new_pure=pure) for seed in range(DRAWS)]
    false, found, naive = (sum(column) for column in zip(*drawn, strict=True))
    assert false <= 2
    assert found >= 10
    assert naive >= rings  # within predicted classes a new mix alone rings


def test_what_is_known_decides_within_what_images_are_compared() -> None:
    tested, new = (study(3, name, EVEN, pure=True)[0] for name in ("old", "new"))
    mixed = study(3, "mix", EVEN, pure=False)[0]
    assert within(tested, new, 3).basis == "labels"
    assert within(tested, hidden(new), 3).basis == "groups"
    assert within(tested, hidden(mixed), 3).basis == "weights"  # new groups hold several classes
    assert within(mixed, hidden(new), 3).basis == "weights"


def test_weights_bring_tested_cells_to_the_new_mix() -> None:
    tested = study(4, "old", EVEN, pure=False)[0]
    new = study(4, "mix", OTHER, pure=False)[0]
    how = within(tested, hidden(new), 3)
    assert how.shares == pytest.approx(OTHER, abs=0.08)
    weighted = np.bincount(tested.labels, how.weights, minlength=3)
    assert weighted / weighted.sum() == pytest.approx(how.shares)

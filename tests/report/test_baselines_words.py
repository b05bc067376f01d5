"""What the comparison of models says of controls: by intervals across folds, never by points."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from unstained.evaluation.baselines.verdicts import gains_over
from unstained.report.baselines.against import against_features
from unstained.statistics.folds import FoldSizes

SIZES = FoldSizes(train=300.0, test=100.0)
CONTROL = np.array([0.60, 0.62, 0.58])
SCORES = {
    "clear": CONTROL[:, None] + np.array([[0.20], [0.21], [0.19]]),
    "worse": CONTROL[:, None] - np.array([[0.20], [0.21], [0.19]]),
    # Ahead by 5 points on average, and in one fold behind.
    "unclear": CONTROL[:, None] + np.array([[0.17], [0.05], [-0.07]]),
}


def test_a_model_is_better_than_features_where_the_paired_interval_shows_it() -> None:
    (said,) = against_features(gains_over(SCORES, CONTROL, SIZES, 0.95))
    better, rest = said.split("No better: ")
    worse, unclear = rest.split("Whether better cannot be told: ")
    assert "Better: clear +0.200 (+" in better
    assert worse.startswith("worse −0.200 (−")
    assert unclear.startswith("unclear +0.050 (−")


def test_one_fold_tells_nothing() -> None:
    one = {model: scores[:1] for model, scores in SCORES.items()}
    (said,) = against_features(gains_over(one, CONTROL[:1], SIZES, 0.95))
    assert "Better: " not in said
    assert "cannot be told: clear +0.200, worse −0.200 and unclear +0.170." in said


def test_intervals_are_of_the_corrected_t_test_and_widened_for_the_number_of_models() -> None:
    found = gains_over(SCORES, CONTROL, SIZES, 0.95)["unclear"]
    gain = np.array([0.17, 0.05, -0.07])
    scale = np.sqrt((1 / 3 + 100 / 300) * gain.var(ddof=1))
    half = stats.t.ppf(1 - 0.05 / 3 / 2, 2) * scale
    expected = (gain.mean(), gain.mean() - half, gain.mean() + half)
    assert (found.value, found.low, found.high) == pytest.approx(expected)

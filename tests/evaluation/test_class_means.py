"""What a cell's class alone tells of its values, beside scikit-learn and plain loops."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as reference

from unstained.evaluation.class_means import MEASURES, ClassMean, beside_class_means
from unstained.predictions import ONLY, ClassPredictions, Predictions, ValuePredictions
from unstained.statistics.intervals import resample_groups

MEANS = np.array([[1.0], [3.0]])
CELLS = 240


def _found(within: float, *, unknown: bool = False) -> tuple[ClassMean, ClassMean]:
    """Beside the predicted and the true class; `within` is what the model sees beyond classes."""
    rng = np.random.default_rng(5)
    labels = rng.integers(0, 2, CELLS)
    own = rng.normal(size=CELLS)
    truth = MEANS[labels, 0] + own
    truth[:20] = np.nan
    called = np.where(rng.random(CELLS) < 0.8, labels, 1 - labels)
    model = MEANS[called, 0] + within * own
    logits = np.eye(2)[called]
    group = np.repeat([f"g{i:02d}" for i in range(24)], 10)
    known = np.full(CELLS, -1) if unknown else np.where(np.arange(CELLS) % 7, labels, -1)
    classes = ClassPredictions(known, logits, logits, logits > 0)
    said = Predictions(
        group, group, group, {ONLY: classes}, {"CD16": ValuePredictions(truth, model)}
    )
    sampling = resample_groups(group, known, 200, 0)
    predicted, true = beside_class_means(said, MEANS, sampling, 0.95)
    return predicted, true


def test_scores_are_those_of_the_mean_as_a_prediction() -> None:
    rng = np.random.default_rng(5)
    labels = rng.integers(0, 2, CELLS)
    truth = MEANS[labels, 0] + rng.normal(size=CELLS)
    told = (np.arange(CELLS) % 7 > 0) & (np.arange(CELLS) >= 20)
    guess, truth = MEANS[labels[told], 0], truth[told]
    predicted, true = _found(0.0)
    assert (predicted.whose, predicted.cells) == ("predicted", CELLS - 20)
    assert (true.whose, true.cells) == ("true", told.sum())
    wanted = {
        "r": stats.pearsonr(truth, guess).statistic,
        "spearman": stats.spearmanr(truth, guess).statistic,
        "r2": reference.r2_score(truth, guess),
        "rmse": reference.root_mean_squared_error(truth, guess),
        "mae": reference.mean_absolute_error(truth, guess),
    }
    for name, value in wanted.items():
        assert true.scores[name].value == pytest.approx(value)
    assert set(true.scores) == set(true.gains) == set(MEASURES)


def test_a_model_that_only_repeats_its_class_gains_exactly_nothing() -> None:
    predicted, true = _found(0.0)
    for gain in predicted.gains.values():
        assert (gain.value, gain.low, gain.high) == (0.0, 0.0, 0.0)
    assert true.gains["r2"].high < 0  # a fifth of the classes are called wrongly


def test_a_model_that_sees_more_than_classes_gains_in_every_measure() -> None:
    predicted, _ = _found(0.6)
    for gain in predicted.gains.values():
        assert 0 < gain.low < gain.value < gain.high


def test_without_a_known_class_the_true_one_has_no_cells_and_no_numbers() -> None:
    predicted, true = _found(0.6, unknown=True)
    assert (predicted.cells, true.cells) == (CELLS - 20, 0)
    assert predicted.gains["r2"].low > 0
    assert np.isnan(true.scores["r2"].value)
    assert np.isnan(true.gains["rmse"].low)

"""Classification metrics against scikit-learn on random cells, absent classes included."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as reference

from unstained.statistics import metrics


@st.composite
def predictions(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Truth, prediction and coarse (tied) probabilities; classes may be missing from either."""
    classes = draw(st.integers(2, 5))
    cells = draw(st.integers(1, 60))
    rng = np.random.default_rng(draw(st.integers(0, 2**31)))
    present = rng.choice(classes, size=draw(st.integers(1, classes)), replace=False)
    probabilities = rng.integers(1, 6, size=(cells, classes)).astype(float)
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    return rng.choice(present, size=cells), probabilities.argmax(axis=1), probabilities


@settings(max_examples=60, deadline=None)
@given(predictions())
def test_decision_metrics_equal_scikit_learn(case: tuple[np.ndarray, ...]) -> None:
    truth, predicted, probabilities = case
    classes = probabilities.shape[1]
    present = np.unique(truth)
    confusion = metrics.confusion_matrix(truth, predicted, classes)
    assert np.array_equal(
        confusion, reference.confusion_matrix(truth, predicted, labels=range(classes))
    )
    per_class = reference.precision_recall_fscore_support(
        truth, predicted, labels=present, zero_division=0
    )
    found = (metrics.precision, metrics.recall, metrics.f1, metrics.support)
    for ours, theirs in zip(found, per_class, strict=True):
        np.testing.assert_allclose(ours(confusion)[present], theirs, rtol=1e-12)
    absent = np.setdiff1d(np.arange(classes), present)
    assert np.isnan(metrics.f1(confusion)[absent]).all()
    for average in ("macro", "weighted"):
        wanted = reference.precision_recall_fscore_support(
            truth, predicted, labels=present, average=average, zero_division=0
        )
        for name, value in zip(("precision", "recall", "f1"), wanted[:3], strict=True):
            ours = metrics.DECISION_METRICS[f"{average}_{name}"](confusion)
            assert ours == pytest.approx(value, rel=1e-12)
    assert metrics.accuracy(confusion) == pytest.approx(np.mean(truth == predicted))
    assert metrics.balanced_accuracy(confusion) == pytest.approx(
        reference.recall_score(truth, predicted, labels=present, average="macro", zero_division=0)
    )


@settings(max_examples=60, deadline=None)
@given(predictions())
def test_curves_and_areas_equal_scikit_learn(case: tuple[np.ndarray, ...]) -> None:
    truth, _, probabilities = case
    unit = np.arange(len(truth))
    area = metrics.roc_auc_one_vs_rest(truth, probabilities, unit, np.ones((1, len(truth))))[0]
    for k, score in enumerate(probabilities.T):
        positive = truth == k
        if positive.all() or not positive.any():
            assert np.isnan(area[k])
            assert len(metrics.roc_curve(positive, score)[0]) == 0
            continue
        assert area[k] == pytest.approx(reference.roc_auc_score(positive, score), rel=1e-12)
        fpr, tpr, _ = reference.roc_curve(positive, score, drop_intermediate=False)
        np.testing.assert_allclose(metrics.roc_curve(positive, score), (fpr, tpr), rtol=1e-12)


def test_weighted_area_equals_repeated_cells() -> None:
    rng = np.random.default_rng(0)
    positive, score = rng.random(40) < 0.4, rng.integers(0, 12, 40).astype(float)
    counts = rng.integers(0, 4, size=(5, 40))
    found = metrics.roc_auc(positive, score, counts.astype(float))
    wanted = [
        reference.roc_auc_score(np.repeat(positive, row), np.repeat(score, row)) for row in counts
    ]
    np.testing.assert_allclose(found, wanted, rtol=1e-12)


def test_blocks_of_resamples_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    truth, unit = rng.integers(0, 3, 50), rng.integers(0, 7, 50)
    probabilities, weights = rng.dirichlet(np.ones(3), 50), rng.random((11, 7))
    whole = metrics.roc_auc_one_vs_rest(truth, probabilities, unit, weights)
    monkeypatch.setattr(metrics, "_CHUNK_CELLS", 100)
    np.testing.assert_allclose(
        metrics.roc_auc_one_vs_rest(truth, probabilities, unit, weights), whole, rtol=1e-13
    )


def test_probability_scores_equal_scikit_learn() -> None:
    rng = np.random.default_rng(2)
    truth, probabilities = rng.integers(0, 4, 200), rng.dirichlet(np.ones(4), 200)
    assert metrics.log_losses(truth, probabilities).mean() == pytest.approx(
        reference.log_loss(truth, probabilities, labels=range(4)), rel=1e-12
    )
    assert metrics.brier_scores(truth, probabilities).mean() == pytest.approx(
        reference.brier_score_loss(truth, probabilities, labels=range(4), scale_by_half=False),
        rel=1e-12,
    )


def test_certain_and_wrong_has_a_finite_loss() -> None:
    assert np.isfinite(metrics.log_losses(np.array([1]), np.array([[1.0, 0.0]]))).all()


def test_thinned_curve_keeps_its_ends() -> None:
    rng = np.random.default_rng(3)
    positive, score = rng.random(5000) < 0.5, rng.random(5000)
    fpr, tpr = metrics.roc_curve(positive, score, points=100)
    assert len(fpr) <= 100
    assert (fpr[0], tpr[0], fpr[-1], tpr[-1]) == (0, 0, 1, 1)
    assert np.trapezoid(tpr, fpr) == pytest.approx(metrics.roc_auc(positive, score)[0], abs=0.01)


def test_units_add_up_and_leading_axes_broadcast() -> None:
    rng = np.random.default_rng(4)
    truth, predicted, unit = (rng.integers(0, n, 100) for n in (3, 3, 9))
    parts = metrics.unit_confusions(truth, predicted, unit, 9, 3)
    assert np.array_equal(parts.sum(0), metrics.confusion_matrix(truth, predicted, 3))
    for metric in metrics.DECISION_METRICS.values():
        np.testing.assert_allclose(metric(parts), [metric(part) for part in parts])


def test_label_outside_the_classes_is_refused() -> None:
    with pytest.raises(ValueError, match="predicted"):
        metrics.confusion_matrix(np.array([0]), np.array([3]), 3)

"""The classifier of the shortcut audit, against scikit-learn."""

from __future__ import annotations

import numpy as np
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from unstained.data.audit.discriminant import cross_validate, quadratic_scores
from unstained.data.audit.shortcuts import deal


def test_classifier_equals_scikit_learn() -> None:
    rng = np.random.default_rng(4)
    labels = rng.integers(0, 3, 400)
    scores = quadratic_scores(rng.normal(size=(400, 2)) + labels[:, None] * [1.0, 0.5])
    fold = deal(labels, 4, rng)
    found = cross_validate(scores, labels, fold, 3)
    expected = np.empty_like(found)
    for number in range(4):
        model = LinearDiscriminantAnalysis(solver="lsqr", priors=[1 / 3] * 3)
        model.fit(scores[fold != number], labels[fold != number])
        expected[fold == number] = model.predict(scores[fold == number])
    assert (found == expected).mean() > 0.98  # but for the ridge


def test_normal_scores_are_standardised_and_drop_constants() -> None:
    values = np.random.default_rng(5).exponential(size=(500, 3))
    values[:, 1] = 7
    scores = quadratic_scores(values)
    assert scores.shape == (500, 2 + 3)
    assert np.abs(scores.mean(axis=0)).max() < 1e-4
    assert np.abs(scores.std(axis=0) - 1).max() < 1e-3


def test_a_class_without_training_cells_is_never_given() -> None:
    scores = np.random.default_rng(0).normal(size=(60, 2)).astype(np.float32)
    labels = np.repeat([0, 1, 2], 20)
    fold = (labels == 2).astype(int)  # class 2 is wholly held out
    assert set(cross_validate(scores, labels, fold, 3)[labels == 2]) <= {0, 1}

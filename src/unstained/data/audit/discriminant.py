"""Quadratic discriminant on normal scores: the classifier of the shortcut audit.

Linear discriminant analysis with equal class weights on rank-based normal scores of the statistics,
their squares and products. Everything it needs of a fold is sums, so that hundreds of refits under
exchanged labels cost seconds.
"""

from __future__ import annotations

from typing import Final

import numpy as np

RIDGE: Final = 1e-2
"""Added to the pooled covariance, in units of its mean diagonal."""


def quadratic_scores(values: np.ndarray) -> np.ndarray:
    """Normal scores of each column, their squares and products, standardised.

    Args:
        values: (n, F) statistics; constant columns are left out.

    Returns:
        (n, D) float32; D is 0 where every column is constant.
    """
    from scipy.special import ndtri
    from scipy.stats import rankdata

    varied = values[:, np.ptp(values, axis=0) > 0]
    if not varied.shape[1]:
        return np.empty((len(values), 0), np.float32)
    scores = ndtri((rankdata(varied, axis=0) - 0.5) / len(varied)).astype(np.float32)
    first, second = np.triu_indices(scores.shape[1])
    columns = np.concatenate([scores, scores[:, first] * scores[:, second]], axis=1)
    columns -= columns.mean(axis=0)
    spread = columns.std(axis=0)
    return np.asarray(columns[:, spread > 1e-6] / spread[spread > 1e-6])


def cross_validate(
    scores: np.ndarray, labels: np.ndarray, fold: np.ndarray, classes: int
) -> np.ndarray:
    """Class that discriminant analysis, trained on the other folds, gives each cell.

    Args:
        scores: (n, D) features.
        labels: (n,) class index.
        fold: (n,) fold in which a cell is held out.
        classes: number of classes.

    Returns:
        (n,) class index; a class without training cells is never given.
    """
    members = [np.flatnonzero(fold == number) for number in range(int(fold.max()) + 1)]
    one_hot = np.eye(classes, dtype=scores.dtype)[labels]
    gram = np.stack([scores[rows].T @ scores[rows] for rows in members]).astype(np.float64)
    sums = np.stack([one_hot[rows].T @ scores[rows] for rows in members]).astype(np.float64)
    counts = np.stack([one_hot[rows].sum(axis=0) for rows in members]).astype(np.float64)
    predicted = np.empty(len(labels), np.int64)
    for number, rows in enumerate(members):
        others = np.arange(len(members)) != number
        weights, offset = _discriminant(
            gram[others].sum(axis=0), sums[others].sum(axis=0), counts[others].sum(axis=0)
        )
        predicted[rows] = (scores[rows] @ weights + offset).argmax(axis=1)
    return predicted


def _discriminant(
    gram: np.ndarray, sums: np.ndarray, counts: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Weights (D, K) and offsets (K,) of linear discriminants with equal class weights.

    Args:
        gram: (D, D) sum of outer products over the training cells.
        sums: (K, D) sum of features in each class.
        counts: (K,) cells of each class.
    """
    means = sums / np.maximum(counts, 1)[:, None]
    within = gram - (means * counts[:, None]).T @ means
    within /= max(counts.sum() - len(counts), 1)
    size = len(within)
    within += RIDGE * max(np.trace(within) / max(size, 1), 1e-12) * np.eye(size)
    weights = np.linalg.solve(within, means.T)
    offset = -0.5 * (means.T * weights).sum(axis=0)
    offset[counts == 0] = -np.inf
    return weights.astype(np.float32), offset

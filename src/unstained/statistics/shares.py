"""Metrics of shares of a whole, computed from sums so that a resample is one matrix product.

Cells whose true shares are missing (NaN) are left out. The cross entropy of true shares p and
predicted shares q, -sum p log q, cannot fall below the entropy of p, -sum p log p; the difference
is the Kullback-Leibler divergence, which is 0 for perfect predictions.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from unstained.statistics import regression
from unstained.statistics.metrics import Floats, divide

HEAD: Final = 4
"""Columns of `moments` before those of the parts."""


def moments(truth: Floats, predicted: Floats, centre: Floats | None = None) -> Floats:
    """What each cell adds to the sums of the metrics below.

    Args:
        truth: (N, P) true shares, NaN where not recorded.
        predicted: (N, P) predicted shares.
        centre: (P,) see `regression.moments`.

    Returns:
        (N, 4 + 8 P): 1, mean over parts of |truth - predicted|, cross entropy, entropy of the
        truth (both in nats), then each part's `regression.moments`; all 0 where the truth is
        missing.
    """
    known = np.asarray(~np.isnan(truth).any(axis=1))
    p, q = (np.where(known[:, None], values, 1.0) for values in (truth, predicted))
    tiny = np.finfo(np.float64).tiny
    error = np.abs(p - q).mean(axis=1)
    cross = -(p * np.log(np.maximum(q, tiny))).sum(axis=1)
    entropy = -(p * np.log(np.maximum(p, tiny))).sum(axis=1)
    head = np.stack([np.ones(len(p)), error, cross, entropy], axis=1) * known[:, None]
    masked = np.where(known[:, None], truth, np.nan)
    parts = [
        regression.moments(masked[:, k], predicted[:, k], None if centre is None else centre[k])
        for k in range(truth.shape[1])
    ]
    return np.concatenate([head, *parts], axis=1)


def mean_absolute_error(sums: Floats) -> Floats:
    """Mean over cells and parts of |truth - predicted|."""
    return divide(sums[..., 1], sums[..., 0], np.nan)


def accuracy(sums: Floats) -> Floats:
    """1 - mean absolute error, as papers on proportions call accuracy.

    A constant 0.5 already reaches 0.727 where truths are spread over 0, 0.1 ... 1.
    """
    return 1.0 - mean_absolute_error(sums)


def cross_entropy(sums: Floats) -> Floats:
    """Mean cross entropy of the predicted shares, in nats."""
    return divide(sums[..., 2], sums[..., 0], np.nan)


def entropy(sums: Floats) -> Floats:
    """Mean entropy of the true shares, in nats: what no prediction's cross entropy falls below."""
    return divide(sums[..., 3], sums[..., 0], np.nan)


def divergence(sums: Floats) -> Floats:
    """Mean Kullback-Leibler divergence of the predicted from the true shares, in nats."""
    return divide(sums[..., 2] - sums[..., 3], sums[..., 0], np.nan)


def pearson(sums: Floats) -> Floats:
    """Pearson correlation of each part (..., P)."""
    parts = sums[..., HEAD:].reshape(*sums.shape[:-1], -1, 8)
    return regression.pearson(parts)


def mean_pearson(sums: Floats) -> Floats:
    """Mean over parts of the Pearson correlation; parts that do not vary are left out."""
    found = pearson(sums)
    known = ~np.isnan(found)
    count = known.sum(axis=-1).astype(float)
    return divide(np.where(known, found, 0.0).sum(axis=-1), count, np.nan)

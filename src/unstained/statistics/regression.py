"""Metrics of continuous targets, computed from sums so that a resample is one matrix product.

Cells whose true value is missing (NaN) are left out. Truth and prediction are shifted by their
means before they are squared, because sums of large squares would cancel badly.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from unstained.statistics.metrics import Floats, Labels, divide

_CHUNK_CELLS: Final = 4_000_000
"""Weights held in memory at once while rank correlations are resampled."""


def moments(truth: Floats, predicted: Floats, centre: float | None = None) -> Floats:
    """What each cell adds to the sums of the metrics below.

    Args:
        truth: (N,) true values, NaN where not recorded.
        predicted: (N,) predictions.
        centre: what both are shifted by, so that sums of two models can be exchanged; None for
            each one's own mean.

    Returns:
        (N, 8): 1, x, y, x², y², xy, (truth - predicted)², |truth - predicted| with x and y the
        shifted truth and prediction; all 0 where the truth is missing.
    """
    known = ~np.isnan(truth)
    truth, predicted = np.where(known, truth, 0.0), np.where(known, predicted, 0.0)
    count = max(1, int(known.sum()))
    shifts = [v.sum() / count if centre is None else centre for v in (truth, predicted)]
    x = np.where(known, truth - shifts[0], 0.0)
    y = np.where(known, predicted - shifts[1], 0.0)
    error = truth - predicted
    columns = [known.astype(float), x, y, x * x, y * y, x * y, error**2, np.abs(error)]
    return np.stack(columns, axis=1)


def class_moments(truth: Floats, predicted: Floats, labels: Labels, classes: int) -> Floats:
    """`moments` spread over classes: (N, K, 8), zero outside the cell's own class."""
    one_hot = np.eye(classes)[labels]
    return one_hot[:, :, None] * moments(truth, predicted)[:, None, :]


def _centred(sums: Floats) -> tuple[Floats, Floats, Floats]:
    """Sxx, Syy, Sxy about the means, from sums (..., 8)."""
    n, x, y, xx, yy, xy = (sums[..., i] for i in range(6))
    return (
        xx - divide(x * x, n, 0.0),
        yy - divide(y * y, n, 0.0),
        xy - divide(x * y, n, 0.0),
    )


def _correlation(sxx: Floats, syy: Floats, sxy: Floats, scale: Floats) -> Floats:
    """Sxy / sqrt(Sxx Syy); NaN where truth or prediction does not vary beyond rounding."""
    varies = (sxx > 1e-12 * scale[..., 0]) & (syy > 1e-12 * scale[..., 1])
    value = divide(sxy, np.sqrt(np.where(varies, sxx * syy, 0.0)), np.nan)
    return np.clip(value, -1.0, 1.0)


def pearson(sums: Floats) -> Floats:
    """Pearson correlation from sums (..., 8)."""
    return _correlation(*_centred(sums), sums[..., 3:5])


def within_class_pearson(sums: Floats) -> Floats:
    """Pooled within-class correlation from sums (..., K, 8).

    Each class is centred on its own means before the covariances are added up, so a prediction
    that only knows the class scores 0.
    """
    sxx, syy, sxy = (part.sum(axis=-1) for part in _centred(sums))
    return _correlation(sxx, syy, sxy, sums[..., 3:5].sum(axis=-2))


def r_squared(sums: Floats) -> Floats:
    """Coefficient of determination 1 - SS_residual / SS_total; negative if worse than the mean."""
    sxx, _, _ = _centred(sums)
    varies = sxx > 1e-12 * sums[..., 3]
    return 1.0 - divide(sums[..., 6], np.where(varies, sxx, 0.0), np.nan)


def mean_absolute_error(sums: Floats) -> Floats:
    """Mean |truth - prediction|, in the target's unit."""
    return divide(sums[..., 7], sums[..., 0], np.nan)


def root_mean_squared_error(sums: Floats) -> Floats:
    """Root of the mean squared error, in the target's unit."""
    return np.sqrt(divide(sums[..., 6], sums[..., 0], np.nan))


def concordance(sums: Floats) -> Floats:
    """Concordance correlation from sums (..., 8): how near all points lie to the identity line.

    2 Sxy / (Sxx + Syy + n (mean x - mean y)^2) (Lin 1989, Biometrics 45:255). The squared errors
    add up to the denominator less 2 Sxy, so that neither mean is needed. NaN where truth and
    prediction are one and the same number.
    """
    sxx, syy, sxy = _centred(sums)
    varies = (sxx > 1e-12 * sums[..., 3]) | (syy > 1e-12 * sums[..., 4])
    whole = np.where(varies, sums[..., 6] + 2 * sxy, 0.0)
    return np.clip(divide(2 * sxy, whole, np.nan), -1.0, 1.0)


def spearman(truth: Floats, predicted: Floats, unit: Labels, weights: Floats) -> Floats:
    """Spearman's rank correlation in each resample, ranked anew, a bounded block at a time.

    A cell of weight w counts as w equal cells: its rank is the weight of the cells below it plus
    half of that of the cells equal to it, and the correlation is Pearson's of such ranks.

    Args:
        truth: (N,) true values, NaN where not recorded.
        predicted: (N,) predictions.
        unit: (N,) resampling unit of each cell.
        weights: (R, U) weights of the units.

    Returns:
        (R,); NaN where either does not vary.
    """
    known = np.flatnonzero(~np.isnan(truth))
    if not len(known):
        return np.full(len(weights), np.nan)
    step, blocks = max(1, _CHUNK_CELLS // len(known)), []
    for start in range(0, len(weights), step):
        w = weights[start : start + step][:, unit[known]]
        x, y = (_ranks(values[known], w) for values in (truth, predicted))
        total = w.sum(axis=1, keepdims=True)
        x, y = (v - divide((w * v).sum(axis=1, keepdims=True), total, 0.0) for v in (x, y))
        sxx, syy, sxy = ((w * product).sum(axis=1) for product in (x * x, y * y, x * y))
        scale = np.repeat(total**3, 2, axis=1)
        blocks.append(_correlation(sxx, syy, sxy, scale))
    return np.concatenate(blocks)


def _ranks(values: Floats, weights: Floats) -> Floats:
    """Mid-ranks of values (N,) under weights (R, N), less one half."""
    order = np.argsort(values, kind="stable")
    new = np.r_[True, np.diff(values[order]) != 0]
    tied = np.add.reduceat(weights[:, order], np.flatnonzero(new), axis=1)
    middle = np.cumsum(tied, axis=1) - tied / 2
    ranks = np.empty_like(weights)
    ranks[:, order] = middle[:, np.cumsum(new) - 1]
    return ranks


def least_error(r: float) -> float:
    """Least root mean squared error that a prediction of correlation r can have.

    In standard deviations of the truth: of all predictions with that correlation, the regression of
    the truth on it is off least, by sqrt(1 - r^2).
    """
    return float(np.sqrt(1.0 - r * r))

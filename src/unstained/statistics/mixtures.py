"""Shares of a mixture of known densities, and of classes given decisions whose errors are known.

evaluation/composition.py says what they are for and what they assume; numpy alone, so that a server
corrects a sample's composition as the reports do.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from unstained.statistics.metrics import Floats

TOLERANCE: Final = 1e-3
"""Log-likelihood (nats) that may be missing where the iteration ends: 0.05 standard errors."""

ITERATIONS: Final = 1000
"""Steps at the most; only a classifier that hardly tells classes apart needs more."""

LONGEST_STEP: Final = 64.0
"""Steps by which one extrapolation goes ahead at the most."""

_SMALLEST: Final = 1e-300


def mixture_shares(likelihoods: Floats, weights: Floats, start: Floats) -> tuple[Floats, bool]:
    """Shares of a mixture of K known densities, by expectation-maximisation.

    Each step is p_k <- p_k g_k with g_k = mean over observations of l_nk / sum_j p_j l_nj. Of two
    steps the direction is extrapolated (SQUAREM; Varadhan & Roland 2008, Scand. J. Statist. 35:335)
    unless the likelihood falls. It is concave in the shares, and what its logarithm lacks from the
    greatest value is at most max_k g_k - 1 per observation (Lindsay 1983, Ann. Statist. 11:86).

    Args:
        likelihoods: (N, K), or (R, N, K) if they differ between resamples: density of each
            observation under each class, up to a factor per observation.
        weights: (R, N) weight of each observation in each resample.
        start: (K,) first shares, all positive.

    Returns:
        ((R, K) shares, whether every resample converged).
    """
    found = np.tile(start, (len(weights), 1))
    left, best = np.arange(len(weights)), np.full(len(weights), -np.inf)
    for _ in range(ITERATIONS):
        own = likelihoods if likelihoods.ndim == 2 else likelihoods[left]
        shares, total = found[left], weights[left].sum(axis=1)
        gradient = _gradient(own, weights[left], shares)
        open_ = (gradient.max(axis=1) - 1.0) * total > TOLERANCE
        if not open_.any():
            return found, True
        left, shares, gradient = left[open_], shares[open_], gradient[open_]
        own = own if own.ndim == 2 else own[open_]
        first = shares * gradient
        second = first * _gradient(own, weights[left], first)
        ahead = _extrapolate(shares, first, second)
        reached = _log_likelihood(own, weights[left], ahead)
        if (worse := reached < best[left]).any():
            ahead[worse] = second[worse]
            kept = own if own.ndim == 2 else own[worse]
            reached[worse] = _log_likelihood(kept, weights[left][worse], second[worse])
        found[left], best[left] = ahead, reached
    return found, False


def _density(likelihoods: Floats, shares: Floats) -> Floats:
    alike = likelihoods.ndim == 2
    density = shares @ likelihoods.T if alike else np.einsum("rnk,rk->rn", likelihoods, shares)
    return np.asarray(np.maximum(density, _SMALLEST))


def _log_likelihood(likelihoods: Floats, weights: Floats, shares: Floats) -> Floats:
    return np.asarray((weights * np.log(_density(likelihoods, shares))).sum(axis=1))


def _gradient(likelihoods: Floats, weights: Floats, shares: Floats) -> Floats:
    """Derivative of the mean log-likelihood by each share, (R, K); its mean under them is 1."""
    ratio = weights / _density(likelihoods, shares)
    alike = likelihoods.ndim == 2
    summed = ratio @ likelihoods if alike else np.einsum("rn,rnk->rk", ratio, likelihoods)
    return np.asarray(summed / weights.sum(axis=1, keepdims=True))


def _extrapolate(shares: Floats, first: Floats, second: Floats) -> Floats:
    """Shares (R, K) further along the way that two steps have taken, positive and adding to 1."""
    step, bend = first - shares, second - 2.0 * first + shares
    length = np.linalg.norm(step, axis=1) / np.maximum(np.linalg.norm(bend, axis=1), _SMALLEST)
    length = np.clip(length, 1.0, LONGEST_STEP)[:, None]
    ahead = np.maximum(shares + 2.0 * length * step + length**2 * bend, second / 10.0)
    return np.asarray(ahead / ahead.sum(axis=1, keepdims=True))


def adjusted_shares(calls: Floats, confusion: Floats) -> tuple[Floats, bool]:
    """Adjusted count: fractions of classes that explain counted decisions.

    Args:
        calls: (R, K) cells of the culture called each class.
        confusion: (R, K, K) counts on validation cells, rows actual.

    Returns:
        ((R, K) fractions, NaN where a class has no validation cell; whether the iteration
        converged).
    """
    classes, actual = calls.shape[1], confusion.sum(axis=2, keepdims=True)
    rates = np.where(actual > 0, confusion / np.maximum(actual, _SMALLEST), 1.0 / classes)
    start = np.full(classes, 1.0 / classes)
    shares, converged = mixture_shares(rates.transpose(0, 2, 1), calls, start)
    return np.where((actual[..., 0] > 0).all(axis=1, keepdims=True), shares, np.nan), converged

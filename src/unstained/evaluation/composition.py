"""What a culture consists of: fractions of classes among cells whose labels nobody knows.

Counting decisions is biased wherever the culture's composition differs from that of the training
cells: errors flow from common to rare classes and back in other proportions. Two corrections, which
both assume that the images of each class look as they did in training and that only the fractions
changed (prior shift):

- Fractions of greatest likelihood given calibrated probabilities, found by expectation-maximisation
  (Saerens, Latinne & Decaestecker 2002, Neural Computation 14:21). It uses all that the
  probabilities say, and is misled where they are wrong: a temperature alone leaves a class that is
  favoured favoured. `fit_calibrations` takes that off (bias-corrected temperature scaling;
  Alexandari, Kundaje & Shrikumar 2020, arXiv:1901.06852).
- Adjusted count (Forman 2008, Data Min. Knowl. Discov. 17:164): the fractions that explain the
  counted decisions given how often validation cells of each class were called each class. With two
  classes it is (called - fpr) / (tpr - fpr), clipped to 0..1; with more, the fractions between 0
  and 1 of greatest likelihood. It needs no calibration and uses less of what is known. If the two
  disagree by more than their intervals, the assumption does not hold.

Intervals resample the acquisitions of the culture and of the validation cells.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy import optimize, special

from unstained.evaluation.calibration import INVERSE_TEMPERATURES
from unstained.statistics.intervals import (
    Estimate,
    Resampling,
    percentile_interval,
    resample_groups,
)
from unstained.statistics.metrics import Floats, Labels, unit_confusions
from unstained.statistics.mixtures import adjusted_shares, mixture_shares

LARGEST_SHIFT: Final = 10.0
"""Bound of a class's shift in log probability, for validation cells that are told apart fully."""

_CHUNK_VALUES: Final = 4_000_000
_SMALLEST: Final = 1e-300


@dataclass(frozen=True)
class LabelledCells:
    """Validation cells, from which error rates of decisions are learnt.

    Attributes:
        probabilities: (V, K).
        labels: (V,) classes.
        groups: (V,) acquisition of each cell, or None where cells are independent.
    """

    probabilities: Floats
    labels: Labels
    groups: np.ndarray | None


@dataclass(frozen=True)
class Calibrations:
    """Ways to read a model's probabilities: softmax(scale * log p + shift) under `prior`.

    Attributes:
        scale: (S,) inverse temperatures.
        shift: (S, K) by class.
        prior: (S, K) fractions of classes that the probabilities then suppose.

    The first is the best one; others, if any, belong to resampled validation cells.
    """

    scale: Floats
    shift: Floats
    prior: Floats

    @classmethod
    def as_given(cls, prior: Floats) -> Calibrations:
        """Probabilities as they are, under fractions (K,) of the training cells."""
        return cls(np.ones(1), np.zeros((1, len(prior))), np.asarray(prior, np.float64)[None])

    def read(self, probabilities: Floats, which: int) -> Floats:
        """Probabilities (N, K) in one of the ways."""
        logs = np.log(np.maximum(probabilities, _SMALLEST))
        return np.asarray(special.softmax(self.scale[which] * logs + self.shift[which], axis=1))


@dataclass(frozen=True)
class Composition:
    """Fractions of K classes in one culture.

    Attributes:
        cells: its number of cells.
        corrected: (K) corrected for prior shift by expectation-maximisation.
        adjusted: (K) adjusted count.
        counted: (K) fractions of the decisions, uncorrected.
        converged: whether both iterations ended before ITERATIONS steps, for all resamples.
        caveat: what a reader must know of the intervals, or ''.
    """

    cells: int
    corrected: tuple[Estimate, ...]
    adjusted: tuple[Estimate, ...]
    counted: tuple[Estimate, ...]
    converged: bool
    caveat: str


def corrected_shares(
    probabilities: Floats, prior: Floats, weights: Floats | None = None
) -> tuple[Floats, bool]:
    """Fractions of classes, corrected for prior shift (Saerens et al. 2002, eq. 2.6).

    Args:
        probabilities: (N, K) calibrated probabilities of the culture's cells.
        prior: (K,) fractions of classes that the probabilities suppose, i.e. of the training cells.
        weights: (R, N) weight of each cell in each resample; None for weight 1.

    Returns:
        ((R, K) or (1, K) fractions, whether the iteration converged).

    Raises:
        ValueError: no cells, or a class without training cells.
    """
    if not len(probabilities) or not (np.asarray(prior) > 0).all():
        raise ValueError("a composition needs cells, and a positive prior of every class")
    weights = np.ones((1, len(probabilities))) if weights is None else weights
    start = np.asarray(prior, np.float64) / np.sum(prior)
    return mixture_shares(np.asarray(probabilities / start), weights, start)


def fit_calibrations(validation: LabelledCells, resamples: int, seed: int) -> Calibrations:
    """Bias-corrected temperature scaling on validation cells, and on resamples of them.

    Args:
        validation: labelled cells apart from the training cells.
        resamples: fits to resampled groups, for intervals.
        seed: equal seeds give equal resamples.

    Raises:
        ValueError: a class without validation cells.
    """
    classes = validation.probabilities.shape[1]
    _check_classes(validation, classes)
    draws = resample_groups(validation.groups, validation.labels, resamples, seed)
    logs = np.log(np.maximum(validation.probabilities, _SMALLEST))
    one_hot = np.eye(classes)[validation.labels]
    weights = np.concatenate([np.ones((1, len(logs))), draws.weights[:, draws.unit]])
    present = (weights @ one_hot > 0).all(axis=1)  # a resample may lack a class
    fits = np.array([_fit_calibration(logs, one_hot, row) for row in weights[present]])
    prior = weights[present] @ one_hot / weights[present].sum(axis=1, keepdims=True)
    return Calibrations(fits[:, 0], fits[:, 1:], prior)


def _fit_calibration(logs: Floats, one_hot: Floats, weights: Floats) -> Floats:
    """Scale, then shifts (K,) of which the first is 0, of greatest likelihood."""
    classes = logs.shape[1]

    def loss(values: Floats) -> tuple[float, Floats]:
        scaled = values[0] * logs + np.r_[0.0, values[1:]]
        level = special.logsumexp(scaled, axis=1)
        excess = (np.exp(scaled - level[:, None]) - one_hot) * weights[:, None]
        slope = np.r_[(excess * logs).sum(), excess[:, 1:].sum(axis=0)]
        likelihood = weights @ ((scaled * one_hot).sum(axis=1) - level)
        return -float(likelihood) / weights.sum(), slope / weights.sum()

    bounds = [INVERSE_TEMPERATURES, *[(-LARGEST_SHIFT, LARGEST_SHIFT)] * (classes - 1)]
    start = np.r_[1.0, np.zeros(classes - 1)]
    found = optimize.minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds)
    return np.asarray(np.r_[found.x[0], 0.0, found.x[1:]])


def _check_classes(validation: LabelledCells, classes: int) -> None:
    missing = sorted(set(range(classes)) - set(validation.labels.tolist()))
    if missing:
        raise ValueError(f"no validation cells of class {', '.join(map(str, missing))}")


def estimate_composition(
    probabilities: Floats,
    groups: np.ndarray | None,
    calibrations: Calibrations,
    validation: LabelledCells,
    *,
    resamples: int,
    confidence: float,
    seed: int,
) -> Composition:
    """Composition of one culture, three ways, each with a bootstrap interval by group.

    Args:
        probabilities: (N, K) calibrated probabilities of the culture's cells.
        groups: (N,) acquisition of each cell, or None where cells are independent.
        calibrations: how to read the probabilities, for the correction.
        validation: labelled cells apart from the training cells, called by the same rule.
        resamples: R.
        confidence: of the intervals, e.g. 0.95.
        seed: equal seeds give equal intervals.

    Raises:
        ValueError: no cells, or a class without training or validation cells.
    """
    classes = probabilities.shape[1]
    _check_classes(validation, classes)
    here = resample_groups(groups, np.zeros(len(probabilities), np.int64), resamples, seed)
    there = resample_groups(validation.groups, validation.labels, resamples, seed + 1)
    called = np.eye(classes)[probabilities.argmax(axis=1)]
    calls = here.unit_totals(called)
    known = unit_confusions(
        validation.labels, validation.probabilities.argmax(axis=1), there.unit, there.units, classes
    )
    best = calibrations.read(probabilities, 0)
    point, settled = corrected_shares(best, calibrations.prior[0])
    samples, all_settled = _resampled_shares(probabilities, calibrations, here)
    count, count_settled = adjusted_shares(calls.sum(axis=0)[None], known.sum(axis=0)[None])
    counts, counts_settled = adjusted_shares(here.totals(calls), there.totals(known))
    return Composition(
        cells=len(probabilities),
        corrected=_estimates(point[0], samples, confidence),
        adjusted=_estimates(count[0], counts, confidence),
        counted=_estimates(called.mean(axis=0), _shares(here.totals(calls)), confidence),
        converged=settled and all_settled and count_settled and counts_settled,
        caveat=here.caveat or there.caveat,
    )


def _resampled_shares(
    probabilities: Floats, calibrations: Calibrations, resampling: Resampling
) -> tuple[Floats, bool]:
    """`corrected_shares` of every resample, each with the next of the resampled calibrations."""
    ways = len(calibrations.scale)
    chosen = range(ways) if ways == 1 else range(1, ways)
    step = len(chosen) * max(1, _CHUNK_VALUES // len(probabilities))
    found = np.empty((len(resampling.weights), probabilities.shape[1]))
    settled = True
    for number, which in enumerate(chosen):
        read, prior = calibrations.read(probabilities, which), calibrations.prior[which]
        for low in range(number, len(found), step):
            rows = np.arange(low, min(low + step, len(found)), len(chosen))
            weights = resampling.weights[rows][:, resampling.unit]
            found[rows], done = corrected_shares(read, prior, weights)
            settled &= done
    return found, settled


def _shares(counts: Floats) -> Floats:
    """Counts (R, K) as fractions."""
    return np.asarray(counts / counts.sum(axis=1, keepdims=True))


def _estimates(point: Floats, samples: Floats, confidence: float) -> tuple[Estimate, ...]:
    """Values (K,) with intervals from resampled ones (R, K)."""
    low, high = percentile_interval(samples, confidence)
    return tuple(
        Estimate(float(v), float(a), float(b)) for v, a, b in zip(point, low, high, strict=True)
    )

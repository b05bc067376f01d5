"""Are treatment-derived labels right? An audit against fluorescence, and against the model itself.

A cell is labelled by the culture it came from, but not every cell of a culture took the lineage
that its treatment induces. Two independent witnesses:

- Fluorescence, where a marker channel was recorded: a threshold parts two populations of log
  intensity, the crossing of a mixture of two Gaussians. A marker whose intensities do not fall
  into two (Ashman, Bird & Zepf 1994, AJ 108:2348: D < 2) gates nothing by itself. Where the
  populations overlap, cultures that should not show the marker serve as negative controls, as on
  any cytometer: the threshold lets 5 % of their cells pass. Such a gate trusts cultures, not cells.
- Confident learning (Northcutt, Jiang & Chuang 2021, arXiv:1911.00068): out-of-fold probabilities
  of a model that never saw the cell. A cell counts confidently towards class j if p_j is at least
  the mean p_j of the cells labelled j; one whose label is another class is suspect.

A suspect cell is a question to a person, not a correction: hard cells are suspect too.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from sklearn.mixture import GaussianMixture

from unstained.statistics.intervals import Estimate, Resampling, estimate
from unstained.statistics.metrics import Floats, Labels, divide

Flags = npt.NDArray[np.bool_]

NEGATIVE: Final = -1
"""Gate of a cell that is positive for no marker."""

AMBIGUOUS: Final = -2
"""Gate of a cell that is positive for markers of more than one class."""

UNMEASURED: Final = -3
"""Gate of a cell of which a marker was not recorded."""

LEAST_SEPARATION: Final = 2.0
"""Ashman's D below which two Gaussians are not two populations."""

LEAST_SHARE: Final = 0.05
"""Fraction of the cells that each of two populations holds at least; less is debris."""

CONTROL_RATE: Final = 0.05
"""Fraction of the negative controls' cells above their gate."""

LEAST_FOUND: Final = 0.2
"""Fraction of the marker's own cultures above a gate by controls, for it to tell anything."""

FEWEST_CELLS: Final = 50
"""Cells with a positive intensity that a gate is fitted to, at least."""


@dataclass(frozen=True)
class MarkerGate:
    """Two populations of one marker: of a mixture, or negative controls and the other cells.

    Attributes:
        name: of the marker.
        threshold: intensity above which a cell is positive; NaN where there are not two.
        means, deviations: of log intensity, negative population first.
        positive: fraction of the fitted cells in the positive population; by controls, fraction of
            the other cells above the threshold.
        separation: Ashman's D, |difference of means| / root mean square deviation.
        by_controls: whether the threshold is the controls'.
    """

    name: str
    threshold: float
    means: tuple[float, float]
    deviations: tuple[float, float]
    positive: float
    separation: float
    by_controls: bool = False

    @property
    def usable(self) -> bool:
        """Whether the marker parts two populations, or stands out from the controls."""
        if self.by_controls:
            return self.positive >= LEAST_FOUND
        parted = self.separation >= LEAST_SEPARATION and math.isfinite(self.threshold)
        return parted and LEAST_SHARE <= self.positive <= 1 - LEAST_SHARE


@dataclass(frozen=True)
class Suspects:
    """Cells that a model confidently places in another class than their label.

    Attributes:
        suspect: (N,) whether the label is doubted.
        suggested: (N,) confident class, or the label where there is none.
        joint: (K, K) estimated fractions of cells by label (rows) and true class; adds up to 1.
    """

    suspect: Flags
    suggested: Labels
    joint: Floats

    @property
    def noise(self) -> float:
        """Estimated fraction of cells with a wrong label."""
        return float(1.0 - np.trace(self.joint))

    @property
    def noise_by_label(self) -> Floats:
        """(K,) estimated fraction of wrong labels among the cells of each label."""
        return 1.0 - divide(np.diagonal(self.joint), self.joint.sum(axis=1), np.nan)


@dataclass(frozen=True)
class LabelAudit:
    """Labels beside gates, and suspects beside both.

    Attributes:
        counts: (K, K + 3) cells by label (rows) and gate: the K classes, negative, ambiguous,
            unmeasured.
        agreement: fraction of the cells gated as one class whose label is that class.
        agreement_by_label: (K) the same among the cells of each label.
        suspects: cells both gated as one class and suspect.
        confirmed: fraction of those whose gate is not their label.
        suggested_right: fraction of those whose gate is the class that the model suggests.
        caveat: what a reader must know of the intervals, or ''.
    """

    counts: Labels
    agreement: Estimate
    agreement_by_label: tuple[Estimate, ...]
    suspects: int
    confirmed: Estimate
    suggested_right: Estimate
    caveat: str


def fit_gate(name: str, intensity: Floats, seed: int) -> MarkerGate:
    """Threshold of one marker.

    Args:
        name: of the marker.
        intensity: (N,) of the cells to fit; those not recorded (NaN) or not positive, as happens
            after background subtraction, are left out.
        seed: of the mixture's first guess.

    Raises:
        ValueError: fewer than 50 cells with a positive intensity, or all equal.
    """
    known = intensity[np.isfinite(intensity) & (intensity > 0)]
    if len(known) < FEWEST_CELLS or known.min() == known.max():
        raise ValueError(f"marker {name}: {FEWEST_CELLS} cells with different intensities needed")
    logs = np.log(known)[:, None]
    mixture = GaussianMixture(2, n_init=3, tol=1e-5, max_iter=500, random_state=seed).fit(logs)
    order = mixture.means_[:, 0].argsort()
    low, high = (float(v) for v in mixture.means_[order, 0])
    deviations = np.sqrt(mixture.covariances_[order, 0, 0])
    weights = mixture.weights_[order]
    crossing = _crossing((low, high), deviations, weights)
    return MarkerGate(
        name=name,
        threshold=math.exp(crossing) if math.isfinite(crossing) else math.nan,
        means=(low, high),
        deviations=(float(deviations[0]), float(deviations[1])),
        positive=float(weights[1]),
        separation=float((high - low) / math.sqrt((deviations**2).mean())),
    )


def gate_by_controls(name: str, intensity: Floats, controls: Flags) -> MarkerGate:
    """Threshold of one marker from cultures that should not show it.

    Args:
        name: of the marker.
        intensity: (N,) of all cells; those not recorded or not positive are left out.
        controls: (N,) whether a cell is of a culture that should not show the marker.

    Raises:
        ValueError: fewer than 50 cells with a positive intensity on either side.
    """
    known = np.isfinite(intensity) & (intensity > 0)
    sides = [np.log(intensity[known & side]) for side in (controls, ~controls)]
    if min(len(side) for side in sides) < FEWEST_CELLS:
        raise ValueError(f"marker {name}: {FEWEST_CELLS} controls and as many others needed")
    threshold = float(np.quantile(sides[0], 1 - CONTROL_RATE))
    (low, high), deviations = (float(side.mean()) for side in sides), [s.std() for s in sides]
    spread = math.sqrt(float(np.square(deviations).mean()))
    return MarkerGate(
        name=name,
        threshold=math.exp(threshold),
        means=(low, high),
        deviations=(float(deviations[0]), float(deviations[1])),
        positive=float((sides[1] > threshold).mean()),
        separation=abs(high - low) / spread if spread > 0 else 0.0,
        by_controls=True,
    )


def _crossing(means: tuple[float, float], deviations: Floats, weights: Floats) -> float:
    """Value between the means at which both weighted Gaussians are equal; NaN if there is none."""
    a, b = means
    (s, t), (u, v) = deviations, weights
    quadratic = [
        1 / (2 * t**2) - 1 / (2 * s**2),
        a / s**2 - b / t**2,
        b**2 / (2 * t**2) - a**2 / (2 * s**2) + math.log(u * t / (v * s)),
    ]
    roots = np.roots(quadratic)
    inside = [float(r.real) for r in roots if abs(r.imag) < 1e-9 and a <= r.real <= b]
    return inside[0] if len(inside) == 1 else math.nan


def gate_cells(
    intensity: Floats, gates: Sequence[MarkerGate], class_of_marker: Sequence[int]
) -> Labels:
    """Class of each cell by its markers.

    Args:
        intensity: (N, M) of M markers, NaN where not recorded.
        gates: M gates.
        class_of_marker: (M,) class that a positive marker stands for; several may share one.

    Returns:
        (N,) class, or NEGATIVE, AMBIGUOUS, UNMEASURED.

    Raises:
        ValueError: a marker does not part two populations, or numbers of markers differ.
    """
    if not intensity.shape[1] == len(gates) == len(class_of_marker):
        raise ValueError("intensities, gates and classes must be of the same markers")
    blurred = [gate.name for gate in gates if not gate.usable]
    if blurred:
        raise ValueError(f"no two populations, so no gate: {', '.join(blurred)}")
    above = intensity > np.array([gate.threshold for gate in gates])
    classes = np.unique(class_of_marker)
    owners = np.asarray(class_of_marker)
    hit = np.stack([above[:, owners == k].any(axis=1) for k in classes], axis=1)
    found = np.where(hit.sum(axis=1) == 1, classes[hit.argmax(axis=1)], AMBIGUOUS)
    found[~hit.any(axis=1)] = NEGATIVE
    found[np.isnan(intensity).any(axis=1)] = UNMEASURED
    return np.asarray(found, dtype=np.int64)


def find_suspects(probabilities: Floats, labels: Labels) -> Suspects:
    """Confident learning: doubted labels, and how many labels are wrong.

    Args:
        probabilities: (N, K) calibrated, each cell's from a model trained without it (and without
            its acquisition, or the model may know the acquisition rather than the cell).
        labels: (N,) given classes.

    Raises:
        ValueError: a class without cells.
    """
    classes = probabilities.shape[1]
    given = np.bincount(labels, minlength=classes)
    if not given.all():
        raise ValueError("every class needs labelled cells")
    thresholds = np.array([probabilities[labels == k, k].mean() for k in range(classes)])
    passes = probabilities >= thresholds
    confident = np.where(passes, probabilities, -1.0).argmax(axis=1)
    counted = passes.any(axis=1)
    joint = np.zeros((classes, classes))
    np.add.at(joint, (labels[counted], confident[counted]), 1.0)
    joint = np.where(joint.sum(axis=1, keepdims=True) > 0, joint, np.eye(classes))
    joint *= (given / joint.sum(axis=1))[:, None] / len(labels)
    suspect = counted & (confident != labels)
    return Suspects(suspect, np.where(suspect, confident, labels), joint)


def audit_labels(
    labels: Labels,
    gated: Labels,
    suspects: Suspects,
    resampling: Resampling,
    confidence: float,
) -> LabelAudit:
    """Compare labels with gates, and ask of suspects whether the gate agrees with the doubt.

    Args:
        labels: (N,) given classes.
        gated: (N,) of `gate_cells`.
        suspects: of the same cells.
        resampling: bootstrap weights of these N cells.
        confidence: of the intervals.
    """
    classes = len(suspects.joint)
    counts = np.zeros((classes, classes + 3), dtype=np.int64)
    np.add.at(counts, (labels, np.where(gated >= 0, gated, classes - 1 - gated)), 1)
    known, agrees, own = gated >= 0, gated == labels, np.eye(classes)[labels]
    doubted = known & suspects.suspect
    of = np.column_stack([known, own * known[:, None], doubted, doubted])
    suggested = gated == suspects.suggested
    hits = of * np.column_stack([agrees, own * agrees[:, None], ~agrees, suggested])

    def rates(sums: Floats) -> Floats:
        found, among = np.split(sums, 2, axis=-1)
        return divide(found, among, np.nan)

    sums = resampling.unit_totals(np.hstack([hits, of]))
    overall, *by_label, confirmed, right = estimate(rates, sums, resampling, confidence)
    return LabelAudit(
        counts=counts,
        agreement=overall,
        agreement_by_label=tuple(by_label),
        suspects=int(doubted.sum()),
        confirmed=confirmed,
        suggested_right=right,
        caveat=resampling.caveat,
    )

"""Sets of classes that contain the true one with a stated probability.

Split conformal prediction, class by class (Vovk 2012; Ding et al. 2023, arXiv:2306.09335). With
score s = 1 - p_y of the true class y, the threshold q_y is the ceil((n_y + 1)(1 - alpha))-th
smallest score of the n_y validation cells of class y. The set of a new cell is
{y: 1 - p_y <= q_y}; for a cell of class y it contains y with probability at least 1 - alpha if the
cell is exchangeable with the validation cells of its class. Cells of a new acquisition need not be:
the report therefore shows the coverage found on test cells, class by class.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from unstained.evaluation.metrics import Floats, Labels

Sets = npt.NDArray[np.bool_]


def fewest_cells(alpha: float) -> int:
    """Cells of a class that are needed for any guarantee: below, the set always holds the class."""
    return math.ceil(round((1 - alpha) / alpha, 9))


def class_thresholds(probabilities: Floats, labels: Labels, alpha: float) -> Floats:
    """Threshold of each class.

    Args:
        probabilities: (N, K) calibrated probabilities of validation cells.
        labels: (N,) classes.
        alpha: accepted error rate, e.g. 0.1.

    Returns:
        (K,); 1.0, which every cell passes, for a class with fewer than `fewest_cells` cells.
    """
    thresholds = np.ones(probabilities.shape[1])
    for k in range(len(thresholds)):
        scores = np.sort(1.0 - probabilities[labels == k, k])
        rank = math.ceil(round((len(scores) + 1) * (1 - alpha), 9))
        if rank <= len(scores):
            thresholds[k] = scores[rank - 1]
    return thresholds


def prediction_sets(probabilities: Floats, thresholds: Floats) -> Sets:
    """(N, K) bool: which classes are in each cell's set; a set may be empty."""
    return np.asarray(1.0 - probabilities <= thresholds)


def coverage(sets: Sets, labels: Labels) -> Floats:
    """Fraction of each class's cells whose set contains the class, (K,); NaN for absent classes."""
    covered = sets[np.arange(len(labels)), labels]
    return np.array(
        [
            covered[labels == k].mean() if (labels == k).any() else np.nan
            for k in range(sets.shape[1])
        ]
    )

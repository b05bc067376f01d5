"""How far two people agree beyond chance."""

from __future__ import annotations

import math

from unstained.statistics.metrics import Labels, confusion_matrix


def cohen_kappa(first: Labels, second: Labels, classes: int) -> float:
    """Cohen's kappa (Cohen 1960, Educ. Psychol. Meas. 20:37): (observed - chance) / (1 - chance).

    Chance is the agreement of two people who call classes as often as these two, at random.

    Args:
        first: (N,) classes that one gave the cells, 0..K-1.
        second: (N,) classes that the other gave them.
        classes: K.

    Returns:
        1 where they always agree, 0 where they agree as by chance; NaN without cells, and where
        both call every cell the same class, which tells nothing.
    """
    counts = confusion_matrix(first, second, classes)
    total = float(counts.sum())
    if not total:
        return math.nan
    chance = float(counts.sum(axis=0) @ counts.sum(axis=1)) / total**2
    return math.nan if chance == 1.0 else (float(counts.trace()) / total - chance) / (1.0 - chance)

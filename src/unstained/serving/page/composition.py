"""What a sample consists of: shares of classes, with intervals, corrected for known confusion.

Counted decisions are biased where a sample's mix is not that of the training cells. The adjusted
count (Forman 2008, see statistics/mixtures.py) finds the shares that explain the decisions given
how often validation cells of each class were called each class; it supposes that cells of a class
look as they did there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from unstained.statistics.intervals import percentile_interval, resample_groups, wilson
from unstained.statistics.metrics import Floats
from unstained.statistics.mixtures import adjusted_shares

RESAMPLES: Final = 500
CONFIDENCE: Final = 0.95


def composition(
    classes: Sequence[str],
    confusion: Sequence[Sequence[int]],
    predicted: Sequence[str | None],
    acquisitions: Sequence[str],
) -> dict[str, Any]:
    """Shares of classes among judged cells.

    Args:
        classes: K names.
        confusion: (K, K) validation cells, rows actual.
        predicted: (N,) class of each cell; None where it was not judged.
        acquisitions: (N,) what each was recorded with: these are resampled where there are several.

    Returns:
        `cells`, `confidence`, `caveat` on the intervals, `corrected`: whether the shares are, and
        `shares`: a class' name, count, share as predicted, and share, low, high. No interval is
        narrower than Wilson's of as many independent cells: resamples of cells that are all called
        the same would leave no doubt at all.
    """
    judged = [place for place, name in enumerate(predicted) if name is not None]
    told = {"cells": len(judged), "confidence": CONFIDENCE}
    if not judged:
        return {**told, "caveat": "", "corrected": False, "shares": []}
    numbers = {name: number for number, name in enumerate(classes)}
    called = np.eye(len(classes))[[numbers[str(predicted[place])] for place in judged]]
    groups = np.array([acquisitions[place] for place in judged])
    resampling = resample_groups(groups, np.zeros(len(judged), np.int64), RESAMPLES, seed=0)
    totals = resampling.totals(resampling.unit_totals(called))
    known = np.array(confusion, np.float64)
    corrected = bool((known.sum(axis=1) > 0).all())
    counted = called.sum(axis=0)
    found, samples = (_corrected if corrected else _plain)(counted, totals, known)
    low, high = percentile_interval(samples, CONFIDENCE)
    alone = [wilson(len(judged) * share, len(judged), CONFIDENCE) for share in found]
    low = np.minimum(low, [one.low for one in alone])
    high = np.maximum(high, [one.high for one in alone])
    columns = (counted.astype(int), called.mean(axis=0), found, low, high)
    names = ("count", "predicted", "share", "low", "high")
    shares = [
        {"name": name, **dict(zip(names, map(float, numbers), strict=True))}
        for name, *numbers in zip(classes, *columns, strict=True)
    ]
    return {**told, "caveat": resampling.caveat, "corrected": corrected, "shares": shares}


def _plain(counted: Floats, totals: Floats, confusion: Floats) -> tuple[Floats, Floats]:
    """Shares of the decisions, (K,) and (R, K) of resamples."""
    return counted / counted.sum(), totals / totals.sum(axis=1, keepdims=True)


def _corrected(counted: Floats, totals: Floats, confusion: Floats) -> tuple[Floats, Floats]:
    """Adjusted counts; validation cells of each class are resampled too."""
    generator = np.random.default_rng(1)
    sizes = confusion.sum(axis=1).astype(int)
    rows = [
        generator.multinomial(size, row / size, RESAMPLES)
        for size, row in zip(sizes, confusion, strict=True)
    ]
    again = np.stack(rows, axis=1).astype(np.float64)
    return (
        adjusted_shares(counted[None], confusion[None])[0][0],
        adjusted_shares(totals, again)[0],
    )

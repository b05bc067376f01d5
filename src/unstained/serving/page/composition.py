"""What a sample consists of: shares of predicted classes, with intervals.

Errors of the classifier shift such shares where a sample's mix is not that of the training cells
(evaluation/composition.py), and the card knows no confusion to correct them by: they are told as
predicted.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from unstained.statistics.intervals import percentile_interval, resample_groups

RESAMPLES: Final = 1000
CONFIDENCE: Final = 0.95


def composition(
    classes: Sequence[str], predicted: Sequence[str | None], acquisitions: Sequence[str]
) -> dict[str, Any]:
    """Shares of classes among judged cells.

    Args:
        classes: K names.
        predicted: (N,) class of each cell; None where it was not judged.
        acquisitions: (N,) what each was recorded with: these are resampled where there are several.

    Returns:
        `cells`, `confidence`, `caveat` on the intervals, and `shares`: a class' name, count,
        share, low, high.
    """
    numbers = {name: number for number, name in enumerate(classes)}
    judged = [place for place, name in enumerate(predicted) if name is not None]
    if not judged:
        return {"cells": 0, "confidence": CONFIDENCE, "caveat": "", "shares": []}
    called = np.eye(len(classes))[[numbers[str(predicted[place])] for place in judged]]
    groups = np.array([acquisitions[place] for place in judged])
    resampling = resample_groups(groups, np.zeros(len(judged), np.int64), RESAMPLES, seed=0)
    totals = resampling.totals(resampling.unit_totals(called))
    low, high = percentile_interval(totals / totals.sum(axis=1, keepdims=True), CONFIDENCE)
    shares = [
        {"name": name, "count": int(count), "share": share, "low": below, "high": above}
        for name, count, share, below, above in zip(
            classes,
            called.sum(axis=0),
            called.mean(axis=0).tolist(),
            low.tolist(),
            high.tolist(),
            strict=True,
        )
    ]
    told = {"cells": len(judged), "confidence": CONFIDENCE, "caveat": resampling.caveat}
    return {**told, "shares": shares}

"""How well each model notices cells that no class covers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from unstained.evaluation.out_of_distribution import (
    Detection,
    alarm_threshold,
    build_index,
    detect,
    energy_score,
    neighbour_distance,
)
from unstained.evaluation.uncertainty.network_runs import Reach, Reached
from unstained.evaluation.uncertainty.unknown_cells import ORDINARY, UnknownCells
from unstained.statistics.metrics import Floats

SCORES: Final = {"energy": "energy of the logits", "neighbours": "distance to training cells"}


@dataclass(frozen=True)
class Alarms:
    """How detection is set up.

    Attributes:
        neighbour: which nearest training cell the distance is taken to.
        false_alarms: validation cells that may be flagged.
        resamples, confidence, seed: of the intervals.
    """

    neighbour: int
    false_alarms: float
    resamples: int
    confidence: float
    seed: int


def detections(
    reached: Reached,
    test_groups: np.ndarray,
    unknown_cells: UnknownCells,
    alarms: Alarms,
    *,
    energy: bool,
) -> dict[str, Detection]:
    """The scores of one model on each kind.

    Args:
        reached: training cells, which distances are taken to; validation cells, which thresholds
            are chosen on; test cells; `unknown_cells`.
        test_groups: (N,) acquisition of each test cell.
        unknown_cells: kinds and acquisitions.
        alarms: thresholds and intervals.
        energy: whether logits are of classes, which alone have an energy.
    """
    index = build_index(reached.train.embedding, alarms.neighbour, alarms.seed, "spread")
    scores: dict[str, Callable[[Reach], Floats]] = {
        "neighbours": lambda reach: neighbour_distance(index, reach.embedding),
    }
    if energy:
        scores = {"energy": lambda reach: energy_score(reach.logits), **scores}
    found = {}
    kinds = np.concatenate([np.full(len(test_groups), ORDINARY), unknown_cells.kinds])
    groups = np.concatenate([test_groups, unknown_cells.groups])
    for name, score in scores.items():
        found[name] = detect(
            np.concatenate([score(reached.test), score(reached.strange)]),
            kinds,
            groups,
            alarm_threshold(score(reached.val), alarms.false_alarms),
            inside=ORDINARY,
            resamples=alarms.resamples,
            confidence=alarms.confidence,
            seed=alarms.seed,
        )
    return found


def outliers_table(
    found: dict[str, dict[str, Detection]], unknown_cells: UnknownCells, replicate: str
) -> pd.DataFrame:
    """Detections of all models.

    Columns: model, replicate, score, kind, origin, cells, then auroc, missed and flagged, each with
    _low and _high, and false_alarms. `missed` is the false positive rate of the literature's
    FPR95: cells of the kind that pass where 95 % of ordinary test cells pass. `flagged` and
    `false_alarms` are fractions above the threshold from validation cells.
    """
    rows: list[dict[str, object]] = []
    for model, scores in found.items():
        for score, detection in scores.items():
            for kind in detection.kinds:
                row: dict[str, object] = {"model": model, "replicate": replicate, "score": score}
                origin = unknown_cells.origin_of(kind.kind)
                row |= {"kind": kind.kind, "origin": origin, "cells": kind.cells}
                for name in ("auroc", "missed", "flagged"):
                    value = getattr(kind, name)
                    row |= {name: value.value, f"{name}_low": value.low, f"{name}_high": value.high}
                rows.append(row | {"false_alarms": detection.false_alarms.value})
    return pd.DataFrame(rows)

"""How well each model notices cells that no class covers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from unstained.data.canvas import Canvases, iter_canvases, place
from unstained.data.store.cell_store import CellStore
from unstained.evaluation.out_of_distribution import (
    Detection,
    alarm_threshold,
    build_index,
    detect,
    energy_score,
    neighbour_distance,
)
from unstained.evaluation.predictions import BATCH, STREAM_CELLS
from unstained.evaluation.uncertainty.unknown_cells import ORDINARY, UnknownCells
from unstained.models.trained import TrainedModel
from unstained.statistics.metrics import Floats, Labels

SCORES: Final = {"energy": "energy of the logits", "neighbours": "distance to training cells"}


@dataclass(frozen=True)
class Reach:
    """Logits (n, K) and embeddings (n, D) of some cells."""

    logits: Floats
    embedding: Floats


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


def reach_of_cells(trained: TrainedModel, store: CellStore, rows: Labels) -> Reach:
    """Run a network on cells of the store, streamed."""
    streamed = iter_canvases(store, rows, trained.spec.canvas, STREAM_CELLS)
    return _reach(trained, (canvases for _, canvases in streamed))


def reach_of_images(trained: TrainedModel, images: list[np.ndarray]) -> Reach:
    """Run a network on raw images (C, h, w)."""

    def blocks() -> Iterator[Canvases]:
        for start in range(0, len(images), STREAM_CELLS):
            yield place(
                images[start : start + STREAM_CELLS], trained.spec.canvas, trained.spec.white
            )

    return _reach(trained, blocks())


def _reach(trained: TrainedModel, blocks: Iterable[Canvases]) -> Reach:
    batch = BATCH[next(iter(trained.network.state_dict().values())).device.type]
    parts = [trained.predict(canvases, batch) for canvases in blocks]
    logits, embedding = (
        np.concatenate([np.asarray(part[name], np.float64) for part in parts])
        for name in ("logits", "embedding")
    )
    return Reach(logits, embedding)


def detections(
    train: Reach,
    val: Reach,
    test: Reach,
    strange: Reach,
    test_groups: np.ndarray,
    unknown_cells: UnknownCells,
    alarms: Alarms,
) -> dict[str, Detection]:
    """Both scores of one model on each kind.

    Args:
        train: of training cells, which distances are taken to.
        val: of validation cells, which thresholds are chosen on.
        test: of test cells.
        strange: of `unknown_cells`.
        test_groups: (N,) acquisition of each test cell.
        unknown_cells: kinds and acquisitions.
        alarms: thresholds and intervals.
    """
    index = build_index(train.embedding, alarms.neighbour, alarms.seed, "spread")
    scores: dict[str, Callable[[Reach], Floats]] = {
        "energy": lambda reach: energy_score(reach.logits),
        "neighbours": lambda reach: neighbour_distance(index, reach.embedding),
    }
    found = {}
    kinds = np.concatenate([np.full(len(test_groups), ORDINARY), unknown_cells.kinds])
    groups = np.concatenate([test_groups, unknown_cells.groups])
    for name, score in scores.items():
        found[name] = detect(
            np.concatenate([score(test), score(strange)]),
            kinds,
            groups,
            alarm_threshold(score(val), alarms.false_alarms),
            inside=ORDINARY,
            resamples=alarms.resamples,
            confidence=alarms.confidence,
            seed=alarms.seed,
        )
    return found


def outliers_table(
    found: dict[str, dict[str, Detection]], origin: str, replicate: str
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
                row |= {"kind": kind.kind, "origin": origin, "cells": kind.cells}
                for name in ("auroc", "missed", "flagged"):
                    value = getattr(kind, name)
                    row |= {name: value.value, f"{name}_low": value.low, f"{name}_high": value.high}
                rows.append(row | {"false_alarms": detection.false_alarms.value})
    return pd.DataFrame(rows)

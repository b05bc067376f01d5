"""A registered model on cells that it was not evaluated on.

When data are added the test cells change, and a champion that was evaluated on the old ones could
never be compared again. Its artifact takes raw pixels, so it can be asked about the new ones.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from unstained.artifact.artifact import CALIBRATION_FILE, CARD_FILE, CARD_FORMAT, MODEL_FILE
from unstained.artifact.inference import open_session, run_session
from unstained.artifact.padding import pad_batch
from unstained.config.study import StudyData
from unstained.data.store.cell_store import CellStore
from unstained.files import read_json
from unstained.predictions import (
    ONLY,
    ClassPredictions,
    Predictions,
    SharePredictions,
    ValuePredictions,
)
from unstained.progress import progress
from unstained.statistics.conformal import prediction_sets
from unstained.tasks.classes import Classes
from unstained.tasks.proportion import Proportion
from unstained.tasks.study import Tasks

BATCH: Final = 64


def why_unfit(artifact: Path, store: CellStore, data: StudyData) -> str:
    """Why an artifact cannot judge the cells of a store; empty where it can."""
    card, asked = read_json(artifact / CARD_FILE), Tasks.of(data.tasks)
    if card.get("format") != CARD_FORMAT:
        return (
            f"its card has format {card.get('format')}, this version of unstained reads "
            f"{CARD_FORMAT}; export and register the model again"
        )
    pixels, outputs = card["inputs"][0], {out["name"]: out for out in card["outputs"]}
    known: dict[str, tuple[Any, Any]] = {
        "channels": (tuple(pixels["channels"]), store.axes.channels),
        "frames": (pixels["frames"], store.axes.frames),
        "normalisation": (pixels["white"], store.white),
        "pixel type": (pixels["dtype"], store.dtype.name),
        "classes": (
            [_named(outputs, asked.served(t), "classes") for t in asked.classes],
            _names(asked.classes),
        ),
        "targets": (_targets(outputs), tuple((t.name, t.transform) for t in data.targets)),
        "shares": (
            [_named(outputs, asked.served(t), "parts") for t in asked.proportions],
            _names(asked.proportions),
        ),
    }
    for name, (model, cells) in known.items():
        if model != cells:
            return f"it knows other {name} than the study has now"
    return ""


def predict_cells(
    artifact: Path, store: CellStore, rows: np.ndarray, wanted: Iterable[str], description: str
) -> dict[str, np.ndarray]:
    """Outputs of the ONNX graph for cells of a store.

    Args:
        artifact: verified artifact.
        store: the cells.
        rows: (N,) rows, ascending for sequential reading.
        wanted: names of the outputs.
        description: for the progress bar.

    Returns:
        (N, ...) float64 by name.
    """
    session = open_session(artifact / MODEL_FILE, threads=os.cpu_count() or 1)
    parts: dict[str, list[np.ndarray]] = {name: [] for name in wanted}
    with progress(description, len(rows), "cells") as advance:
        for part, images in store.iter_images(rows, BATCH):
            found = run_session(session, pad_batch(images, store.white))
            for name, values in parts.items():
                values.append(found[name].astype(np.float64))
            advance(len(part))
    return {name: np.concatenate(values) for name, values in parts.items()}


def artifact_predictions(
    artifact: Path,
    store: CellStore,
    rows: np.ndarray,
    part: np.ndarray,
    data: StudyData,
    description: str,
) -> Predictions:
    """What an artifact says of cells of a store, beside what the store knows of them.

    Args:
        artifact: verified artifact.
        store: the cells.
        rows: (N,) rows, ascending for sequential reading.
        part: (N,) part of each cell.
        data: the study, for its tasks.
        description: for the progress bar.
    """
    asked = Tasks.of(data.tasks)
    wanted = dict.fromkeys(name for task in asked.all for name in asked.served(task))
    found = predict_cells(artifact, store, rows, wanted, description)
    return beside_truth(found, store, rows, part, data, read_json(artifact / CALIBRATION_FILE))


def beside_truth(
    found: Mapping[str, np.ndarray],
    store: CellStore,
    rows: np.ndarray,
    part: np.ndarray,
    data: StudyData,
    calibration: Mapping[str, Any],
    lacking: Collection[str] = (),
) -> Predictions:
    """Outputs of an artifact beside what a store knows of the cells.

    Args:
        found: (N, ...) float64 by name, of all tasks.
        store: the cells.
        rows: (N,) rows.
        part: (N,) part of each cell.
        data: the study, for its tasks.
        calibration: content of the artifact's calibration.json.
        lacking: columns that the store does not hold: nothing is known of their tasks.
    """
    asked = Tasks.of(data.tasks)
    names = store.columns("cell_id", "group").iloc[rows]
    table = store.columns(*(name for name in asked.columns if name not in lacking)).iloc[rows]
    unknown = np.full(len(rows), np.nan)
    truth = asked.truths({name: table.get(name, unknown) for name in asked.columns})
    by_class = {}
    for task in asked.classes:
        probabilities, logits = (found[name] for name in asked.served(task))
        sets = prediction_sets(probabilities, np.array(calibration[task.name]["thresholds"]))
        key = ONLY if len(asked.classes) == 1 else task.name
        by_class[key] = ClassPredictions(truth[task.name], logits, probabilities, sets)
    return Predictions(
        cell_id=names["cell_id"].to_numpy(str),
        group=names["group"].to_numpy(str),
        part=part,
        by_class=by_class,
        values={
            task.name: ValuePredictions(truth[task.name], found["targets"][:, k])
            for k, task in enumerate(asked.values)
        },
        shares={
            task.name: SharePredictions(task.names, truth[task.name], found[asked.served(task)[0]])
            for task in asked.proportions
        },
    )


def _named(outputs: Mapping[str, Any], served: tuple[str, ...], key: str) -> tuple[str, ...]:
    """Classes or parts that the card tells of a task's last output; none where it has none."""
    return tuple(outputs.get(served[-1], {}).get(key, ()))


def _names(tasks: Iterable[Classes | Proportion]) -> list[tuple[str, ...]]:
    return [task.names for task in tasks]


def _targets(outputs: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    content = outputs.get("targets", {"targets": []})["targets"]
    return tuple((target["name"], target["transform"]) for target in content)

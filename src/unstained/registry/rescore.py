"""A registered model on cells that it was not evaluated on.

When data are added the test cells change, and a champion that was evaluated on the old ones could
never be compared again. Its artifact takes raw pixels, so it can be asked about the new ones.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final

import numpy as np

from unstained.artifact.artifact import CALIBRATION_FILE, CARD_FILE, MODEL_FILE
from unstained.artifact.inference import open_session, run_session
from unstained.artifact.padding import pad_batch
from unstained.config import StudyData
from unstained.data.store.cell_store import CellStore
from unstained.files import read_json
from unstained.predictions import ONLY, ClassPredictions, Predictions, ValuePredictions
from unstained.progress import progress
from unstained.statistics.conformal import prediction_sets

BATCH: Final = 64


def why_unfit(artifact: Path, store: CellStore, data: StudyData) -> str:
    """Why an artifact cannot judge the cells of a store; empty where it can."""
    card = read_json(artifact / CARD_FILE)
    pixels, outputs = card["inputs"][0], {out["name"]: out for out in card["outputs"]}
    known: dict[str, tuple[Any, Any]] = {
        "channels": (tuple(pixels["channels"]), store.axes.channels),
        "frames": (pixels.get("frames", 1), store.axes.frames),
        "normalisation": (pixels.get("white"), store.white),
        "pixel type": (pixels["dtype"], store.dtype.name),
        "classes": (tuple(outputs["logits"]["classes"]), data.class_names),
        "targets": (_targets(outputs), tuple((t.name, t.transform) for t in data.targets)),
    }
    for name, (model, cells) in known.items():
        if model != cells:
            return f"it knows other {name} than the study has now"
    return ""


def predict_cells(
    artifact: Path, store: CellStore, rows: np.ndarray, description: str
) -> dict[str, np.ndarray]:
    """Outputs of the ONNX graph for cells of a store.

    Args:
        artifact: verified artifact.
        store: the cells.
        rows: (N,) rows, ascending for sequential reading.
        description: for the progress bar.

    Returns:
        probabilities and logits (N, K), targets (N, M), float64.
    """
    session = open_session(artifact / MODEL_FILE, threads=os.cpu_count() or 1)
    parts: dict[str, list[np.ndarray]] = {"probabilities": [], "logits": [], "targets": []}
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
        data: the study, for its classes and targets.
        description: for the progress bar.
    """
    found = predict_cells(artifact, store, rows, description)
    names = store.columns("cell_id", "group").iloc[rows]
    thresholds = np.array(read_json(artifact / CALIBRATION_FILE)["thresholds"], np.float64)
    truth = store.targets(data.targets)[rows].astype(np.float64)
    values = zip(data.target_names, truth.T, found["targets"].T, strict=True)
    return Predictions(
        cell_id=names["cell_id"].to_numpy(str),
        group=names["group"].to_numpy(str),
        part=part,
        by_class={
            ONLY: ClassPredictions(
                labels=store.labels(data.class_names)[rows],
                logits=found["logits"],
                probabilities=found["probabilities"],
                sets=prediction_sets(found["probabilities"], thresholds),
            )
        },
        values={name: ValuePredictions(known, said) for name, known, said in values},
    )


def _targets(outputs: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    content = outputs.get("targets", {"targets": []})["targets"]
    return tuple((target["name"], target["transform"]) for target in content)

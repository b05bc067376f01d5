"""From a trained model to a sealed artifact: exported, proven, calibrated, described."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnxruntime as ort

from unstained.artifact.abstention import REFERENCE_CELLS, Rules, fit_rules, write_rules
from unstained.artifact.artifact import CALIBRATION_FILE, CARD_FILE, MODEL_FILE, seal_artifact
from unstained.artifact.calibrations import Calibrations, calibration_content
from unstained.artifact.card import CardFacts, Origin, make_card
from unstained.artifact.golden import write_golden
from unstained.artifact.inference import INPUT_NAME, open_session
from unstained.artifact.intervals import Interval
from unstained.artifact.latency import latencies
from unstained.artifact.onnx_export import Exported
from unstained.artifact.padding import pad_batch
from unstained.artifact.parity import Parity
from unstained.artifact.proven_export import export_with_parity
from unstained.artifact.quantise import Int8Verdict, Known, make_variant
from unstained.artifact.serving_graph import ServingGraph
from unstained.config.export import ExportParams
from unstained.config.study import StudyData
from unstained.config.tasks import TaskParams
from unstained.data.store.cell_store import CellStore
from unstained.errors import MADE_AGAIN, StageInputError
from unstained.files import file_sha256, write_json
from unstained.models.trained import TrainedModel
from unstained.tasks.study import Tasks
from unstained.tasks.value import Value

GOLDEN_CELLS: Final = 8
"""At the most."""
BATCH: Final = 64
"""Cells that run through the graph at once."""
CALIBRATION_CELLS: Final = 256
"""Validation cells that INT8 ranges are taken from."""
SCORING_CELLS: Final = 5000
"""Validation cells at the most that INT8 is compared with float32 on."""


@dataclass(frozen=True)
class Cells:
    """Raw cells of one part.

    Attributes:
        names: cell ids.
        images: (C, h, w) raw counts each.
        truth: task -> what is known of them, see `Tasks.truths`.
    """

    names: list[str]
    images: list[np.ndarray]
    truth: Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Material:
    """What an artifact is made of.

    Attributes:
        trained: the model, on the CPU.
        calibrations: from evaluation, by classes task.
        intervals: the same of values, see `intervals.read_intervals`.
        origin: lineage.
        metrics: of the model, for the card.
        data: the study.
        dtype: of the pixels.
        test: cells for parity, the golden batch and times.
        validation: cells that rules of abstention rest on, and the INT8 variant's ranges.
    """

    trained: TrainedModel
    calibrations: Calibrations
    intervals: Mapping[str, Interval]
    origin: Origin
    metrics: Mapping[str, Any]
    data: StudyData
    dtype: np.dtype[Any]
    test: Cells
    validation: Cells


@dataclass(frozen=True)
class Made:
    """A sealed artifact and how it came out; `notes` are for people."""

    folder: Path
    exported: Exported
    parity: Parity
    int8: Int8Verdict
    digest: str
    notes: tuple[str, ...]

    def numbers(self) -> dict[str, str | int | float | bool | None]:
        """How it was exported and how near it comes to the trained network."""
        parity, int8 = self.parity, self.int8
        differences = {f"max_difference_{k}": v for k, v in parity.max_differences.items()}
        return {
            "passed": parity.passed,
            "decisions_agree": parity.decisions,
            **differences,
            "max_difference_alone": parity.alone,
            "tolerance": parity.tolerance,
            "exporter": self.exported.exporter,
            "opset": self.exported.opset,
            "int8_shipped": int8.shipped,
            "int8_speedup": int8.speedup,
            "int8_loss": int8.loss,
        }

    def timed(self, test: Cells, params: ExportParams) -> dict[str, float]:
        """Milliseconds of requests, measured now; `latency_ms` is the median for one cell.

        They are never part of the artifact, so that equal models give equal artifacts.
        """
        session = open_session(self.folder / MODEL_FILE)
        batches = sorted({1, *params.latency_batches})
        times = latencies(session, test.images, batches, params.latency_repeats)
        times["latency_ms"] = times["latency_ms_batch_1"]
        return {name: round(value, 4) for name, value in times.items()}


def make_artifact(folder: Path, given: Material, params: ExportParams) -> Made:
    """Export, compare with torch, quantise if asked, write golden batch and card, seal.

    Args:
        folder: the artifact.
        given: what it is made of.
        params: opset, tolerance, quantisation.

    Raises:
        ExportError: the graph cannot be written, or does not decide as the trained network.
    """
    folder.mkdir(parents=True, exist_ok=True)
    exported, parity, notes = export_with_parity(
        ServingGraph(
            given.trained, {name: c.temperature for name, c in given.calibrations.items()}
        ),
        folder / MODEL_FILE,
        given.test.images,
        dtype=given.dtype,
        channels=given.trained.spec.axes.planes,
        params=params,
    )
    write_json(folder / CALIBRATION_FILE, calibration_content(given.calibrations, given.intervals))
    chosen = slice(0, None, max(1, -(-len(given.test.images) // GOLDEN_CELLS)))
    session = open_session(folder / MODEL_FILE)
    golden = write_golden(folder, session, given.test.images[chosen], given.trained.spec.white)
    rules = _find_rules(session, given, params.false_alarms)
    write_rules(folder, rules)
    int8 = _make_int8(folder, given, params)
    facts = CardFacts(
        data=given.data,
        spec=given.trained.spec,
        dtype=given.dtype,
        calibrations=given.calibrations,
        intervals=given.intervals,
        origin=given.origin,
        exported=exported,
        parity=parity,
        int8=int8,
        golden=golden,
        golden_cells=given.test.names[chosen],
        rules=rules,
        metrics=given.metrics,
    )
    write_json(folder / CARD_FILE, make_card(folder, facts))
    if params.quantise and not int8.shipped:
        notes.append(f"the INT8 variant does not ship: {int8.reason}")
    return Made(folder, exported, parity, int8, seal_artifact(folder), tuple(notes))


def _find_rules(session: ort.InferenceSession, given: Material, rate: float) -> Rules:
    """What is usual of validation cells, as the graph itself sees them."""
    images, white = given.validation.images, given.trained.spec.white
    images = images[:: max(1, -(-len(images) // REFERENCE_CELLS))]
    found = [
        session.run(["embedding"], {INPUT_NAME: pad_batch(images[start : start + BATCH], white)})[0]
        for start in range(0, len(images), BATCH)
    ]
    return fit_rules(images, np.concatenate(found), white, rate)


def _make_int8(folder: Path, given: Material, params: ExportParams) -> Int8Verdict:
    """Try the INT8 variant on validation cells, if the parameters ask for it."""
    cells, spec = given.validation, given.trained.spec
    step = max(1, len(cells.images) // CALIBRATION_CELLS)
    calibration = cells.images[::step][:CALIBRATION_CELLS]
    known = Known(spec.asked, cells.truth)
    return make_variant(folder, calibration, cells.images, known, params, spec.white)


def take_cells(store: CellStore, rows: np.ndarray, most: int, data: StudyData) -> Cells:
    """`most` cells of some rows at the most, spread evenly over them.

    Args:
        store: the cells.
        rows: (n,) rows, ascending: store order is by acquisition, so the choice meets all of them.
        most: number of cells; 0 for none.
        data: the study's tasks.
    """
    if len(rows) > most:
        rows = rows[np.linspace(0, len(rows) - 1, most).astype(np.int64)]
    tasks = Tasks.of(data.tasks)
    table = store.columns(*dict.fromkeys(("cell_id", *tasks.columns))).iloc[rows]
    return Cells(
        [str(name) for name in table["cell_id"]],
        store.images(rows) if len(rows) else [],
        tasks.truths({name: table[name] for name in tasks.columns}),
    )


def check_fit(trained: TrainedModel, store: CellStore, data: StudyData) -> None:
    """Refuse a model of other cells or classes.

    Raises:
        StageInputError: naming what differs.
    """
    spec = trained.spec
    if spec.data_digest != store.digest:
        raise StageInputError(
            "the model was trained on other cells than the store holds", MADE_AGAIN
        )
    known, wanted = (_asked(tasks) for tasks in (spec.tasks, data.tasks))
    if known != wanted:
        raise StageInputError(
            f"the model knows {'; '.join(known)}; the study asks for {'; '.join(wanted)}",
            MADE_AGAIN,
        )


def _asked(tasks: Sequence[TaskParams]) -> list[str]:
    """Every task in words, as far as a model depends on it."""
    words = []
    for task in Tasks.of(tasks).all:
        own = task.params.transform if isinstance(task, Value) else ", ".join(task.names)
        words.append(f"{task.params.kind} {task.name} ({own})")
    return words


def trace_origin(
    names: tuple[str, str, str],
    git_commit: str,
    store: CellStore,
    split: Path,
    data: StudyData,
    effective: Mapping[str, Any],
    tuned: Mapping[str, Any],
) -> Origin:
    """Lineage of a model.

    Args:
        names: study, model, recipe.
        git_commit: of the code.
        store: the cells.
        split: the file that parts them.
        data: the study.
        effective: parameters that took effect.
        tuned: those of them that tuning changed.
    """
    study, model, recipe = names
    content = {**effective, "data": data.model_dump(mode="json")}
    return Origin(
        study=study,
        model=model,
        recipe=recipe,
        git_commit=git_commit,
        data_digest=store.digest,
        split_digest=file_sha256(split),
        groups=tuple(sorted(set(store.columns("group")["group"]))),
        simulated=store.manifest["source"] == "simulator",
        params=effective,
        params_digest=hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest(),
        tuned=tuned,
    )

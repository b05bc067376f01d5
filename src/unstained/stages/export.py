"""Export: one model as a sealed ONNX artifact that is proven to decide as the trained network."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from unstained.files import read_json, write_json
from unstained.params import CommonParams, ExportParams, Params, StudyData, TrainParams
from unstained.stages.contract import Input, Inputs, Job, Output, Outputs, Report, Scalar, Stage

if TYPE_CHECKING:
    import numpy as np

    from unstained.data.store import CellStore
    from unstained.models.trained import TrainedModel
    from unstained.release.card import Origin
    from unstained.release.onnx_export import Exported
    from unstained.release.parity import Parity
    from unstained.release.quantise import Int8Verdict

GOLDEN_CELLS: Final = 8
"""At the most."""
CALIBRATION_CELLS: Final = 256
"""Validation cells that INT8 ranges are taken from."""
SCORING_CELLS: Final = 5000
"""Validation cells at the most that INT8 is compared with float32 on."""


class ExportSections(Params):
    """Sections of params.yaml that the export depends on."""

    common: CommonParams
    data: StudyData
    train: TrainParams
    export: ExportParams


STAGE = Stage(
    name="export",
    params=ExportSections,
    sections={
        "common": "common",
        "data": "studies.{study}.data",
        "train": "studies.{study}.recipes.{recipe}.train",
        "export": "export",
    },
    inputs={
        "store": Input("ingest", "store"),
        "split": Input("split", "split"),
        "best": Input("tune", "best"),
        "model": Input("train", "model"),
        "metrics": Input("evaluate", "metrics"),
        "calibration": Input("evaluate", "calibration"),
    },
    outputs={
        "artifact": Output("artifact"),
        "parity": Output("parity.json", "metrics"),
    },
    per="model",
    layers=("data", "models", "release"),
)


@dataclass(frozen=True)
class Cells:
    """Raw cells of one part.

    Attributes:
        names: cell ids.
        images: (C, h, w) raw counts each.
        labels: (N,) class numbers.
    """

    names: list[str]
    images: list[np.ndarray]
    labels: np.ndarray


def run(params: ExportSections, inputs: Inputs, outputs: Outputs, job: Job) -> Report:
    """Export, compare with torch, quantise if asked, write card and golden batch, seal, time.

    Times go to parity.json, never into the artifact: equal models give equal artifacts.

    Raises:
        ExportError: the graph cannot be written, or does not decide as the trained network.
        StageInputError: the model or its calibration belongs to other cells or classes.
    """
    from unstained.data.store import CellStore
    from unstained.models.trained import load_trained
    from unstained.progress import progress
    from unstained.release.artifact import MODEL_FILE
    from unstained.release.inference import open_session
    from unstained.release.latency import latencies
    from unstained.release.parity import CELLS

    store, trained = CellStore.open(inputs["store"]), load_trained(inputs["model"])
    _check_origin(trained, store, params.data)
    test = part_cells(store, inputs["split"], "test", CELLS, params.data)
    folder, options = outputs["artifact"], params.export
    with progress(f"export {job.study}/{job.model}", 2, "steps") as advance:
        made = _make_artifact(params, inputs, folder, job, store, trained, test)
        advance(1)
        batches = sorted({1, *options.latency_batches})
        session = open_session(folder / MODEL_FILE)
        times = latencies(session, test.images, batches, options.latency_repeats)
        advance(1)
    numbers = made.numbers() | {name: round(value, 4) for name, value in times.items()}
    numbers["latency_ms"] = numbers["latency_ms_batch_1"]
    write_json(outputs["parity"], numbers)
    return Report({**numbers, "artifact_digest": made.digest}, tuple(made.notes))


@dataclass(frozen=True)
class Made:
    """A sealed artifact and how it came out."""

    exported: Exported
    parity: Parity
    int8: Int8Verdict
    digest: str
    notes: list[str]

    def numbers(self) -> dict[str, Scalar]:
        """Content of parity.json but for the times."""
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
            "int8_macro_f1_loss": int8.f1_loss,
        }


def _make_artifact(
    params: ExportSections,
    inputs: Inputs,
    folder: Path,
    job: Job,
    store: CellStore,
    trained: TrainedModel,
    test: Cells,
) -> Made:
    """Write and seal the artifact; `test` cells serve for parity and the golden batch."""
    from unstained.release.artifact import CALIBRATION_FILE, CARD_FILE, MODEL_FILE, seal_artifact
    from unstained.release.card import Calibration, CardFacts, make_card
    from unstained.release.golden import write_golden
    from unstained.release.inference import open_session
    from unstained.release.proven_export import export_with_parity
    from unstained.release.serving_graph import ServingGraph

    spec = trained.spec
    calibration = Calibration.read(
        inputs["calibration"] / f"{job.model}.json", len(spec.class_names)
    )
    origin = _find_origin(params, inputs, job, store, trained)
    metrics = read_json(inputs["metrics"])[str(job.model)]
    folder.mkdir(parents=True, exist_ok=True)
    exported, parity, notes = export_with_parity(
        ServingGraph(trained, calibration.temperature),
        folder / MODEL_FILE,
        test.images,
        dtype=store.dtype,
        channels=len(spec.channels),
        params=params.export,
    )
    write_json(folder / CALIBRATION_FILE, calibration.as_json())
    session = open_session(folder / MODEL_FILE)
    chosen = slice(0, None, max(1, -(-len(test.images) // GOLDEN_CELLS)))
    golden = write_golden(folder, session, test.images[chosen])
    int8 = _make_int8(folder, store, inputs["split"], params)
    facts = CardFacts(
        data=params.data,
        spec=spec,
        dtype=store.dtype,
        calibration=calibration,
        origin=origin,
        exported=exported,
        parity=parity,
        int8=int8,
        golden=golden,
        golden_cells=test.names[chosen],
        metrics=metrics,
    )
    write_json(folder / CARD_FILE, make_card(folder, facts))
    if params.export.quantise and not int8.shipped:
        notes.append(f"the INT8 variant does not ship: {int8.reason}")
    return Made(exported, parity, int8, seal_artifact(folder), notes)


def _make_int8(folder: Path, store: CellStore, split: Path, params: ExportSections) -> Int8Verdict:
    """Try the INT8 variant on validation cells, if the parameters ask for it."""
    from unstained.release.quantise import make_variant

    most = SCORING_CELLS if params.export.quantise else 0
    cells = part_cells(store, split, "val", most, params.data)
    step = max(1, len(cells.images) // CALIBRATION_CELLS)
    calibration = cells.images[::step][:CALIBRATION_CELLS]
    return make_variant(folder, calibration, cells.images, cells.labels, params.export)


def part_cells(store: CellStore, split: Path, part: str, most: int, data: StudyData) -> Cells:
    """`most` cells of a part at the most, spread evenly over it, in store order.

    Store order is by acquisition, so the choice meets all of them.
    """
    import numpy as np

    from unstained.learning.parts import part_rows

    rows = part_rows(store, split, part)
    if len(rows) > most:
        rows = rows[np.linspace(0, len(rows) - 1, most).astype(np.int64)]
    names = store.columns("cell_id")["cell_id"]
    return Cells(
        [str(names.iloc[row]) for row in rows],
        store.images(rows) if len(rows) else [],
        store.labels(data.class_names)[rows],
    )


def _check_origin(trained: TrainedModel, store: CellStore, data: StudyData) -> None:
    """Refuse a model of other cells or classes.

    Raises:
        StageInputError: naming what differs.
    """
    from unstained.errors import StageInputError

    spec = trained.spec
    if spec.data_digest != store.digest:
        raise StageInputError(
            "the model was trained on other cells than the store holds", "run `train` again"
        )
    if (spec.class_names, spec.target_names) != (data.class_names, data.target_names):
        raise StageInputError(
            f"the model knows classes {', '.join(spec.class_names)} and targets "
            f"{', '.join(spec.target_names) or 'none'}; the study has others",
            "run `train` again",
        )


def _find_origin(
    params: ExportSections, inputs: Inputs, job: Job, store: CellStore, trained: TrainedModel
) -> Origin:
    """Lineage of the model, with the parameters that took effect."""
    import hashlib
    import json

    from unstained.files import file_sha256
    from unstained.learning.overrides import apply_overrides
    from unstained.release.card import Origin

    tuned: dict[str, Any] = read_json(inputs["best"])
    spec = trained.spec
    _, train = apply_overrides(spec.model, params.train, tuned, str(inputs["best"]))
    effective = {
        "seed": spec.seed,
        "model": spec.model.model_dump(mode="json"),
        "train": train.model_dump(mode="json"),
    }
    content = {**effective, "data": params.data.model_dump(mode="json")}
    return Origin(
        study=job.study,
        model=str(job.model),
        recipe=job.recipe,
        git_commit=job.git_commit,
        data_digest=store.digest,
        split_digest=file_sha256(inputs["split"]),
        groups=tuple(sorted(set(store.columns("group")["group"]))),
        simulated=store.manifest["source"] == "simulator",
        params=effective,
        params_digest=hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest(),
        tuned=tuned,
    )

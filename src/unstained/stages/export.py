"""Export: one model as a sealed ONNX artifact that is proven to decide as the trained network."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from unstained.config.base import Params
from unstained.config.export import ExportParams
from unstained.config.learning import TrainParams
from unstained.config.study import CommonParams, StudyData
from unstained.files import read_json, write_json
from unstained.pipeline.contract import Input, Inputs, Job, Output, Outputs, Report, Stage

if TYPE_CHECKING:
    from unstained.artifact.card import Origin
    from unstained.data.store.cell_store import CellStore
    from unstained.models.trained import TrainedModel


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
        "data": "data",
        "train": "train",
        "export": "export",
    },
    inputs={
        "store": Input("ingest", "store"),
        "split": Input("split", "split"),
        "best": Input("tune", "best", main=True),
        "model": Input("train", "model"),
        "metrics": Input("evaluate", "metrics"),
        "calibration": Input("evaluate", "calibration"),
    },
    outputs={
        "artifact": Output("artifact"),
        "parity": Output("parity.json"),
    },
    per="model",
)


def run(params: ExportSections, inputs: Inputs, outputs: Outputs, job: Job) -> Report:
    """Export, compare with torch, quantise if asked, write card and golden batch, seal, time.

    Times go to parity.json, never into the artifact: equal models give equal artifacts.

    Raises:
        ExportError: the graph cannot be written, or does not decide as the trained network.
        StageInputError: the model or its calibration belongs to other cells or classes.
    """
    from unstained.artifact.abstention import REFERENCE_CELLS
    from unstained.artifact.calibrations import read_calibrations
    from unstained.artifact.intervals import read_intervals
    from unstained.artifact.parity import CELLS
    from unstained.artifact.sealing import (
        SCORING_CELLS,
        Material,
        check_fit,
        make_artifact,
        take_cells,
    )
    from unstained.data.splits.parts import cell_parts
    from unstained.data.store.cell_store import CellStore
    from unstained.models.trained import load_trained
    from unstained.progress import progress

    store, trained = CellStore.open(inputs["store"]), load_trained(inputs["model"])
    check_fit(trained, store, params.data)
    options = params.export
    part = cell_parts(store, inputs["split"], job.fold, trained.spec.model.partition)
    test = take_cells(store, (part == "test").nonzero()[0], CELLS, params.data)
    most = SCORING_CELLS if options.quantise else REFERENCE_CELLS
    material = Material(
        trained=trained,
        calibrations=read_calibrations(inputs["calibration"], trained.spec.asked),
        intervals=read_intervals(
            read_json(inputs["calibration"]), [value.name for value in trained.spec.asked.values]
        ),
        origin=_find_origin(params, inputs, job, store, trained),
        metrics=read_json(inputs["metrics"]),
        data=params.data,
        dtype=store.dtype,
        test=test,
        validation=take_cells(store, (part == "val").nonzero()[0], most, params.data),
    )
    if job.replicate:  # of a replicate's times the comparison shows that of one cell alone
        options = options.model_copy(update={"latency_batches": ()})
    with progress(f"export {job.title}", 2, "steps") as advance:
        made = make_artifact(outputs["artifact"], material, options)
        advance(1)
        numbers = made.numbers() | made.timed(test, options)
        advance(1)
    write_json(outputs["parity"], numbers)
    return Report({**numbers, "artifact_digest": made.digest}, made.notes)


def _find_origin(
    params: ExportSections, inputs: Inputs, job: Job, store: CellStore, trained: TrainedModel
) -> Origin:
    """Lineage of the model, with the parameters that took effect."""
    from unstained.artifact.sealing import trace_origin
    from unstained.config.overrides import apply_overrides

    model = trained.spec.model
    train, tuned = model.training(params.train), dict[str, Any]()
    if job.replicate is None:
        tuned = read_json(inputs["best"])
        _, train = apply_overrides(model, train, tuned, str(inputs["best"]))
    effective = {
        **({"fold": job.fold} if job.replicate else {}),
        "seed": trained.spec.seed,
        "model": model.model_dump(mode="json"),
        "train": train.model_dump(mode="json"),
    }
    names = (job.study, str(job.model), job.recipe)
    return trace_origin(
        names, job.git_commit, store, inputs["split"], params.data, effective, tuned
    )

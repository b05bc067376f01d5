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
        "best": Input("tune", "best"),
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
    from unstained.artifact.card import read_calibrations
    from unstained.artifact.parity import CELLS
    from unstained.artifact.sealing import (
        SCORING_CELLS,
        Material,
        check_fit,
        make_artifact,
        take_cells,
    )
    from unstained.data.splits.parts import part_rows
    from unstained.data.store.cell_store import CellStore
    from unstained.models.trained import load_trained
    from unstained.progress import progress

    store, trained = CellStore.open(inputs["store"]), load_trained(inputs["model"])
    check_fit(trained, store, params.data, "run `train` again")
    options, split = params.export, inputs["split"]
    test = take_cells(store, part_rows(store, split, "test"), CELLS, params.data)
    most = SCORING_CELLS if options.quantise else 0
    material = Material(
        trained=trained,
        calibrations=read_calibrations(
            inputs["calibration"] / f"{job.model}.json", trained.spec.asked
        ),
        origin=_find_origin(params, inputs, job, store, trained),
        metrics=read_json(inputs["metrics"])[str(job.model)],
        data=params.data,
        dtype=store.dtype,
        test=test,
        validation=take_cells(store, part_rows(store, split, "val"), most, params.data),
    )
    with progress(f"export {job.study}/{job.model}", 2, "steps") as advance:
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
    from unstained.learning.overrides import apply_overrides

    tuned: dict[str, Any] = read_json(inputs["best"])
    model = trained.spec.model
    usual = model.training(params.train)
    _, train = apply_overrides(model, usual, tuned, str(inputs["best"]))
    effective = {
        "seed": trained.spec.seed,
        "model": model.model_dump(mode="json"),
        "train": train.model_dump(mode="json"),
    }
    names = (job.study, str(job.model), job.recipe)
    return trace_origin(
        names, job.git_commit, store, inputs["split"], params.data, effective, tuned
    )

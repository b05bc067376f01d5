"""Uncertainty: when the models of a comparison should not answer, and which labels they doubt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from unstained.config.base import Params
from unstained.config.baselines import BaselinesParams
from unstained.config.evaluate import EvaluateParams
from unstained.config.study import CommonParams, SimulateParams, StudyData
from unstained.config.uncertainty import UncertaintyParams
from unstained.files import write_text
from unstained.pipeline.contract import Input, Inputs, Job, Output, Outputs, Report, Stage
from unstained.pipeline.provenance import provenance

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from unstained.data.store.cell_store import CellStore
    from unstained.evaluation.out_of_distribution import Detection
    from unstained.evaluation.uncertainty.predictions import Replicas
    from unstained.evaluation.uncertainty.results import Results
    from unstained.evaluation.uncertainty.suspects import Gating, OutOfFold
    from unstained.evaluation.uncertainty.unknown_cells import UnknownCells


class UncertaintyStageParams(Params):
    """Sections of params.yaml that the study of uncertainty depends on."""

    common: CommonParams
    data: StudyData
    simulate: SimulateParams | None
    baselines: BaselinesParams
    evaluate: EvaluateParams
    uncertainty: UncertaintyParams


STAGE = Stage(
    name="uncertainty",
    params=UncertaintyStageParams,
    sections={
        "common": "common",
        "data": "data",
        "simulate": "simulate",
        "baselines": "baselines",
        "evaluate": "evaluate",
        "uncertainty": "uncertainty",
    },
    inputs={
        "store": Input("ingest", "store"),
        "split": Input("split", "split"),
        "models": Input("train", "model", every_replicate=True),
        "predictions": Input("evaluate", "predictions", every_replicate=True),
        "metrics": Input("evaluate", "metrics", every_replicate=True),
    },
    outputs={
        "calibration": Output("calibration.csv"),
        "coverage": Output("coverage.csv"),
        "selective": Output("selective.csv"),
        "curves": Output("risk_coverage.csv"),
        "outliers": Output("outliers.csv"),
        "composition": Output("composition.csv"),
        "rare": Output("rare.csv"),
        "audits": Output("label_noise.csv"),
        "suspects": Output("suspects.csv"),
        "page": Output("uncertainty.html"),
    },
    per="study",
)

TABLES: Final = (
    "calibration",
    "coverage",
    "selective",
    "curves",
    "outliers",
    "composition",
    "rare",
    "audits",
    "suspects",
)
"""Outputs that are tables of `Results` by the same name."""


def run(params: UncertaintyStageParams, inputs: Inputs, outputs: Outputs, job: Job) -> Report:
    """Write tables and page.

    Raises:
        StageInputError: replicates of different splits, or too few training cells.
        ParameterError: a gate names what the study does not have.
    """
    from unstained.data.store.cell_store import CellStore
    from unstained.evaluation.uncertainty.results import headline
    from unstained.report.page import render
    from unstained.report.uncertainty.findings import findings
    from unstained.report.uncertainty.page import build_page
    from unstained.report.uncertainty.pictures import suspect_gallery, unknown_gallery

    store = CellStore.open(inputs["store"])
    if not params.data.class_names:
        from unstained.report.without_classes import without_classes

        what = "abstention, sets of classes and doubted labels"
        return without_classes(params, params.data, what, store, outputs, job)
    context = _Context(params, inputs, job, store)
    unknown_cells = _unknown_cells(context)
    results = _results(context, unknown_cells)
    for name in TABLES:
        table: pd.DataFrame = getattr(results, name)
        write_text(outputs[name], table.round(6).to_csv(index=False, lineterminator="\n"))
    page = build_page(
        results,
        strange=unknown_gallery(unknown_cells, params.data),
        doubted=suspect_gallery(results.suspects, store, params.data),
        provenance=provenance(
            params,
            store,
            job,
            ("Replicates", ", ".join(replicate.name for replicate in job.replicates)),
        ),
    )
    write_text(outputs["page"], render(page))
    notes = tuple(item.title for item in findings(results) if item.tone in ("bad", "caution"))
    return Report(headline(results), notes)


@dataclass(frozen=True)
class _Context:
    """What every part of the stage reads."""

    params: UncertaintyStageParams
    inputs: Inputs
    job: Job
    store: CellStore

    @property
    def simulated(self) -> bool:
        return bool(self.store.manifest["source"] == "simulator")

    @property
    def seed(self) -> int:
        return self.params.common.seed

    def parts(self) -> np.ndarray:
        """Part of every cell where the first replicate's fold is held out."""
        from unstained.data.splits.parts import cell_parts

        return cell_parts(self.store, self.inputs["split"], self.job.replicates[0].fold)


def _results(context: _Context, unknown_cells: UnknownCells) -> Results:
    """All tables."""
    from unstained.evaluation.uncertainty import mixtures, tables
    from unstained.evaluation.uncertainty import suspects as doubts
    from unstained.evaluation.uncertainty.predictions import best_first, read_replicas
    from unstained.evaluation.uncertainty.results import Results, guessing_risk
    from unstained.statistics.intervals import resample_groups

    params, own, job = context.params, context.params.uncertainty, context.job
    judging, classes = params.evaluate, params.data.class_names
    names = [replicate.name for replicate in job.replicates]
    contenders = params.baselines.contenders
    replicas = best_first(read_replicas(context.inputs["predictions"], contenders, names))
    test = next(iter(replicas.values()))[0].test
    labels = test.classes.labels
    draws = resample_groups(test.group, labels, judging.bootstrap, context.seed)
    level = judging.confidence
    mixed = mixtures.draw_mixtures(
        labels, test.group, len(classes), own.mixtures, own.mixture_cells, context.seed
    )
    composition = mixtures.composition_table(
        replicas, classes, mixed, confidence=level, seed=context.seed
    )
    found = doubts.out_of_fold(replicas)
    gating = _gating(context, found)
    audits = doubts.doubt(found, gating, judging.bootstrap, level, context.seed)
    impure = params.simulate if context.simulated else None
    return Results(
        data=params.data,
        params=own,
        confidence=level,
        replicas=len(names),
        test_cells=len(labels),
        test_groups=len(set(test.group.tolist())),
        guessing=guessing_risk(replicas),
        caveat=draws.caveat,
        calibration=tables.calibration_table(replicas, judging.ece_bins, draws, level),
        coverage=tables.coverage_table(replicas, classes, judging.conformal_alpha, draws, level),
        selective=tables.selective_table(replicas, own.target_risk, draws, level),
        curves=tables.curves_table(replicas),
        outliers=_outliers(context, replicas, unknown_cells),
        composition=composition,
        composition_summary=mixtures.composition_summary(composition),
        rare=tables.rare_table(replicas, classes, own.precision, draws, level),
        audits=doubts.audits_table(audits, len(found.labels)),
        suspects=doubts.suspects_table(found, audits, gating, classes, own.suspects),
        gates=gating.gates if gating else (),
        gate_counts=doubts.gate_counts(found, gating, classes) if gating else {},
        apart=_apart(context),
        impure=(impure.debris, impure.doublets) if impure else None,
        simulated=context.simulated,
    )


def _apart(context: _Context) -> bool:
    """Whether no test or validation cell is of a group that models were trained on."""
    part = context.parts()
    groups = context.store.columns("group")["group"].to_numpy(str)
    known = set(groups[part == "train"].tolist())
    return known.isdisjoint(groups[(part == "val") | (part == "test")].tolist())


def _gating(context: _Context, found: OutOfFold) -> Gating | None:
    """Fluorescence of the audited cells."""
    import pandas as pd

    from unstained.evaluation.uncertainty.suspects import gate_labels

    store, data = context.store, context.params.data
    table = store.columns("cell_id", *(f"marker_{name}" for name in store.markers))
    table = table.set_index("cell_id").loc[pd.Index(found.cell_id)]
    table.columns = pd.Index(store.markers)
    chosen = context.params.uncertainty.gates
    return gate_labels(table, found.labels, chosen, data.class_names, context.seed)


def _outliers(context: _Context, replicas: Replicas, unknown_cells: UnknownCells) -> pd.DataFrame:
    """Run the first replicate of every model on training, validation, test and strange cells."""
    from unstained.evaluation.predictions import load_model
    from unstained.evaluation.uncertainty import unknown_kinds as outlying
    from unstained.progress import progress

    store, own, judging = context.store, context.params.uncertainty, context.params.evaluate
    replicate = context.job.replicates[0].name
    rows = _rows(context)
    groups = store.columns("group")["group"].to_numpy(str)
    alarms = outlying.Alarms(
        own.neighbour, own.false_alarms, judging.bootstrap, judging.confidence, context.seed
    )
    found: dict[str, dict[str, Detection]] = {}
    with progress("look for strange cells", len(replicas), "models") as advance:
        for model in replicas:
            home = context.inputs["models"] / model / replicate / "model"
            trained = load_model(home, store, context.params.data)
            reached = {
                part: outlying.reach_of_cells(trained, store, index) for part, index in rows.items()
            }
            strange = outlying.reach_of_images(trained, unknown_cells.images)
            found[model] = outlying.detections(
                **reached,
                strange=strange,
                test_groups=groups[rows["test"]],
                unknown_cells=unknown_cells,
                alarms=alarms,
            )
            advance(1)
    return outlying.outliers_table(found, unknown_cells.origin, replicate)


def _rows(context: _Context) -> dict[str, np.ndarray]:
    """Rows of the store by part; of the training cells a sample where there are very many.

    Raises:
        StageInputError: fewer training cells than the neighbour that distances are taken to.
    """
    import numpy as np

    from unstained.errors import StageInputError

    part, own = context.parts(), context.params.uncertainty
    rows = {name: np.flatnonzero(part == name) for name in ("train", "val", "test")}
    if len(rows["train"]) > own.index_cells:
        drawn = np.random.default_rng(context.seed).permutation(rows["train"])
        rows["train"] = np.sort(drawn[: own.index_cells])
    if len(rows["train"]) < own.neighbour:
        raise StageInputError(
            f"{len(rows['train'])} training cells have no neighbour number {own.neighbour}",
            "lower uncertainty.neighbour",
        )
    return rows


def _unknown_cells(context: _Context) -> UnknownCells:
    """Cells that no class covers: simulated where the study is, else made from its test cells."""
    import numpy as np

    from unstained.evaluation.uncertainty.unknown_cells import unknown_cells_from

    own, store = context.params.uncertainty, context.store
    if context.simulated and context.params.simulate is not None:
        return _simulated(context.params, context.params.simulate)
    rows = np.flatnonzero(context.parts() == "test")
    if len(rows) > own.unknown_cells:
        drawn = np.random.default_rng(context.seed).permutation(rows)
        rows = np.sort(drawn[: own.unknown_cells])
    groups = store.columns("group")["group"].to_numpy(str)[rows]
    images = store.images(rows)
    masks = store.masks(rows) if store.has_masks else None
    return unknown_cells_from(
        images, groups, own.unknown_cells, own.blur_px, context.seed, store.white, masks
    )


def _simulated(params: UncertaintyStageParams, simulate: SimulateParams) -> UnknownCells:
    """Debris, doublets and cells out of focus by the study's own simulator, and controls."""
    import numpy as np

    from unstained.evaluation.uncertainty.unknown_cells import CONTROL, UnknownCells
    from unstained.simulate.unknown_cells import simulate_unknown_cells

    own = params.uncertainty
    found = simulate_unknown_cells(
        simulate, params.data, params.common.seed, own.unknown_cells, own.defocus_um
    )
    kinds = np.array([CONTROL if kind == "cell" else kind for kind in found.kinds])
    return UnknownCells(found.images, kinds, np.array(found.groups), "simulated")

"""Uncertainty: when the models of a comparison should not answer, and which labels they doubt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

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
    from unstained.evaluation.uncertainty.results import Results, Shared
    from unstained.evaluation.uncertainty.unknown_cells import UnknownCells
    from unstained.evaluation.uncertainty.value_intervals import Distances
    from unstained.evaluation.uncertainty.value_results import ValueResults
    from unstained.report.page import Page


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
    from unstained.data.splits.units import independent
    from unstained.data.store.cell_store import CellStore
    from unstained.report.page import render

    store = independent(CellStore.open(inputs["store"]), inputs["split"])
    context = _Context(params, inputs, job, store)
    judged = _classes(context) if params.data.class_names else _values(context)
    for name in TABLES:
        table: pd.DataFrame = getattr(judged.results, name)
        write_text(outputs[name], table.round(6).to_csv(index=False, lineterminator="\n"))
    write_text(outputs["page"], render(judged.page))
    return Report(judged.metrics, judged.notes)


@dataclass(frozen=True)
class _Judged:
    """What came of a study: tables, page, headline, and the findings that must not be missed."""

    results: Shared
    page: Page
    metrics: dict[str, str | int | float | bool | None]
    notes: tuple[str, ...]


def _classes(context: _Context) -> _Judged:
    """A study with classes."""
    from unstained.evaluation.uncertainty.results import headline
    from unstained.report.uncertainty.findings import findings
    from unstained.report.uncertainty.page import build_page
    from unstained.report.uncertainty.pictures import suspect_gallery, unknown_gallery

    data, unknown_cells = context.params.data, _unknown_cells(context)
    results = _results(context, unknown_cells)
    page = build_page(
        results,
        strange=unknown_gallery(unknown_cells, data),
        doubted=suspect_gallery(results.suspects, context.store, data),
        provenance=_origin(context),
    )
    notes = tuple(item.title for item in findings(results) if item.tone in ("bad", "caution"))
    return _Judged(results, page, headline(results), notes)


def _values(context: _Context) -> _Judged:
    """A study without classes."""
    from unstained.evaluation.uncertainty.value_results import headline
    from unstained.report.uncertainty.pictures import doubted_values, unknown_gallery
    from unstained.report.uncertainty.value_findings import findings
    from unstained.report.uncertainty.value_page import build_page

    data, unknown_cells = context.params.data, _unknown_cells(context)
    results = _value_results(context, unknown_cells)
    page = build_page(
        results,
        strange=unknown_gallery(unknown_cells, data),
        doubted=doubted_values(results.suspects, context.store, data),
        provenance=_origin(context),
    )
    notes = tuple(item.title for item in findings(results) if item.tone in ("bad", "caution"))
    return _Judged(results, page, headline(results), notes)


def _origin(context: _Context) -> tuple[tuple[str, str], ...]:
    names = ", ".join(replicate.name for replicate in context.job.replicates)
    return provenance(context.params, context.store, context.job, ("Replicates", names))


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

    def shared(self, replicas: Replicas, caveat: str) -> dict[str, Any]:
        """What results of any study are told beside their tables."""
        test = next(iter(replicas.values()))[0].test
        simulate = self.params.simulate if self.simulated else None
        return {
            "data": self.params.data,
            "params": self.params.uncertainty,
            "confidence": self.params.evaluate.confidence,
            "replicas": len(self.job.replicates),
            "test_cells": len(test),
            "test_groups": len(set(test.group.tolist())),
            "caveat": caveat,
            "apart": _apart(self),
            "impure": (simulate.debris, simulate.doublets) if simulate else None,
            "simulated": self.simulated,
        }

    def parts(self) -> np.ndarray:
        """Part of every cell where the first replicate's fold is held out."""
        from unstained.data.splits.parts import cell_parts

        return cell_parts(self.store, self.inputs["split"], self.job.replicates[0].fold)


def _results(context: _Context, unknown_cells: UnknownCells) -> Results:
    """All tables."""
    from unstained.evaluation.uncertainty import mixtures, tables
    from unstained.evaluation.uncertainty import suspects as doubts
    from unstained.evaluation.uncertainty.predictions import best_first
    from unstained.evaluation.uncertainty.results import Results, guessing_risk
    from unstained.statistics.intervals import resample_groups

    params, own = context.params, context.params.uncertainty
    judging, classes = params.evaluate, params.data.class_names
    replicas = best_first(_read(context))
    mixtures.require_every_class(replicas, classes)
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
    gating = doubts.gate_audited(context.store, found, own.gates, classes, context.seed)
    audits = doubts.doubt(found, gating, judging.bootstrap, level, context.seed)
    return Results(
        **context.shared(replicas, draws.caveat),
        guessing=guessing_risk(replicas),
        calibration=tables.calibration_table(replicas, judging.ece_bins, draws, level),
        coverage=tables.coverage_table(replicas, classes, judging.conformal_alpha, draws, level),
        selective=tables.selective_table(replicas, own.target_risk, draws, level),
        curves=tables.curves_table(replicas),
        outliers=_outliers(context, replicas, unknown_cells)[0],
        composition=composition,
        composition_summary=mixtures.composition_summary(composition),
        rare=tables.rare_table(replicas, classes, own.precision, draws, level),
        audits=doubts.audits_table(audits, len(found.labels)),
        suspects=doubts.suspects_table(found, audits, gating, classes, own.suspects),
        gates=gating.gates if gating else (),
        gate_counts=doubts.gate_counts(found, gating, classes) if gating else {},
    )


def _value_results(context: _Context, unknown_cells: UnknownCells) -> ValueResults:
    """All tables of a study without classes."""
    from unstained.evaluation.uncertainty.quantities import best_first
    from unstained.evaluation.uncertainty.value_results import make_results
    from unstained.statistics.intervals import resample_groups

    judging, replicas = context.params.evaluate, best_first(_read(context), context.params.data)
    test = next(iter(replicas.values()))[0].test
    draws = resample_groups(test.group, test.strata, judging.bootstrap, context.seed)
    outliers, far = _outliers(context, replicas, unknown_cells)
    shared = context.shared(replicas, draws.caveat) | {"outliers": outliers}
    return make_results(replicas, far, draws, judging.conformal_alpha, shared)


def _read(context: _Context) -> Replicas:
    from unstained.evaluation.uncertainty.predictions import read_replicas

    places = [(one.fold, one.seed, one.name) for one in context.job.replicates]
    contenders = context.params.baselines.contenders
    return read_replicas(context.inputs["predictions"], contenders, places)


def _apart(context: _Context) -> bool:
    """Whether no test or validation cell is of a group that models were trained on."""
    part = context.parts()
    groups = context.store.columns("group")["group"].to_numpy(str)
    known = set(groups[part == "train"].tolist())
    return known.isdisjoint(groups[(part == "val") | (part == "test")].tolist())


def _outliers(
    context: _Context, replicas: Replicas, unknown_cells: UnknownCells
) -> tuple[pd.DataFrame, dict[str, Distances]]:
    """Run the first replicate of every model on training, validation, test and strange cells.

    Returns:
        How strange cells are noticed; without classes also each model's distances of its cells.
    """
    from unstained.evaluation.predictions import load_model
    from unstained.evaluation.uncertainty import network_runs
    from unstained.evaluation.uncertainty import unknown_kinds as outlying
    from unstained.progress import progress

    store, own, judging = context.store, context.params.uncertainty, context.params.evaluate
    replicate, classes = context.job.replicates[0].name, bool(context.params.data.class_names)
    rows = network_runs.rows_by_part(context.parts(), own.index_cells, own.neighbour, context.seed)
    names = store.columns("cell_id", "group")
    cells = {part: names["cell_id"].to_numpy(str)[index] for part, index in rows.items()}
    alarms = outlying.Alarms(
        own.neighbour, own.false_alarms, judging.bootstrap, judging.confidence, context.seed
    )
    found: dict[str, dict[str, Detection]] = {}
    far: dict[str, Distances] = {}
    with progress("look for strange cells", len(replicas), "models") as advance:
        for model, runs in replicas.items():
            home = context.inputs["models"] / model / replicate / "model"
            trained = load_model(home, store, context.params.data)
            reached = network_runs.run_network(trained, store, rows, unknown_cells.images)
            found[model] = outlying.detections(
                reached,
                test_groups=names["group"].to_numpy(str)[rows["test"]],
                unknown_cells=unknown_cells,
                alarms=alarms,
                energy=classes,
            )
            if not classes:
                far[model] = network_runs.distances(reached, runs[0], cells, own.neighbour)
            advance(1)
    return outlying.outliers_table(found, unknown_cells, replicate), far


def _unknown_cells(context: _Context) -> UnknownCells:
    """Cells that no class covers: simulated, made from test cells, and kinds never learnt."""
    import numpy as np

    from unstained.data.splits.parts import UNLEARNT
    from unstained.evaluation.uncertainty.unknown_cells import drawn, unknown_cells_from

    params, own, store = context.params, context.params.uncertainty, context.store
    parts, groups = context.parts(), store.columns("group")["group"].to_numpy(str)
    count, seed = own.unknown_cells, context.seed
    rows, never = (drawn(np.flatnonzero(parts == part), count, seed) for part in ("test", UNLEARNT))
    if context.simulated and params.simulate is not None:
        found = _simulated(params, params.simulate)
    else:
        masks = store.masks(rows) if store.has_masks else None
        how = (count, own.blur_px, seed, store.white, masks)
        found = unknown_cells_from(store.images(rows), groups[rows], *how)
    return found.with_recorded(store.images(never), groups[never].tolist())


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

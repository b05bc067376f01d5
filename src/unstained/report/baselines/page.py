"""The comparison of all models as one self-contained page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from unstained.config.study import StudyData
from unstained.evaluation.baselines.experiments import Hidden, Outcome
from unstained.evaluation.baselines.fold_controls import controls_table
from unstained.evaluation.baselines.grid import Grid
from unstained.evaluation.baselines.tables import (
    classes_table,
    curves_table,
    models_table,
    with_intervals,
)
from unstained.evaluation.baselines.verdicts import (
    ABLATION,
    EveryCell,
    ablation_of,
    fold_sizes,
    fold_table,
    gains_over,
    pooled_decisions,
)
from unstained.evaluation.controls import is_shortcut, what_it_sees
from unstained.evaluation.scores import Scores
from unstained.report.baselines.against import against_features
from unstained.report.baselines.cost import cost_section
from unstained.report.baselines.differences import fold_table_block
from unstained.report.baselines.experiment_section import experiment_section
from unstained.report.baselines.figures_section import figures_section
from unstained.report.baselines.frame import comparison_page
from unstained.report.baselines.tested_once import every_cell_section
from unstained.report.hybrid_section import OURS, hybrid_section
from unstained.report.numbers import decimal, p_value
from unstained.report.page import (
    Block,
    Cell,
    Definitions,
    Page,
    Section,
    Table,
    Text,
    origin_section,
)
from unstained.report.prose import Prose
from unstained.statistics.folds import AblationAnswer, FoldTable, PairedDifference
from unstained.studies.nsc.printed import INCONSISTENCIES, TABLE_3, TABLE_4, TABLE_5
from unstained.studies.wbc.printed import MARKER

PROSE = Prose(__name__)

METRIC = "macro_f1"

MEASURES = (
    ("accuracy", "accuracy"),
    ("weighted_precision", "precision"),
    ("weighted_recall", "recall"),
    ("weighted_f1", "F1"),
    ("macro_f1", "macro-F1"),
)


def build_page(
    grid: Grid,
    data: StudyData,
    *,
    contenders: tuple[str, ...],
    controls: Mapping[str, Sequence[Scores]],
    found: Sequence[Outcome],
    once: EveryCell | None,
    hidden: Mapping[str, Hidden],
    confidence: float,
    simulated: bool,
    provenance: tuple[tuple[str, str], ...],
) -> Page:
    """The page.

    Args:
        grid: all replicates.
        data: names of the study's classes.
        contenders: models that are compared with each other; the others are experiments.
        controls: see `fold_controls`.
        found: the experiments.
        once: None where folds do not rotate.
        hidden: see `experiment_section`.
        confidence: of intervals; tests are at 1 - confidence.
        simulated: whether the simulator made the cells.
        provenance: facts on origin, in reading order.
    """
    contest = grid.only(contenders)
    answer = ablation_of(contest, METRIC, 1 - confidence)
    scores = {model: contest.scores(model, METRIC) for model in contest.models}
    table = fold_table(contest, METRIC, scores, confidence)
    blind = np.array([fold.overall[METRIC].value for fold in controls["features"]])
    gains = gains_over(scores, blind, fold_sizes(contest), confidence)
    against = against_features(gains)
    sections = [
        _models(contest, controls_table(controls), _is_the_papers(data), against),
        every_cell_section(contest, once, data, confidence) if once is not None else None,
        _markers(contest, controls_table(controls), data),
        _ablation(answer, contest),
        _differences(contest, table),
        experiment_section(grid, found, hidden, "Macro-F1"),
        _classes(contest, data),
        figures_section(contest, data),
        cost_section(contest, METRIC),
        _paper() if _is_the_papers(data) else hybrid_section(_ours(contest), data),
        origin_section(provenance),
    ]
    return comparison_page(data, sections, simulated)


def _spread(mean: float, sd: float) -> Cell:
    return Cell(decimal(mean, 3), "" if np.isnan(sd) else f"± {sd:.3f}")


def _is_the_papers(data: StudyData) -> bool:
    """Whether the classes are those of the CG-RecNet paper, so that its numbers can be quoted."""
    return set(data.class_names) <= set(TABLE_5)


def _models(grid: Grid, controls: pd.DataFrame, quoted: bool, against: tuple[str, ...]) -> Section:
    """Tables 3 and 4 in one above the controls, with the paper's numbers where `quoted`.

    `against` says whether models are better than the control of hand-crafted features.
    """
    table = models_table(grid).sort_values(METRIC, ascending=False)
    rows = []
    for found in table.to_dict("records"):
        cells = [Cell(str(found["model"]))]
        cells += [_spread(found[key], found[f"{key}_sd"]) for key, _ in MEASURES]
        macs = found["gmacs"]
        cells.append(Cell(f"{found['parameters'] / 1e6:.2f}"))
        cells.append(Cell("–" if macs is None or np.isnan(macs) else f"{macs:.3f}"))
        cells += _printed(str(found["model"])) if quoted else []
        rows.append(tuple(cells))
    for found in controls.sort_values(METRIC, ascending=False).to_dict("records"):
        cells = [_control_cell(str(found["control"]))]
        cells += [_spread(found[key], found[f"{key}_sd"]) for key, _ in MEASURES]
        rows.append((*cells, *[Cell("–")] * (3 if quoted else 2)))
    replicates = len(grid.folds) * len(grid.seeds)
    caption = PROSE(
        "models_caption",
        replicates=_counted(replicates, "replicate"),
        folds=_counted(len(grid.folds), "fold"),
        seeds=_counted(len(grid.seeds), "seed"),
        cells=len(grid.labels),
        rotates=grid.rotates,
        many=len(grid.seeds) > 1,
    )
    note = PROSE("models_note", side=grid.side, tool=grid.tool)
    columns = ["model", *(name for _, name in MEASURES), "M parameters", "GMAC"]
    groups = [("", 1), ("weighted", 4), ("", 1), ("size", 2)]
    if quoted:
        columns.append("paper")
        groups.append(("quoted", 1))
        note = f"{note} {PROSE('models_printed')}"
    blocks = (
        Table(caption, tuple(columns), tuple(rows), note, tuple(groups), separators=(len(table),)),
        Text((_worth(table, controls), *against)),
    )
    lead = PROSE("models_lead_paper") if quoted else PROSE("models_lead")
    return Section("models", "All models", "Models", lead, blocks)


def _printed(model: str) -> list[Cell]:
    """Accuracy and F1 that the paper prints of a model."""
    found = TABLE_3.get(model) or TABLE_4.get(model)
    if found is None:
        return [Cell("–")]
    return [Cell(f"{found[0]} %".replace(" ", "\u00a0"), f"F1 {found[3]}")]


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _control_cell(name: str) -> Cell:
    return Cell(f"{name} control", what_it_sees(name))


def _worth(models: pd.DataFrame, controls: pd.DataFrame) -> str:
    """The first of the models beside the controls."""
    first = models.iloc[0]
    value = controls.set_index("control")[METRIC]
    blind = str(value[[name for name in value.index if is_shortcut(str(name))]].idxmax())
    return PROSE(
        "worth",
        model=first["model"],
        score=f"{first[METRIC]:.3f}",
        blind_score=f"{value[blind]:.3f}",
        blind=blind,
        features=f"{value['features']:.3f}",
    )


def _markers(grid: Grid, controls: pd.DataFrame, data: StudyData) -> Section | None:
    """How well each marker is predicted, models above controls."""
    targets = [target for target in data.targets if f"{target.name}_r" in controls]
    if not targets:
        return None
    keys = [f"{target.name}_{kind}" for target in targets for kind in ("r", "within_class_r")]
    table = models_table(grid).sort_values(keys[0], ascending=False)
    rows = [
        (Cell(str(row["model"])), *(_spread(row[key], row[f"{key}_sd"]) for key in keys))
        for row in table.to_dict("records")
    ]
    rows += [
        (_control_cell(str(row["control"])), *(_spread(row[k], row[f"{k}_sd"]) for k in keys))
        for row in controls.sort_values(keys[0], ascending=False).to_dict("records")
    ]
    caption = PROSE("markers_caption")
    columns = ("model", *("r", "within classes") * len(targets))
    groups = (("", 1), *((f"{target.name}, {target.unit}", 2) for target in targets))
    blocks = (Table(caption, columns, tuple(rows), groups=groups, separators=(len(table),)),)
    lead = PROSE("markers_lead")
    return Section("markers", "Stains, cell by cell", "Stains", lead, blocks)


def _ablation(answer: AblationAnswer | None, grid: Grid) -> Section | None:
    if answer is None:
        return None
    steps = [*answer.attention_first, *answer.gate_first, answer.attention, answer.gate]
    steps += [answer.attention_less_gate, answer.interaction]
    rows = tuple(_difference_row(step) for step in steps)
    caption = PROSE("ablation_caption")
    helps = " and ".join(answer.helps) or "neither"
    larger = (
        f"{answer.larger} adds more"
        if answer.larger
        else "which of the two adds more cannot be told"
    )
    said = PROSE("ablation_answer", helps=helps, larger=larger)
    names = ", ".join(ABLATION)
    return Section(
        "ablation",
        "Attention or gate?",
        "Ablation",
        PROSE("ablation_lead"),
        (Text((said,)), Table(caption, DIFFERENCES, rows, f"Networks: {names}.", ())),
    )


DIFFERENCES = ("from", "to", "difference", "t", "p", "p (Holm)")


def _difference_row(pair: PairedDifference) -> tuple[Cell, ...]:
    d = pair.difference
    return (
        Cell(pair.first),
        Cell(pair.second),
        Cell(f"{d.value:+.3f}", f"{d.low:+.3f} to {d.high:+.3f}"),
        Cell(f"{pair.t:.2f}"),
        Cell(p_value(pair.p)),
        Cell(p_value(pair.p_holm), strong=pair.p_holm <= 0.05),
    )


def _differences(grid: Grid, table: FoldTable | None) -> Section:
    across: Block = Text(("Tests across folds need two folds or more.",))
    if table is not None:
        across = fold_table_block(table, "Macro-F1", rotates=grid.rotates)
    return Section(
        "differences",
        "Which differences hold",
        "Differences",
        PROSE("differences_lead"),
        (across, _decisions_table(grid)),
    )


def _decisions_table(grid: Grid) -> Table:
    rows = tuple(
        (
            Cell(d.first),
            Cell(d.second),
            Cell(str(d.first_only)),
            Cell(str(d.second_only)),
            Cell(p_value(d.p)),
            Cell(p_value(d.p_holm), strong=d.p_holm <= 0.05),
        )
        for d in sorted(pooled_decisions(grid), key=lambda d: d.p_holm)
    )
    caption = PROSE("decisions_caption")
    columns = ("first", "second", "only first right", "only second right", "p", "p (Holm)")
    return Table(caption, columns, rows)


def _classes(grid: Grid, data: StudyData) -> Section:
    rows, quoted = [], _is_the_papers(data)
    for found in classes_table(grid, data.class_names).to_dict("records"):
        name, label = str(found["model"]), str(found["class"])
        cells = [Cell(name), Cell(label), Cell(str(found["support"]))]
        cells += [_spread(found[key], found[f"{key}_sd"]) for key in ("precision", "recall", "f1")]
        if quoted:
            printed = TABLE_5[label].get(name)
            cells.append(Cell(f"{printed}\u00a0%" if printed else "–"))
        rows.append(tuple(cells))
    columns = ["model", "class", "support", "precision", "recall", "F1"]
    columns += ["F1 in the paper"] if quoted else []
    lead = "Each class on its own, rare ones too" + (": table 5 of the paper." if quoted else ".")
    caption = "Mean and standard deviation over replicates."
    blocks = (Table(caption, tuple(columns), tuple(rows)),)
    return Section("classes", "Class by class", "Classes", lead, blocks)


def _ours(grid: Grid) -> dict[str, dict[str, float]]:
    """Our means beside the hybrid network's paper, by model."""
    rows = models_table(grid).rename(columns={f"{MARKER}_r": "r"}).to_dict("records")
    return {str(row["model"]): {key: float(row[key]) for key in OURS if key in row} for row in rows}


def _paper() -> Section:
    return Section(
        "paper",
        "Where the paper contradicts itself",
        "The paper",
        PROSE("paper_lead"),
        (Definitions(INCONSISTENCIES),),
    )


def table_files(grid: Grid, once: EveryCell | None, data: StudyData) -> dict[str, pd.DataFrame]:
    """The page's tables as data: 'models' (tested once: with intervals), 'classes', 'curves'."""
    return {
        "models": with_intervals(models_table(grid), once),
        "classes": classes_table(grid, data.class_names),
        "curves": curves_table(grid),
    }

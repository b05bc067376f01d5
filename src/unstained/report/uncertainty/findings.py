"""What a reader should know before trusting a model's doubts, computed from the tables."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from unstained.evaluation.uncertainty.results import Results, records
from unstained.evaluation.uncertainty.unknown_cells import CONTROL, KIND_WORDS
from unstained.evaluation.uncertainty.unknown_kinds import SCORES
from unstained.report.numbers import interval, listed, percent
from unstained.report.page import Finding
from unstained.report.study.findings import ORDER

MISSED: Final = 0.5
"""Fraction of a kind that passes unnoticed, above which a score does not guard against it."""

SLACK: Final = 0.1
"""How much rarer than promised intervals may hold the truth before it is said."""


def findings(results: Results) -> tuple[Finding, ...]:
    """Findings, worst first."""
    items = [
        *_origin(results),
        *_coverage(results),
        *_answers(results),
        *_strangers(results),
        *_composition(results),
        *_rare(results),
        *_scaling(results),
        *_labels(results),
    ]
    return tuple(sorted(items, key=lambda item: ORDER.index(item.tone)))


def _origin(results: Results) -> Iterator[Finding]:
    if results.simulated:
        yield Finding(
            "bad",
            "These are simulated cells",
            "They show that the method works on cells of known truth. How often a model errs, what "
            "it notices and what it misses on real cells is another question.",
        )
    if not results.apart:
        yield Finding(
            "bad",
            f"Training and test share {results.groups_word}",
            f"Everything here is for cells of {results.groups_word} that the models know; on new "
            "ones expect less.",
        )
    if results.caveat:
        text = results.caveat[0].upper() + results.caveat[1:] + "."
        yield Finding("caution", "Few groups", text)
    if results.untaught:
        names = listed(results.untaught)
        yield Finding(
            "neutral",
            "Some models have learnt nothing",
            f"The errors of {names} cannot be told from guessing ({percent(results.guessing)}). "
            "Their rows show what doubt looks like without knowledge.",
        )


def _coverage(results: Results) -> Iterator[Finding]:
    table = results.taught(results.coverage)
    short = table[(table["part"] == "group") & (table["verdict"] == "short")]
    promised = percent(float(table["promised"].iloc[0]))
    if not len(short):
        yield Finding(
            "good",
            "Sets keep their promise wherever it can be judged",
            f"In no {results.group_word} do the sets of any model hold the true class clearly less "
            f"often than in the {promised} of cells that were promised.",
        )
    else:
        own = short[short["model"] == results.best]
        worst = records((own if len(own) else short).sort_values("coverage"))[0]
        models = list(dict.fromkeys(short["model"]))
        groups = short["name"].nunique()
        word = results.groups_word if groups > 1 else results.group_word
        yield Finding(
            "bad" if len(own) else "caution",
            f"Sets cover {percent(worst['coverage'])} in {worst['name']}, where {promised} were "
            "promised",
            f"Sets of {worst['model']}, {worst['cells']} cells, interval "
            f"{interval(worst['coverage_low'], worst['coverage_high'])}. Clearly short: "
            f"{groups} {word}, for {len(models)} of {table['model'].nunique()} models: "
            f"{listed(models)}.",
        )
    by_class = table[(table["part"] == "class") & (table["verdict"] == "short")]
    if len(by_class):
        worst = records(by_class.sort_values("coverage"))[0]
        yield Finding(
            "caution",
            f"{worst['name']} is covered less than promised",
            f"{worst['model']}: {percent(worst['coverage'])} of its cells "
            f"({interval(worst['coverage_low'], worst['coverage_high'])}), {promised} were "
            f"promised; some class falls short for {by_class['model'].nunique()} of "
            f"{table['model'].nunique()} models.",
        )


def _answers(results: Results) -> Iterator[Finding]:
    wanted = results.params.target_risk
    risk, coverage = results.measure("risk"), results.measure("coverage")
    taught = set(results.taught(results.selective)["model"])
    over = [m for m in results.models if m in taught and risk[m]["low"] > wanted]
    row = risk[results.best]
    answered = percent(coverage[results.best]["value"])
    if results.best in over:
        yield Finding(
            "bad",
            f"{results.best} errs in {percent(row['value'])} of its answers, where "
            f"{percent(wanted)} was asked for",
            f"The threshold met the target on validation cells; on test cells it answers "
            f"{answered} of them and errs in {interval(row['low'], row['high'])}. A threshold that "
            "suits one set of cells need not suit the next.",
        )
    others = [model for model in over if model != results.best]
    if others:
        yield Finding(
            "caution",
            "A threshold from validation cells promises too much",
            f"Clearly more than {percent(wanted)} of the answered test cells are called wrong by "
            f"{listed(others)}.",
        )
    silent = results.measure("silent")
    mute = [m for m in results.models if silent[m]["value"] == results.replicas]
    if mute:
        yield Finding(
            "neutral",
            "Some models would not answer at all",
            f"At no threshold does any replicate of {listed(mute)} err in {percent(wanted)} of the "
            "validation cells or fewer.",
        )


def _strangers(results: Results) -> Iterator[Finding]:
    table = results.outliers
    control = results.taught(table)
    control = control[(control["kind"] == CONTROL) & (control["auroc_low"] > 0.5)]
    if len(control):
        worst = records(control.sort_values("auroc"))[-1]
        yield Finding(
            "caution",
            "Some scores notice how cells were made",
            f"Ordinary cells made like the strange ones are told from test cells by "
            f"{control['model'].nunique()} models, most by {worst['model']} ({worst['score']}, "
            f"AUROC {worst['auroc']:.2f}). What they notice beyond that is their own merit.",
        )
    kinds = table[(table["kind"] != CONTROL) & (table["model"] == results.best)]
    by_missed = records(kinds.sort_values(["missed", "score"]))
    best = {row["kind"]: row for row in reversed(by_missed)}  # the better score comes last
    missed = [best[kind] for kind in sorted(best) if best[kind]["missed"] > MISSED]
    for row in missed:
        yield Finding(
            "bad",
            f"{results.best} misses {percent(row['missed'])} of {KIND_WORDS[row['kind']]}",
            f"They pass where 95\u00a0% of ordinary cells pass, by the better of its two scores "
            f"({SCORES[row['score']]}). Such a cell gets a class and a confidence like any other.",
        )
    if not missed:
        worst = max(best.values(), key=lambda row: float(row["missed"]))
        yield Finding(
            "good",
            f"{results.best} notices every kind of strange cell more often than not",
            f"Hardest are {KIND_WORDS[worst['kind']]}: {percent(worst['missed'])} pass where "
            f"95\u00a0% of ordinary cells pass ({SCORES[worst['score']]}).",
        )
    if results.impure and any(results.impure):
        debris, doublets = (percent(share) for share in results.impure)
        yield Finding(
            "neutral",
            "The training cells are not pure",
            f"The simulator put {debris} debris and {doublets} doublets among the ordinary cells, "
            "as gates on a cytometer let some pass: a model may have learnt to call them cells.",
        )


def _composition(results: Results) -> Iterator[Finding]:
    rows = records(results.composition_summary)
    own = {row["method"]: row for row in rows if row["model"] == results.best}
    counted, corrected = own["counted"], own["corrected"]
    better = corrected["error"] < counted["error"]
    yield Finding(
        "good" if better else "caution",
        "Correct the composition, do not count" if better else "Correcting does not help here",
        f"{results.best} misses the true fraction of a class by "
        f"{100 * counted['error']:.1f} points on average when calls are counted and by "
        f"{100 * corrected['error']:.1f} after correction for prior shift.",
    )
    if corrected["held"] < results.confidence - SLACK:
        yield Finding(
            "caution",
            "Intervals of compositions are too narrow",
            f"For {results.best} they hold the truth in {percent(corrected['held'])} of the cases, "
            f"where {percent(results.confidence)} was promised.",
        )


def _rare(results: Results) -> Iterator[Finding]:
    own = results.rare[results.rare["model"] == results.best]
    wanted = results.params.precision
    for row in records(own[own["precision_high"] < wanted]):
        yield Finding(
            "caution",
            f"Calls of {row['class']} are less precise than asked for",
            f"{results.best} reaches {percent(row['precision'])} "
            f"({interval(row['precision_low'], row['precision_high'])}) on test cells at the "
            f"threshold that gave {percent(wanted)} on validation cells.",
        )
    fewest = records(own.sort_values("recall"))[0]
    yield Finding(
        "neutral",
        f"At {percent(wanted)} precision {fewest['class']} is hardest to find",
        f"{results.best} finds {percent(fewest['recall'])} of its {fewest['cells']} test cells "
        f"({interval(fewest['recall_low'], fewest['recall_high'])}).",
    )


def _scaling(results: Results) -> Iterator[Finding]:
    table = results.taught(results.calibration)
    table = table[table["measure"] == "nll"]
    worse = [str(model) for model in table.loc[table["low"] > 0, "model"]]
    if worse:
        yield Finding(
            "neutral",
            "Temperature scaling made some probabilities worse",
            f"The log loss on test cells rose clearly for {listed(worse)}: the temperature that "
            "suits validation cells does not suit new ones.",
        )


def _labels(results: Results) -> Iterator[Finding]:
    row = records(results.audits)[0]
    if not results.gates:
        yield Finding(
            "neutral",
            "No fluorescence to check labels against",
            f"Of {row['cells']:,} cells, {row['suspects']:,} labels are doubted by all models "
            "together, and nothing here can tell whether rightly: no marker of this study was "
            "recorded that stands for a class.",
        )
        return
    text = (
        f"Of {row['cells']:,} cells, {row['suspects']:,} labels are doubted by all models "
        f"together; fluorescence assigns {row['gated_suspects']:,} of these to one class"
    )
    if row["gated_suspects"]:
        text += (
            f" and disputes the label of {percent(row['disputed'])}, of all cells that it assigns "
            f"{percent(row['disputed_all'])}"
        )
    if results.simulated:
        text += ". Every simulated label is right, so all doubts here are false alarms"
    yield Finding("neutral", "Doubted labels are questions, not corrections", text + ".")

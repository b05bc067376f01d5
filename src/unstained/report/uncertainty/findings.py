"""What a reader should know before trusting a model's doubts, computed from the tables."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from unstained.evaluation.uncertainty.mixtures import over_mixtures
from unstained.evaluation.uncertainty.results import Results, Row, Shared, records
from unstained.evaluation.uncertainty.unknown_cells import CONTROL, KIND_WORDS
from unstained.evaluation.uncertainty.unknown_kinds import SCORES
from unstained.report.numbers import decimal, interval, listed, percent
from unstained.report.page import Finding, Tone
from unstained.report.prose import Prose
from unstained.report.study.findings import ORDER
from unstained.report.words import TOLERATED_GAP
from unstained.statistics.evidence import Evidence, evidence
from unstained.statistics.intervals import HALF_A_POINT

if TYPE_CHECKING:
    import pandas as pd

PROSE = Prose(__name__)

MISSED: Final = 0.5
"""Fraction of a kind that passes unnoticed, above which a score does not guard against it."""

SLACK: Final = 0.1
"""How much rarer than promised intervals may hold the truth before it is said."""


CORRECTION: Final[dict[Evidence, tuple[Tone, str]]] = {
    "shown": ("good", "Correct the composition, do not count"),
    "ruled out": ("caution", "Correcting the composition does not help here"),
    "undecided": ("neutral", "Whether correcting the composition helps cannot be told"),
}
"""Tone and title by what correction gains over counting."""


def findings(results: Results) -> tuple[Finding, ...]:
    """Findings, worst first."""
    items = [
        *origin(results),
        *_untaught(results),
        *_coverage(results),
        *_answers(results),
        *unknown_cells(results),
        *_composition(results),
        *_rare(results),
        *_scaling(results),
        *_labels(results),
    ]
    return tuple(sorted(items, key=lambda item: ORDER.index(item.tone)))


def origin(results: Shared) -> Iterator[Finding]:
    """Where the cells come from, and how sure intervals are."""
    if results.simulated:
        yield Finding(
            "bad",
            "These are simulated cells",
            PROSE("simulated"),
        )
    if not results.apart:
        yield Finding(
            "bad",
            f"Training and test share {results.groups_word}",
            PROSE("known_groups", groups_word=results.groups_word),
        )
    if results.caveat:
        text = results.caveat[0].upper() + results.caveat[1:] + "."
        yield Finding("caution", "Few groups", text)


def _untaught(results: Results) -> Iterator[Finding]:
    if results.untaught:
        names = listed(results.untaught)
        yield Finding(
            "neutral",
            "Some models have learnt nothing",
            PROSE("guessing", names=names, guessing=percent(results.guessing)),
        )


def _coverage(results: Results) -> Iterator[Finding]:
    table = results.taught(results.coverage)
    short = table[(table["part"] == "group") & (table["verdict"] == "short")]
    promised = percent(float(table["promised"].iloc[0]))
    if not len(short):
        yield _not_short(results, table[table["part"] == "group"])
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
            PROSE(
                "coverage_short",
                model=worst["model"],
                cells=worst["cells"],
                interval=interval(worst["coverage_low"], worst["coverage_high"]),
                groups=groups,
                word=word,
                short=len(models),
                models=table["model"].nunique(),
                names=listed(models),
            ),
        )
    by_class = table[(table["part"] == "class") & (table["verdict"] == "short")]
    if len(by_class):
        worst = records(by_class.sort_values("coverage"))[0]
        yield Finding(
            "caution",
            f"{worst['name']} is covered less than promised",
            PROSE(
                "coverage_class_short",
                model=worst["model"],
                coverage=percent(worst["coverage"]),
                interval=interval(worst["coverage_low"], worst["coverage_high"]),
                promised=promised,
                short=by_class["model"].nunique(),
                models=table["model"].nunique(),
            ),
        )


def _not_short(results: Results, groups: pd.DataFrame) -> Finding:
    """No group is shown to fall short; whether each keeps the promise, as its interval has it."""
    promised = float(groups["promised"].iloc[0])
    least = promised - TOLERATED_GAP
    loose = groups[~(groups["coverage_low"] >= least)]
    said = PROSE("coverage_kept", group_word=results.group_word, promised=percent(promised))
    if not len(loose):
        text = f"{said} {PROSE('coverage_held', least=percent(least))}"
        return Finding("good", "Sets keep their promise", text)
    more = PROSE(
        "coverage_untold",
        loose=loose["name"].nunique(),
        groups=groups["name"].nunique(),
        least=percent(least),
    )
    title = "Whether sets keep their promise everywhere cannot be told"
    return Finding("neutral", title, f"{said} {more}")


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
            PROSE("threshold_met", answered=answered, errors=interval(row["low"], row["high"])),
        )
    others = [model for model in over if model != results.best]
    if others:
        yield Finding(
            "caution",
            PROSE("threshold_title"),
            PROSE("threshold_missed", wanted=percent(wanted), others=listed(others)),
        )
    silent = results.measure("silent")
    mute = [m for m in results.models if silent[m]["value"] == results.replicas]
    if mute:
        yield Finding(
            "neutral",
            "Some models would not answer at all",
            PROSE("threshold_none", mute=listed(mute), wanted=percent(wanted)),
        )


def unknown_cells(results: Shared) -> Iterator[Finding]:
    """Whether the best model notices what is unlike the training cells."""
    table = results.outliers
    control = results.taught(table)
    control = control[(control["kind"] == CONTROL) & (control["auroc_low"] > 0.5)]
    if len(control):
        worst = records(control.sort_values("auroc"))[-1]
        yield Finding(
            "caution",
            "Some scores notice how cells were made",
            PROSE(
                "unknown_cells_control",
                models=control["model"].nunique(),
                model=worst["model"],
                score=worst["score"],
                auroc=f"{worst['auroc']:.2f}",
            ),
        )
    kinds = table[(table["kind"] != CONTROL) & (table["model"] == results.best)]
    by_missed = records(kinds.sort_values(["missed", "score"]))
    best = {row["kind"]: row for row in reversed(by_missed)}  # the better score comes last
    told = {
        kind: evidence(row["missed_low"], row["missed_high"], MISSED) for kind, row in best.items()
    }
    for kind in sorted(best):
        if told[kind] != "ruled out":
            yield _missed(results, best[kind], told[kind])
    if all(said == "ruled out" for said in told.values()):
        worst = max(best.values(), key=lambda row: float(row["missed"]))
        yield Finding(
            "good",
            PROSE("unknown_cells_title", best=results.best),
            PROSE(
                "unknown_cells_hardest", kinds=KIND_WORDS[worst["kind"]], passing=_passing(worst)
            ),
        )
    if results.impure and any(results.impure):
        debris, doublets = (percent(share) for share in results.impure)
        yield Finding(
            "neutral",
            "The training cells are not pure",
            PROSE("unknown_cells_in_training", debris=debris, doublets=doublets),
        )


def _missed(results: Shared, row: Row, told: Evidence) -> Finding:
    """A kind of which most cells pass, or of which that cannot be told."""
    model, what, passing = results.best, KIND_WORDS[row["kind"]], _passing(row)
    classes = bool(results.data.class_names)
    if told == "shown":
        title = f"{model} misses {percent(row['missed'])} of {what}"
        text = PROSE("unknown_cells_missed", passing=passing, classes=classes)
        return Finding("bad", title, text)
    title = f"Whether {model} misses most of {what} cannot be told"
    return Finding(
        "neutral", title, PROSE("unknown_cells_untold", passing=passing, classes=classes)
    )


def _passing(row: Row) -> str:
    return PROSE(
        "unknown_cells_passing",
        missed=percent(row["missed"]),
        interval=interval(row["missed_low"], row["missed_high"]),
        score=SCORES[row["score"]],
    )


def _composition(results: Results) -> Iterator[Finding]:
    rows = records(results.composition_summary)
    own = {row["method"]: row for row in rows if row["model"] == results.best}
    gain, held = over_mixtures(results.composition, results.best, results.confidence)
    tone, title = CORRECTION[evidence(gain.low, gain.high, HALF_A_POINT)]
    yield Finding(
        tone,
        title,
        PROSE(
            "composition_error",
            best=results.best,
            counted=f"{100 * own['counted']['error']:.1f}",
            corrected=f"{100 * own['corrected']['error']:.1f}",
            gain=decimal(100 * gain.value, 1),
            low=decimal(100 * gain.low, 1),
            high=decimal(100 * gain.high, 1),
        ),
    )
    short = evidence(results.confidence - held.high, results.confidence - held.low, SLACK)
    if short != "ruled out":
        undecided = short == "undecided"
        yield Finding(
            "neutral" if undecided else "caution",
            f"{'Whether intervals' if undecided else 'Intervals'} of compositions are too narrow"
            + (" cannot be told" if undecided else ""),
            PROSE(
                "composition_held",
                best=results.best,
                held=percent(held.value),
                interval="" if held.low != held.low else interval(held.low, min(held.high, 1.0)),
                confidence=percent(results.confidence),
            ),
        )


def _rare(results: Results) -> Iterator[Finding]:
    own = results.rare[results.rare["model"] == results.best]
    wanted = results.params.precision
    for row in records(own[own["precision_high"] < wanted]):
        yield Finding(
            "caution",
            f"Calls of {row['class']} are less precise than asked for",
            PROSE(
                "rare_precision",
                best=results.best,
                precision=percent(row["precision"]),
                interval=interval(row["precision_low"], row["precision_high"]),
                wanted=percent(wanted),
            ),
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
            PROSE("scaling", worse=listed(worse)),
        )


def _labels(results: Results) -> Iterator[Finding]:
    row = records(results.audits)[0]
    if not results.gates:
        yield Finding(
            "neutral",
            "No fluorescence to check labels against",
            PROSE(
                "labels_unchecked",
                cells=f"{row['cells']:,}",
                suspects=f"{row['suspects']:,}",
            ),
        )
        return
    text = PROSE(
        "labels_checked",
        cells=f"{row['cells']:,}",
        suspects=f"{row['suspects']:,}",
        gated=f"{row['gated_suspects']:,}",
        disputed=percent(row["disputed"]) if row["gated_suspects"] else "",
        disputed_all=percent(row["disputed_all"]),
        simulated=results.simulated,
    )
    yield Finding("neutral", "Doubted labels are questions, not corrections", text)

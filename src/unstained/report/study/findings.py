"""What a reader should know before trusting a number."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np

from unstained.data.audit.probes import in_words
from unstained.evaluation.beside_controls import yardstick
from unstained.evaluation.conformal import fewest_cells
from unstained.evaluation.controls import is_shortcut
from unstained.evaluation.results import Evaluation
from unstained.report.numbers import (
    CONTROL_WORDS,
    against_control,
    better,
    calibration_of,
    coverage_of,
    explained_by,
    percent,
)
from unstained.report.page import Finding, Tone
from unstained.report.prose import Prose
from unstained.report.study.bands import band_findings
from unstained.report.study.elsewhere import carried
from unstained.report.words import (
    better_sentence,
    better_title,
    calibration_sentence,
    calibration_title,
    coverage_sentence,
    coverage_verdict,
    flattery_title,
    found_words,
    loss_words,
    lost_title,
    missed_title,
    share_sentences,
)
from unstained.statistics.evidence import Evidence, evidence
from unstained.statistics.intervals import difference

PROSE = Prose(__name__)

TOLERATED_ERROR: Final = 0.1
"""Calibration error above which stated confidence misleads."""

NOTABLE: Final = 0.05
"""Difference in balanced accuracy that is worth a sentence."""

LOW_RECALL: Final = 0.5
"""Fraction of a class's cells above which most of them are missed."""

TONES: Final[dict[Evidence, Tone]] = {"shown": "caution", "undecided": "neutral"}
"""Of a fault that is shown, or that cannot be told."""

CALIBRATION_TONES: Final[dict[Evidence, Tone]] = {**TONES, "ruled out": "good"}

ORDER: Final[tuple[Tone, ...]] = ("bad", "caution", "neutral", "good")

AUDIT_TONES: Final[dict[str, Tone]] = {"failure": "bad", "warning": "caution", "ok": "good"}


def findings(evaluation: Evaluation) -> tuple[Finding, ...]:
    """What a reader should know before trusting a number, worst first."""
    items = [
        *_origin(evaluation),
        *_partition(evaluation),
        *_missing(evaluation),
        *_controls(evaluation),
        *_audit(evaluation),
    ]
    if evaluation.data.class_names:
        items += [*_probabilities(evaluation), *_classes(evaluation), *_external(evaluation)]
    items += [*_transfer(evaluation), *band_findings(evaluation)]
    return tuple(sorted(items, key=lambda item: ORDER.index(item.tone)))


def _origin(evaluation: Evaluation) -> Iterator[Finding]:
    if evaluation.simulated:
        yield Finding(
            "bad",
            "These are simulated cells",
            PROSE("simulated"),
        )
    if evaluation.data.classes:
        yield Finding(
            "neutral",
            PROSE("labels_title"),
            PROSE("labels"),
        )


def _missing(evaluation: Evaluation) -> Iterator[Finding]:
    """Tasks whose truth is not known of some test cells, or of all."""
    partly = []
    for task, parts in evaluation.missing.items():
        known = evaluation.best.test.scores.tasks[task].known
        if not known:
            yield Finding(
                "bad",
                f"Nothing is known of {task} in the test cells",
                "It was learnt, but no number here says how well.",
            )
        elif unknown := parts.get("test"):
            partly.append(PROSE("missing", task=task, known=f"{known:,}", unknown=f"{unknown:,}"))
    if partly:
        text = " ".join([*partly, PROSE("missing_reason")])
        yield Finding("neutral", "Not every truth of the test cells is known", text)


def _partition(evaluation: Evaluation) -> Iterator[Finding]:
    if evaluation.grouped and evaluation.data.group == "block":
        yield Finding(
            "caution",
            "Tested within recordings that the model knows",
            PROSE("blocks"),
        )
    elif evaluation.grouped:
        yield Finding(
            "good",
            "Tested on groups that were held out",
            PROSE("held_out", group_word=evaluation.group_word),
        )
    else:
        yield Finding(
            "bad",
            "Training and test share groups",
            PROSE("random_split", group_word=evaluation.group_word),
        )
    caveat = evaluation.resampled["test"].caveat
    if caveat:
        yield Finding("caution", "Few groups", caveat[0].upper() + caveat[1:] + ".")


def _controls(evaluation: Evaluation) -> Iterator[Finding]:
    measure = yardstick(evaluation.data)
    shares = []
    for control in evaluation.main_controls:
        if control.name == "majority":
            continue
        gain, words = against_control(evaluation, control), in_words(CONTROL_WORDS, control.name)
        shortcut = is_shortcut(control.name)
        if better(gain) != "shown":
            meaning = (
                "What the model has learnt may not be the cell."
                if shortcut
                else PROSE("simple_measurements")
            )
            text = better_sentence(
                gain, evaluation.best.name, words, evaluation.group_word, measure
            )
            tone: Tone = "bad" if shortcut else "caution"
            yield Finding(tone, better_title(gain, words), f"{text} {meaning}")
        elif shortcut and (share := explained_by(evaluation, control)).is_most != "ruled out":
            shares.append((share, words))
    if shares:
        told = share_sentences(shares)
        yield Finding("caution", "Much of the score may be had without shape", told)
    yield from _flattery(evaluation)


def _flattery(evaluation: Evaluation) -> Iterator[Finding]:
    """How much a random split would promise, judged by the hand-crafted features."""
    if not evaluation.data.class_names:
        return
    found = {
        control.split: control.scores.overall["balanced_accuracy"]
        for control in evaluation.controls
        if control.name == "features"
    }
    if len(found) < 2:
        return
    gap = difference(found["random"], found["grouped"])
    told = evidence(gap.low, gap.high, NOTABLE)
    if told != "ruled out":
        meaning = (
            PROSE("flattery_meaning") if told == "shown" else "The intervals are too wide to tell."
        )
        yield Finding(
            TONES[told],
            flattery_title(gap, NOTABLE),
            PROSE(
                "flattery",
                random=percent(found["random"].value),
                grouped=percent(found["grouped"].value),
                gap=loss_words(gap),
                meaning=meaning,
            ),
        )


def _probabilities(evaluation: Evaluation) -> Iterator[Finding]:
    best, alpha = evaluation.best, evaluation.params.conformal_alpha
    names = evaluation.data.class_names
    error, groups = calibration_of(evaluation, best)
    tone = CALIBRATION_TONES[evidence(error.low, error.high, TOLERATED_ERROR)]
    text = calibration_sentence(error, TOLERATED_ERROR, groups, evaluation.group_word)
    yield Finding(tone, calibration_title(error, TOLERATED_ERROR), text)
    few = [
        f"{name} ({count})"
        for name, count in zip(names, best.first.validation_cells, strict=True)
        if count < fewest_cells(alpha)
    ]
    if few:
        yield Finding(
            "caution",
            "Too few validation cells for a guarantee",
            PROSE("few_validation_cells", fewest_cells=fewest_cells(alpha), classes=", ".join(few)),
        )
    yield from _coverage(evaluation)


def _coverage(evaluation: Evaluation) -> Iterator[Finding]:
    """Whether sets of classes cover what was promised, of all test cells and class by class."""
    promise, word = 1 - evaluation.params.conformal_alpha, evaluation.group_word
    parts = coverage_of(evaluation, evaluation.best)
    told: dict[Evidence, list[str]] = {"shown": [], "undecided": [], "ruled out": []}
    for who, (found, groups) in parts.items():
        if not np.isnan(found.value):
            sentence = coverage_sentence(found, promise, groups, who, word)
            told[coverage_verdict(found, promise)].append(sentence)
    cause = PROSE("coverage_cause")
    titles: tuple[tuple[Evidence, Tone, str, str], ...] = (
        ("shown", "caution", "Sets of classes miss the truth too often", cause),
        ("undecided", "neutral", PROSE("coverage_undecided_title"), ""),
        ("ruled out", "good", "Sets of classes keep their promise", ""),
    )
    for key, tone, title, more in titles:
        if told[key]:
            yield Finding(tone, title, " ".join((*told[key], *filter(None, [more]))))


def _classes(evaluation: Evaluation) -> Iterator[Finding]:
    """Classes of which most cells are missed, and those of which that cannot be told."""
    told: dict[Evidence, list[str]] = {"shown": [], "undecided": []}
    for found in evaluation.best.test.scores.classes:
        missed = evidence(1 - found.recall.high, 1 - found.recall.low, LOW_RECALL)
        if missed in told and found.support:
            told[missed].append(found_words(found.name, found.recall))
    for key, listed in told.items():
        if listed:
            text = f"Of their own cells the best model finds: {', '.join(listed)}."
            yield Finding(TONES[key], missed_title(key), text)


def _external(evaluation: Evaluation) -> Iterator[Finding]:
    part = evaluation.best.parts.get("external")
    if part is None:
        return
    inside = {found.name: found.recall for found in evaluation.best.test.scores.classes}
    for found in part.scores.classes:
        if not found.support or np.isnan(inside[found.name].value):
            continue
        lost = difference(inside[found.name], found.recall)
        told = evidence(lost.low, lost.high, 2 * NOTABLE)
        if told != "ruled out":
            yield Finding(
                TONES[told],
                lost_title(found.name, lost, 2 * NOTABLE),
                PROSE(
                    "external",
                    recall=percent(found.recall.value),
                    cells=f"{found.support:,}",
                    inside=percent(inside[found.name].value),
                    lost=loss_words(lost),
                ),
            )


def _transfer(evaluation: Evaluation) -> Iterator[Finding]:
    """Values that external cells lose, told apart by how sure that is."""
    part = evaluation.best.parts.get("external")
    if part is None:
        return
    said: dict[Evidence, list[str]] = {}
    for told, words in carried(evaluation.best.test, part):
        said.setdefault(told, []).append(words)
    if "shown" in said:
        text = " ".join(said["shown"])
        yield Finding("caution", "Values do not carry over to external cells", text)


def _audit(evaluation: Evaluation) -> Iterator[Finding]:
    """Findings of the data audit; what it found in order is one line."""
    clean = []
    for found in evaluation.audit["findings"]:
        tone = AUDIT_TONES[found["severity"]]
        if tone == "good":
            clean.append(found["check"])
        else:
            yield Finding(tone, f"Data audit, {found['check']}", found["sentence"])
    if clean:
        yield Finding("good", "Data audit found nothing in", ", ".join(clean) + ".")

"""The answer to the study's question, in plain words with its evidence."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np

from unstained.data.audit.probes import in_words
from unstained.evaluation.results import ControlResult, Evaluation
from unstained.report.numbers import (
    CONTROL_WORDS,
    against_control,
    better,
    decimal,
    explained_by,
    percent,
    points,
    span,
    strongest_shortcut,
)
from unstained.report.page import Finding, Tile, Tone, Verdict
from unstained.report.prose import Prose
from unstained.report.study.by_task import judged_by_classes, task_verdict
from unstained.report.words import beyond_guessing, guessing_sentence, share_sentence
from unstained.statistics.evidence import Evidence
from unstained.statistics.intervals import Estimate
from unstained.statistics.paired import PairedResult
from unstained.wording import counted

PROSE = Prose(__name__)

DEGREES: Final = (
    (0.9, "Yes, almost always"),
    (0.6, "Yes, mostly"),
    (0.3, "In part"),
    (0.0, "Barely"),
)
"""Least fraction of the way from guessing to perfect, and how it is called."""

JUDGEMENT: Final[dict[Evidence, str]] = {
    "shown": "clearly better",
    "ruled out": "no better",
    "undecided": "not shown to be better",
}


def verdict(evaluation: Evaluation, findings: tuple[Finding, ...]) -> Verdict:
    """The answer in plain words, its evidence, and the key figures."""
    if not judged_by_classes(evaluation.data) or not evaluation.best.test.scores.confusion.sum():
        return task_verdict(evaluation)
    best, scores = evaluation.best, evaluation.best.test.scores
    balanced = scores.overall["balanced_accuracy"]
    chance = 1 / int((np.array([c.support for c in scores.classes]) > 0).sum())
    shortcut = strongest_shortcut(evaluation)
    beaten = against_control(evaluation, shortcut)
    reached = percent(balanced.value)
    if beyond_guessing(balanced, chance) != "shown":
        tone: Tone = "bad"
        groups = evaluation.resampled["test"].groups
        answer = guessing_sentence(balanced, chance, groups, evaluation.group_word)
    elif (told := better(beaten)) != "shown":
        tone = "bad"
        start, serves = ("No", "serve") if told == "ruled out" else ("Not shown", "may serve")
        answer = (
            f"{start}: {in_words(CONTROL_WORDS, shortcut.name)} {serves} as well "
            f"({percent(shortcut.scores.overall['balanced_accuracy'].value)}) as the best model "
            f"({reached})."
        )
    else:
        share = (balanced.value - chance) / (1 - chance)
        degree = next(word for least, word in DEGREES if share >= least)
        apart = evaluation.grouped and evaluation.data.group == "acquisition"
        distrusted = not apart or any(item.tone == "bad" for item in findings)
        tone = "caution" if distrusted or share < DEGREES[1][0] else "good"
        answer = PROSE("answer", degree=degree, reached=reached, chance=percent(chance))
    sentences = (
        _tested(evaluation, balanced),
        _beside_controls(evaluation, beaten, shortcut),
        *_markers(evaluation),
    )
    return Verdict(tone, answer, sentences, _tiles(evaluation, chance, shortcut, best.name))


def _tested(evaluation: Evaluation, balanced: Estimate) -> str:
    cells, groups = evaluation.best.test.scores.cells, evaluation.resampled["test"].groups
    of = evaluation.data.counted_groups(groups)
    where = (
        f"{counted(cells, 'cell')} from {of} that it never saw in training"
        + (", within recordings that it knows" if evaluation.data.group == "block" else "")
        if evaluation.grouped
        else f"{counted(cells, 'cell')} it never saw, but of {evaluation.group_word} that it knows"
    )
    return PROSE(
        "tested",
        name=evaluation.best.name,
        where=where,
        value=percent(balanced.value),
        confidence=percent(evaluation.params.confidence),
        balanced=span(balanced),
    )


def _beside_controls(evaluation: Evaluation, beaten: PairedResult, shortcut: ControlResult) -> str:
    features = evaluation.control("features")
    gain = against_control(evaluation, features)
    reached = percent(features.scores.overall["balanced_accuracy"].value)
    level = percent(shortcut.scores.overall["balanced_accuracy"].value)
    judgement = "worse" if gain.high < 0 else JUDGEMENT[better(gain)]
    words = in_words(CONTROL_WORDS, shortcut.name)
    share = share_sentence(explained_by(evaluation, shortcut), words)
    return PROSE(
        "beside_controls",
        level=level,
        words=words,
        beyond_control=points(beaten),
        share=share,
        reached=reached,
        judgement=judgement,
        beyond_features=points(gain),
    )


def _markers(evaluation: Evaluation) -> Iterator[str]:
    targets = evaluation.best.test.scores.targets
    if targets:
        listed = ", ".join(
            f"{found.name} with r = {decimal(found.r.value)} "
            f"({decimal(found.within_class_r.value)} within classes)"
            for found in targets
        )
        yield PROSE("stains", listed=listed)


def _tiles(
    evaluation: Evaluation, chance: float, shortcut: ControlResult, best: str
) -> tuple[Tile, ...]:
    overall = evaluation.best.test.scores.overall
    f1, balanced = overall["macro_f1"], overall["balanced_accuracy"]
    level = percent(evaluation.params.confidence)
    tiles = [
        Tile(
            "Right, averaged over classes",
            percent(balanced.value),
            f"{best}; {level} interval {span(balanced)}; guessing {percent(chance)}",
        ),
        Tile("Macro-F1", f"{f1.value:.2f}", f"{level} interval {f1.low:.2f} to {f1.high:.2f}"),
        Tile(
            "Best without seeing shape",
            percent(shortcut.scores.overall["balanced_accuracy"].value),
            f"{shortcut.name} control",
        ),
    ]
    targets = evaluation.best.test.scores.targets
    if targets:
        found = max(targets, key=lambda target: np.nan_to_num(target.r.value, nan=-1.0))
        tiles.append(
            Tile(
                f"Correlation with {found.name}",
                decimal(found.r.value),
                f"{decimal(found.within_class_r.value)} within classes",
            )
        )
    return tuple(tiles)

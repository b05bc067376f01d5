"""What a reader should know before believing a map, in words made from the numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np

from unstained.explain.activation import FEWEST_POINTS
from unstained.explain.results import Explained, better, worse
from unstained.report.numbers import decimal, listed, percent
from unstained.report.page import Finding, Tile, Tone, Verdict
from unstained.report.prose import Prose
from unstained.report.study.findings import ORDER
from unstained.statistics.intervals import HALF_A_POINT
from unstained.wording import counted

PROSE = Prose(__name__)

FAITHFUL: Final = ("insertion", "deletion")
"""Measures that ask the model whether a map is right."""

ALIKE: Final = 0.5
"""Rank correlation above which the maps of a shuffled network count as the same."""

EQUAL: Final = 1e-6
"""Relative difference above which class activation map and Grad-CAM count as different."""

CONTROL_WORDS: Final = {
    "random": "pixels in random order",
    "centre": "a circle around the middle",
    "intensity": "the contrast of the pixels themselves",
}


CONTROL_NAMES: Final = {"random": "random", "centre": "centre", "intensity": "contrast"}
"""Controls as headings."""


def verdict(found: Explained) -> Verdict | None:
    """How many networks' maps say more than maps that know nothing of the network."""
    every, sample = found.competing, found.sample
    if not every:
        return None
    good = [model for model in every if found.beats(model, FAITHFUL)]
    tone: Tone = "good" if len(good) == len(every) else "caution" if good else "bad"
    answer = (
        f"The maps of {listed(good)} beat every control."
        if good
        else PROSE("verdict_none", networks=len(every))
    )
    sentences = (PROSE("verdict_rule", least=HALF_A_POINT, confidence=percent(found.confidence)),)
    hardest = [found.hardest(model, measure) for model in every for measure in FAITHFUL]
    names = [name for name, _ in hardest]
    common, _ = min(hardest, key=lambda one: (-names.count(one[0]), one[1].value))
    groups = len(np.unique(sample.groups))
    tiles = (
        Tile("networks whose maps beat every control", f"{len(good)} of {len(every)}", ""),
        Tile("test cells", str(len(sample)), f"of {counted(groups, 'group')}"),
        Tile("hardest to beat", CONTROL_NAMES[common], CONTROL_WORDS[common]),
    )
    return Verdict(tone, answer, sentences, tiles)


def findings(found: Explained) -> tuple[Finding, ...]:
    """Findings, worst first."""
    items = [
        *_no_better(found),
        *_guessing(found),
        *_past_the_cell(found),
        *_agreement(found),
        *_shuffled(found),
        *_coarse(found),
        *_rough(found),
        *_left_out(found),
    ]
    return tuple(sorted(items, key=lambda item: ORDER.index(item.tone)))


def _no_better(found: Explained) -> Iterator[Finding]:
    every = found.competing
    for control, words in CONTROL_WORDS.items():
        failed = {
            measure: [name for name in every if not better(found.gain(name, measure, control))]
            for measure in FAITHFUL
        }
        either = [name for name in every if any(name in names for names in failed.values())]
        if not either:
            continue
        title = f"{_count(either, every)} no better than {words}"
        sentences = [
            f"By {measure}: {listed(names) if len(names) < len(every) else 'every network'}."
            for measure, names in failed.items()
            if names
        ]
        lost = [
            name
            for name in every
            if any(worse(found.gain(name, measure, control)) for measure in FAITHFUL)
        ]
        if lost:
            sentences.append(f"Clearly worse in one of them: {listed(lost)}.")
        yield Finding("bad", title, " ".join(sentences))


def _count(some: Sequence[str], every: Sequence[str]) -> str:
    if len(some) == 1:
        return f"The maps of {some[0]} are"
    return f"The maps of {len(some)} of {len(every)} networks are"


def _guessing(found: Explained) -> Iterator[Finding]:
    names = [name for name in found.competing if found.guesses(name)]
    if names:
        skill = listed([f"{name} {decimal(found.skill[name].value)}" for name in names])
        yield Finding(
            "bad",
            f"{listed(names)}: predictions that cannot be told from guessing",
            PROSE(
                "guessing",
                measure=_capital(found.asked.skill),
                skill=skill,
                chance=decimal(found.asked.guessing),
            ),
        )


def _capital(words: str) -> str:
    return words[:1].upper() + words[1:]


def _past_the_cell(found: Explained) -> Iterator[Finding]:
    names = [name for name in found.competing if not found.score(name, "lift").low > 1]
    if names:
        yield Finding(
            "caution",
            f"{_count(names, found.competing)} not clearly drawn to the cell",
            PROSE("past_the_cell", names=listed(names)),
        )


def _agreement(found: Explained) -> Iterator[Finding]:
    errors = {
        name: max(one.agreement.gradient, one.agreement.logit)
        for name, one in found.measured.items()
        if one.agreement is not None
    }
    off = [name for name, error in errors.items() if not error <= EQUAL]
    if off:
        yield Finding(
            "bad",
            f"The activation map of {listed(off)} is not its Grad-CAM",
            PROSE("maps_differ"),
        )
    elif errors:
        yield Finding(
            "good",
            "The served activation map is Grad-CAM",
            PROSE("maps_agree", networks=len(errors), largest=f"{max(errors.values()):.0e}"),
        )


def _shuffled(found: Explained) -> Iterator[Finding]:
    final = {
        name: found.mean(found.measured[name].cascade[-1].spearman).value
        for name in found.competing
    }
    names = [name for name, value in final.items() if value > ALIKE]
    if names:
        numbers = listed([f"{name} {decimal(final[name])}" for name in names])
        yield Finding(
            "caution",
            f"{_count(names, found.competing)} much the same after all weights are shuffled",
            PROSE("shuffled", numbers=numbers),
        )


def _coarse(found: Explained) -> Iterator[Finding]:
    grids = {name: found.measured[name].explainer.grid for name in found.competing}
    names = [name for name, grid in grids.items() if min(grid) < FEWEST_POINTS]
    if names:
        sizes = sorted({grids[name] for name in names})
        text = listed([f"{height} × {width}" for height, width in sizes])
        yield Finding(
            "caution",
            f"{_count(names, found.competing)} of {text} points: regions, not structures",
            PROSE("coarse", fewest=FEWEST_POINTS, names=listed(names)),
        )


def _rough(found: Explained) -> Iterator[Finding]:
    if found.resampling.caveat:
        text = found.resampling.caveat
        yield Finding("caution", "Intervals are rough", f"{text[:1].upper()}{text[1:]}.")
    empty = int((~found.sample.masks.any(axis=(1, 2))).sum())
    if empty:
        yield Finding(
            "neutral",
            f"{empty} of {len(found.sample)} cells have no mask",
            PROSE("rough", told=found.sample.told),
        )


def _left_out(found: Explained) -> Iterator[Finding]:
    if found.reasons:
        text = "; ".join(f"{name}: {reason}" for name, reason in found.reasons.items())
        yield Finding("neutral", "Not every model is measured here", f"Left out – {text}.")

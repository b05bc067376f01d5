"""Sentences that follow from intervals: shown, ruled out, or not to be told.

Each takes numbers and returns words; `statistics.evidence` is the rule behind all of them. No
sentence takes the absence of evidence for evidence of absence: where an interval holds both an
effect and none, it says that this cannot be told, and how many groups could tell.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Final

from unstained.report.numbers import interval, listed, percent, points
from unstained.report.prose import Prose
from unstained.statistics.evidence import Evidence, Share, evidence, groups_needed
from unstained.statistics.intervals import HALF_A_POINT, Estimate
from unstained.statistics.metric import Metric
from unstained.statistics.metrics import DECISION_METRICS
from unstained.statistics.paired import PairedResult

PROSE = Prose(__name__)

CHANNEL: Final = " in channel "
"""Before the name of the one channel that a control sees."""

FRACTIONS: Final = frozenset(DECISION_METRICS)
"""Metrics whose differences are said in points of a hundred."""

TOLERATED_GAP: Final = 0.05
"""Coverage below the promise that does not matter; also half the width of an interval that tells
whether a score exceeds another."""


def needed(groups: int, low: float, high: float, what: str) -> str:
    """How many groups would tell, where these do not; empty where more would not help."""
    if math.isnan(low):
        return PROSE("too_few_groups", groups=groups, what=what)
    if groups < 2:
        return PROSE("one_group", what=what)
    enough = groups_needed(groups, low, high, TOLERATED_GAP)
    if enough <= groups:
        return ""
    return PROSE("more_groups", groups=groups, what=what, enough=f"{enough:,}")


def share_sentence(share: Share, what: str) -> str:
    """How much of a model's excess over guessing a control explains."""
    if math.isnan(share.low):
        return PROSE("excess_not_shown", what=what)
    numbers = f"{percent(share.value)} (interval {interval(share.low, share.high)})"
    return PROSE("share_of_excess", told=share.is_most, what=what, numbers=numbers)


def share_sentences(shares: Sequence[tuple[Share, str]]) -> str:
    """The same of several controls; what holds of other channels too is not said in full again."""
    alike: dict[tuple[str, str], list[tuple[Share, str]]] = {}
    for share, what in shares:
        seen = what.partition(CHANNEL)[0]
        told = "nothing" if math.isnan(share.low) else share.is_most
        alike.setdefault((seen, told), []).append((share, what))
    return " ".join(" ".join(_of_channels(same)) for same in alike.values())


def _of_channels(shares: Sequence[tuple[Share, str]]) -> Iterator[str]:
    (first, what), *others = shares
    yield share_sentence(first, what)
    names = [what.partition(CHANNEL)[2] for _, what in others]
    if others and math.isnan(first.low):
        yield PROSE("same_of_channels", channels=listed(names))
    elif others:
        told = [
            f"{name} ({percent(share.value)}, interval {interval(share.low, share.high)})"
            for name, (share, _) in zip(names, others, strict=True)
        ]
        yield PROSE("same_of_channels", channels=listed(told))


def better_title(gain: PairedResult, what: str) -> str:
    """Whether a model is better than a control, in a few words."""
    return PROSE("better_title", told=evidence(gain.low, gain.high, HALF_A_POINT), what=what)


def better_sentence(
    gain: PairedResult, name: str, what: str, group_word: str, metric: Metric
) -> str:
    """What a model gains over a control, and whether that is told."""
    fraction = metric.name in FRACTIONS
    size = points(gain) if fraction else signed(gain)
    told = evidence(gain.low, gain.high, HALF_A_POINT)
    more = needed(gain.n_groups, gain.low, gain.high, group_word) if gain.n_groups else ""
    return PROSE("gain", name=name, what=what, metric=metric.words, size=size, told=told, more=more)


def signed(gain: PairedResult) -> str:
    """A gain as '+0.31 (+0.12 to +0.50)'."""
    value, low, high = (
        f"{part:+.2f}".replace("-", "−") for part in (gain.difference, gain.low, gain.high)
    )
    return f"{value} ({low} to {high})"


def beyond_guessing(score: Estimate, chance: float) -> Evidence:
    """Whether a score exceeds guessing."""
    return evidence(score.low, score.high, chance)


def guessing_sentence(score: Estimate, chance: float, groups: int, group_word: str) -> str:
    """A score that is not shown to exceed guessing."""
    return PROSE(
        "guessing",
        told=beyond_guessing(score, chance),
        reached=percent(score.value),
        guess=percent(chance),
        bounds=interval(score.low, score.high),
        more=needed(groups, score.low, score.high, group_word) if groups else "",
    )


def coverage_verdict(found: Estimate, promise: float) -> Evidence:
    """Whether sets miss the truth more often than promised.

    Returns:
        'shown' where the interval lies below the promise, 'ruled out' where they are short of it
        by `TOLERATED_GAP` at the most, else 'undecided'.
    """
    if evidence(promise - found.high, promise - found.low, 0.0) == "shown":
        return "shown"
    told = evidence(promise - found.high, promise - found.low, TOLERATED_GAP)
    return "ruled out" if told == "ruled out" else "undecided"


def coverage_sentence(found: Estimate, promise: float, groups: int, who: str, what: str) -> str:
    """What sets of classes cover, beside what was promised.

    Args:
        found: coverage with its interval over groups.
        promise: coverage that the sets are made for.
        groups: that the interval comes from.
        who: whose cells, e.g. 'test cells' or 'G1'.
        what: word for groups.
    """
    bounds = "" if math.isnan(found.low) else f" ({interval(found.low, found.high)})"
    return PROSE(
        "coverage",
        told=coverage_verdict(found, promise),
        share=f"{percent(found.value)}{bounds}",
        who=who,
        promise=percent(promise),
        more=needed(groups, found.low, found.high, what),
    )


def calibration_title(found: Estimate, limit: float) -> str:
    """Whether stated confidence can be believed, in a few words."""
    return PROSE("calibration_title", told=evidence(found.low, found.high, limit))


def calibration_sentence(found: Estimate, limit: float, groups: int, what: str) -> str:
    """How far stated confidence lies from the fraction right."""
    bounds = "" if math.isnan(found.low) else f" ({interval(found.low, found.high)})"
    return PROSE(
        "calibration",
        told=evidence(found.low, found.high, limit),
        error=f"{percent(found.value)}{bounds}",
        limit=percent(limit),
        more=needed(groups, found.low, found.high, what),
    )


def missed_title(told: Evidence) -> str:
    """Whether classes are mostly missed, in a few words; for those told alike."""
    return PROSE("missed_title", told=told)


def found_words(name: str, recall: Estimate) -> str:
    """'G1 45 % (30 to 60 %)'."""
    bounds = "" if math.isnan(recall.low) else f" ({interval(recall.low, recall.high)})"
    return f"{name} {percent(recall.value)}{bounds}"


def lost_title(name: str, lost: Estimate, limit: float) -> str:
    """Whether external cells of a class are found less often than test cells, in a few words."""
    return PROSE("lost_title", told=evidence(lost.low, lost.high, limit), name=name)


def flattery_title(gap: Estimate, limit: float) -> str:
    """Whether a random split would promise more, in a few words."""
    return PROSE("flattery_title", told=evidence(gap.low, gap.high, limit))


def loss_words(loss: Estimate) -> str:
    """A difference of fractions as 'a loss of 12 points (3 to 21)'; one below 0 is a gain."""
    name, sign = ("gain", -1) if round(100 * loss.value) < 0 else ("loss", 1)
    low, high = (_whole(end) for end in sorted((sign * loss.low, sign * loss.high)))
    value = _whole(abs(loss.value))
    told = f"a {name} of {value} {'point' if value == '1' else 'points'}"
    return told if math.isnan(loss.low) else f"{told} ({low} to {high})"


def _whole(fraction: float) -> str:
    return f"{100 * fraction:z.0f}".replace("-", "−")

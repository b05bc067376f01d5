"""What the audit found, in sentences that a biologist can act on.

A finding is a `failure` where results would mislead, a `warning` where they need care, `ok`
otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from unstained.data.audit.probes import in_words
from unstained.data.audit.shortcuts import MIN_GROUPS, ProbeResult
from unstained.statistics.evidence import groups_needed
from unstained.wording import counted

IMBALANCE: Final = 10.0
"""Ratio of the largest to the smallest class from which accuracy alone misleads."""

STRONG: Final = 0.2
"""Balanced accuracy above chance from which a background shortcut is a failure, not a warning, and
from which an open question is a warning."""

WORTH_KNOWING: Final = 0.05
"""Half the width of an interval that would settle whether a shortcut matters."""

WHAT: Final = {
    "background": "the corners of the image",
    "brightness": "brightness and contrast (mean, spread and percentiles of the counts)",
    "colour": "mean colour (of the corners and of the whole image)",
    "size": "the size of the crop",
}


@dataclass(frozen=True)
class Finding:
    """One sentence of the audit.

    Attributes:
        severity: 'ok', 'warning' or 'failure'.
        check: what was looked at, e.g. 'exact duplicates'.
        sentence: what was found and what follows.
        value: the number behind it.
        interval: its confidence interval, where it has one.
    """

    severity: Literal["ok", "warning", "failure"]
    check: str
    sentence: str
    value: float | None = None
    interval: tuple[float, float] | None = None


@dataclass(frozen=True)
class DuplicateCounts:
    """Pairs of duplicate cells: of each kind, and those that span labels, groups or parts."""

    exact: int
    near: int
    augmented: int
    across_labels: int
    across_groups: int
    across_external: int


def untrained_findings(classes: Sequence[str]) -> list[Finding]:
    """Classes that only external cells have: a model can answer them, and never learns to."""
    if not classes:
        return []
    text = (
        f"{', '.join(classes)}: all cells are external, so no model learns this. External cells of "
        "it count as wrong; scores of other cells are averages over the other classes."
    )
    return [Finding("warning", "classes of external cells alone", text, float(len(classes)))]


def balance_finding(cells: dict[str, int]) -> Finding:
    """Whether classes are of like size.

    Args:
        cells: cells a class, external ones left out.
    """
    largest, smallest = max(cells, key=cells.__getitem__), min(cells, key=cells.__getitem__)
    ratio = cells[largest] / max(cells[smallest], 1)
    share = cells[largest] / max(sum(cells.values()), 1)
    text = (
        f"The largest class, {largest}, has {counted(cells[largest], 'cell')}, the smallest, "
        f"{smallest}, {cells[smallest]:,}: always answering {largest} would be right for "
        f"{share:.0%} of cells."
    )
    if ratio < IMBALANCE:
        return Finding("ok", "class balance", text, ratio)
    text += " Judge models by macro-averaged scores and by the recall of the small class."
    return Finding("warning", "class balance", text, ratio)


def group_findings(
    groups: dict[str, int], acquisitions: dict[str, int], mixed: int
) -> list[Finding]:
    """Whether held-out groups can say anything.

    Args:
        groups: groups a class, external ones left out.
        acquisitions: acquisitions a class, external ones left out.
        mixed: groups that hold cells of several classes.
    """
    least = float(min(groups.values()))
    if least < MIN_GROUPS:
        text = (
            f"A grouped split is not possible: {_few(groups)}, and every class needs at least "
            f"{MIN_GROUPS}. Whether a model works on new cells is not identifiable from these data."
        )
        findings = [Finding("failure", "groups per class", text, least)]
    else:
        text = f"Every class has at least {least:.0f} groups, so whole groups can be held out."
        findings = [Finding("ok", "groups per class", text, least)]
    fewest = float(min(acquisitions.values()))
    if fewest < MIN_GROUPS and acquisitions != groups:
        text = (
            f"Groups are blocks of cells within few acquisitions ({_few(acquisitions)} "
            "acquisitions). Holding out blocks does not show whether a model works on another "
            "acquisition: whatever differs between these recordings can pass for the class."
        )
        findings.append(Finding("warning", "acquisitions per class", text, fewest))
    if mixed:
        hold = counted(mixed, "group holds", "groups hold")
        text = f"{hold} several classes, so classes can be compared within a group."
    else:
        text = (
            "Every group holds one class only: what differs between groups and what differs "
            "between classes can be told apart only by holding out whole groups."
        )
    findings.append(Finding("ok", "classes within groups", text, float(mixed)))
    return findings


def single_cell_findings(cells: dict[str, int], groups: dict[str, int]) -> list[Finding]:
    """Whether a grouped split is one by cell, because every group is a single cell.

    Args:
        cells: of each class, or all under ''; external ones left out.
        groups: likewise.
    """
    single = [label for label, count in cells.items() if 1 < count == groups[label]]
    if not single:
        return []
    every = len(single) == len(cells)
    where = "" if every else f" of {', '.join(single)}"
    count = sum(cells[label] for label in single)
    text = (
        f"Every group{where} is a single cell ({counted(count, 'group')}), so there the "
        "grouped split is a split by cell: cells of one sample, slide or person may lie on both "
        "sides of it, and scores do not show what a model does on new ones. Name what belongs "
        "together: one directory a sample, or studies.<study>.data.table.acquisition."
    )
    return [Finding("warning", "groups of one cell", text, float(count))]


def _few(numbers: dict[str, int]) -> str:
    return ", ".join(f"{label} has {n}" for label, n in numbers.items() if n < MIN_GROUPS)


def duplicate_findings(counts: DuplicateCounts) -> list[Finding]:
    """What copies of cells mean."""
    return [
        _pairs(
            ("warning", "exact duplicates", counts.exact),
            "with identical pixels. The split keeps copies together; find out why they exist.",
            "No two cells have the same pixels.",
        ),
        _pairs(
            ("warning", "near-duplicates", counts.near),
            "that differ by little more than gain or rounding. The split keeps them together.",
            "No two cells are nearly the same.",
        ),
        _pairs(
            ("warning", "augmented copies", counts.augmented),
            "of which one is a turned, mirrored, shifted, cropped or recoloured copy of the other. "
            "The split keeps them together.",
            "No cell is a turned, mirrored, shifted, cropped or recoloured copy of another.",
        ),
        _pairs(
            ("failure", "conflicting labels", counts.across_labels),
            "that are duplicates but carry different labels: at least one label of each is wrong.",
            "No duplicate cells carry different labels.",
        ),
        _pairs(
            ("warning", "group overlap", counts.across_groups),
            "that are duplicates but lie in different groups. The grouped split holds such groups "
            "together; a split by group name alone would leak.",
            "No duplicate cells lie in different groups.",
        ),
        _pairs(
            ("failure", "external overlap", counts.across_external),
            "that are duplicates, one in the external test set and one not: the external test set "
            "is not independent.",
            "No external cell is a duplicate of another cell.",
        ),
    ]


def _pairs(what: tuple[Literal["warning", "failure"], str, int], found: str, none: str) -> Finding:
    severity, check, number = what
    if number == 0:
        return Finding("ok", check, none, 0.0)
    text = f"{counted(number, 'pair')} of cells {found}"
    return Finding(severity, check, text, float(number))


def shortcut_findings(
    results: Sequence[ProbeResult],
    constant: Sequence[str],
    levels: dict[str, float],
    confidence: float,
) -> list[Finding]:
    """What the probes of the shortcut audit mean.

    Args:
        results: both schemes of every probe.
        constant: probes whose statistics are the same for every cell.
        levels: mean background of each class, in counts.
        confidence: of the intervals.
    """
    grouped = {result.probe: result for result in results if result.scheme == "grouped"}
    random = {result.probe: result for result in results if result.scheme == "random"}
    findings = []
    for probe, result in grouped.items():
        check = f"shortcut: {probe}"
        if probe in constant:
            text = f"Every cell is alike in {in_words(WHAT, probe)}: it cannot tell the class."
            findings.append(Finding("ok", check, text, result.balanced_accuracy))
        elif result.balanced_accuracy is None:
            text = (
                f"Whether {in_words(WHAT, probe)} alone tells the class is not identifiable: a "
                f"class has fewer than {MIN_GROUPS} groups, so class and acquisition cannot be "
                "told apart."
            )
            findings.append(Finding("failure", check, text))
        else:
            meaning = _meaning(result, levels)
            findings.append(_grouped_finding(result, check, meaning, confidence))
            findings.append(_leak_finding(random[probe], result))
    return findings


def _grouped_finding(result: ProbeResult, check: str, meaning: str, confidence: float) -> Finding:
    reached, low, high = result.balanced_accuracy or 0.0, result.low or 0.0, result.high or 0.0
    numbers = (
        f"balanced accuracy {reached:.2f} ({confidence:.0%} interval {low:.2f} to {high:.2f}) in "
        f"groups it was not trained on; chance is {result.chance:.2f}"
    )
    what = in_words(WHAT, result.probe)
    if result.verdict == "none found":
        text = f"A classifier that sees only {what} does not tell the class: {numbers}."
        return Finding("ok", check, text, reached, (low, high))
    if result.verdict == "undecided":
        text = (
            f"Whether {what} alone tells the class cannot be told: {numbers}. "
            f"{_missing(result, low, high)}"
        )
        open_to_much = high > result.chance + STRONG
        return Finding("warning" if open_to_much else "ok", check, text, reached, (low, high))
    strong = result.probe == "background" and reached >= result.chance + STRONG
    text = f"A classifier that sees only {what} tells the class: {numbers}. {meaning}"
    return Finding("failure" if strong else "warning", check, text, reached, (low, high))


def _missing(result: ProbeResult, low: float, high: float) -> str:
    """What would settle a question that the data leave open."""
    needed = groups_needed(result.groups, low, high, WORTH_KNOWING)
    if needed == result.groups:
        return "Chance alone would reach as much too often; add groups."
    return (
        f"The interval is that wide because there are {result.groups} groups; about {needed:,} "
        f"would narrow it to {WORTH_KNOWING:.2f} either way."
    )


def _meaning(result: ProbeResult, levels: dict[str, float]) -> str:
    """What it means that a probe tells the class."""
    if result.probe == "background":
        listed = ", ".join(f"{label} {level:.1f}" for label, level in levels.items())
        return (
            "No cell lies in the corners, so the classes were lit, focused or recorded "
            f"differently (mean background in counts: {listed}), and a good score on these data "
            "need not be biology. Dividing by the background, as the models do, removes lamp "
            "brightness but neither gradients nor noise. Record the classes alike, or several "
            "classes in each acquisition."
        )
    if not result.probe.startswith("size"):
        return (
            f"{_brightness_cause(result)} A model has learnt morphology only as far "
            "as it exceeds this score."
        )
    return (
        "Crops are cut around cells, so this is cell size, or how cells were gated and cut out. It "
        "may be true biology, yet a model has learnt more than size only as far as it exceeds "
        "this score."
    )


def _brightness_cause(result: ProbeResult) -> str:
    """Lighting or the cells: by the share that the background explains, and its interval."""
    cells = "the cells themselves: their size, density or absorption"
    share = result.explained
    if share is None:
        return f"There is no background to compare with, so the cause may be lighting or {cells}."
    numbers = (
        f"of what it reaches above chance the background reaches {share.value:.0%} (interval "
        f"{share.low:.0%} to {share.high:.0%})"
    )
    if share.is_most == "shown":
        return f"Lighting explains most of it: {numbers}."
    if share.is_most == "ruled out":
        return f"Less than half of it is lighting ({numbers}), so most comes from {cells}."
    return f"Whether this comes from lighting or from {cells}, cannot be told: {numbers}."


def _leak_finding(random: ProbeResult, grouped: ProbeResult) -> Finding:
    difference, low, high = random.gain or (0.0, 0.0, 0.0)
    check = f"random split: {random.probe}"
    numbers = (
        f"With {in_words(WHAT, random.probe)} alone, a random split gives "
        f"{random.balanced_accuracy:.2f} and held-out groups {grouped.balanced_accuracy:.2f} "
        f"(difference {difference:+.2f}, interval {low:+.2f} to {high:+.2f})"
    )
    if random.verdict == "none found":
        text = f"{numbers}: a random split hardly flatters this probe."
        return Finding("ok", check, text, difference, (low, high))
    if random.verdict == "undecided":
        text = f"{numbers}: whether a random split flatters this probe cannot be told."
        return Finding("ok", check, text, difference, (low, high))
    text = (
        f"{numbers}: cells of one group recognise each other. Scores under a random split "
        "overstate what a model does on a new acquisition; judge by the grouped split."
    )
    return Finding("warning", check, text, difference, (low, high))

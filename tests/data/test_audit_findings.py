"""Findings: severity follows the numbers, sentences hold them."""

from __future__ import annotations

import pytest

from unstained.data.audit.findings import (
    DuplicateCounts,
    balance_finding,
    duplicate_findings,
    group_findings,
    shortcut_findings,
)
from unstained.data.audit.per_channel import one_of_channels
from unstained.data.audit.shortcuts import ProbeResult
from unstained.statistics.evidence import Share


def grouped(probe: str, reached: float, verdict: str) -> ProbeResult:
    return ProbeResult(probe, "grouped", reached, reached - 0.1, reached + 0.1, 0.25, 0.01, verdict)


def random(probe: str, reached: float, verdict: str) -> ProbeResult:
    numbers = (reached, reached - 0.1, reached + 0.1, 0.25, None)
    return ProbeResult(probe, "random", *numbers, verdict, groups=9, gain=(0.3, 0.2, 0.4))


@pytest.mark.parametrize(("rare", "severity"), [(11, "ok"), (10, "warning"), (1, "warning")])
def test_balance(rare: int, severity: str) -> None:
    found = balance_finding({"x": 100, "y": rare, "z": 50})
    assert found.severity == severity
    assert f"{rare:,}" in found.sentence
    assert found.value == 100 / rare


def test_groups() -> None:
    enough = group_findings({"x": 3, "y": 9}, {"x": 3, "y": 9}, mixed=0)
    assert [item.severity for item in enough] == ["ok", "ok"]
    few = group_findings({"x": 2, "y": 9}, {"x": 2, "y": 9}, mixed=4)
    assert [item.severity for item in few] == ["failure", "ok"]
    assert "x has 2" in few[0].sentence
    assert "y has" not in few[0].sentence
    assert "4 groups hold several classes" in few[1].sentence


def test_number_of_pairs_decides_and_is_told() -> None:
    none = duplicate_findings(DuplicateCounts(0, 0, 0, 0, 0, 0))
    assert {item.severity for item in none} == {"ok"}
    some = duplicate_findings(DuplicateCounts(1, 2, 6, 3, 4, 5))
    assert [item.severity for item in some] == [
        *("warning", "warning", "warning", "failure", "warning", "failure")
    ]
    assert some[0].sentence.startswith("1 pair of cells ")
    assert [item.sentence.split()[0] for item in some[1:]] == ["2", "6", "3", "4", "5"]


@pytest.mark.parametrize(
    ("reached", "verdict", "severity"),
    [
        (0.3, "none found", "ok"),
        (0.3, "undecided", "ok"),  # 0.4 at the most
        (0.36, "undecided", "warning"),  # 0.46 is not ruled out
        (0.4, "shortcut", "warning"),
        (0.6, "shortcut", "failure"),
    ],
)
def test_background(reached: float, verdict: str, severity: str) -> None:
    results = [grouped("background", reached, verdict), random("background", 0.9, "leak")]
    shortcut, leak = shortcut_findings(results, [], {"x": 101.0, "y": 152.0}, 0.9)
    assert shortcut.severity == severity
    assert f"balanced accuracy {reached:.2f} (90% interval" in shortcut.sentence
    assert ("x 101.0, y 152.0" in shortcut.sentence) == (verdict == "shortcut")
    assert shortcut.interval == pytest.approx((reached - 0.1, reached + 0.1))
    assert leak.severity == "warning"
    assert leak.value == pytest.approx(0.3)


CELLS = "the cells themselves: their size, density or absorption"


@pytest.mark.parametrize(
    ("verdict", "share", "says", "never"),
    [
        ("none found", None, "does not tell the class: balanced accuracy 0.57", "cannot be told"),
        ("undecided", None, "alone tells the class cannot be told", "does not tell"),
        ("shortcut", None, "There is no background to compare with", "most comes from"),
        ("shortcut", Share(0.83, 0.6, 1.1), "Lighting explains most of it", "most comes from"),
        ("shortcut", Share(0.83, 0.3, 1.6), f"from lighting or from {CELLS}", "most comes"),
        ("shortcut", Share(0.5, 0.2, 0.9), "cannot be told: of what it reaches", "most comes"),
        ("shortcut", Share(0.1, -0.2, 0.4), f"so most comes from {CELLS}", "cannot be told"),
        ("shortcut", Share(0.0, -0.3, 0.6), "cannot be told", "most comes from"),
        ("shortcut", Share(1.2, 0.9, 1.5), "reaches 120% (interval 90% to 150%)", "the cells"),
    ],
)
def test_words_on_brightness_follow_from_intervals(
    verdict: str, share: Share | None, says: str, never: str
) -> None:
    """Hand-made cases: what is said, and what must not be."""
    reached = ProbeResult(
        *("brightness", "grouped", 0.57, 0.29, 0.78, 1 / 3, 0.075, verdict),
        groups=3,
        explained=share,
    )
    results = [
        *(grouped("background", 0.4, "undecided"), random("background", 0.4, "undecided")),
        *(reached, random("brightness", 0.8, "undecided")),
    ]
    found = {item.check: item for item in shortcut_findings(results, [], {}, 0.95)}
    sentence = found["shortcut: brightness"].sentence
    assert says in sentence
    assert never not in sentence
    assert found["random split: brightness"].severity == "ok"
    assert "cannot be told" in found["random split: brightness"].sentence


def test_channels_that_tell_alike_are_one_finding() -> None:
    """The channel that reaches most speaks; another verdict stays by itself."""
    reached = {"brightness_Left": 0.7, "brightness_Right": 0.72, "brightness_Top": 0.3}
    verdicts = {0.3: "none found"}
    results = [grouped("background", 0.4, "undecided"), random("background", 0.4, "undecided")]
    for probe, value in reached.items():
        verdict = verdicts.get(value, "shortcut")
        results += [grouped(probe, value, verdict), random(probe, 0.8, "undecided")]
    found = one_of_channels(shortcut_findings(results, [], {}, 0.95), results)
    assert [item.check for item in found] == [
        "shortcut: background", "random split: background", "shortcut: brightness_Right",
        "random split: brightness_Left", "shortcut: brightness_Top",
    ]  # fmt: skip
    assert "in channel Right tells the class: balanced accuracy 0.72" in found[2].sentence
    assert found[2].sentence.endswith(" The other channels: Left 0.70 (0.60 to 0.80).")
    assert "Differences in other channels: Right 0.30 (0.20 to 0.40)" in found[3].sentence
    assert "in channel Top does not tell the class" in found[4].sentence


def test_too_few_groups_are_told_with_the_number_that_would_do() -> None:
    """Twelve cells in blocks of four: 0.57 (0.29 to 0.78) tells neither one thing nor the other."""
    twelve = ProbeResult(
        "background", "grouped", 0.57, 0.29, 0.78, 1 / 3, 0.075, "undecided", groups=3
    )
    results = [twelve, random("background", 0.6, "undecided")]
    levels = {"a": 101.0, "b": 152.0, "c": 101.0}
    shortcut, _ = shortcut_findings(results, [], levels, 0.95)
    assert shortcut.severity == "warning"
    assert "0.57 (95% interval 0.29 to 0.78)" in shortcut.sentence
    assert "there are 3 groups; about 73 would narrow it to 0.05 either way" in shortcut.sentence

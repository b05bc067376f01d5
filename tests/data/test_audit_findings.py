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
from unstained.data.audit.shortcuts import ProbeResult


def grouped(probe: str, reached: float, verdict: str) -> ProbeResult:
    return ProbeResult(probe, "grouped", reached, reached - 0.1, reached + 0.1, 0.25, 0.01, verdict)


def random(probe: str, reached: float, verdict: str) -> ProbeResult:
    return ProbeResult(probe, "random", reached, reached - 0.1, reached + 0.1, 0.25, None, verdict)


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
    none = duplicate_findings(DuplicateCounts(0, 0, 0, 0, 0))
    assert {item.severity for item in none} == {"ok"}
    some = duplicate_findings(DuplicateCounts(1, 2, 3, 4, 5))
    assert [item.severity for item in some] == [
        *("warning", "warning", "failure", "warning", "failure")
    ]
    assert some[0].sentence.startswith("1 pair of cells ")
    assert [item.sentence.split()[0] for item in some[1:]] == ["2", "3", "4", "5"]


@pytest.mark.parametrize(
    ("reached", "verdict", "severity"),
    [(0.3, "none found", "ok"), (0.4, "shortcut", "warning"), (0.6, "shortcut", "failure")],
)
def test_background(reached: float, verdict: str, severity: str) -> None:
    results = [grouped("background", reached, verdict), random("background", 0.9, "leak")]
    shortcut, leak = shortcut_findings(results, [], {"x": 101.0, "y": 152.0}, 0.9)
    assert shortcut.severity == severity
    assert f"balanced accuracy {reached:.2f} (90% interval" in shortcut.sentence
    assert ("x 101.0, y 152.0" in shortcut.sentence) == (verdict == "shortcut")
    assert shortcut.interval == pytest.approx((reached - 0.1, reached + 0.1))
    assert leak.severity == "warning"
    assert leak.value == pytest.approx(0.9 - reached)


@pytest.mark.parametrize(
    ("background", "text"),
    [
        (grouped("background", 0.3, "none found"), "The background does not tell the class"),
        (grouped("background", 0.75, "shortcut"), "lighting is the likelier cause"),
        (grouped("background", 0.4, "shortcut"), "The background alone reaches only 0.40"),
    ],
)
def test_cause_of_brightness(background: ProbeResult, text: str) -> None:
    results = [
        background,
        random("background", 0.4, "none found"),
        grouped("brightness", 0.8, "shortcut"),
        random("brightness", 0.8, "none found"),
    ]
    found = {item.check: item for item in shortcut_findings(results, [], {}, 0.95)}
    assert text in found["shortcut: brightness"].sentence
    assert found["shortcut: brightness"].severity == "warning"
    assert found["random split: brightness"].severity == "ok"

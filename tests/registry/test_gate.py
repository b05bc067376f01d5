"""The gate: every condition alone, the choice of the challenger, and its sentences."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.leaderboards import leaderboard, paired
from unstained.config.promote import PromoteParams
from unstained.errors import RegistryError
from unstained.registry.gate import Decision, choose_challenger, decide, one_sided
from unstained.registry.standings import find_test

LIMITS = PromoteParams(
    mode="enforce",
    alpha=0.05,
    max_ece=0.1,
    min_class_recall=0.6,
    max_latency_ms=50,
    beats_mean=True,
)


def decision(*versions: dict[str, Any], champion: int | None = 1, **changes: Any) -> Decision:
    """Decide about version 2 against version 1, with changed entries or tests."""
    table = leaderboard(*(versions or ({"version": 1}, {"version": 2, "value": 0.9})), **changes)
    return decide(table, [2], champion, LIMITS, {})


def failed(found: Decision) -> list[str]:
    return [criterion.name for criterion in found.criteria if not criterion.passed]


def test_a_better_challenger_passes() -> None:
    found = decision(tests=[paired(2, 1, 0.05, p=0.02)])
    assert found.passed
    assert found.sentence.startswith("v2 (m) is champion in place of v1: its macro F1 is 0.0500")
    assert "one-sided p = 0.01" in found.sentence


def test_the_first_version_needs_no_comparison_but_all_the_rest() -> None:
    assert decision({"version": 2}, champion=None).passed
    assert failed(decision({"version": 2, "ece": 0.11}, champion=None)) == ["calibrated"]
    assert decision({"version": 2}, champion=None).sentence == (
        "v2 (m) is champion: best of the new versions on the validation cells, "
        "no champion before, gate passed"
    )


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"ece": 0.11}, "calibrated"),
        ({"parity_passed": False}, "parity"),
        ({"recalls": {"a": 0.9, "b": 0.59}}, "rare class"),
        ({"recalls": {"a": 0.9, "b": None}}, "rare class"),
        ({"latency_ms": 51.0}, "latency"),
        ({"latency_ms": float("nan")}, "latency"),
    ],
)
def test_every_limit_refuses_alone(change: dict[str, Any], name: str) -> None:
    better = [paired(2, 1, 0.05, p=0.02)]
    found = decision({"version": 1}, {"version": 2, **change}, tests=better)
    assert failed(found) == [name]
    assert not found.passed
    assert found.sentence.startswith("v1 stays champion: v2 (m) was refused, because ")


@pytest.mark.parametrize(
    ("change", "at_limit"),
    [("ece", 0.1), ("latency_ms", 50.0), ("recalls", {"a": 0.6, "b": 0.6})],
)
def test_limits_themselves_pass(change: str, at_limit: Any) -> None:
    better = [paired(2, 1, 0.05, p=0.02)]
    assert decision({"version": 1}, {"version": 2, change: at_limit}, tests=better).passed


@pytest.mark.parametrize(
    ("difference", "p", "passes"),
    [
        (0.05, 0.098, True),
        (0.05, 0.1, False),
        (-0.05, 0.001, False),
        (0.0, 1.0, False),
    ],
)
def test_only_a_significantly_positive_difference_passes(
    difference: float, p: float, passes: bool
) -> None:
    found = decision(tests=[paired(2, 1, difference, p=p)])
    assert found.passed is passes
    assert ("better" in failed(found)) is not passes


def test_one_sided_p_is_half_the_two_sided_one() -> None:
    """Against all 2^8 sign flips of eight paired differences."""
    values = np.random.default_rng(1).normal(0.5, 1, 8)
    signs = 1 - 2 * ((np.arange(256)[:, None] >> np.arange(8)) & 1)
    means = (signs * values).mean(1)
    two_sided = float((np.abs(means) >= abs(values.mean()) - 1e-12).mean())
    greater = float((means >= values.mean() - 1e-12).mean())
    test = paired(2, 1, float(values.mean()), p=two_sided)
    assert one_sided(test, better=values.mean() > 0) == pytest.approx(greater)


def test_too_few_groups_are_named_as_the_reason() -> None:
    found = decision(tests=[paired(2, 1, 0.05, p=0.125, p_floor=0.125, n_groups=4)])
    assert "4 groups" in found.sentence
    assert "add acquisitions" in found.sentence


def test_champion_on_other_cells_refuses_with_the_reason() -> None:
    other = [{"version": 1, "model": "m", "aliases": ["champion"], "reason": "other test cells"}]
    found = decision({"version": 2}, not_comparable=other)
    assert failed(found) == ["better"]
    assert "champion v1 cannot be compared: other test cells" in found.sentence


def test_champion_that_the_leaderboard_does_not_know_is_an_error() -> None:
    with pytest.raises(RegistryError, match="became champion after"):
        decide(leaderboard({"version": 2}), [2], 7, LIMITS, {})


def test_challenger_is_chosen_on_validation_cells_not_on_test_cells() -> None:
    table = leaderboard(
        {"version": 1},
        {"version": 2, "value": 0.99, "validation": 0.7},
        {"version": 3, "value": 0.60, "validation": 0.8},
        {"version": 4, "value": 0.60, "validation": 0.8},
    )
    assert choose_challenger(table, [2, 3, 4])["version"] == 3
    with pytest.raises(RegistryError, match="lacks version 9"):
        choose_challenger(table, [2, 9])


def test_champion_that_is_still_the_best_stays_without_a_test() -> None:
    found = decide(leaderboard({"version": 2}), [2], 2, LIMITS, {})
    assert found.is_champion
    assert not found.passed
    assert "stays champion" in found.sentence


def test_a_version_that_was_rolled_back_is_not_promoted_again() -> None:
    table = leaderboard({"version": 1}, {"version": 2}, tests=[paired(2, 1, 0.05, p=0.02)])
    found = decide(table, [2], 1, LIMITS, {2: "wrong on Tuesday's donors"})
    assert failed(found) == ["not withdrawn"]
    assert "wrong on Tuesday's donors" in found.sentence


def test_a_test_can_be_read_both_ways() -> None:
    table = leaderboard(
        {"version": 1}, {"version": 2}, tests=[paired(1, 2, -0.05, low=-0.1, high=0.02)]
    )
    turned = find_test(table, 2, 1)
    assert turned is not None
    assert (turned["difference"], turned["low"], turned["high"]) == (0.05, -0.02, 0.1)
    assert find_test(table, 1, 3) is None

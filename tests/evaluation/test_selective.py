"""Risk-coverage curve and abstention, against counting cell by cell."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unstained.evaluation import selective
from unstained.statistics.intervals import resample_groups

SEEDS = st.integers(0, 2**31)


def cells(seed: int, count: int = 60, levels: int = 12) -> tuple[np.ndarray, np.ndarray]:
    """Confidence with ties, and errors that are commoner where it is low."""
    rng = np.random.default_rng(seed)
    confidence = rng.integers(1, levels + 1, count) / levels
    return confidence, rng.random(count) > confidence


def naive_area(confidence: np.ndarray, wrong: np.ndarray, copies: int) -> float:
    """Mean selective risk after each of copies * N cells, errors spread evenly over each tie."""
    total, failed, risks = 0.0, 0.0, []
    for value in sorted(set(confidence), reverse=True):
        tied = np.repeat(wrong[confidence == value], copies)
        rate = tied.mean()
        for _ in tied:
            total, failed = total + 1, failed + rate
            risks.append(failed / total)
    return float(np.mean(risks))


@settings(max_examples=25, deadline=None)
@given(SEEDS)
def test_area_is_the_mean_risk_of_many_copies(seed: int) -> None:
    confidence, wrong = cells(seed)
    found = float(selective.aurc(confidence, wrong)[0])
    assert found == pytest.approx(naive_area(confidence, wrong, 200), abs=1e-3)
    assert abs(found - naive_area(confidence, wrong, 1)) <= (1 + np.log(60)) / 60


@settings(max_examples=60, deadline=None)
@given(SEEDS)
def test_area_depends_on_the_order_of_confidence_alone(seed: int) -> None:
    """Not on rows, on copies of the table, or on the scale of confidence; weights are copies."""
    confidence, wrong = cells(seed)
    rng = np.random.default_rng(seed)
    found = selective.aurc(confidence, wrong)
    order = rng.permutation(len(wrong))
    assert selective.aurc(confidence[order], wrong[order]) == pytest.approx(found)
    assert selective.aurc(np.exp(9 * confidence), wrong) == pytest.approx(found)
    assert selective.aurc(np.tile(confidence, 3), np.tile(wrong, 3)) == pytest.approx(found)
    weights = rng.integers(0, 3, len(wrong))
    copies = selective.aurc(np.repeat(confidence, weights), np.repeat(wrong, weights))
    assert selective.aurc(confidence, wrong, weights[None] * 1.0) == pytest.approx(copies)


@settings(max_examples=60, deadline=None)
@given(SEEDS)
def test_excess_is_zero_only_for_errors_last(seed: int) -> None:
    confidence, wrong = cells(seed)
    risk = wrong.mean()
    assert selective.aurc(~wrong * 1.0, wrong)[0] == pytest.approx(selective.least_aurc(risk))
    assert selective.excess_aurc(~wrong * 1.0, wrong)[0] == pytest.approx(0, abs=1e-12)
    assert selective.excess_aurc(confidence, wrong)[0] >= 0
    assert selective.aurc(np.ones(len(wrong)), wrong)[0] == pytest.approx(risk)
    worst = selective.aurc(wrong * 1.0, wrong)[0]
    assert worst >= selective.aurc(confidence, wrong)[0] - 1e-12


@settings(max_examples=60, deadline=None)
@given(SEEDS, st.sampled_from([0.0, 0.05, 0.2, 0.5, 1.0]))
def test_coverage_and_threshold_are_the_greatest_that_meet_the_target(
    seed: int, target: float
) -> None:
    confidence, wrong = cells(seed)
    options = [
        (np.mean(confidence >= c), c)
        for c in set(confidence)
        if wrong[confidence >= c].mean() <= target + 1e-12
    ]
    coverage, threshold = max(options, default=(0.0, np.inf))
    assert selective.coverage_at_risk(confidence, wrong, target)[0] == pytest.approx(coverage)
    assert selective.choose_threshold(confidence, wrong, target) == threshold


@settings(max_examples=30, deadline=None)
@given(SEEDS, st.integers(2, 30))
def test_curve_counts_the_cells_above_each_threshold(seed: int, points: int) -> None:
    confidence, wrong = cells(seed, 200, 100)
    curve = selective.risk_coverage(confidence, wrong, points)
    assert len(curve.risk) <= points
    for coverage, risk, threshold in zip(curve.coverage, curve.risk, curve.threshold, strict=True):
        answered = confidence >= threshold
        assert coverage == answered.mean()
        assert risk == pytest.approx(wrong[answered].mean())
    assert curve.coverage[-1] == 1
    assert curve.risk[-1] == pytest.approx(wrong.mean())


def test_intervals_hold_the_truth_of_correlated_groups() -> None:
    """Coverage at 10 % risk over draws of 25 groups whose difficulty differs."""

    def draw(rng: np.random.Generator, groups: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        group = np.repeat(np.arange(groups), 30)
        shift = rng.normal(0, 0.6, groups)[group]
        truth = rng.normal(1.2, 1.5, len(group)) + shift
        return 1 / (1 + np.exp(-truth)), rng.random(len(group)) > 1 / (1 + np.exp(-truth)), group

    rng = np.random.default_rng(5)
    confidence, wrong, _ = draw(rng, 20_000)
    wanted = [selective.aurc(confidence, wrong)[0]]
    wanted += [selective.coverage_at_risk(confidence, wrong, 0.1)[0]]
    hits = np.zeros(2)
    for seed in range(120):
        confidence, wrong, group = draw(rng, 25)
        sampling = resample_groups(group.astype(str), np.zeros(len(group), int), 200, seed)
        found = selective.selective_scores(confidence, wrong, [0.1], sampling, 0.95)
        intervals = found.aurc, found.coverage_at[0.1]
        hits += [e.low <= w <= e.high for e, w in zip(intervals, wanted, strict=True)]
        assert found.excess.low >= 0
    assert (hits / 120 > 0.87).all()


def test_singletons_alone_are_answered() -> None:
    sets = np.array([[1, 0, 0], [0, 0, 0], [0, 1, 1], [0, 0, 1], [0, 1, 0]], dtype=bool)
    decisions = selective.singleton_decisions(sets)
    assert decisions.tolist() == [0, selective.ABSTAIN, selective.ABSTAIN, 2, 1]
    labels = np.array([0, 0, 1, 2, 2])
    sampling = resample_groups(None, labels, 50, 0)
    found = selective.score_answers(decisions, labels, 3, sampling, 0.9)
    assert found.coverage.value == pytest.approx(3 / 5)
    assert found.risk.value == pytest.approx(1 / 3)
    assert [e.value for e in found.by_class] == [0.5, 0.0, 1.0]


def test_nothing_answered_has_no_risk() -> None:
    labels = np.array([0, 1, 0, 1])
    sampling = resample_groups(None, labels, 20, 0)
    silent = np.full(4, selective.ABSTAIN)
    found = selective.score_answers(silent, labels, 2, sampling, 0.9)
    assert found.coverage.value == 0
    assert np.isnan(found.risk.value)


def test_validation_threshold_keeps_its_risk_on_test_cells() -> None:
    rng = np.random.default_rng(3)
    confidence = rng.uniform(0.5, 1, 40_000)
    labels = np.zeros(40_000, int)
    decisions = (rng.random(40_000) > confidence).astype(int)
    threshold = selective.choose_threshold(confidence[:20_000], decisions[:20_000] != 0, 0.1)
    test = np.where(confidence >= threshold, decisions, selective.ABSTAIN)[20_000:]
    sampling = resample_groups(None, labels[20_000:], 200, 0)
    found = selective.score_answers(test, labels[20_000:], 1, sampling, 0.95)
    assert found.risk.value == pytest.approx(0.1, abs=0.01)  # answered above 0.8: mean error 0.1
    assert found.coverage.value == pytest.approx(0.4, abs=0.05)
    assert found.risk.low < found.risk.value < found.risk.high


def test_no_cells_are_refused() -> None:
    with pytest.raises(ValueError, match="needs cells"):
        selective.aurc(np.empty(0), np.empty(0, bool))

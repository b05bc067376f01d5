"""Composition of a culture: covers the truth under prior shift, where counting is biased."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import optimize, special

from unstained.evaluation import composition
from unstained.evaluation.composition import Calibrations, LabelledCells
from unstained.statistics import mixtures

PRIOR = np.array([0.27, 0.13, 0.60])
CENTRES = 2.0 * np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])


def cells(rng: np.random.Generator, labels: np.ndarray) -> np.ndarray:
    """Exact posterior probabilities, under the training prior, of cells drawn from Gaussians."""
    points = CENTRES[labels] + rng.normal(size=(len(labels), 2))
    squared = ((points[:, None] - CENTRES) ** 2).sum(axis=2)
    return np.asarray(special.softmax(np.log(PRIOR) - squared / 2, axis=1))


def labelled(rng: np.random.Generator, count: int) -> LabelledCells:
    labels = rng.choice(3, count, p=PRIOR)
    return LabelledCells(cells(rng, labels), labels, None)


def values(estimates: tuple) -> np.ndarray:
    return np.array([e.value for e in estimates])


def holds(estimates: tuple, truth: np.ndarray) -> np.ndarray:
    return np.array([e.low <= t <= e.high for e, t in zip(estimates, truth, strict=True)])


def test_intervals_cover_shifted_priors_and_counting_is_biased() -> None:
    """300 cultures of 400 cells, each of a composition of its own."""
    rng, runs = np.random.default_rng(0), 300
    errors, hits = np.zeros((3, runs, 3)), np.zeros((3, 3))
    for run in range(runs):
        truth = rng.dirichlet([6, 6, 2])
        found = composition.estimate_composition(
            cells(rng, rng.choice(3, 400, p=truth)),
            None,
            Calibrations.as_given(PRIOR),
            labelled(rng, 1000),
            resamples=200,
            confidence=0.95,
            seed=run,
        )
        assert found.converged
        for row, part in enumerate((found.corrected, found.adjusted, found.counted)):
            errors[row, run] = values(part) - truth
            hits[row] += holds(part, truth)
    bias, coverage = np.abs(errors.mean(axis=1)), hits / runs
    assert (bias[:2] < 0.012).all()
    assert (bias[2] > [0.04, 0.04, 0.08]).all()
    assert (np.abs(coverage[:2] - 0.95) < 0.045).all()  # binomial standard error 0.013
    assert (coverage[2] < 0.5).all()
    assert (errors[0].std(axis=0) < errors[1].std(axis=0)).all()  # probabilities say more


def test_intervals_by_group_cover_where_acquisitions_differ() -> None:
    """20 acquisitions whose compositions scatter; intervals by cell are too narrow."""
    rng, mean, runs = np.random.default_rng(1), np.array([0.5, 0.3, 0.2]), 60
    validation, groups = labelled(rng, 1000), np.repeat(np.arange(20), 20)
    hits, by_cell_hits = np.zeros(3), np.zeros(3)
    for run in range(runs):
        shares = rng.dirichlet(6 * mean, 20)
        culture = cells(rng, np.array([rng.choice(3, p=shares[g]) for g in groups]))
        for names, count in ((groups, hits), (None, by_cell_hits)):
            found = composition.estimate_composition(
                culture,
                names,
                Calibrations.as_given(PRIOR),
                validation,
                resamples=100,
                confidence=0.95,
                seed=run,
            )
            count += holds(found.corrected, mean)
    assert hits.mean() / runs > 0.88
    assert by_cell_hits.mean() / runs < 0.85


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**31))
def test_shares_are_of_greatest_likelihood(seed: int) -> None:
    """Against a general constrained optimiser, also where a class is absent."""
    rng = np.random.default_rng(seed)
    truth = rng.dirichlet([0.5, 0.5, 0.5])
    densities = cells(rng, rng.choice(3, 150, p=truth)) / PRIOR
    weights = rng.integers(0, 3, (2, 150)) * 1.0
    found, converged = mixtures.mixture_shares(densities, weights, PRIOR)
    assert converged
    np.testing.assert_allclose(found.sum(axis=1), 1)
    assert (found >= 0).all()

    def likelihood(shares: np.ndarray, weight: np.ndarray) -> float:
        return float(weight @ np.log(densities @ shares))

    for shares, weight in zip(found, weights, strict=True):
        best = optimize.minimize(
            lambda q, w=weight: -likelihood(np.maximum(q, 1e-12), w),
            np.full(3, 1 / 3),
            bounds=[(0, 1)] * 3,
            constraints={"type": "eq", "fun": lambda q: q.sum() - 1},
            method="SLSQP",
        )
        assert likelihood(shares, weight) >= -best.fun - 2 * mixtures.TOLERANCE


def test_one_plain_step_is_that_of_saerens() -> None:
    """Climbing from a point to itself: at the answer, mean corrected posterior = share."""
    rng = np.random.default_rng(3)
    probabilities = cells(rng, rng.choice(3, 300, p=[0.6, 0.3, 0.1]))
    (shares,), _ = composition.corrected_shares(probabilities, PRIOR)
    posterior = probabilities * shares / PRIOR
    posterior /= posterior.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(posterior.mean(axis=0), shares, atol=1e-4)


@settings(max_examples=60, deadline=None)
@given(st.floats(0.55, 0.99), st.floats(0.01, 0.45), st.integers(0, 500))
@example(0.5625, 0.11328125, 75)  # an extrapolation that makes the likelihood smaller
@example(0.5625, 0.1133, 75)
def test_adjusted_count_of_two_classes_is_formans(tpr: float, fpr: float, called: int) -> None:
    confusion = 1e4 * np.array([[1 - fpr, fpr], [1 - tpr, tpr]])
    (shares,), converged = mixtures.adjusted_shares(
        np.array([[500.0 - called, called]]), confusion[None]
    )
    assert converged
    formula = np.clip((called / 500 - fpr) / (tpr - fpr), 0, 1)
    assert shares[1] == pytest.approx(formula, abs=0.01)  # within a tolerance of 0.001 nats


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**31))
def test_adjusted_count_inverts_the_error_rates(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rates = 0.6 * np.eye(3) + 0.4 * rng.dirichlet([1, 1, 1], 3)
    truth = 0.1 + 0.7 * rng.dirichlet([1, 1, 1])
    calls = 1e6 * truth @ rates
    (shares,), _ = mixtures.adjusted_shares(calls[None], 1e3 * rates[None])
    np.testing.assert_allclose(shares, truth, atol=1e-3)


def test_a_class_missing_from_a_resample_leaves_it_undefined() -> None:
    confusion = np.stack([np.eye(2), np.diag([1.0, 0.0])])
    shares, _ = mixtures.adjusted_shares(np.array([[3.0, 1.0], [3.0, 1.0]]), confusion)
    np.testing.assert_allclose(shares[0], [0.75, 0.25], atol=0.02)
    assert np.isnan(shares[1]).all()


def test_without_shift_all_three_agree() -> None:
    rng = np.random.default_rng(4)
    culture = cells(rng, rng.choice(3, 20_000, p=PRIOR))
    found = composition.estimate_composition(
        culture,
        None,
        Calibrations.as_given(PRIOR),
        labelled(rng, 20_000),
        resamples=20,
        confidence=0.95,
        seed=0,
    )
    for part in (found.corrected, found.adjusted):
        np.testing.assert_allclose(values(part), PRIOR, atol=0.02)
    again = composition.estimate_composition(
        culture[:500],
        None,
        Calibrations.as_given(PRIOR),
        labelled(rng, 500),
        resamples=20,
        confidence=0.95,
        seed=0,
    )
    assert again.cells == 500
    assert sum(values(again.corrected)) == pytest.approx(1)


def test_one_acquisition_carries_a_caveat() -> None:
    rng = np.random.default_rng(5)
    found = composition.estimate_composition(
        cells(rng, np.repeat([0, 1, 2], 20)),
        np.zeros(60),
        Calibrations.as_given(PRIOR),
        labelled(rng, 200),
        resamples=20,
        confidence=0.95,
        seed=0,
    )
    assert "single group" in found.caveat


@pytest.mark.parametrize(
    ("labels", "prior", "message"),
    [([0, 1, 1], PRIOR, "no validation cells of class 2"), ([0, 1, 2], [0.5, 0.5, 0], "positive")],
)
def test_a_class_without_cells_is_refused(labels: list, prior: list, message: str) -> None:
    rng = np.random.default_rng(6)
    known = LabelledCells(cells(rng, np.array(labels)), np.array(labels), None)
    with pytest.raises(ValueError, match=message):
        composition.estimate_composition(
            known.probabilities,
            None,
            Calibrations.as_given(np.array(prior)),
            known,
            resamples=5,
            confidence=0.9,
            seed=0,
        )


def favouring(rng: np.random.Generator, labels: np.ndarray) -> np.ndarray:
    """Probabilities of a model that is too sure, and favours class 0 fourfold."""
    right = cells(rng, labels)
    return np.asarray(special.softmax(2.0 * np.log(right) + np.log([4.0, 1, 1]), axis=1))


def test_calibrations_undo_scale_and_favour() -> None:
    rng = np.random.default_rng(7)
    labels = rng.choice(3, 20_000, p=PRIOR)
    known = LabelledCells(favouring(rng, labels), labels, None)
    found = composition.fit_calibrations(known, 5, 0)
    assert found.scale == pytest.approx(np.full(6, 0.5), abs=0.05)
    right = found.shift - found.shift[:, :1]  # 0.5 log(1 / 4) against class 0
    np.testing.assert_allclose(right[:, 1:], 0.5 * np.log(4), atol=0.15)
    np.testing.assert_allclose(found.prior, np.tile(PRIOR, (6, 1)), atol=0.02)
    given_ = composition.Calibrations.as_given(PRIOR)
    np.testing.assert_allclose(given_.read(known.probabilities, 0), known.probabilities, atol=1e-9)


def test_calibration_makes_the_correction_right_and_its_intervals_honest() -> None:
    """100 cultures seen by a model that favours a class: uncalibrated, the correction fails."""
    rng, runs = np.random.default_rng(8), 100
    errors, hits = np.zeros((2, runs, 3)), np.zeros((2, 3))
    for run in range(runs):
        truth = rng.dirichlet([6, 6, 2])
        labels = rng.choice(3, 600, p=PRIOR)
        known = LabelledCells(favouring(rng, labels), labels, None)
        culture = favouring(rng, rng.choice(3, 300, p=truth))
        ways = (composition.Calibrations.as_given(PRIOR), composition.fit_calibrations(known, 8, 1))
        for row, calibrations in enumerate(ways):
            found = composition.estimate_composition(
                culture, None, calibrations, known, resamples=80, confidence=0.95, seed=run
            )
            errors[row, run] = values(found.corrected) - truth
            hits[row] += holds(found.corrected, truth)
    bias, coverage = np.abs(errors.mean(axis=1)), hits.mean(axis=1) / runs
    assert bias[0].max() > 0.08 > 4 * bias[1].max()
    assert coverage[0] < 0.7
    assert coverage[1] > 0.88

"""Label audit on simulated cells whose true class, label noise and fluorescence are known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, stats
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_predict

from unstained.evaluation import label_errors as label_noise
from unstained.statistics.intervals import resample_groups

NOISE = np.array([[0.85, 0.15, 0.0], [0.05, 0.90, 0.05], [0.0, 0.20, 0.80]])
"""Rows: true class; columns: label given."""


def stained(rng: np.random.Generator, positive: np.ndarray, ratio: float) -> np.ndarray:
    """Log-normal intensities; positive cells are `ratio` times as bright."""
    return np.exp(rng.normal(5, 0.4, positive.shape) + np.log(ratio) * positive)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.8])
def test_gate_is_where_both_populations_are_as_likely(share: float) -> None:
    rng = np.random.default_rng(0)
    positive = rng.random(20_000) < share
    gate = label_noise.fit_gate("GFAP", stained(rng, positive, 12.0), 0)
    assert gate.usable
    assert gate.positive == pytest.approx(share, abs=0.02)
    assert gate.means == pytest.approx((5, 5 + np.log(12)), abs=0.05)
    assert gate.deviations == pytest.approx((0.4, 0.4), abs=0.05)
    assert gate.separation == pytest.approx(np.log(12) / 0.4, rel=0.08)
    wanted = optimize.brentq(
        lambda x: (
            (1 - share) * stats.norm.pdf(x, 5, 0.4) - share * stats.norm.pdf(x, 5 + np.log(12), 0.4)
        ),
        5,
        7.4,
    )
    assert np.log(gate.threshold) == pytest.approx(wanted, abs=0.08)


def test_threshold_scales_with_the_detector() -> None:
    rng = np.random.default_rng(1)
    intensity = stained(rng, rng.random(3000) < 0.4, 15.0)
    gates = [label_noise.fit_gate("O4", gain * intensity, 0) for gain in (1.0, 40.0)]
    assert gates[1].threshold == pytest.approx(40 * gates[0].threshold, rel=1e-3)
    assert gates[1].separation == pytest.approx(gates[0].separation, rel=1e-3)


@pytest.mark.parametrize("seed", range(5))
def test_one_population_is_not_gated(seed: int) -> None:
    rng = np.random.default_rng(seed)
    gate = label_noise.fit_gate("dim", stained(rng, np.zeros(3000), 1.0), 0)
    assert not gate.usable
    with pytest.raises(ValueError, match="no two populations, so no gate: dim"):
        label_noise.gate_cells(np.ones((2, 1)), [gate], [0])


def test_cells_without_a_positive_intensity_are_not_fitted() -> None:
    rng = np.random.default_rng(2)
    intensity = stained(rng, rng.random(2000) < 0.4, 15.0)
    padded = np.r_[intensity, np.full(500, np.nan), np.zeros(100), np.full(50, -3.0)]
    assert label_noise.fit_gate("a", padded, 0) == label_noise.fit_gate("a", intensity, 0)
    with pytest.raises(ValueError, match="marker a: 50 cells"):
        label_noise.fit_gate("a", np.r_[intensity[:49], np.zeros(100)], 0)


def test_gates_by_rule() -> None:
    rng = np.random.default_rng(3)
    fitted = stained(rng, rng.random(2000) < 0.5, 20.0)
    gate = label_noise.fit_gate("m", fitted, 0)
    low, high = gate.threshold / 2, gate.threshold * 2
    intensity = np.array(
        [
            [high, low, low],
            [low, high, low],
            [low, low, high],
            [low, high, high],  # both markers of class 2
            [high, high, low],
            [low, low, -1.0],
            [high, np.nan, low],
        ]
    )
    found = label_noise.gate_cells(intensity, [gate] * 3, [0, 2, 2])
    kinds = label_noise.AMBIGUOUS, label_noise.NEGATIVE, label_noise.UNMEASURED
    assert found.tolist() == [0, 2, 2, 2, *kinds]
    with pytest.raises(ValueError, match="same markers"):
        label_noise.gate_cells(intensity, [gate] * 2, [0, 2, 2])


def test_a_population_of_debris_is_no_gate() -> None:
    rng = np.random.default_rng(5)
    cells = stained(rng, np.ones(2000), 12.0)
    debris = stained(rng, np.zeros(40), 1.0)
    gate = label_noise.fit_gate("m", np.r_[cells, debris], 0)
    assert gate.separation > label_noise.LEAST_SEPARATION
    assert not gate.usable


def test_controls_gate_populations_that_overlap() -> None:
    rng = np.random.default_rng(6)
    controls = rng.random(4000) < 0.6
    intensity = stained(rng, ~controls, 3.0)
    assert not label_noise.fit_gate("m", intensity, 0).by_controls
    gate = label_noise.gate_by_controls("m", np.r_[intensity, np.nan], np.r_[controls, True])
    assert gate.usable
    assert (intensity[controls] > gate.threshold).mean() == pytest.approx(0.05, abs=0.002)
    assert gate.positive == pytest.approx((intensity[~controls] > gate.threshold).mean())
    nothing = label_noise.gate_by_controls("m", stained(rng, controls, 1.0), controls)
    assert not nothing.usable
    with pytest.raises(ValueError, match="50 controls and as many others"):
        label_noise.gate_by_controls("m", intensity, np.ones(4000, bool))


@pytest.fixture(scope="module")
def simulated() -> dict[str, np.ndarray]:
    """4,000 cells: true class, treatment label, out-of-fold probabilities, stains."""
    rng = np.random.default_rng(4)
    truth = rng.choice(3, 4000, p=[0.3, 0.3, 0.4])
    labels = (rng.random((4000, 1)) > NOISE[truth].cumsum(axis=1)).sum(axis=1)
    features = 4.5 * np.eye(3)[truth] + rng.normal(size=(4000, 3))
    probabilities = cross_val_predict(
        LogisticRegression(), features, labels, cv=5, method="predict_proba"
    )
    stains = np.stack([stained(rng, truth == k, 25.0) for k in range(3)], axis=1)
    groups = rng.integers(0, 20, 4000).astype(str)
    return {
        "truth": truth,
        "labels": labels,
        "probabilities": probabilities,
        "stains": stains,
        "groups": groups,
    }


def joint_of(labels: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Fractions of cells by label and true class."""
    counted = np.zeros((3, 3))
    np.add.at(counted, (labels, truth), 1 / len(labels))
    return counted


def test_confident_learning_is_exact_where_probabilities_are(simulated: dict) -> None:
    """With p(label | cell) known and classes apart, the joint is that of the cells."""
    truth, labels = simulated["truth"], simulated["labels"]
    found = label_noise.find_suspects(NOISE[truth], labels)
    np.testing.assert_allclose(found.joint, joint_of(labels, truth), atol=1e-12)
    assert found.noise == pytest.approx((truth != labels).mean())
    assert np.array_equal(found.suspect, truth != labels)
    assert np.array_equal(found.suggested, truth)


def test_confident_learning_finds_noise_with_a_fitted_model(simulated: dict) -> None:
    """Overall and suspects closely; by label more roughly, as cells between thresholds drop out."""
    truth, labels = simulated["truth"], simulated["labels"]
    found = label_noise.find_suspects(simulated["probabilities"], labels)
    wrong = truth != labels
    assert found.joint.sum() == pytest.approx(1)
    np.testing.assert_allclose(found.joint.sum(axis=1), np.bincount(labels) / 4000)
    assert found.noise == pytest.approx(wrong.mean(), abs=0.02)
    by_label = [wrong[labels == k].mean() for k in range(3)]
    np.testing.assert_allclose(found.noise_by_label, by_label, atol=0.09)
    np.testing.assert_allclose(found.joint, joint_of(labels, truth), atol=0.03)
    assert wrong[found.suspect].mean() > 0.9
    assert found.suspect[wrong].mean() > 0.7
    assert (found.suggested[found.suspect] == truth[found.suspect]).mean() > 0.9
    assert np.array_equal(found.suggested[~found.suspect], labels[~found.suspect])


def test_right_labels_are_hardly_doubted(simulated: dict) -> None:
    truth = simulated["truth"]
    rng = np.random.default_rng(5)
    features = 4.5 * np.eye(3)[truth] + rng.normal(size=(4000, 3))
    probabilities = cross_val_predict(
        LogisticRegression(), features, truth, cv=5, method="predict_proba"
    )
    assert label_noise.find_suspects(probabilities, truth).noise < 0.01


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**31), st.integers(2, 5))
def test_suspects_follow_their_definition(seed: int, classes: int) -> None:
    rng = np.random.default_rng(seed)
    labels = np.r_[np.arange(classes), rng.integers(0, classes, 40)]
    probabilities = rng.dirichlet(np.ones(classes), len(labels))
    found = label_noise.find_suspects(probabilities, labels)
    means = [np.mean([p[k] for p, y in zip(probabilities, labels, strict=True) if y == k])
             for k in range(classes)]  # fmt: skip
    for p, label, suspect, suggested in zip(
        probabilities, labels, found.suspect, found.suggested, strict=True
    ):
        passing = [k for k in range(classes) if p[k] >= means[k]]
        best = max(passing, key=lambda k: p[k], default=label)
        assert (suspect, suggested) == (best != label, best)
    assert found.joint.sum() == pytest.approx(1)
    assert 0 <= found.noise <= 1
    order = rng.permutation(len(labels))
    again = label_noise.find_suspects(probabilities[order], labels[order])
    assert np.array_equal(again.suspect, found.suspect[order])


def test_a_class_without_labels_is_refused() -> None:
    with pytest.raises(ValueError, match="every class"):
        label_noise.find_suspects(np.full((2, 3), 1 / 3), np.array([0, 1]))


def test_audit_brings_both_witnesses_together(simulated: dict) -> None:
    labels, truth, stains = simulated["labels"], simulated["truth"], simulated["stains"].copy()
    stains[:100, 0] = np.nan
    gates = [label_noise.fit_gate(f"marker {k}", stains[:, k], 0) for k in range(3)]
    gated = label_noise.gate_cells(stains, gates, [0, 1, 2])
    assert (gated[100:] == truth[100:]).mean() > 0.95
    suspects = label_noise.find_suspects(simulated["probabilities"], labels)
    sampling = resample_groups(simulated["groups"], labels, 200, 0)
    found = label_noise.audit_labels(labels, gated, suspects, sampling, 0.95)
    assert found.counts.shape == (3, 6)
    assert found.counts.sum() == 4000
    assert found.counts[:, 5].sum() == 100
    assert found.counts[1, 2] == ((labels == 1) & (gated == 2)).sum()
    assert found.counts[:, 3].sum() == (gated == label_noise.NEGATIVE).sum()
    assert found.counts[:, 4].sum() == (gated == label_noise.AMBIGUOUS).sum()
    known = gated >= 0
    assert found.agreement.value == pytest.approx((gated == labels)[known].mean())
    assert found.agreement.low <= (truth == labels).mean() <= found.agreement.high
    for k, estimate in enumerate(found.agreement_by_label):
        inside = known & (labels == k)
        assert estimate.value == pytest.approx((gated == labels)[inside].mean())
        assert estimate.low <= (truth == k)[labels == k].mean() + 0.01
    doubted = known & suspects.suspect
    assert found.suspects == doubted.sum()
    assert found.confirmed.value == pytest.approx((gated != labels)[doubted].mean())
    assert found.confirmed.low > 0.85 > 1 - found.agreement.value
    right = (gated == suspects.suggested)[doubted].mean()
    assert found.suggested_right.value == pytest.approx(right)
    assert found.caveat == ""

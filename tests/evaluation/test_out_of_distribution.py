"""Out-of-distribution scores on Gaussian clusters with held-out kinds, against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special, stats
from sklearn.metrics import roc_auc_score, roc_curve

from unstained.evaluation import out_of_distribution as outliers

CENTRES = 6 * np.eye(3, 8)
KINDS = {"near": 3 * np.eye(8)[0], "debris": 6 * np.eye(8)[6]}


def cells(rng: np.random.Generator, centres: np.ndarray, count: int) -> np.ndarray:
    """Embeddings (count, 8) about given centres, in equal parts."""
    return np.resize(np.atleast_2d(centres), (count, 8)) + rng.normal(size=(count, 8))


def logits(embeddings: np.ndarray) -> np.ndarray:
    """Those of the right linear classifier of the three clusters."""
    return embeddings @ CENTRES.T - 18


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**31), st.floats(0.2, 5), st.floats(-50, 50))
def test_energy_is_its_formula_and_moves_with_the_logits(
    seed: int, temperature: float, shift: float
) -> None:
    values = np.random.default_rng(seed).normal(size=(20, 4)) * 3
    energy = outliers.energy_score(values, temperature)
    direct = -temperature * np.log(np.exp(values / temperature).sum(axis=1))
    np.testing.assert_allclose(energy, direct, atol=1e-10)
    moved = outliers.energy_score(values + shift, temperature)
    np.testing.assert_allclose(moved, energy - shift, atol=1e-10)
    chosen = special.log_softmax(values / temperature, axis=1)
    np.testing.assert_allclose(chosen[:, 0], (values[:, 0] + energy) / temperature, atol=1e-10)


@pytest.mark.parametrize("neighbour", [1, 5, 50])
def test_distances_equal_those_of_every_pair(neighbour: int) -> None:
    rng = np.random.default_rng(0)
    train, test = rng.normal(size=(300, 16)).astype(np.float32), rng.normal(size=(70, 16))
    index = outliers.build_index(train, neighbour, 0, "length")
    assert np.linalg.norm(index.points, axis=1) == pytest.approx(1)
    unit = test / np.linalg.norm(test, axis=1, keepdims=True)
    pairs = np.linalg.norm(unit[:, None] - index.points[None], axis=2)
    wanted = np.sort(pairs, axis=1)[:, neighbour - 1]
    np.testing.assert_allclose(outliers.neighbour_distance(index, test), wanted, atol=1e-7)


def test_length_of_an_embedding_does_not_matter_and_zero_is_finite() -> None:
    rng = np.random.default_rng(1)
    index = outliers.build_index(rng.normal(size=(40, 5)), 3, 0, "length")
    values = rng.normal(size=(6, 5))
    far = outliers.neighbour_distance(index, values)
    np.testing.assert_allclose(outliers.neighbour_distance(index, 1e6 * values), far)
    assert outliers.neighbour_distance(index, np.zeros((1, 5)))[0] == pytest.approx(1)
    assert len(outliers.neighbour_distance(index, np.empty((0, 5)))) == 0


def test_index_is_a_sample_of_at_most_so_many_cells() -> None:
    values = np.random.default_rng(2).normal(size=(100, 5))
    first, again, other = (outliers.build_index(values, 3, s, "length", most=30) for s in (0, 0, 1))
    assert first.points.shape == (30, 5)
    assert np.array_equal(first.points, again.points)
    assert not np.array_equal(first.points, other.points)
    with pytest.raises(ValueError, match="31-th"):
        outliers.build_index(values, 31, 0, "length", most=30)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 200), st.sampled_from([0.01, 0.05, 0.1, 0.5]))
def test_threshold_is_a_conformal_order_statistic(seed: int, count: int, rate: float) -> None:
    scores = np.random.default_rng(seed).normal(size=count)
    threshold = outliers.alarm_threshold(scores, rate)
    if np.isinf(threshold):
        assert count < round((1 - rate) / rate, 9)
    else:
        assert (scores > threshold).mean() <= rate
        assert threshold in scores


@pytest.mark.parametrize("count", [25, 400])
def test_false_alarms_of_new_cells_stay_at_the_stated_rate(count: int) -> None:
    rng = np.random.default_rng(4)
    thresholds = [outliers.alarm_threshold(rng.normal(size=count), 0.05) for _ in range(2000)]
    alarms = stats.norm.sf(thresholds).mean()
    assert 0.05 - 1.5 / (count + 1) < alarms <= 0.05 + 0.002


def reference_missed(outside: np.ndarray, score: np.ndarray) -> float:
    fpr, tpr, _ = roc_curve(~outside, -score, drop_intermediate=False)
    return float(fpr[np.flatnonzero(tpr >= 0.95 - 1e-12)[0]])


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**31), st.sampled_from([3, 50, 10_000]))
def test_missed_equals_the_roc_curve_and_weights_are_copies(seed: int, levels: int) -> None:
    rng = np.random.default_rng(seed)
    outside = np.arange(90) % 3 == 0
    score = np.floor(levels * special.expit(rng.normal(size=90) + outside)) / levels
    missed = outliers.missed_at_pass_rate(outside, score)
    assert missed[0] == pytest.approx(reference_missed(outside, score))
    weights = rng.integers(0, 3, 90)
    weights[:2] = 1
    copies = reference_missed(np.repeat(outside, weights), np.repeat(score, weights))
    weighted = outliers.missed_at_pass_rate(outside, score, weights[None] * 1.0)
    assert weighted[0] == pytest.approx(copies)


@pytest.fixture(scope="module")
def clusters() -> dict[str, object]:
    """Scores of training-like cells and of two kinds that no class covers."""
    rng = np.random.default_rng(6)
    parts = {"cell": cells(rng, CENTRES, 600)}
    parts |= {name: cells(rng, centre, 200) for name, centre in KINDS.items()}
    values = np.concatenate(list(parts.values()))
    index = outliers.build_index(cells(rng, CENTRES, 900), 10, 0, "length")
    validation = cells(rng, CENTRES, 500)
    return {
        "kinds": np.repeat(list(parts), [600, 200, 200]),
        "groups": np.arange(1000) // 25,
        "neighbour": (
            outliers.neighbour_distance(index, values),
            outliers.neighbour_distance(index, validation),
        ),
        "energy": (
            outliers.energy_score(logits(values)),
            outliers.energy_score(logits(validation)),
        ),
    }


@pytest.mark.parametrize("name", ["energy", "neighbour"])
def test_held_out_kinds_are_told_by_both_scores(clusters: dict, name: str) -> None:
    scores, validation = clusters[name]
    threshold = outliers.alarm_threshold(validation, 0.05)
    kinds, groups = clusters["kinds"], clusters["groups"]
    found = outliers.detect(
        scores, kinds, groups, threshold, inside="cell", resamples=200, confidence=0.95, seed=0
    )
    assert [kind.kind for kind in found.kinds] == ["debris", "near"]
    assert found.false_alarms.value == np.mean(scores[kinds == "cell"] > threshold)
    assert found.false_alarms.value == pytest.approx(0.05, abs=0.03)
    for kind in found.kinds:
        chosen = np.isin(kinds, ["cell", kind.kind])
        outside = kinds[chosen] == kind.kind
        assert kind.cells == 200
        assert kind.auroc.value == pytest.approx(roc_auc_score(outside, scores[chosen]))
        assert kind.missed.value == pytest.approx(reference_missed(outside, scores[chosen]))
        assert kind.flagged.value == np.mean(scores[kinds == kind.kind] > threshold)
        for estimate in (kind.auroc, kind.missed, kind.flagged):
            assert estimate.low <= estimate.value <= estimate.high
    debris, near = found.kinds
    assert debris.auroc.low > 0.9
    assert debris.auroc.value > near.auroc.value
    assert near.missed.value > debris.missed.value


def test_interval_of_auroc_covers_over_repeated_groups() -> None:
    """Groups of cells share an offset, kinds have groups of their own."""
    rng, wanted, hits = np.random.default_rng(7), stats.norm.cdf(1 / np.sqrt(2 * 1.25)), 0
    groups = np.repeat(np.arange(40), 15)
    kinds = np.where(groups < 20, "cell", "blur")
    for seed in range(120):
        scores = rng.normal(0, 0.5, 40)[groups] + rng.normal(size=600) + (kinds == "blur")
        (found,) = outliers.detect(
            scores, kinds, groups, 1.0, inside="cell", resamples=200, confidence=0.95, seed=seed
        ).kinds
        hits += found.auroc.low <= wanted <= found.auroc.high
        assert found.caveat == ""
    assert hits / 120 > 0.87


def test_a_kind_from_one_acquisition_carries_a_caveat() -> None:
    kinds, groups = np.repeat(["cell", "debris"], 50), np.r_[np.arange(50) // 5, np.full(50, 99)]
    scores = np.random.default_rng(0).normal(size=100)
    found = outliers.detect(
        scores, kinds, groups, 0.0, inside="cell", resamples=50, confidence=0.9, seed=0
    )
    assert "single group" in found.kinds[0].caveat


def test_without_cells_like_the_training_cells_there_is_nothing_to_compare() -> None:
    with pytest.raises(ValueError, match="no cell of kind 'cell'"):
        outliers.detect(
            np.zeros(3),
            np.array(["debris"] * 3),
            None,
            0.0,
            inside="cell",
            resamples=10,
            confidence=0.9,
            seed=0,
        )


def test_features_of_any_unit_count_alike_where_their_spread_is_the_unit() -> None:
    rng = np.random.default_rng(9)
    train = rng.normal(size=(200, 4))
    test = rng.normal([0, 0, 0, 8], size=(20, 4))
    units = np.array([1e6, 1e-3, 1.0, 1e-6])
    found = [
        outliers.neighbour_distance(
            outliers.build_index(scale * train, 5, 0, "spread"), scale * test
        )
        for scale in (np.ones(4), units)
    ]
    np.testing.assert_allclose(found[0], found[1])
    assert found[0].min() > 3  # the shift of the last feature, in standard deviations
    constant = outliers.build_index(np.zeros((9, 2)), 2, 0, "spread")
    assert np.isfinite(outliers.neighbour_distance(constant, np.ones((1, 2)))).all()

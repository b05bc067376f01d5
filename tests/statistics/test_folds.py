"""Folds and seeds: variance components, paired tests of all models, attention or gate."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.formula.api import ols
from statsmodels.stats.anova import anova_lm
from statsmodels.stats.multitest import multipletests

from unstained.statistics import folds
from unstained.statistics.folds import FoldSizes

SIZES = FoldSizes(400, 100)


def table(
    rng: np.random.Generator,
    mean: float = 0.9,
    *,
    fold: float = 0.02,
    seed: float = 0.005,
    rest: float = 0.004,
    shape: tuple[int, int] = (5, 3),
) -> np.ndarray:
    """Scores (k, s) with random effects of given standard deviations."""
    k, s = shape
    effects = fold * rng.normal(size=(k, 1)) + seed * rng.normal(size=(1, s))
    return mean + effects + rest * rng.normal(size=shape)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**31), st.integers(2, 6), st.integers(2, 4))
def test_components_come_from_the_mean_squares_of_statsmodels(seed: int, k: int, s: int) -> None:
    scores = table(np.random.default_rng(seed), shape=(k, s))
    rows = pd.DataFrame(
        [(scores[i, j], i, j) for i in range(k) for j in range(s)], columns=["y", "fold", "seed"]
    )
    squares = anova_lm(ols("y ~ C(fold) + C(seed)", rows).fit())["mean_sq"]
    found = folds.variance_components(scores)
    rest = squares["Residual"]
    assert found.rest**2 == pytest.approx(rest)
    assert found.fold**2 == pytest.approx(max(0, (squares["C(fold)"] - rest) / s), abs=1e-12)
    assert found.seed**2 == pytest.approx(max(0, (squares["C(seed)"] - rest) / k), abs=1e-12)
    assert found.rerun == pytest.approx(np.sqrt(found.seed**2 + found.rest**2))


def test_components_find_the_variances_that_made_the_scores() -> None:
    rng = np.random.default_rng(0)
    found = [folds.variance_components(table(rng, shape=(10, 8))) for _ in range(400)]
    squares = np.array([(f.fold**2, f.seed**2, f.rest**2) for f in found]).mean(axis=0)
    np.testing.assert_allclose(np.sqrt(squares), [0.02, 0.005, 0.004], rtol=0.05)


def test_one_seed_leaves_the_rest_within_the_folds() -> None:
    scores = np.array([[0.8], [0.9], [0.85]])
    found = folds.variance_components(scores)
    assert found.fold == pytest.approx(scores.std(ddof=1))
    assert np.isnan([found.seed, found.rest]).all()
    with pytest.raises(ValueError, match="two of them"):
        folds.variance_components(scores[:1])


def test_pairs_equal_the_formula_and_statsmodels_corrections() -> None:
    rng = np.random.default_rng(1)
    scores = {
        name: table(rng, mean) for name, mean in zip("abcd", (0.9, 0.93, 0.9, 1), strict=True)
    }
    found = folds.compare_all(scores, SIZES, 0.95)
    assert [(p.first, p.second) for p in found] == list(itertools.combinations("abcd", 2))
    for pair in found:
        by_fold = (scores[pair.second] - scores[pair.first]).mean(axis=1)
        error = np.sqrt(by_fold.var(ddof=1) * (1 / 5 + 100 / 400))
        assert pair.difference.value == pytest.approx(by_fold.mean())
        assert pair.t == pytest.approx(by_fold.mean() / error)
        assert pair.p == pytest.approx(2 * stats.t.sf(abs(pair.t), 4))
        wanted = stats.t.interval(0.95, 4, by_fold.mean(), error)
        assert (pair.difference.low, pair.difference.high) == pytest.approx(wanted)
        assert (pair.p < 0.05) == (not pair.difference.low <= 0 <= pair.difference.high)
    p_values = [pair.p for pair in found]
    for field, method in (("p_holm", "holm"), ("p_bh", "fdr_bh")):
        wanted = multipletests(p_values, method=method)[1]
        np.testing.assert_allclose([getattr(pair, field) for pair in found], wanted)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**31), st.floats(-1, 1))
def test_exchanging_models_changes_signs_alone(seed: int, shift: float) -> None:
    rng = np.random.default_rng(seed)
    a, b = table(rng), table(rng)
    (forth,) = folds.compare_all({"a": a, "b": b}, SIZES, 0.9)
    (back,) = folds.compare_all({"b": b + shift, "a": a + shift}, SIZES, 0.9)
    assert forth.difference.value == pytest.approx(-back.difference.value, abs=1e-12)
    assert forth.difference.low == pytest.approx(-back.difference.high, abs=1e-12)
    assert forth.p == pytest.approx(back.p, rel=1e-6)


def test_models_are_ordered_and_compared_with_its_leader() -> None:
    rng = np.random.default_rng(2)
    common = table(rng)
    scores = {
        "weak": common - 0.1 + 0.001 * rng.normal(size=(5, 3)),
        "best": common,
        "twin": common - 1e-4 + 0.01 * rng.normal(size=(5, 3)),
    }
    found = folds.compare_folds("macro_f1", scores, SIZES, 0.95)
    assert (found.metric, found.folds, found.seeds) == ("macro_f1", 5, 3)
    assert [row.rank for row in found.rows] == [1, 2, 3]
    means = [row.mean for row in found.rows]
    assert means == sorted(means, reverse=True)
    assert found.rows[0].behind is None
    assert len(found.pairs) == 3
    assert all(pair.difference.value >= 0 for pair in found.pairs)
    leader = found.rows[0].model
    for row in found.rows:
        assert row.mean == pytest.approx(scores[row.model].mean())
        assert row.sd == pytest.approx(scores[row.model].std(ddof=1))
        assert row.spread == folds.variance_components(scores[row.model])
        if row.behind:
            assert (row.behind.first, row.behind.second) == (row.model, leader)
            assert row.behind.difference.value == pytest.approx(means[0] - row.mean)
    assert found.rows[2].model == "weak"
    assert found.rows[2].behind.p_holm < 0.001
    assert found.rows[1].behind.p_holm > 0.05


def test_a_table_of_one_has_no_pairs() -> None:
    found = folds.compare_folds("f1", {"only": table(np.random.default_rng(0))}, SIZES, 0.95)
    assert (len(found.rows), found.pairs, found.rows[0].behind) == (1, (), None)


@pytest.mark.parametrize(
    ("scores", "message"),
    [
        ({"a": np.zeros((5, 3)), "b": np.zeros((5, 2))}, "same folds"),
        ({"a": np.zeros(5), "b": np.zeros(5)}, "same folds"),
        ({"a": np.zeros((5, 3)), "b": np.full((5, 3), np.nan)}, "without a score: b"),
    ],
)
def test_incomplete_grids_are_refused(scores: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        folds.compare_all(scores, SIZES, 0.95)


def ablation(attention: float, gate: float, interaction: float = 0.0) -> folds.AblationAnswer:
    """Answer for networks whose true gains over the baseline are given."""
    rng = np.random.default_rng(3)
    common = table(rng)

    def near(gain: float) -> np.ndarray:
        return common + gain + 0.003 * rng.normal(size=(5, 3))

    return folds.ablation_question(
        baseline=near(0),
        attention=near(attention),
        gate=near(gate),
        both=near(attention + gate + interaction),
        sizes=SIZES,
        alpha=0.05,
    )


@pytest.mark.parametrize(
    ("attention", "gate", "helps", "larger"),
    [
        (0.05, 0.0, ("attention",), "attention"),
        (0.0, 0.05, ("gate",), "gate"),
        (0.05, 0.02, ("attention", "gate"), "attention"),
        (0.03, 0.03, ("attention", "gate"), ""),
        (0.0, 0.0, (), ""),
        (-0.05, 0.0, (), "gate"),
    ],
)
def test_attention_or_gate(
    attention: float, gate: float, helps: tuple[str, ...], larger: str
) -> None:
    found = ablation(attention, gate)
    assert (found.helps, found.larger) == (helps, larger)


def test_both_orders_add_up_and_agree_with_the_effects() -> None:
    found = ablation(0.02, 0.01, interaction=0.03)
    one, two = (
        sum(step.difference.value for step in steps)
        for steps in (found.attention_first, found.gate_first)
    )
    assert one == pytest.approx(two)
    assert [(s.first, s.second) for s in (*found.attention_first, *found.gate_first)] == [
        ("baseline", "attention"),
        ("attention", "both"),
        ("baseline", "gate"),
        ("gate", "both"),
    ]
    attention, gate = found.attention.difference.value, found.gate.difference.value
    assert attention + gate == pytest.approx(one)
    assert attention - gate == pytest.approx(found.attention_less_gate.difference.value)
    late, early = found.attention_first[1], found.gate_first[0]
    wanted = late.difference.value - early.difference.value
    assert found.interaction.difference.value == pytest.approx(wanted)
    assert found.interaction.p < 0.01
    p_values = [s.p for s in (*found.attention_first, *found.gate_first)]
    np.testing.assert_allclose(
        [s.p_holm for s in (*found.attention_first, *found.gate_first)],
        multipletests(p_values, method="holm")[1],
    )


def test_a_component_that_helps_in_one_order_alone_is_not_said_to_help() -> None:
    """The gate's gain vanishes behind the attention: only attention helps in both orders."""
    found = ablation(0.06, 0.03, interaction=-0.03)
    assert found.gate_first[0].p_holm < 0.05
    assert found.helps == ("attention",)


def test_helps_and_larger_are_read_off_the_adjusted_steps() -> None:
    rng, borderline = np.random.default_rng(5), 0
    for _ in range(60):
        gains = rng.normal(0.01, 0.01, (4, 1, 1))
        runs = dict(
            zip(
                ("baseline", "attention", "gate", "both"),
                0.9 + gains + 0.004 * rng.normal(size=(4, 5, 3)),
                strict=True,
            )
        )
        found = folds.ablation_question(**runs, sizes=SIZES, alpha=0.05)
        steps = {
            "attention": (found.attention_first[0], found.gate_first[1]),
            "gate": (found.gate_first[0], found.attention_first[1]),
        }
        for name, pair in steps.items():
            better = all(step.difference.low > 0 for step in pair)
            holds = better and all(step.p_holm <= 0.05 for step in pair)
            assert (name in found.helps) == holds
            borderline += better and not holds
        contrast = found.attention_less_gate.difference
        assert (found.larger == "attention") == (contrast.low > 0)
        assert (found.larger == "gate") == (contrast.high < 0)
    assert borderline > 0  # cases that only the adjustment decides

"""Models over folds and seeds: how good, how steady, and which differences are more than chance.

A score y of fold i and seed j is taken as mean + fold_i + seed_j + rest_ij with random effects.
The variance of each part follows from the mean squares of the two-way table (Searle, Casella &
McCulloch 1992, Variance Components, ch. 4); one that comes out negative is 0. The rest includes
what a seed does in one fold and not in another, as most of its effect is.

Two models are compared fold by fold, each fold averaged over its seeds: more seeds do not make
more folds. Folds share training cells, hence the corrected t-test (`paired.corrected_resampled_t`).
It speaks of training sets and held-out folds drawn as these were; if all folds are scored on one
fixed test part, it leaves out how much another test part would differ.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import stats

from unstained.statistics.intervals import Estimate
from unstained.statistics.metrics import Floats
from unstained.statistics.paired import adjust, corrected_resampled_t


@dataclass(frozen=True)
class FoldSizes:
    """Cells that one fold is trained on, and cells that it is scored on."""

    train: float
    test: float


@dataclass(frozen=True)
class Spread:
    """Where the variance of a score over folds and seeds comes from, as standard deviations.

    Attributes:
        fold: between folds; with one seed it includes the rest.
        seed: between seeds, in all folds alike; NaN with one seed.
        rest: what neither explains; NaN with one seed.
    """

    fold: float
    seed: float
    rest: float

    @property
    def rerun(self) -> float:
        """Standard deviation between seeds within a fold: what training again would change."""
        return math.hypot(self.seed, self.rest)


@dataclass(frozen=True)
class PairedDifference:
    """Second model minus first.

    Attributes:
        first, second: names.
        difference: mean over folds, with the interval of the corrected t-test.
        t: its statistic, with k - 1 degrees of freedom for k folds.
        p: two-sided, of this comparison alone.
        p_holm: adjusted so that the chance of any false finding among all pairs is bounded.
        p_bh: adjusted so that the expected fraction of false ones among the findings is bounded.
    """

    first: str
    second: str
    difference: Estimate
    t: float
    p: float
    p_holm: float
    p_bh: float


@dataclass(frozen=True)
class FoldRow:
    """One model.

    Attributes:
        model: its name.
        rank: 1 for the greatest mean.
        mean: over all folds and seeds.
        sd: sample standard deviation over all of them; NaN for a single run.
        spread: that variation apart.
        behind: the leader minus this model; None for the leader.
    """

    model: str
    rank: int
    mean: float
    sd: float
    spread: Spread
    behind: PairedDifference | None


@dataclass(frozen=True)
class FoldTable:
    """All models on one metric, best first, and all pairs of them.

    `higher`: whether larger values of the metric are better; else scores are its negatives.
    """

    metric: str
    folds: int
    seeds: int
    rows: tuple[FoldRow, ...]
    pairs: tuple[PairedDifference, ...]
    higher: bool = True

    def shown(self, score: float) -> float:
        """A score as the metric's own value."""
        return score if self.higher else -score


@dataclass(frozen=True)
class AblationAnswer:
    """Attention or gate? Both orders of adding them, and which of the two adds more.

    Attributes:
        attention_first: baseline -> with attention -> with both.
        gate_first: baseline -> with gate -> with both.
        attention, gate: effect of each, averaged over the two orders.
        attention_less_gate: difference of the two effects.
        interaction: effect of the gate with attention minus its effect without.
        helps: those of 'attention' and 'gate' that are better by a significant step in both orders.
        larger: the one with the larger effect; '' where the difference is not significant.
    """

    attention_first: tuple[PairedDifference, PairedDifference]
    gate_first: tuple[PairedDifference, PairedDifference]
    attention: PairedDifference
    gate: PairedDifference
    attention_less_gate: PairedDifference
    interaction: PairedDifference
    helps: tuple[str, ...]
    larger: str


def variance_components(scores: Floats) -> Spread:
    """Standard deviations of the effects of fold, seed and rest.

    Args:
        scores: (k, s) of k folds and s seeds.

    Raises:
        ValueError: fewer than two folds.
    """
    folds, seeds = scores.shape
    if folds < 2:
        raise ValueError("the spread over folds needs two of them")
    by_fold, by_seed, mean = scores.mean(axis=1), scores.mean(axis=0), scores.mean()
    if seeds == 1:
        return Spread(float(by_fold.std(ddof=1)), math.nan, math.nan)
    residual = scores - by_fold[:, None] - by_seed + mean
    rest = float((residual**2).sum() / ((folds - 1) * (seeds - 1)))
    fold = max(0.0, float(by_fold.var(ddof=1)) - rest / seeds)
    seed = max(0.0, float(by_seed.var(ddof=1)) - rest / folds)
    return Spread(math.sqrt(fold), math.sqrt(seed), math.sqrt(rest))


def compare_changes(
    contrasts: Mapping[tuple[str, str], Floats], sizes: FoldSizes, confidence: float
) -> tuple[PairedDifference, ...]:
    """Test differences by fold and seed, adjusted for their number.

    Args:
        contrasts: (first, second) -> (k, s) second minus first, of each fold and seed.
        sizes: cells of a fold, for the correction.
        confidence: of the intervals.
    """
    tests = []
    for values in contrasts.values():
        by_fold = values.mean(axis=1)
        t, p = corrected_resampled_t(by_fold, sizes.train, sizes.test)
        variance = (1 / len(by_fold) + sizes.test / sizes.train) * by_fold.var(ddof=1)
        half = float(stats.t.ppf((1 + confidence) / 2, len(by_fold) - 1) * math.sqrt(variance))
        mean = float(by_fold.mean())
        tests.append((Estimate(mean, mean - half, mean + half), t, p))
    p_values = np.array([p for _, _, p in tests])
    adjusted = zip(adjust(p_values, "holm"), adjust(p_values, "fdr_bh"), strict=True)
    return tuple(
        PairedDifference(first, second, difference, t, p, float(holm), float(bh))
        for (first, second), (difference, t, p), (holm, bh) in zip(
            contrasts, tests, adjusted, strict=True
        )
    )


def _checked(scores: Mapping[str, Floats]) -> dict[str, Floats]:
    """Scores as (k, s) arrays of one shape, without gaps."""
    tables = {name: np.asarray(values, np.float64) for name, values in scores.items()}
    shapes = {values.shape for values in tables.values()}
    if len(shapes) != 1 or len(next(iter(shapes))) != 2:
        raise ValueError("every model needs scores of the same folds and seeds, as (folds, seeds)")
    gaps = [name for name, values in tables.items() if not np.isfinite(values).all()]
    if gaps:
        raise ValueError(f"folds or seeds without a score: {', '.join(gaps)}")
    return tables


def compare_all(
    scores: Mapping[str, Floats], sizes: FoldSizes, confidence: float
) -> tuple[PairedDifference, ...]:
    """Every pair of models, in the order given.

    Args:
        scores: model -> (k, s) score of each fold and seed; larger is better.
        sizes: cells of a fold, for the correction.
        confidence: of the intervals, which are not adjusted for the number of pairs.

    Raises:
        ValueError: shapes differ, a score is missing, or there are fewer than two folds.
    """
    tables = _checked(scores)
    pairs = itertools.combinations(tables, 2)
    return compare_changes({(a, b): tables[b] - tables[a] for a, b in pairs}, sizes, confidence)


def compare_folds(
    metric: str, scores: Mapping[str, Floats], sizes: FoldSizes, confidence: float
) -> FoldTable:
    """Models on one metric, and every pair of them.

    Args:
        metric: its name.
        scores: model -> (k, s) score of each fold and seed; larger is better.
        sizes: cells of a fold, for the correction.
        confidence: of the intervals.

    Raises:
        ValueError: as `compare_all`.
    """
    tables = _checked(scores)
    order = sorted(tables, key=lambda name: (-tables[name].mean(), name))
    weakest_first = {name: tables[name] for name in reversed(order)}
    pairs = compare_all(weakest_first, sizes, confidence)
    behind = {pair.first: pair for pair in pairs if pair.second == order[0]}
    rows = tuple(
        FoldRow(
            model=name,
            rank=place,
            mean=float(tables[name].mean()),
            sd=float(tables[name].std(ddof=1)),
            spread=variance_components(tables[name]),
            behind=behind.get(name),
        )
        for place, name in enumerate(order, start=1)
    )
    folds, seeds = tables[order[0]].shape
    return FoldTable(metric, folds, seeds, rows, pairs)


def ablation_question(
    *,
    baseline: Floats,
    attention: Floats,
    gate: Floats,
    both: Floats,
    sizes: FoldSizes,
    alpha: float,
) -> AblationAnswer:
    """Attention or gate?

    The four steps are adjusted together (Holm), as are the two effects; the difference of the
    effects and the interaction are one question each.

    Args:
        baseline: (k, s) scores of the network without either; larger is better.
        attention: with attention alone.
        gate: with the gated block alone.
        both: with both.
        sizes: cells of a fold, for the correction.
        alpha: significance level; intervals have confidence 1 - alpha.

    Raises:
        ValueError: as `compare_all`.
    """
    names = ("baseline", "attention", "gate", "both")
    b, a, g, ag = _checked(
        dict(zip(names, (baseline, attention, gate, both), strict=True))
    ).values()
    steps = {
        ("baseline", "attention"): a - b,
        ("attention", "both"): ag - a,
        ("baseline", "gate"): g - b,
        ("gate", "both"): ag - g,
    }
    to_attention, then_gate, to_gate, then_attention = compare_changes(steps, sizes, 1 - alpha)
    means = {
        ("without attention", "with attention"): (a - b + ag - g) / 2,
        ("without gate", "with gate"): (g - b + ag - a) / 2,
    }
    effects = compare_changes(means, sizes, 1 - alpha)
    (contrast,) = compare_changes(
        {("effect of gate", "effect of attention"): a - g}, sizes, 1 - alpha
    )
    moderation = {("gate without attention", "gate with attention"): ag - a - (g - b)}
    (interaction,) = compare_changes(moderation, sizes, 1 - alpha)
    orders = {"attention": (to_attention, then_attention), "gate": (to_gate, then_gate)}
    larger = "attention" if contrast.difference.value > 0 else "gate"
    return AblationAnswer(
        attention_first=(to_attention, then_gate),
        gate_first=(to_gate, then_attention),
        attention=effects[0],
        gate=effects[1],
        attention_less_gate=contrast,
        interaction=interaction,
        helps=tuple(
            name
            for name, pair in orders.items()
            if all(step.difference.value > 0 and step.p_holm <= alpha for step in pair)
        ),
        larger=larger if contrast.p <= alpha else "",
    )

"""The shortcut audit: can the label be told without looking at the cell?

A probe is a small classifier that sees statistics without morphology (`data.audit.probes`). What it
reaches on groups that it was not trained on is what a model could reach without biology. Two
questions are asked of each probe:

- Is it better than chance on held-out groups? Its balanced accuracy needs a lower confidence bound
  (bootstrap over groups) above chance plus a margin, and must be rare when labels are exchanged
  between groups, which is what "no relation" means where a whole acquisition has one label.
- How much does a random split flatter it? The same probe under cross-validation over cells,
  minus that over groups, is knowledge of acquisitions, not of classes.
- How much of it does the background explain? Of what a probe reaches above chance, the share that
  the background reaches too, on the same resamples of groups.

A verdict follows from an interval (`statistics.evidence`): 'none found' only where the interval
rules out more than the margin, 'undecided' where it holds both.

The classifier is linear discriminant analysis with equal class weights on normal scores of the
statistics, their squares and products. It has power at a few dozen groups, does not depend on units
or outliers, and is cheap enough to be refitted for every permutation.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np

from unstained.config.validate import ValidateParams
from unstained.data.audit.discriminant import cross_validate, quadratic_scores
from unstained.data.splits.partition import stable_keys
from unstained.statistics.evidence import Share, evidence, explained_share

Scheme = Literal["grouped", "random"]
Verdict = Literal["shortcut", "leak", "none found", "undecided", "not identifiable"]

MIN_GROUPS: Final = 3
"""Groups a class, below which nothing can be said of held-out groups."""

EXPLAINS: Final = "background"
"""The probe that may explain what others reach."""

REPEATS: Final = 5
"""Cross-validations with other folds, averaged."""

PERMUTATIONS: Final = 199
RESAMPLES: Final = 2000


@dataclass(frozen=True)
class ProbeResult:
    """What one probe reached under one scheme of cross-validation.

    Attributes:
        probe: its name, see `data.audit.probes.probe_names`.
        scheme: 'grouped' (held-out groups) or 'random' (held-out cells of known groups).
        balanced_accuracy, low, high: mean recall over classes and its interval; None where not
            identifiable.
        chance: 1 / number of classes.
        p_value: share of label exchanges between groups that reach as much; None for 'random'.
        verdict: 'shortcut' for 'grouped', 'leak' (clearly above 'grouped') for 'random'; 'none
            found' where the interval rules that out, 'undecided' where it does not;
            'not identifiable' where groups are too few.
        groups: that the interval comes from.
        gain: 'random' minus 'grouped' and its interval; for 'random' alone.
        explained: share of what it reaches above chance that the background reaches too; for
            'grouped' probes other than the background that are a shortcut.
    """

    probe: str
    scheme: Scheme
    balanced_accuracy: float | None
    low: float | None
    high: float | None
    chance: float
    p_value: float | None
    verdict: Verdict
    groups: int = 0
    gain: tuple[float, float, float] | None = None
    explained: Share | None = None


def sample_rows(cell_ids: Iterable[str], groups: np.ndarray, size: int, seed: int) -> np.ndarray:
    """Positions of at most `size` cells, the same fraction of every group.

    Args:
        cell_ids: ids of n cells.
        groups: (n,) group of each cell, as names or numbers.
        size: cells at the most.
        seed: `common.seed`.

    Returns:
        Ascending positions. Which cells they are does not depend on the order of the rows.
    """
    if len(groups) <= size:
        return np.arange(len(groups))
    keys = stable_keys(cell_ids, seed, "audit")
    _, group, count = np.unique(groups, return_inverse=True, return_counts=True)
    order = np.lexsort((keys, group))
    start = np.cumsum(count) - count
    rank = np.empty(len(keys))
    rank[order] = (np.arange(len(keys)) - start[group[order]] + 0.5) / count[group[order]]
    return np.sort(np.lexsort((keys, rank))[:size])


def audit_shortcuts(
    probes: Mapping[str, np.ndarray],
    labels: np.ndarray,
    groups: np.ndarray,
    params: ValidateParams,
    seed: int,
) -> list[ProbeResult]:
    """Cross-validate every probe, over groups and over cells.

    Args:
        probes: probe name -> (n, F) statistics.
        labels: (n,) class index, 0 to K-1.
        groups: (n,) group of each cell, as names or numbers.
        params: folds, confidence, margin.
        seed: `common.seed`.

    Returns:
        Two results a probe, 'grouped' then 'random'.
    """
    _, group = np.unique(groups, return_inverse=True)
    classes = int(labels.max()) + 1
    design = _Design(labels, group, classes)
    chance = 1 / classes
    results: list[ProbeResult] = []
    hits: dict[str, np.ndarray] = {}
    for number, (probe, values) in enumerate(probes.items()):
        if classes < 2 or design.groups_of_class.min() < MIN_GROUPS:
            results += [_unidentifiable(probe, scheme, chance) for scheme in ("grouped", "random")]
            continue
        rng = np.random.default_rng([seed, number])
        found, hits[probe] = _audit_probe(probe, quadratic_scores(values), design, params, rng)
        results += found
    weights = _group_weights(design.main, np.random.default_rng([seed, len(probes)]))
    return [
        replace(result, explained=_explained(hits, result.probe, design, weights, params))
        if result.verdict == "shortcut" and result.probe != EXPLAINS and EXPLAINS in hits
        else result
        for result in results
    ]


def _explained(
    hits: Mapping[str, np.ndarray],
    probe: str,
    design: _Design,
    weights: np.ndarray,
    params: ValidateParams,
) -> Share:
    """Share of a probe's excess over chance that the background reaches on the same groups."""
    chance = 1 / design.classes
    part, parts = _recall(hits[EXPLAINS], design.table, weights)
    whole, wholes = _recall(hits[probe], design.table, weights)
    return explained_share(
        part - chance, whole - chance, parts - chance, wholes - chance, params.confidence
    )


def _unidentifiable(probe: str, scheme: Scheme, chance: float) -> ProbeResult:
    return ProbeResult(probe, scheme, None, None, None, chance, None, "not identifiable")


class _Design:
    """Cells, their labels and groups, and how labels may be exchanged if nothing relates to them.

    Attributes:
        labels, group: (n,) class and group of each cell.
        main: (G,) most frequent class of each group.
        pure: every group has one class.
        groups_of_class: (K,) groups that hold cells of a class.
    """

    def __init__(self, labels: np.ndarray, group: np.ndarray, classes: int) -> None:
        self.labels, self.group, self.classes = labels, group, classes
        table = np.bincount(group * classes + labels).astype(np.int64)
        self.table = np.pad(table, (0, -len(table) % classes)).reshape(-1, classes)
        self.main = self.table.argmax(axis=1)
        self.pure = bool(((self.table > 0).sum(axis=1) == 1).all())
        self.groups_of_class = (self.table > 0).sum(axis=0)

    def exchange(self, rng: np.random.Generator) -> np.ndarray:
        """Labels after a random exchange: between pure groups, else among cells of each group."""
        if self.pure:
            return np.asarray(rng.permutation(self.main)[self.group])
        start = np.argsort(self.group, kind="stable")
        shuffled = np.lexsort((rng.random(len(self.labels)), self.group))
        labels = np.empty_like(self.labels)
        labels[start] = self.labels[shuffled]
        return labels

    def group_folds(self, labels: np.ndarray, folds: int, rng: np.random.Generator) -> np.ndarray:
        """Fold of each cell; groups stay whole and are spread class by class."""
        counts = np.bincount(self.group * self.classes + labels, minlength=self.table.size)
        main = counts.reshape(self.table.shape).argmax(axis=1)
        return np.asarray(deal(main, folds, rng)[self.group])


def deal(classes: np.ndarray, folds: int, rng: np.random.Generator) -> np.ndarray:
    """Deal units to folds like cards, class after class, in random order.

    Args:
        classes: (U,) class of each unit.
        folds: number of folds.
        rng: source of the order.

    Returns:
        (U,) fold; per class and in all, folds differ by at most one unit.
    """
    order = np.lexsort((rng.random(len(classes)), classes))
    fold = np.empty(len(classes), np.int64)
    fold[order] = np.arange(len(classes)) % folds
    return np.asarray(fold)


def _audit_probe(
    probe: str,
    scores: np.ndarray,
    design: _Design,
    params: ValidateParams,
    rng: np.random.Generator,
) -> tuple[list[ProbeResult], np.ndarray]:
    """Both schemes of a probe, and what it told correctly of held-out groups, (G, K)."""
    folds = min(params.folds, int(design.groups_of_class.min()))
    grouped, random = _hits(scores, design, folds, rng)
    null = [_null_accuracy(scores, design, folds, rng) for _ in range(PERMUTATIONS)]
    weights = _group_weights(design.main, rng)
    chance, alpha = 1 / design.classes, 1 - params.confidence
    reached, low, high = _interval(grouped, design.table, weights, alpha)
    p_value = (1 + int((np.array(null) >= reached - 1e-9).sum())) / (1 + len(null))
    groups = len(design.main)
    told = evidence(low, high, chance + params.shortcut_margin)
    if told == "shown":
        verdict: Verdict = "shortcut" if p_value <= alpha else "undecided"
    else:
        verdict = "none found" if told == "ruled out" else "undecided"
    first = ProbeResult(probe, "grouped", reached, low, high, chance, p_value, verdict, groups)
    gain = _interval(random - grouped, design.table, weights, alpha)
    told = evidence(gain[1], gain[2], params.shortcut_margin)
    verdict = "leak" if told == "shown" else "none found" if told == "ruled out" else "undecided"
    reached, low, high = _interval(random, design.table, weights, alpha)
    second = ProbeResult(
        probe, "random", reached, low, high, chance, None, verdict, groups, gain=gain
    )
    return [first, second], grouped


def _hits(
    scores: np.ndarray, design: _Design, folds: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Cells told correctly, (G, K) each, with held-out groups and with held-out cells."""
    grouped, random = np.zeros((2, *design.table.shape))
    for _ in range(REPEATS):
        fold = design.group_folds(design.labels, folds, rng)
        grouped += _correct(scores, design, fold) / REPEATS
        random += _correct(scores, design, deal(design.labels, folds, rng)) / REPEATS
    return grouped, random


def _correct(scores: np.ndarray, design: _Design, fold: np.ndarray) -> np.ndarray:
    """(G, K) cells of each class in each group that are told correctly when held out."""
    predicted = cross_validate(scores, design.labels, fold, design.classes)
    cell = design.group * design.classes + design.labels
    hits = np.bincount(cell, weights=predicted == design.labels, minlength=design.table.size)
    return hits.reshape(design.table.shape)


def _null_accuracy(
    scores: np.ndarray, design: _Design, folds: int, rng: np.random.Generator
) -> float:
    labels = design.exchange(rng)
    fold = design.group_folds(labels, folds, rng)
    correct = cross_validate(scores, labels, fold, design.classes) == labels
    count = np.bincount(labels, minlength=design.classes)
    hits = np.bincount(labels, weights=correct, minlength=design.classes)
    return float((hits / count).mean())


def _group_weights(main: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(RESAMPLES, G) how often each group is drawn, drawing within classes."""
    weights = np.zeros((RESAMPLES, len(main)))
    for label in np.unique(main):
        member = np.flatnonzero(main == label)
        share = np.full(len(member), 1 / len(member))
        weights[:, member] = rng.multinomial(len(member), share, size=RESAMPLES)
    return weights


def _interval(
    hits: np.ndarray, counts: np.ndarray, weights: np.ndarray, alpha: float
) -> tuple[float, float, float]:
    """Mean recall over classes, and its percentile interval over resampled groups."""
    reached, resampled = _recall(hits, counts, weights)
    low, high = np.quantile(resampled, [alpha / 2, 1 - alpha / 2])
    return reached, float(low), float(high)


def _recall(hits: np.ndarray, counts: np.ndarray, weights: np.ndarray) -> tuple[float, np.ndarray]:
    """Mean recall over classes, of all groups and of each resample."""
    reached = float((hits.sum(axis=0) / counts.sum(axis=0)).mean())
    resampled = (weights @ hits) / np.maximum(weights @ counts, 1)
    return reached, resampled.mean(axis=1)

"""What the models of a study reach together, and with the stain itself: how far there is to go.

`python -m tests.bench.bench_ceiling STUDY MODEL MODEL ...`, in a folder where replicates of these
models lie, prints, of the test cells of the folds that all of them have:

- accuracy, macro-F1 and Pearson's r of each value (of all cells, and the mean within classes) of
  every combination of the models; scores and values are averaged as `models/ensemble.py` does;
- each combination beside the best single model: the difference of macro-F1, the p of a permutation
  of groups, adjusted by Holm, and the true difference that this comparison would have seen;
- how often two models agree, beside how often both are right, and how many cells all mistake;
- each model's seeds averaged, where folds have several: accuracy and macro-F1 beside those of one;
- which labels all models together doubt (confident learning), and how many of these cells have
  measured values nearer to the class that is suggested than to the one that is given;
- of each model and replicate accuracy, calibration error, and how many cells the sets hold;
- what trees reach that are told the measured values instead of, and beside, each model's scores
  (cross-validated by group): a model that knew the stains exactly would reach no more.

Intervals of 95 % resample groups.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from itertools import combinations
from pathlib import Path

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import cohen_kappa_score
from sklearn.model_selection import GroupKFold, cross_val_predict

from unstained.evaluation.baselines.grid import ReplicateResult, read_replicate
from unstained.evaluation.label_errors import find_suspects
from unstained.predictions import Predictions
from unstained.statistics.intervals import Resampling, estimate, resample_groups
from unstained.statistics.metrics import Floats, Labels, accuracy, macro_f1, unit_confusions
from unstained.statistics.paired import adjust, compare_predictions, detectable

RESAMPLES, CONFIDENCE, SEED, FOLDS = 2000, 0.95, 42, 5
METRICS = {"accuracy": accuracy, "macro-F1": macro_f1}


def main(study: str, *models: str) -> None:
    """Measure and print."""
    found = replicates(study, models)
    tests = [run.test for run in found[models[0]]]
    labels = np.concatenate([one.classes.labels for one in tests])
    groups = np.concatenate([one.group for one in tests])
    truths = np.concatenate([values_of(one, "truth") for one in tests])
    draws = resample_groups(groups, labels, RESAMPLES, SEED)
    print(f"{len(labels)} test cells in {len(np.unique(groups))} groups")
    calls, scores = {}, {}
    for name, said, values in together(found):
        calls[name], scores[name] = said.argmax(axis=1), said
        told = [
            f"{value} {correlations(truths[:, at], values[:, at], labels)}"
            for at, value in enumerate(tests[0].values)
        ]
        print(f"{name}: {', '.join([scored(labels, calls[name], draws), *told])}")
    best = max(models, key=lambda model: (calls[model] == labels).mean())
    beside(labels, groups, calls, best)
    agreement(labels, {model: calls[model] for model in models})
    averaged(found)
    doubted(labels, np.mean([probabilities(runs) for runs in found.values()], axis=0), truths)
    by_replicate(found)
    told = {"the values alone": truths}
    told |= {f"the values and {m}": np.column_stack([truths, scores[m]]) for m in models}
    for name, known in told.items():
        trees = HistGradientBoostingClassifier(min_samples_leaf=40, max_iter=60, random_state=0)
        called = cross_val_predict(trees, known, labels, groups=groups, cv=GroupKFold(FOLDS))
        print(f"who is told {name}: {scored(labels, called, draws)}")


def replicates(study: str, models: tuple[str, ...]) -> dict[str, list[ReplicateResult]]:
    """Of each model, those that all models have."""
    home = Path("runs") / study / "replicates" / "evaluate"
    names = [{path.parent.name for path in (home / m).glob("*/metrics.json")} for m in models]
    shared = sorted(set.intersection(*names))
    print(f"{study}, replicates: {', '.join(shared)}")
    return {model: [read_replicate(home / model / name) for name in shared] for model in models}


def together(
    found: Mapping[str, list[ReplicateResult]],
) -> Iterator[tuple[str, Floats, Floats]]:
    """Every combination: its name, scores (N, K) and values (N, M) of all test cells."""
    for count in range(1, len(found) + 1):
        for models in combinations(found, count):
            runs = [[run.test for run in found[model]] for model in models]
            scores = [np.concatenate([one.classes.logits for one in of]) for of in runs]
            values = [np.concatenate([values_of(one, "predicted") for one in of]) for of in runs]
            yield " + ".join(models), np.mean(scores, axis=0), np.mean(values, axis=0)


def probabilities(runs: list[ReplicateResult]) -> Floats:
    """Calibrated, (N, K), of all test cells."""
    return np.concatenate([run.test.classes.probabilities for run in runs])


def values_of(test: Predictions, what: str) -> Floats:
    """(N, M) values, `predicted` or the `truth`."""
    tables = [getattr(one, what) for one in test.values.values()]
    return np.stack(tables, axis=1) if tables else np.zeros((len(test), 0))


def scored(labels: Labels, called: Labels, draws: Resampling) -> str:
    """Accuracy and macro-F1 with their intervals."""
    counts = unit_confusions(labels, called, draws.unit, draws.units, int(labels.max()) + 1)
    told = []
    for name, metric in METRICS.items():
        (one,) = estimate(metric, counts, draws, CONFIDENCE)
        told.append(f"{name} {one.value:.3f} ({one.low:.3f} to {one.high:.3f})")
    return ", ".join(told)


def correlations(truth: Floats, said: Floats, labels: Labels) -> str:
    """Pearson's r of all cells that recorded the value, and its mean within classes."""
    known = ~np.isnan(truth)
    inside = [
        np.corrcoef(truth[rows], said[rows])[0, 1]
        for rows in (known & (labels == k) for k in np.unique(labels[labels >= 0]))
    ]
    return f"r {np.corrcoef(truth[known], said[known])[0, 1]:.3f}, {np.mean(inside):.3f} within"


def beside(labels: Labels, groups: np.ndarray, calls: Mapping[str, Labels], best: str) -> None:
    """Everyone's macro-F1 less the best single model's."""
    others = [name for name in calls if name != best]
    settings = (groups, "macro_f1", RESAMPLES, 1 - CONFIDENCE, SEED)
    pairs = [compare_predictions(labels, calls[best], calls[name], *settings) for name in others]
    adjusted = adjust(np.array([pair.p_permutation for pair in pairs]), "holm")
    print(f"macro-F1 beside {best}, the most accurate by itself")
    for name, pair, p in zip(others, pairs, adjusted, strict=True):
        seen = detectable(pair.low, pair.high, CONFIDENCE)
        interval = f"({pair.low:+.3f} to {pair.high:+.3f})"
        print(f"{name}: {pair.difference:+.3f} {interval}, p {p:.3f}, would have seen {seen:.3f}")


def averaged(found: Mapping[str, list[ReplicateResult]]) -> None:
    """What each model's seeds say together, of folds that all seeds have."""
    for model, runs in found.items():
        folds: dict[str, list[Predictions]] = {}
        for run in runs:
            folds.setdefault(run.name.partition("-")[0], []).append(run.test)
        most = max(map(len, folds.values()))
        whole = [tests for tests in folds.values() if len(tests) == most > 1]
        if not whole:
            continue
        labels = np.concatenate([tests[0].classes.labels for tests in whole])
        groups = np.concatenate([tests[0].group for tests in whole])
        scores = [np.mean([one.classes.logits for one in tests], axis=0) for tests in whole]
        draws = resample_groups(groups, labels, RESAMPLES, SEED)
        told = scored(labels, np.concatenate(scores).argmax(axis=1), draws)
        print(f"{model}, {most} seeds averaged, {len(whole)} folds: {told}")


def doubted(labels: Labels, likely: Floats, truths: Floats) -> None:
    """Labels that models doubt which have not seen the cells, beside what was measured."""
    found = find_suspects(likely, labels)
    share, noise = found.suspect.mean(), found.noise
    print(f"labels doubted by all together: {share:.3f}; estimated to be wrong: {noise:.3f}")
    if not truths.shape[1]:
        return
    centres = np.stack([np.nanmedian(truths[labels == k], axis=0) for k in range(likely.shape[1])])
    spread = np.nanstd(truths - centres[labels], axis=0)
    far = np.square((truths[:, None] - centres) / spread).sum(axis=2)
    rows = np.flatnonzero(found.suspect & ~np.isnan(truths).any(axis=1))
    nearer = far[rows, found.suggested[rows]] < far[rows, labels[rows]]
    print(f"of {len(rows)} doubted, measured nearer to the suggested class: {nearer.mean():.3f}")


def by_replicate(found: Mapping[str, list[ReplicateResult]]) -> None:
    """Accuracy, expected calibration error and coverage of each replicate."""
    for model, runs in found.items():
        told = []
        for run in runs:
            classes = run.test.classes
            held = classes.sets[np.arange(len(classes.labels)), classes.labels].mean()
            error = run.numbers["ece"]
            told.append(f"{run.name} {1 - classes.wrong.mean():.3f}, {error:.3f}, {held:.3f}")
        print(f"{model}, accuracy, calibration error, coverage: {'; '.join(told)}")


def agreement(labels: Labels, calls: Mapping[str, Labels]) -> None:
    """Of pairs of models, and the cells that no model calls right."""
    for one, other in combinations(calls, 2):
        same, kappa = calls[one] == calls[other], cohen_kappa_score(calls[one], calls[other])
        both = (same & (calls[one] == labels)).mean()
        alike = (same & (calls[one] != labels)).mean()
        print(
            f"{one} and {other} agree on {same.mean():.3f} (kappa {kappa:.3f}): both right "
            f"{both:.3f}, wrong alike {alike:.3f}"
        )
    lost = np.all([called != labels for called in calls.values()], axis=0).mean()
    print(f"nobody right: {lost:.3f}")


if __name__ == "__main__":
    main(*sys.argv[1:])

"""Registered versions on the same test cells: their scores, and tests between pairs of them.

Joins the registry's predictions (`release`) with the statistics (`evaluation`) for the stage
`compare`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from unstained.evaluation.calibration import reliability
from unstained.evaluation.scores import Scores, score_classes, score_target
from unstained.registry.leaderboard.candidates import Candidate
from unstained.registry.standings import Entry, Test, Versus, find_test
from unstained.statistics.intervals import resample_groups
from unstained.statistics.metrics import DECISION_METRICS, confusion_matrix
from unstained.statistics.paired import adjust, compare_predictions

if TYPE_CHECKING:
    from unstained.predictions import ClassPredictions, Predictions
    from unstained.registry.standings import League
    from unstained.stages.compare import CompareStageParams


def score(
    candidate: Candidate, params: CompareStageParams, new: Iterable[int], names: Sequence[str]
) -> Entry:
    """A version's line in the league, not yet compared with the others.

    Args:
        candidate: the version.
        params: metric, resamples, alpha; class names and seed.
        new: versions of this run.
        names: continuous targets.
    """
    version, test = candidate.version, candidate.test
    scores = _scores(candidate, params, names)
    value = scores.overall[params.compare.metric]
    recalls = {found.name: known(found.recall.value) for found in scores.classes}
    return {
        "version": version.version,
        "model": version.model,
        "recipe": version.tags["recipe"],
        "aliases": list(version.aliases),
        "new": version.version in set(new),
        "rescored": candidate.rescored,
        "git_commit": version.tags["git_commit"],
        "artifact_digest": version.digest,
        "value": value.value,
        "low": value.low,
        "high": value.high,
        "validation": _decision_metric(candidate.validation.classes, params),
        "accuracy": scores.overall["accuracy"].value,
        "balanced_accuracy": scores.overall["balanced_accuracy"].value,
        "macro_f1": scores.overall["macro_f1"].value,
        "ece": reliability(
            test.classes.probabilities, test.classes.labels, params.evaluate.ece_bins
        ).error,
        "recalls": recalls,
        "min_class_recall": min(recall for recall in recalls.values() if recall is not None),
        "r": {found.name: known(found.r.value) for found in scores.targets}
        | {name: None for name in names if name not in test.values},
        "parity_passed": version.tags["parity_passed"] == "true",
        "latency_ms": float(version.tags["latency_ms"]),
        "versus_leader": None,
        "versus_champion": None,
    }


def _scores(candidate: Candidate, params: CompareStageParams, names: Sequence[str]) -> Scores:
    test, classes = candidate.test, params.data.class_names
    labels = test.classes.labels
    sampling = resample_groups(test.group, labels, params.compare.resamples, params.common.seed)
    confidence = 1 - params.compare.alpha
    found = score_classes(labels, test.classes.probabilities, classes, sampling, confidence)
    targets = tuple(
        score_target(
            name,
            "",
            test.values[name].truth,
            test.values[name].predicted,
            labels,
            sampling,
            confidence,
        )
        for name in names
        if name in test.values
    )
    return replace(found, targets=targets)


def _decision_metric(found: ClassPredictions, params: CompareStageParams) -> float:
    counts = confusion_matrix(found.labels, found.predicted, len(params.data.class_names))
    return float(DECISION_METRICS[params.compare.metric](counts))


def paired_tests(
    candidates: Sequence[Candidate], pairs: Iterable[tuple[int, int]], params: CompareStageParams
) -> list[Test]:
    """First minus second version of each pair, on the same test cells."""
    tables = {candidate.version.version: candidate.test for candidate in candidates}
    return [_test(tables[first], tables[second], first, second, params) for first, second in pairs]


def _test(
    one: Predictions, two: Predictions, first: int, second: int, params: CompareStageParams
) -> Test:
    found = compare_predictions(
        one.classes.labels,
        two.classes.predicted,
        one.classes.predicted,
        one.group,
        params.compare.metric,
        params.compare.resamples,
        params.compare.alpha,
        params.common.seed,
    )
    return {
        "first": first,
        "second": second,
        "difference": found.difference,
        "low": found.low,
        "high": found.high,
        "p": found.p_permutation,
        "p_floor": found.p_floor,
        "p_mcnemar": found.p_mcnemar,
        "n_discordant": found.n_discordant,
        "n_groups": found.n_groups,
        "caveat": found.caveat,
    }


def versus(league: League, opponent: int | None) -> dict[int, Versus]:
    """Every other entry against one opponent, adjusted for their number.

    Returns:
        Version -> comparison; empty without a comparable opponent.
    """
    numbers = [entry["version"] for entry in league["entries"]]
    if opponent not in numbers:
        return {}
    tests = {n: find_test(league, n, opponent) for n in numbers if n != opponent}
    known_tests = {number: test for number, test in tests.items() if test is not None}
    p_values = np.array([test["p"] for test in known_tests.values()])
    adjusted = adjust(p_values, league["correction"])
    return {
        number: {
            "difference": test["difference"],
            "low": test["low"],
            "high": test["high"],
            "p": test["p"],
            "p_adjusted": float(p),
            "p_mcnemar": test["p_mcnemar"],
        }
        for (number, test), p in zip(known_tests.items(), adjusted, strict=True)
    }


def known(value: float) -> float | None:
    """None for what is undefined: JSON has no NaN."""
    return value if math.isfinite(value) else None

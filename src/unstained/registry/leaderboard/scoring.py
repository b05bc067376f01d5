"""Registered versions on the same test cells: their scores, and tests between pairs of them.

Joins the registry's predictions (`release`) with the statistics (`evaluation`) for the stage
`compare`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from unstained.config.tasks import ClassesParams, TaskParams
from unstained.evaluation.calibration import reliability
from unstained.registry.leaderboard.candidates import Candidate
from unstained.registry.standings import Entry, OverMean, Test, Versus, find_test
from unstained.statistics.intervals import Resampling, resample_groups
from unstained.statistics.metrics import confusion_matrix, recall
from unstained.statistics.paired import adjust, compare, compare_predictions
from unstained.tasks.gate import gate_metric
from unstained.tasks.study import Task, Tasks

if TYPE_CHECKING:
    from unstained.config.compare import CompareStageParams
    from unstained.predictions import Predictions
    from unstained.registry.standings import Leaderboard


def score(candidate: Candidate, params: CompareStageParams, new: Iterable[int]) -> Entry:
    """A version's line in the leaderboard, not yet compared with the others.

    Args:
        candidate: the version.
        params: metric, resamples, alpha; tasks and seed.
        new: versions of this run.
    """
    version, test, confidence = candidate.version, candidate.test, 1 - params.compare.alpha
    metric = gate_metric(params.data.primary_task, params.compare)
    sampling = _resample(test, params)
    value = metric.estimate(*_pair(test, params.data.primary_task), sampling, confidence)
    recalls, ece = _class_scores(candidate, params)
    defined = [recall for recall in recalls.values() if recall is not None]
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
        "validation": known(metric.of(*_pair(candidate.validation, params.data.primary_task))),
        "ece": ece,
        "recalls": recalls,
        "min_class_recall": min(defined, default=None),
        "over_mean": _over_mean(candidate, params),
        "tasks": {task.name: _metrics(test, task) for task in Tasks.of(params.data.tasks).all},
        "parity_passed": version.tags["parity_passed"] == "true",
        "latency_ms": float(version.tags["latency_ms"]),
        "versus_leader": None,
        "versus_champion": None,
    }


def _over_mean(candidate: Candidate, params: CompareStageParams) -> OverMean | None:
    """What a version gains over one answer for all cells, which it could give without a look."""
    task, how = params.data.primary_task, params.compare
    if isinstance(task, ClassesParams):
        return None
    metric, test = gate_metric(task, how), candidate.test
    truth, said = _pair(test, task)
    mean = np.broadcast_to(_mean(_pair(candidate.validation, task)[0]), truth.shape)
    if math.isfinite(metric.of(truth, mean)):
        settings = (how.resamples, how.alpha, params.common.seed)
        found = compare(truth, mean, said, test.group, test.strata, metric, *settings)
        gained = (found.difference, found.low, found.high)
    else:
        own = metric.estimate(truth, said, _resample(test, params), 1 - how.alpha)
        gained = (own.value, own.low, own.high)
    if not all(map(math.isfinite, gained)):
        return None
    difference, low, high = gained
    return {"difference": difference, "low": low, "high": high}


def _mean(truth: np.ndarray) -> np.ndarray:
    """Of the cells whose truth is known, part by part; NaN where none is."""
    with np.errstate(invalid="ignore"):
        return np.asarray(np.nansum(truth, axis=0) / (~np.isnan(truth)).sum(axis=0))


def _pair(found: Predictions, task: TaskParams) -> tuple[np.ndarray, np.ndarray]:
    """Truth and predictions of a task that the candidate is known to have."""
    said = found.of_task(task)
    assert said is not None  # noqa: S101  (`sort_out` left out who has no predictions of it)
    return said.truth, said.predicted


def _resample(found: Predictions, params: CompareStageParams) -> Resampling:
    return resample_groups(found.group, found.strata, params.compare.resamples, params.common.seed)


def _metrics(found: Predictions, task: Task) -> dict[str, float | None]:
    """All metrics of a task; None where it is not predicted or the cells do not determine it."""
    said = found.of_task(task.params)
    if said is None:
        return dict.fromkeys(task.metrics)
    return {name: known(task.metric(name).of(said.truth, said.predicted)) for name in task.metrics}


def _class_scores(
    candidate: Candidate, params: CompareStageParams
) -> tuple[dict[str, float | None], float | None]:
    """Recall of each class of the first classes task, and the calibration error."""
    names = params.data.class_names
    if not candidate.test.by_class or not names:
        return {}, None
    found = candidate.test.classes
    found = found.take(np.flatnonzero(found.known))
    if not len(found.labels):
        return dict.fromkeys(names), None
    recalls = recall(confusion_matrix(found.labels, found.predicted, len(names)))
    error = reliability(found.probabilities, found.labels, params.evaluate.ece_bins).error
    return {name: known(float(value)) for name, value in zip(names, recalls, strict=True)}, error


def paired_tests(
    candidates: Sequence[Candidate], pairs: Iterable[tuple[int, int]], params: CompareStageParams
) -> list[Test]:
    """First minus second version of each pair, on the same test cells."""
    tables = {candidate.version.version: candidate.test for candidate in candidates}
    return [_test(tables[first], tables[second], first, second, params) for first, second in pairs]


def _test(
    one: Predictions, two: Predictions, first: int, second: int, params: CompareStageParams
) -> Test:
    task, how = params.data.primary_task, params.compare
    truth, after = _pair(one, task)
    _, before = _pair(two, task)
    settings = (how.resamples, how.alpha, params.common.seed)
    if isinstance(task, ClassesParams):
        found = compare_predictions(truth, before, after, one.group, how.metric, *settings)
    else:
        metric = gate_metric(params.data.primary_task, params.compare)
        found = compare(truth, before, after, one.group, one.strata, metric, *settings)
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


def versus(leaderboard: Leaderboard, opponent: int | None) -> dict[int, Versus]:
    """Every other entry against one opponent, adjusted for their number.

    Returns:
        Version -> comparison; empty without a comparable opponent.
    """
    numbers = [entry["version"] for entry in leaderboard["entries"]]
    if opponent not in numbers:
        return {}
    tests = {n: find_test(leaderboard, n, opponent) for n in numbers if n != opponent}
    known_tests = {number: test for number, test in tests.items() if test is not None}
    p_values = np.array([test["p"] for test in known_tests.values()])
    adjusted = adjust(p_values, leaderboard["correction"])
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

"""A finished model on labelled cells of another source: nothing is fitted, all is counted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from unstained.config.evaluate import EvaluateParams
from unstained.config.study import StudyData
from unstained.evaluation.calibration import Reliability, error_estimate, reliability
from unstained.evaluation.conformal import coverage_by_group, held_by_group
from unstained.evaluation.results import primary_metric
from unstained.evaluation.scores import Scores
from unstained.evaluation.scoring import score_predictions
from unstained.predictions import Predictions
from unstained.statistics.intervals import Estimate, Resampling, resample_groups, wilson
from unstained.statistics.metric import Metric

ALL: Final = "all"
"""Key of what is covered of all cells, beside the classes."""


@dataclass(frozen=True)
class GroupScore:
    """The cells of one group.

    Attributes:
        name: of the group.
        cells: how many.
        known: those whose truth the primary task knows.
        score: of the primary task, with an interval over cells.
        refused: fraction that the model abstains from by its rules.
    """

    name: str
    cells: int
    known: int
    score: Estimate
    refused: float


@dataclass(frozen=True)
class Covered:
    """How often sets or intervals hold the truth.

    Attributes:
        name: `ALL`, a class or a value.
        promise: fraction that they are made for.
        found: fraction that they hold, with an interval over groups.
        cells, groups: that it comes from.
    """

    name: str
    promise: float
    found: Estimate
    cells: int
    groups: int


@dataclass(frozen=True)
class Refusals:
    """What the model abstains from by the rules of its artifact.

    Attributes:
        promise: fraction of cells like its validation cells that are refused, at most.
        share: fraction refused, with an interval over cells.
        reasons: words -> fraction refused for this reason.
        answered: score of the primary task on the cells that are not refused.
    """

    promise: float
    share: Estimate
    reasons: Mapping[str, float]
    answered: Estimate


@dataclass(frozen=True)
class External:
    """All numbers of one model on one source.

    Attributes:
        data: the study.
        metric: of the primary task.
        scores: of all tasks; absent classes are left out of averages over classes.
        before: the same on the cells it was tested on; None where no registry knows them.
        groups: by name.
        covered: conformal sets of all cells and each class present, then intervals of values.
        certainty: calibration error with its interval, and the curve; None without classes.
        refusals: by the rules of the artifact.
        caveat: what a reader must know of the intervals, or ''.
    """

    data: StudyData
    metric: Metric
    scores: Scores
    before: Scores | None
    groups: tuple[GroupScore, ...]
    covered: tuple[Covered, ...]
    certainty: tuple[Estimate, Reliability] | None
    refusals: Refusals
    caveat: str

    @property
    def score(self) -> Estimate:
        """Of the primary task."""
        return self.scores.tasks[self.data.primary_task.name].metrics[self.metric.name]

    @property
    def score_before(self) -> Estimate | None:
        """The same on the cells that the model was tested on."""
        if self.before is None:
            return None
        return self.before.tasks[self.data.primary_task.name].metrics[self.metric.name]

    @property
    def absent(self) -> tuple[str, ...]:
        """Classes without a cell."""
        return tuple(one.name for one in self.scores.classes if not one.support)


def judge(
    found: Predictions,
    refused: np.ndarray,
    reasons: Sequence[str],
    promises: Mapping[str, float],
    before: Predictions | None,
    data: StudyData,
    params: EvaluateParams,
    seed: int,
) -> External:
    """Count.

    Args:
        found: what the model says of N cells, beside their truth.
        refused: (N, R) bool, the reasons that speak against each answer.
        reasons: R in words.
        promises: 'refused', 'sets' and each value's name -> what was promised.
        before: what it said of the cells that it was tested on.
        data: the study.
        params: intervals and bins.
        seed: of resampling.
    """
    _, metric = primary_metric(data)
    sampling = _resampled(found, params, seed)
    earlier = None
    if before is not None:
        earlier = score_predictions(before, _resampled(before, params, seed), data, params)
    return External(
        data=data,
        metric=metric,
        scores=score_predictions(found, sampling, data, params),
        before=earlier,
        groups=tuple(_by_group(found, refused, metric, data, params, seed)),
        covered=tuple(_covered(found, promises, data, params.confidence)),
        certainty=_certainty(found, sampling, params),
        refusals=_refusals(
            found, refused, reasons, promises["refused"], metric, data, params, seed
        ),
        caveat=sampling.caveat,
    )


def known_cells(found: Predictions, data: StudyData) -> np.ndarray:
    """(N,) whether anything that the study asks is known of a cell."""
    told = [found.of_task(task) for task in data.tasks]
    return np.asarray(np.any([one.known for one in told if one is not None], axis=0))


def _resampled(found: Predictions, params: EvaluateParams, seed: int) -> Resampling:
    return resample_groups(found.group, found.strata, params.bootstrap, seed)


def _score(
    found: Predictions, sampling: Resampling, metric: Metric, data: StudyData, confidence: float
) -> Estimate:
    said = found.of_task(data.primary_task)
    assert said is not None  # noqa: S101  (a model that is asked predicts the primary task)
    return metric.estimate(said.truth, said.predicted, sampling, confidence)


def _by_group(
    found: Predictions,
    refused: np.ndarray,
    metric: Metric,
    data: StudyData,
    params: EvaluateParams,
    seed: int,
) -> list[GroupScore]:
    rows = []
    for name in np.unique(found.group):
        chosen = np.flatnonzero(found.group == name)
        own = found.take(chosen)
        said = own.of_task(data.primary_task)
        assert said is not None  # noqa: S101  (see `_score`)
        sampling = resample_groups(None, own.strata, params.bootstrap, seed)
        score = _score(own, sampling, metric, data, params.confidence)
        share = float(refused[chosen].any(axis=1).mean())
        rows.append(GroupScore(str(name), len(own), int(said.known.sum()), score, share))
    return rows


def _covered(
    found: Predictions, promises: Mapping[str, float], data: StudyData, confidence: float
) -> list[Covered]:
    rows = []
    if found.by_class:
        known = np.flatnonzero(found.classes.known)
        said, group = found.classes.take(known), found.group[known]
        for k, name in [(None, ALL), *enumerate(data.class_names)]:
            chosen = np.flatnonzero((said.labels == k) | (k is None))
            if len(chosen):
                told = coverage_by_group(
                    said.sets[chosen], said.labels[chosen], group[chosen], confidence
                )
                rows.append(Covered(name, promises["sets"], told[0], len(chosen), told[1]))
    for name, value in found.values.items():
        if value.bounds is None or name not in promises:
            continue
        known = np.flatnonzero(value.known)
        low, high = (end[known] for end in value.bounds)
        inside = (low <= value.truth[known]) & (value.truth[known] <= high)
        estimate, groups = held_by_group(inside, found.group[known], confidence)
        rows.append(Covered(name, promises[name], estimate, len(known), groups))
    return rows


def _certainty(
    found: Predictions, sampling: Resampling, params: EvaluateParams
) -> tuple[Estimate, Reliability] | None:
    if not found.by_class or not found.classes.known.any():
        return None
    known = found.classes.known
    said = found.classes.take(np.flatnonzero(known))
    over = sampling if known.all() else sampling.over(known)
    numbers = (said.probabilities, said.labels, params.ece_bins)
    return error_estimate(*numbers, over, params.confidence), reliability(*numbers)


def _refusals(
    found: Predictions,
    refused: np.ndarray,
    reasons: Sequence[str],
    promise: float,
    metric: Metric,
    data: StudyData,
    params: EvaluateParams,
    seed: int,
) -> Refusals:
    any_reason = refused.any(axis=1)
    rest = found.take(np.flatnonzero(~any_reason))
    answered = Estimate(float("nan"), float("nan"), float("nan"))
    if len(rest):
        answered = _score(rest, _resampled(rest, params, seed), metric, data, params.confidence)
    shares = zip(reasons, refused.mean(axis=0), strict=True)
    return Refusals(
        promise=promise,
        share=wilson(int(any_reason.sum()), len(found), params.confidence),
        reasons={words: float(share) for words, share in shares if share},
        answered=answered,
    )

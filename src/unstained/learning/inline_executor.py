"""Trials one after another in this process, with Optuna's own pruner."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import optuna

from unstained.learning.journal import TrialRecord
from unstained.learning.proposals import meant, proposed
from unstained.learning.search import Course, Objective, Report, Search


def run_inline(
    problem: Search,
    finished: Mapping[int, TrialRecord],
    keep: Callable[[TrialRecord], None],
) -> None:
    """Run the missing trials one after another in this process.

    Finished trials are played back through the same sampler and pruner, which leaves both in the
    state of an uninterrupted search.
    """
    tune = problem.tune
    study = optuna.create_study(
        direction="minimize",
        pruner=optuna.pruners.SuccessiveHalvingPruner(tune.grace_epochs, tune.reduction_factor),
    )
    for number in range(tune.trials):
        study.sampler = problem.sampler(number)
        known = finished.get(number)
        if known is not None or number == 0:
            values = known.params if known is not None else problem.defaults
            study.enqueue_trial(proposed(problem.space, values))
        trial = study.ask(problem.distributions())
        course = Course(number, meant(problem.space, trial.params))
        objective = problem.objective if known is None else _playback(known)
        objective(course.params, _Halving(trial, course, tune.epochs))
        study.tell(trial, course.value)
        if known is None:
            keep(course.finish())


@dataclass(frozen=True)
class _Halving:
    """`Report` of the inline executor."""

    trial: optuna.Trial
    course: Course
    epochs: int

    def __call__(self, epoch: int, loss: float) -> bool:
        self.course.add(epoch, loss)
        self.trial.report(self.course.value, epoch)
        last = epoch >= self.epochs
        self.course.pruned = not last and not self.course.diverged and self.trial.should_prune()
        return not (last or self.course.pruned or self.course.diverged)


def _playback(record: TrialRecord) -> Objective:
    """An objective that reports what a finished trial reported."""

    def replay(params: Mapping[str, Any], report: Report) -> None:
        for epoch, loss in record.history:
            report(epoch, loss)
        if record.state == "diverged":
            report(record.epochs, math.nan)

    return replay

"""Search for better parameters: any objective, journaled trials, successive halving.

The engine knows nothing of cells or networks: an objective receives parameters and reports a loss
an epoch. Trial 0 always has the parameters of params.yaml, so the best trial is never worse than
what is known. Proposals come from Optuna's tree-structured Parzen estimator (Bergstra et al. 2011),
weak trials are stopped by asynchronous successive halving (ASHA, Li et al. 2020).
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
import optuna

from unstained.config import Range, TuneParams
from unstained.errors import ParameterError, TrainingError
from unstained.learning.journal import Journal, State, TrialRecord

DIVERGED_LOSS: Final = 1e30
"""What the search is told of a loss that is not finite: worse than any other, yet a number."""


class Report(Protocol):
    """How an objective reports.

    Called once an epoch with its number, from 1, and its loss. False means: return now, the trial
    was stopped.
    """

    def __call__(self, epoch: int, loss: float) -> bool:
        """Report one epoch."""
        ...


Objective = Callable[[Mapping[str, float], Report], None]


@dataclass
class Course:
    """A trial under way."""

    trial: int
    params: Mapping[str, float]
    history: list[tuple[int, float]] = field(default_factory=list)
    epochs: int = 0
    diverged: bool = False
    pruned: bool = False

    def add(self, epoch: int, loss: float) -> None:
        """Note what the objective reported."""
        self.epochs = epoch
        if math.isfinite(loss):
            self.history.append((epoch, loss))
        else:
            self.diverged = True

    @property
    def value(self) -> float:
        """The lowest loss so far; DIVERGED_LOSS once a loss was not finite."""
        if self.diverged or not self.history:
            return DIVERGED_LOSS
        return min(loss for _, loss in self.history)

    def finish(self) -> TrialRecord:
        """The record of the trial.

        Raises:
            TrainingError: the objective returned without any report.
        """
        if not self.epochs:
            raise TrainingError(
                f"trial {self.trial} reported no loss", "give it at least one epoch to run"
            )
        state: State = "pruned" if self.pruned else "completed"
        return TrialRecord(
            trial=self.trial,
            state="diverged" if self.diverged else state,
            value=min((loss for _, loss in self.history), default=None),
            epochs=self.epochs,
            params=dict(self.params),
            history=tuple(self.history),
        )


@dataclass(frozen=True)
class Search:
    """What defines a search, and where its finished trials go.

    Attributes:
        space: dotted parameter -> range; may be empty only where `tune.trials` is 1.
        defaults: the parameters' values in params.yaml, one for each key of `space`.
        objective: what is minimised; it must be picklable for the executor 'ray'.
        tune: number of trials, epochs, halving; `concurrent` applies to 'ray' alone.
        seed: equal seeds give equal proposals; with 'inline' equal trials.
        journal: file that survives an interruption.
    """

    space: Mapping[str, Range]
    defaults: Mapping[str, float]
    objective: Objective
    tune: TuneParams
    seed: int
    journal: Path

    def open_journal(self) -> Journal:
        """The journal, bound to this search's configuration."""
        content = {
            "space": {name: rule.model_dump() for name, rule in sorted(self.space.items())},
            "defaults": dict(sorted(self.defaults.items())),
            "tune": self.tune.model_dump(),
            "seed": self.seed,
        }
        digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
        return Journal(self.journal, digest)

    def distributions(self) -> dict[str, optuna.distributions.BaseDistribution]:
        """The space in Optuna's terms, in name order."""
        return {
            name: optuna.distributions.FloatDistribution(rule.low, rule.high, log=rule.log)
            for name, rule in sorted(self.space.items())
        }

    def sampler(self, number: int) -> optuna.samplers.BaseSampler:
        """Source of proposals for trial `number` and later.

        Seeded by the number: what is proposed depends on the seed and the trials before, not on
        whether the search was interrupted.
        """
        state = np.random.SeedSequence([self.seed, number]).generate_state(1)
        return optuna.samplers.TPESampler(seed=int(state[0]))


def search(
    problem: Search, on_trial_end: Callable[[TrialRecord], None] | None = None
) -> tuple[TrialRecord, ...]:
    """Run the trials that the journal does not hold yet.

    Args:
        problem: the search.
        on_trial_end: called in this process for every newly finished trial.

    Returns:
        Exactly `tune.trials` finished trials by number.

    Raises:
        ParameterError: a default lies outside its range, or there is nothing to search.
        TrainingError: a trial failed, the journal is damaged, or Ray cannot be reached.
    """
    _check(problem)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    journal = problem.open_journal()
    finished = journal.read()

    def keep(record: TrialRecord) -> None:
        journal.append(record)
        if on_trial_end is not None:
            on_trial_end(record)

    if len(finished) < problem.tune.trials:
        if problem.tune.executor == "ray":
            from unstained.learning.ray_executor import run_on_ray

            run_on_ray(problem, finished, keep)
        else:
            run_inline(problem, finished, keep)
    finished = journal.read()
    return tuple(finished[number] for number in sorted(finished))


def best_trial(trials: tuple[TrialRecord, ...]) -> TrialRecord:
    """The trial with the lowest value; the earlier one of equals.

    Raises:
        TrainingError: every trial diverged.
    """
    usable = [(record.value, record.trial, record) for record in trials if _usable(record)]
    if not usable:
        raise TrainingError(
            "the loss of every trial became infinite or NaN",
            "lower the upper end of tune.network_space's train.learning_rate",
        )
    return min(usable, key=lambda item: item[:2])[2]


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
            study.enqueue_trial(dict(known.params if known is not None else problem.defaults))
        trial = study.ask(problem.distributions())
        course = Course(number, trial.params)
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

    def replay(params: Mapping[str, float], report: Report) -> None:
        for epoch, loss in record.history:
            report(epoch, loss)
        if record.state == "diverged":
            report(record.epochs, math.nan)

    return replay


def _usable(record: TrialRecord) -> bool:
    return record.state != "diverged" and record.value is not None


def _check(problem: Search) -> None:
    """Refuse searches that cannot start from the parameters as they are."""
    if not problem.space:
        raise ParameterError(
            "tune: the search space is empty", "name parameters to search, or set tune.trials to 1"
        )
    for name, rule in problem.space.items():
        value: Any = problem.defaults[name]
        if not rule.low <= value <= rule.high:
            raise ParameterError(
                f"tune: {name} is {value}, outside its search range {rule.low} to {rule.high}; the "
                "first trial has the parameters as they are",
                "widen the range, or set tune.trials to 1 to keep the parameters",
            )

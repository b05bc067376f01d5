"""Trials on Ray: a cluster by RAY_ADDRESS, or one that is started here and ends with the search.

On a cluster of several machines, the files that the objective opens must lie at the same paths
everywhere (a shared file system). The journal is written by this process alone.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import ray
from ray import tune as ray_tune
from ray.tune.schedulers import ASHAScheduler
from ray.tune.search import ConcurrencyLimiter
from ray.tune.search.optuna import OptunaSearch

from unstained.config.search_space import Rule
from unstained.errors import TrainingError
from unstained.learning.journal import TrialRecord
from unstained.learning.proposals import meant, proposed
from unstained.learning.ray_session import last_line, ray_session
from unstained.learning.search import Course, Objective, Search


def run_on_ray(
    problem: Search,
    finished: Mapping[int, TrialRecord],
    keep: Callable[[TrialRecord], None],
) -> None:
    """Run the missing trials, `tune.concurrent` at a time.

    Raises:
        TrainingError: a trial failed, or RAY_ADDRESS cannot be reached.
    """
    with ray_session() as folder:
        recorder = _Recorder(problem, finished, keep)
        tuner = ray_tune.Tuner(
            _trainable(problem),
            tune_config=ray_tune.TuneConfig(
                num_samples=problem.tune.trials - len(finished),
                search_alg=ConcurrencyLimiter(_optuna(problem, finished), problem.tune.concurrent),
                scheduler=_asha(problem, finished),
                reuse_actors=True,
            ),
            run_config=ray_tune.RunConfig(
                name="trials",
                storage_path=str(folder / "results"),
                callbacks=[recorder],
                failure_config=ray_tune.FailureConfig(fail_fast=True),
                verbose=0,
            ),
        )
        results = tuner.fit()
    if results.errors:
        raise TrainingError(
            f"a trial failed: {last_line(results.errors[0])}",
            "correct the cause and run again; finished trials are kept and not repeated",
        )


def _trainable(problem: Search) -> Any:
    """The objective as a Ray trainable with its share of the cluster's processors."""
    total = ray.cluster_resources()  # type: ignore[no-untyped-call]
    concurrent = problem.tune.concurrent
    cpus = max(1, int(total.get("CPU", 1)) // concurrent)
    share = {"cpu": cpus, "gpu": total.get("GPU", 0) / concurrent}
    return ray_tune.with_resources(
        _Trainable(problem.objective, dict(problem.space), cpus).run, share
    )


@dataclass(frozen=True)
class _Trainable:
    """What runs in a worker."""

    objective: Objective
    space: Mapping[str, Rule]
    threads: int

    def run(self, config: dict[str, Any]) -> None:
        # torch reads this when it is first imported; a worker serves one search only.
        os.environ["OMP_NUM_THREADS"] = str(self.threads)
        params = meant(self.space, config)
        course = Course(0, params)

        def report(epoch: int, loss: float) -> bool:
            course.add(epoch, loss)
            # The best value so far, as inline; Ray ends this thread here if ASHA stops the trial.
            ray_tune.report({"value": course.value, "loss": loss, "epoch": epoch, "end": False})
            return not course.diverged

        self.objective(params, report)
        if not course.epochs:
            course.finish()
        ray_tune.report({"value": course.value, "epoch": course.epochs, "end": True})


class _Recorder(ray_tune.Callback):
    """Numbers trials as they start and keeps them when they finish.

    Trials that are proposed together start in any order: 0 is told by its parameters.
    """

    def __init__(
        self,
        problem: Search,
        finished: Mapping[int, TrialRecord],
        keep: Callable[[TrialRecord], None],
    ) -> None:
        numbers = range(1, problem.tune.trials)
        self._free = iter([number for number in numbers if number not in finished])
        self._defaults = dict(problem.defaults) if 0 not in finished else None
        self._space = problem.space
        self._epochs = problem.tune.epochs
        self._keep = keep
        self._courses: dict[str, Course] = {}
        self._ended: set[str] = set()

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Ray saves the tuner for a restore of its own, and the journal is ours."""
        return {}

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        params = meant(self._space, trial.config)
        number = 0 if params == self._defaults else next(self._free)
        self._courses[trial.trial_id] = Course(number, params)

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        if result["end"] or result["epoch"] >= self._epochs:
            self._ended.add(trial.trial_id)
        if not result["end"]:
            self._courses[trial.trial_id].add(result["epoch"], result["loss"])

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        course = self._courses.pop(trial.trial_id)
        course.pruned = trial.trial_id not in self._ended
        self._keep(course.finish())


def _optuna(problem: Search, finished: Mapping[int, TrialRecord]) -> OptunaSearch:
    """Optuna's proposals, told of the finished trials."""
    searcher = OptunaSearch(
        problem.distributions(),
        metric="value",
        mode="min",
        sampler=problem.sampler(len(finished)),
        points_to_evaluate=[] if 0 in finished else [proposed(problem.space, problem.defaults)],
    )
    for record in finished.values():
        searcher.add_evaluated_point(proposed(problem.space, record.params), _replay(record)[-1][1])
    return searcher


def _asha(problem: Search, finished: Mapping[int, TrialRecord]) -> ASHAScheduler:
    """Successive halving, told of the finished trials: they stay the yardstick of new ones."""
    tune = problem.tune
    scheduler = ASHAScheduler(
        time_attr="epoch",
        metric="value",
        mode="min",
        max_t=tune.epochs,
        grace_period=min(tune.grace_epochs, tune.epochs),
        reduction_factor=tune.reduction_factor,
    )
    # Its methods declare a controller and a trial, but use the trial's id alone.
    replay: Any = scheduler
    for record in finished.values():
        trial = SimpleNamespace(trial_id=f"finished-{record.trial}")
        replay.on_trial_add(None, trial)
        for epoch, value in _replay(record):
            result = {"epoch": epoch, "value": value}
            replay.on_trial_result(None, trial, result)
        replay.on_trial_complete(None, trial, result)
    return scheduler


def _replay(record: TrialRecord) -> list[tuple[int, float]]:
    """(epoch, best value so far) as the trial reported them."""
    course = Course(record.trial, record.params)
    points = []
    for epoch, loss in record.history:
        course.add(epoch, loss)
        points.append((epoch, course.value))
    if record.state == "diverged":
        course.add(record.epochs, float("nan"))
        points.append((record.epochs, course.value))
    return points

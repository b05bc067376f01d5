"""Search for better parameters: any objective, journaled trials, successive halving.

The engine knows nothing of cells or networks: an objective receives parameters and reports a loss
an epoch. Trial 0 always has the parameters of params.yaml, so the best trial is never worse than
what is known. Proposals come from Optuna's tree-structured Parzen estimator (Bergstra et al. 2011),
weak trials are stopped by asynchronous successive halving (ASHA, Li et al. 2020).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import optuna

from unstained.errors import ParameterError, TrainingError
from unstained.learning.inline_executor import run_inline
from unstained.learning.journal import TrialRecord
from unstained.learning.search import Search


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
        if not rule.holds(value):
            raise ParameterError(
                f"tune: {name} is {value}, outside {rule}; the first trial has the parameters as "
                "they are",
                "widen the range or add the choice, or set tune.trials to 1 to keep the parameters",
            )

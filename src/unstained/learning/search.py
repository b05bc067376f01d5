"""What a search for better parameters is: its space, its objective, a trial under way."""

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

from unstained.config.learning import TuneParams
from unstained.config.search_space import Rule
from unstained.errors import TrainingError
from unstained.learning.journal import Journal, State, TrialRecord
from unstained.learning.proposals import distribution

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


Objective = Callable[[Mapping[str, Any], Report], None]


@dataclass
class Course:
    """A trial under way."""

    trial: int
    params: Mapping[str, Any]
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
            raise TrainingError(f"trial {self.trial} reported no loss", "raise tune.epochs")
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
        space: dotted parameter -> range or choices; may be empty only where `tune.trials` is 1.
        defaults: the parameters' values in params.yaml, one for each key of `space`.
        objective: what is minimised; it must be picklable for the executor 'ray'.
        tune: number of trials, epochs, halving; `concurrent` applies to 'ray' alone.
        seed: equal seeds give equal proposals; with 'inline' equal trials.
        journal: file that survives an interruption.
    """

    space: Mapping[str, Rule]
    defaults: Mapping[str, Any]
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
        return {name: distribution(rule) for name, rule in sorted(self.space.items())}

    def sampler(self, number: int) -> optuna.samplers.BaseSampler:
        """Source of proposals for trial `number` and later.

        Seeded by the number: what is proposed depends on the seed and the trials before, not on
        whether the search was interrupted.
        """
        state = np.random.SeedSequence([self.seed, number]).generate_state(1)
        return optuna.samplers.TPESampler(seed=int(state[0]))

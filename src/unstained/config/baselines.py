"""Parameters of the grid of baselines."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from unstained.config.base import Params


class Experiment(Params):
    """A question that two models of the grid answer, which differ in one thing."""

    question: str
    usual: str
    changed: str


class BaselinesParams(Params):
    """The grid of baselines: every model on every fold with every seed."""

    models: tuple[str, ...] = Field(description="keys of the recipe's `models`")
    folds: tuple[Annotated[int, Field(ge=0)], ...] = Field(description="validation folds")
    seeds: tuple[Annotated[int, Field(ge=0, lt=2**31)], ...]
    experiments: tuple[Experiment, ...] = ()

    @model_validator(mode="after")
    def _experiments_are_in_the_grid(self) -> BaselinesParams:
        for experiment in self.experiments:
            for name in (experiment.usual, experiment.changed):
                if name not in self.models:
                    raise ValueError(f"baselines.experiments: {name!r} is not in baselines.models")
        return self

    @property
    def contenders(self) -> tuple[str, ...]:
        """The models that are compared with each other: those that are no experiment."""
        changed = {experiment.changed for experiment in self.experiments}
        return tuple(name for name in self.models if name not in changed)

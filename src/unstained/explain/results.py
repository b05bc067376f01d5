"""What was measured of all models, as means over cells with intervals over groups."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from unstained.explain.cells import Sample
from unstained.explain.measure import MAP, ORDERED, Measured
from unstained.explain.saliency import CONTROLS, mean_difference
from unstained.statistics.intervals import HALF_A_POINT, Estimate, Resampling
from unstained.statistics.metrics import Floats


@dataclass(frozen=True)
class Asked:
    """What is explained.

    Attributes:
        number: name of the value, or of the part whose share it is; '' for classes.
        kinds: of test cells, in the order of the sample's labels: K classes, or thirds.
        skill: what tells whether a model has learnt anything, in words.
        guessing: its value without knowledge.
    """

    number: str
    kinds: tuple[str, ...]
    skill: str
    guessing: float


@dataclass(frozen=True)
class Explained:
    """All models on the same cells.

    Attributes:
        measured: model -> what was measured, in the order of params.yaml.
        reasons: model -> why nothing was.
        contenders: models that are no experiment.
        sample: N test cells.
        resampling: of these cells.
        confidence: of intervals.
        asked: what is explained.
        skill: model -> see `Asked`, on all test cells.
        validation: model -> score on the held-out fold, larger is better.
    """

    measured: Mapping[str, Measured]
    reasons: Mapping[str, str]
    contenders: tuple[str, ...]
    sample: Sample
    resampling: Resampling
    confidence: float
    asked: Asked
    skill: Mapping[str, Estimate]
    validation: Mapping[str, float]

    @property
    def competing(self) -> tuple[str, ...]:
        """Measured models that are no experiment."""
        return tuple(name for name in self.measured if name in self.contenders)

    def mean(self, values: Floats) -> Estimate:
        """Mean over cells (N,) with its interval; cells that are NaN are left out."""
        return mean_difference(values, np.zeros(len(values)), self.resampling, self.confidence)

    def score(self, model: str, measure: str, order: str = MAP) -> Estimate:
        """Mean of a measure for a model's map or a control."""
        return self.mean(self.measured[model].scores[measure][order])

    def gain(self, model: str, measure: str, control: str) -> Estimate:
        """By how much a model's map is better than a control; for deletion, how much lower."""
        found = self.measured[model].scores[measure]
        sign = ORDERED[measure]
        return mean_difference(
            sign * found[MAP], sign * found[control], self.resampling, self.confidence
        )

    def hardest(self, model: str, measure: str) -> tuple[str, Estimate]:
        """The control that a map beats by the least, or loses to by the most, and by how much."""
        gains = {control: self.gain(model, measure, control) for control in CONTROLS}
        name = min(gains, key=lambda control: _known(gains[control].value))
        return name, gains[name]

    def best(self, measure: str) -> str | None:
        """The model whose maps beat their hardest control, by more than the intervals of others."""
        gains = {model: self.hardest(model, measure)[1] for model in self.competing}
        for name, found in gains.items():
            others = [_known(other.high) for model, other in gains.items() if model != name]
            if others and better(found) and found.low > max(others):
                return name
        return None

    def beats(self, model: str, measures: tuple[str, ...]) -> bool:
        """Whether a map is better than every control in each of some measures."""
        gains = [self.gain(model, measure, name) for measure in measures for name in CONTROLS]
        return all(better(gain) for gain in gains)

    def guesses(self, model: str) -> bool:
        """Whether a model's calls cannot be told from guessing."""
        return not self.skill[model].low > self.asked.guessing

    def favourite(self) -> str | None:
        """The contender with maps that did best on the held-out fold, never on test cells."""
        return max(self.competing, key=lambda name: self.validation[name], default=None)


def better(gain: Estimate) -> bool:
    """Whether a gain's interval lies above 0 and the gain is large enough to build on."""
    return gain.low > 0 and gain.value >= HALF_A_POINT


def worse(gain: Estimate) -> bool:
    """Whether a loss's interval lies below 0 and the loss is large enough to matter."""
    return gain.high < 0 and gain.value <= -HALF_A_POINT


def _known(value: float) -> float:
    """NaN as the smallest number: what is undefined beats nothing."""
    return -np.inf if np.isnan(value) else value

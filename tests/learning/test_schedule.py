"""Learning-rate schedules against torch's own schedulers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.optim.lr_scheduler import CosineAnnealingLR, ReduceLROnPlateau, StepLR

from tests.learning.cases import TRAIN
from unstained.learning.schedule import Plateau, Schedule


def schedule(name: str, epochs: int, steps: int, warmup: float = 0.0) -> Schedule:
    changes = {"schedule": name, "epochs": epochs, "warmup": warmup, "learning_rate": 0.1}
    return Schedule(TRAIN.model_copy(update=changes), steps)


def optimiser() -> torch.optim.Optimizer:
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)


def test_cosine_equals_torch():
    mine, reference = schedule("cosine", 4, 10), optimiser()
    scheduler = CosineAnnealingLR(reference, T_max=40)
    for step in range(40):
        assert mine.rate(step, Plateau()) == pytest.approx(reference.param_groups[0]["lr"])
        reference.step()
        scheduler.step()


def test_step_equals_torch():
    mine, reference = schedule("step", 20, 3), optimiser()
    scheduler = StepLR(reference, step_size=7, gamma=0.1)
    for epoch in range(20):
        for step in range(3):
            rate = mine.rate(epoch * 3 + step, Plateau())
            assert rate == pytest.approx(reference.param_groups[0]["lr"])
        reference.step()
        scheduler.step()


@given(st.lists(st.floats(0.1, 2.0), min_size=1, max_size=60))
def test_plateau_equals_torch(losses: list[float]):
    mine, plateau, reference = schedule("plateau", len(losses), 1), Plateau(), optimiser()
    scheduler = ReduceLROnPlateau(reference, factor=0.1, patience=5, eps=0)
    for step, loss in enumerate(losses):
        plateau.update(loss)
        scheduler.step(loss)
        expected = reference.param_groups[0]["lr"]
        assert mine.rate(step, plateau) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("name", ["cosine", "plateau", "step", "constant"])
def test_warm_up_rises_linearly_to_the_full_rate(name: str):
    mine = schedule(name, 6, 10, warmup=0.2)
    rates = [mine.rate(step, Plateau()) for step in range(60)]
    np.testing.assert_allclose(rates[:12], 0.1 * np.arange(1, 13) / 12)
    assert max(rates) == pytest.approx(0.1)
    assert np.all(np.diff(rates[11:]) <= 1e-15)


def test_constant_stays():
    mine = schedule("constant", 3, 5)
    assert {mine.rate(step, Plateau()) for step in range(15)} == {0.1}

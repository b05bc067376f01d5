"""Averaged weights against the recursion written out in float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from unstained.learning.ema import AveragedNetwork, ema_decay


def network() -> nn.Module:
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))


def test_the_average_follows_the_recursion_and_copies_buffers():
    model = network()
    average = AveragedNetwork(model, 0.9)
    expected = [p.detach().double().numpy() for p in model.parameters()]
    for step in range(30):
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(torch.randn_like(parameter))
        model(torch.randn(4, 1, 5, 5))
        average.update(model, step)
        decay = min(0.9, (1 + step) / (10 + step))
        new = [p.detach().double().numpy() for p in model.parameters()]
        expected = [decay * e + (1 - decay) * n for e, n in zip(expected, new, strict=True)]
    for mine, reference in zip(average.network.parameters(), expected, strict=True):
        np.testing.assert_allclose(mine.numpy(), reference, rtol=1e-4, atol=1e-5)
    for mine, original in zip(average.network.buffers(), model.buffers(), strict=True):
        assert torch.equal(mine, original)


def test_the_average_takes_no_gradient_and_stays_in_evaluation_mode():
    average = AveragedNetwork(network().train(), 0.9)
    assert not average.network.training
    assert not any(p.requires_grad for p in average.network.parameters())


def test_without_decay_the_average_is_the_network():
    model = network()
    average = AveragedNetwork(model, 0.0)
    with torch.no_grad():
        model[0].weight.normal_()
    average.update(model, 5)
    assert torch.equal(average.network.state_dict()["0.weight"], model[0].weight)


def test_decay_warms_up():
    decays = [ema_decay(0.98, step) for step in range(1000)]
    assert decays[0] == pytest.approx(0.1)
    assert decays == sorted(decays)
    assert decays[-1] == 0.98

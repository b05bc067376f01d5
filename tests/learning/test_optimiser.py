"""Weight decay where it belongs, and the optimiser's state by name."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from tests.learning.cases import TRAIN
from tests.models.sizes import TINY, parse
from tests.synthetic import tasks
from unstained.learning.objective import Objective
from unstained.learning.optimiser import (
    build_optimiser,
    optimiser_tensors,
    set_learning_rate,
    sum_of_squares,
)
from unstained.models.build import build_model
from unstained.models.outputs import Outputs
from unstained.tasks.study import Tasks

CONVOLUTIONS = torch.nn.Conv1d | torch.nn.Conv2d | torch.nn.Conv3d


def decayed_and_exempt(network: torch.nn.Module) -> tuple[set[str], set[str]]:
    optimiser = build_optimiser(network, TRAIN)
    names = {parameter: name for name, parameter in network.named_parameters()}
    decayed = {names[p] for g in optimiser.param_groups if g["weight_decay"] for p in g["params"]}
    return decayed, set(names.values()) - decayed


@pytest.mark.parametrize("architecture", TINY)
def test_only_weights_of_products_and_convolutions_decay(architecture: str):
    network = build_model(parse(TINY[architecture]), 3, 1)
    decayed, exempt = decayed_and_exempt(network)
    assert exempt
    assert decayed == {
        name
        for name, module in network.named_modules()
        for name in [f"{name}.weight"]
        if isinstance(module, CONVOLUTIONS | torch.nn.Linear)
    }


def test_norms_biases_gamma_and_temperature_are_exempt():
    _, exempt = decayed_and_exempt(build_model(parse(TINY["cg_recnet"]), 3, 1))
    for word in ("bias", "bn1.weight", "norm.weight", "gamma", "temperature"):
        assert any(name.endswith(word) for name in exempt), word


def test_what_timm_exempts_in_a_transformer_is_exempt():
    network = build_model(parse(TINY["vit_b_16"]), 3, 1)
    _, exempt = decayed_and_exempt(network)
    theirs = {f"trunk.{name}" for name in network.trunk.no_weight_decay()}
    there = theirs & {name for name, _ in network.named_parameters()}
    assert {"trunk.pos_embed", "trunk.cls_token"} <= there <= exempt


def test_a_temperature_is_exempt_whatever_its_shape():
    network = torch.nn.Linear(4, 3)
    network.temperature = torch.nn.Parameter(torch.ones(2, 1, 1))
    assert decayed_and_exempt(network) == ({"weight"}, {"bias", "temperature"})


@pytest.mark.parametrize("kind", ["adamw", "adam"])
def test_steps_equal_torchs_plain_optimiser(kind: str):
    torch.manual_seed(0)
    mine = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.LayerNorm(3))
    theirs = copy.deepcopy(mine)
    train = TRAIN.model_copy(update={"optimiser": kind, "weight_decay": 0.2})
    optimiser = build_optimiser(mine, train)
    reference = {"adamw": torch.optim.AdamW, "adam": torch.optim.Adam}[kind](
        [
            {"params": [theirs[0].weight], "weight_decay": 0.2},
            {"params": [theirs[0].bias, *theirs[1].parameters()], "weight_decay": 0.0},
        ],
        lr=0.02,
    )
    for step in range(5):
        inputs = torch.randn(8, 4, generator=torch.Generator().manual_seed(step))
        set_learning_rate(optimiser, 0.02)
        for network, one in ((mine, optimiser), (theirs, reference)):
            one.zero_grad()
            (network(inputs) - inputs[:, :3]).square().sum().backward()
            one.step()
    for a, b in zip(mine.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)
    assert optimiser_tensors(optimiser, mine)["step.0.weight"].item() == 5


def test_the_loss_with_l2_is_that_of_its_definition():
    torch.manual_seed(0)
    network = build_model(parse(TINY["differential_cnn"]), 1, 0).train()
    share, penalty = torch.rand(8), 0.05
    known = torch.stack([share, 1 - share], dim=1)
    found = network(torch.randn(8, 1, 32, 32))
    asked = tasks({"m": {"kind": "proportion", "parts": ["a", "b"], "columns": ["m"]}})
    objective = Objective(Tasks.of(asked), 1.0)
    parts = objective.parts(Outputs(found.logits, found.targets, None, found.embedding), known)
    loss = objective.total(parts.sums, parts.weights) + penalty * sum_of_squares(network)
    t, p = share.double().numpy(), 1 / (1 + np.exp(-found.logits[:, 0].double().detach().numpy()))
    squares = sum(
        float((module.weight.detach().double() ** 2).sum())
        for module in network.modules()
        if isinstance(module, CONVOLUTIONS | torch.nn.Linear)
    )
    expected = np.mean(-t * np.log(p) - (1 - t) * np.log(1 - p)) + penalty * squares
    assert loss.item() == pytest.approx(expected, rel=1e-5)


def test_l2_in_the_loss_is_twice_the_weight_decay_of_plain_gradient_descent():
    torch.manual_seed(0)
    mine = torch.nn.Sequential(torch.nn.Conv2d(2, 3, 3), torch.nn.BatchNorm2d(3)).double()
    theirs, penalty = copy.deepcopy(mine), 0.05
    decayed = {"params": [theirs[0].weight], "weight_decay": 2 * penalty}
    rest = {"params": [theirs[0].bias, *theirs[1].parameters()]}
    optimisers = (
        torch.optim.SGD(mine.parameters(), lr=0.1),
        torch.optim.SGD([decayed, rest], lr=0.1),
    )
    for _ in range(5):
        images = torch.randn(4, 2, 8, 8, dtype=torch.float64)
        for network, optimiser in zip((mine, theirs), optimisers, strict=True):
            optimiser.zero_grad()
            loss = (network(images) - 1).square().mean()
            (loss + penalty * sum_of_squares(mine) if network is mine else loss).backward()
            optimiser.step()
    for a, b in zip(mine.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(a, b)

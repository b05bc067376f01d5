"""Synchronised batch normalisation of two workers against one BatchNorm2d over the whole batch."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from timm.layers.norm_act import BatchNormAct2d
from torch import nn

from tests.learning.cases import NETWORK, process_factory
from unstained.learning.batchnorm import SynchronisedBatchNorm2d, synchronise_batch_norm
from unstained.models.build import build_model

SHARES = (slice(0, 5), slice(5, 12))


KINDS = ("torch", "timm")
"""A plain layer with an activation behind it, and timm's with one inside."""


def problem(kind: str) -> tuple[nn.Sequential, torch.Tensor, torch.Tensor]:
    torch.manual_seed(3)
    layers = {
        "torch": [nn.BatchNorm2d(4, momentum=0.3), nn.ReLU()],
        "timm": [BatchNormAct2d(4, momentum=0.3, act_layer=nn.ReLU)],
    }
    network = nn.Sequential(nn.Conv2d(1, 4, 3), *layers[kind])
    nn.init.normal_(network[1].weight)
    nn.init.normal_(network[1].bias)
    return network, 5 + 2 * torch.randn(12, 1, 8, 8), torch.randn(12, 4, 6, 6)


def one_worker(rank: int, folder: Path, kind: str) -> None:
    torch.set_num_threads(1)
    store = dist.FileStore(str(folder / "meet"), 2)
    dist.init_process_group("gloo", store=store, rank=rank, world_size=2)
    network, inputs, weights = problem(kind)
    synchronise_batch_norm(network)
    own = inputs[SHARES[rank]].requires_grad_(True)
    outputs = network(own)
    (outputs * weights[SHARES[rank]]).sum().backward()
    gradients = [p.grad for p in network.parameters()]
    torch.save(
        {"outputs": outputs.detach(), "inputs": own.grad, "gradients": gradients}
        | {"state": network.state_dict()},
        folder / f"{rank}.pt",
    )
    dist.destroy_process_group()


@pytest.mark.parametrize("kind", KINDS)
def test_two_workers_equal_one_batch_norm_over_the_whole_batch(tmp_path: Path, kind: str):
    processes = [
        process_factory().Process(target=one_worker, args=(rank, tmp_path, kind)) for rank in (0, 1)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    network, inputs, weights = problem(kind)
    inputs.requires_grad_(True)
    outputs = network(inputs)
    (outputs * weights).sum().backward()
    found = [torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in (0, 1)]
    close = {"rtol": 1e-4, "atol": 1e-5}
    torch.testing.assert_close(torch.cat([part["outputs"] for part in found]), outputs, **close)
    torch.testing.assert_close(torch.cat([part["inputs"] for part in found]), inputs.grad, **close)
    for name, value in network.state_dict().items():
        for part in found:
            torch.testing.assert_close(part["state"][name], value, **close)
    for index, parameter in enumerate(network.parameters()):
        total = found[0]["gradients"][index] + found[1]["gradients"][index]
        torch.testing.assert_close(total, parameter.grad, rtol=1e-4, atol=1e-4)


def test_conversion_keeps_keys_tensors_and_evaluation():
    network = build_model(NETWORK, 3, 1).eval()
    inputs = torch.randn(2, 1, 32, 32)
    expected, state = network(inputs), dict(network.state_dict())
    synchronise_batch_norm(network)
    kinds = {type(module) for module in network.modules()}
    assert SynchronisedBatchNorm2d in kinds
    assert nn.BatchNorm2d not in kinds
    assert list(network.state_dict()) == list(state)
    assert all(
        tensor.data_ptr() == state[name].data_ptr() for name, tensor in network.state_dict().items()
    )
    assert torch.equal(network(inputs).logits, expected.logits)


@pytest.mark.parametrize("layer", [nn.BatchNorm1d(3), nn.BatchNorm2d(3, momentum=None)])
def test_batch_norms_that_cannot_be_synchronised_are_refused(layer: nn.Module):
    with pytest.raises(TypeError, match="cannot share"):
        synchronise_batch_norm(nn.Sequential(layer))

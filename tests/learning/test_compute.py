"""Device and arithmetic, and the deterministic context."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from tests.learning.cases import TRAIN
from unstained.learning.compute import choose_compute, reproducible
from unstained.learning.distributed import Group

NO_GPU = pytest.mark.skipif(torch.cuda.is_available(), reason="what a machine without GPU does")


@NO_GPU
@pytest.mark.parametrize(
    ("changes", "bfloat16", "compiled"),
    [
        ({}, False, False),
        ({"precision": "bfloat16"}, True, False),
        ({"precision": "float32", "compile": "on"}, False, True),
    ],
)
def test_cpus_stay_in_float32_and_uncompiled_unless_told(changes, bfloat16, compiled):
    compute = choose_compute(TRAIN.model_copy(update=changes), Group())
    assert compute.device.type == "cpu"
    assert (compute.bfloat16, compute.compiled) == (bfloat16, compiled)


@NO_GPU
def test_autocast_computes_in_bfloat16_and_keeps_float32_weights():
    compute = choose_compute(TRAIN.model_copy(update={"precision": "bfloat16"}), Group())
    layer = compute.place(nn.Conv2d(3, 4, 3))
    with compute.autocast():
        assert layer(torch.zeros(1, 3, 5, 5)).dtype == torch.bfloat16
    assert layer.weight.dtype == torch.float32
    assert layer.weight.is_contiguous(memory_format=torch.channels_last)


def test_the_deterministic_context_leaves_no_trace():
    torch.manual_seed(1)
    before = torch.get_rng_state()
    with pytest.raises(ValueError, match="inside"), reproducible():
        torch.manual_seed(5)
        assert torch.are_deterministic_algorithms_enabled()
        raise ValueError("inside")
    assert not torch.are_deterministic_algorithms_enabled()
    assert torch.equal(torch.get_rng_state(), before)

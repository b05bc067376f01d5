"""Where and in which arithmetic a network trains, chosen for what the device gains."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.utils import deterministic as _deterministic

from unstained.config.learning import TrainParams
from unstained.learning.distributed import Group


@dataclass(frozen=True)
class Compute:
    """Device and arithmetic of one worker.

    Attributes:
        device: where the network is.
        bfloat16: whether convolutions and products run in bfloat16; weights stay float32.
        compiled: whether the network is compiled.
    """

    device: torch.device
    bfloat16: bool
    compiled: bool

    def autocast(self) -> AbstractContextManager[None]:
        """The context in which the network is called."""
        if not self.bfloat16:
            return nullcontext()
        return torch.autocast(self.device.type, dtype=torch.bfloat16)

    def place(self, network: nn.Module) -> nn.Module:
        """Move a network to the device, channels last.

        That order gains 10 to 20 % on CPUs and is what tensor cores read; convolutions over volumes
        have no such order.
        """
        if any(parameter.ndim > 4 for parameter in network.parameters()):
            return network.to(device=self.device)
        network.to(device=self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        return network

    def compile(self, network: nn.Module) -> None:
        """Compile a network in place where that is wanted; names of its parameters stay."""
        if self.compiled:
            network.compile(dynamic=False)


def device_type() -> str:
    """'cuda' where a GPU is visible, else 'cpu'."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def choose_compute(train: TrainParams, group: Group) -> Compute:
    """Device and arithmetic for this worker.

    `precision: auto` is bfloat16 on GPUs that have it and float32 on CPUs, where results then are
    the same on every processor of a kind; `compile: auto` compiles on GPUs.
    """
    kind = device_type()
    if kind == "cuda":
        local = int(os.environ.get("LOCAL_RANK", str(group.rank % max(group.local_world, 1))))
        device = torch.device("cuda", local)
        torch.cuda.set_device(device)
    else:
        device = torch.device("cpu")
    gains = kind == "cuda" and torch.cuda.is_bf16_supported()
    return Compute(
        device=device,
        bfloat16=train.precision == "bfloat16" or (train.precision == "auto" and gains),
        compiled=train.compile == "on" or (train.compile == "auto" and kind == "cuda"),
    )


@contextmanager
def reproducible() -> Iterator[None]:
    """Deterministic algorithms while the block runs; torch's generators are left as they were.

    On a CPU the same seed and number of threads give the same bits. On a GPU, operations without
    a deterministic form warn instead of failing.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    memory: Any = _deterministic  # a property of the module, unknown to type checkers
    enabled = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    fill = memory.fill_uninitialized_memory
    benchmark = torch.backends.cudnn.benchmark
    torch.use_deterministic_algorithms(True, warn_only=torch.cuda.is_available())
    memory.fill_uninitialized_memory = False
    torch.backends.cudnn.benchmark = False
    try:
        with torch.random.fork_rng():
            yield
    finally:
        torch.use_deterministic_algorithms(enabled, warn_only=warn_only)
        memory.fill_uninitialized_memory = fill
        torch.backends.cudnn.benchmark = benchmark

"""Data-parallel workers: processes that each train on a share of every global batch.

`train.workers` starts them from the stage itself: the calling process is worker 0 and spawns the
others. Under torchrun (RANK and WORLD_SIZE in the environment) the processes exist already and
join. Gradients are summed in one reduction a step; weights, and therefore results, are the same in
every worker. gloo connects CPUs, nccl GPUs.
"""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from multiprocessing.process import BaseProcess
from typing import Any, Final

import numpy as np
import torch
import torch.distributed as dist
import torch.multiprocessing as multiprocessing
from torch.distributed import TCPStore  # type: ignore[attr-defined]  # exported at run time

from unstained.errors import TrainingError, UnstainedError

JOIN: Final = timedelta(minutes=5)
"""How long workers may take to meet, and to answer one another."""


@dataclass(frozen=True)
class Group:
    """The workers of one run.

    Attributes:
        rank: this worker's number.
        world: how many there are; 1 means that nothing is communicated.
        local_world: how many of them are on this machine.
    """

    rank: int = 0
    world: int = 1
    local_world: int = 1

    @property
    def leads(self) -> bool:
        """Whether this worker writes checkpoints, reports progress and decides."""
        return self.rank == 0

    def sum(self, tensor: torch.Tensor) -> torch.Tensor:
        """Add up `tensor` over all workers, in place."""
        if self.world > 1:
            dist.all_reduce(tensor)
        return tensor

    def sum_gradients(self, parameters: Sequence[torch.nn.Parameter]) -> None:
        """Add up the gradients of `parameters` over all workers in one reduction."""
        if self.world == 1:
            return
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
        flat = self.sum(torch.cat([gradient.reshape(-1) for gradient in gradients]))
        parts = torch.split(flat, [gradient.numel() for gradient in gradients])
        for parameter, gradient, part in zip(parameters, gradients, parts, strict=True):
            parameter.grad = gradient.copy_(part.view(gradient.shape))

    def same_tensors(self, tensors: Sequence[torch.Tensor]) -> None:
        """Overwrite `tensors` by those of worker 0."""
        if self.world > 1:
            for tensor in tensors:
                dist.broadcast(tensor, 0)

    def same_json(self, content: Any, device: torch.device) -> Any:
        """The JSON content that worker 0 has."""
        if self.world == 1:
            return content
        encoded = np.frombuffer(json.dumps(content).encode(), np.uint8).copy()
        size = torch.tensor([len(encoded)], device=device)
        dist.broadcast(size, 0)
        data = torch.from_numpy(np.resize(encoded, int(size))).to(device)
        dist.broadcast(data, 0)
        return json.loads(data.cpu().numpy().tobytes())


def started_outside() -> bool:
    """Whether torchrun, or another launcher with its variables, started this process."""
    return "RANK" in os.environ and "WORLD_SIZE" in os.environ


@contextmanager
def workers(
    count: int, device_type: str, entry: Callable[..., None], arguments: tuple[Any, ...]
) -> Iterator[Group]:
    """The group that trains while the block runs; this process is one of it.

    Args:
        count: data-parallel processes asked for by `train.workers`.
        device_type: 'cpu' or 'cuda'.
        entry: importable function that the spawned workers call with a Group and `arguments`.
        arguments: picklable.

    Raises:
        TrainingError: more workers than GPUs, a launcher started another number of workers, or a
            worker was lost.
    """
    backend = "nccl" if device_type == "cuda" else "gloo"
    if started_outside():
        with _joined_from_outside(count, backend) as group:
            yield group
    elif count == 1:
        yield Group()
    else:
        if device_type == "cuda" and count > torch.cuda.device_count():
            raise TrainingError(
                f"train.workers is {count}, but there are {torch.cuda.device_count()} GPUs",
                "lower train.workers to the number of GPUs",
            )
        with _spawned(count, backend, entry, arguments) as group:
            yield group


@contextmanager
def _joined_from_outside(count: int, backend: str) -> Iterator[Group]:
    world = int(os.environ["WORLD_SIZE"])
    if count not in (1, world):
        raise TrainingError(
            f"train.workers is {count}, but the launcher started {world} processes",
            "set train.workers to 1 or to the launcher's number of processes",
        )
    local = int(os.environ.get("LOCAL_WORLD_SIZE", str(world)))
    group = Group(int(os.environ["RANK"]), world, local)
    if world == 1:
        yield group
        return
    already = dist.is_initialized()
    if not already:
        dist.init_process_group(backend, timeout=JOIN)
    try:
        with _losses_explained([]):
            yield group
    finally:
        if not already:
            dist.destroy_process_group()


@contextmanager
def _spawned(
    count: int, backend: str, entry: Callable[..., None], arguments: tuple[Any, ...]
) -> Iterator[Group]:
    store = TCPStore("127.0.0.1", 0, count, is_master=True, wait_for_workers=False)
    context = multiprocessing.get_context("spawn")
    threads = torch.get_num_threads()
    share = max(1, threads // count)
    others = [
        context.Process(
            target=_worker,
            args=(Group(rank, count, count), backend, store.port, share, entry, arguments),
            daemon=True,
        )
        for rank in range(1, count)
    ]
    for process in others:
        process.start()
    try:
        with _losses_explained(others):
            torch.set_num_threads(share)
            dist.init_process_group(backend, store=store, rank=0, world_size=count, timeout=JOIN)
            yield Group(0, count, count)
            for process in others:
                process.join()
    finally:
        for process in others:
            process.terminate()
            process.join()
        if dist.is_initialized():
            dist.destroy_process_group()
        torch.set_num_threads(threads)


def _worker(
    group: Group,
    backend: str,
    port: int,
    threads: int,
    entry: Callable[..., None],
    arguments: tuple[Any, ...],
) -> None:
    """Body of a spawned process. Errors that worker 0 reports as well end it quietly."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    torch.set_num_threads(threads)
    store = TCPStore("127.0.0.1", port, group.world, is_master=False)
    dist.init_process_group(
        backend, store=store, rank=group.rank, world_size=group.world, timeout=JOIN
    )
    try:
        entry(group, *arguments)
    except UnstainedError:
        return
    finally:
        dist.destroy_process_group()


def _end_with_parent() -> None:
    """Leave nothing behind when worker 0 is killed."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


@contextmanager
def _losses_explained(others: Sequence[BaseProcess]) -> Iterator[None]:
    """Turn the failure of a collective into an error that says which worker is gone."""
    try:
        yield
    except RuntimeError as error:
        if not isinstance(error, dist.DistError) and "onnection" not in str(error):
            raise
        ended = [f"{p.name} with exit code {p.exitcode}" for p in others if not p.is_alive()]
        raise TrainingError(
            f"a training worker was lost ({', '.join(ended) or error})",
            "its own message is above; run the same command again to go on from the checkpoint",
        ) from error

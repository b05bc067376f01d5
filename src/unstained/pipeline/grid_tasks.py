"""Replicates as tasks on Ray: what one needs, what runs in a worker, what came of it."""

from __future__ import annotations

import os
import socket
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final

import ray

from unstained.config.models import BoostingParams
from unstained.errors import UnstainedError
from unstained.files import file_sha256
from unstained.learning.ray_session import last_line, ray_session
from unstained.pipeline.catalogue import stage_directory
from unstained.pipeline.contract import Replicate
from unstained.pipeline.done import is_done
from unstained.pipeline.runner import STATE, run_stage
from unstained.pipeline.task import Task
from unstained.stages.replicate import ReplicateParams

STOP_SECONDS: Final = 10.0
"""How long workers have to end by themselves after Ctrl-C."""


@dataclass(frozen=True)
class Work:
    """A replicate to train; it travels to a worker.

    Attributes:
        root: the project's directory, the same on every worker.
        params: sha256 of params.yaml.
        study, model, replicate: which one.
    """

    root: Path
    params: str
    study: str
    model: str
    replicate: Replicate

    @property
    def name(self) -> str:
        """For people."""
        return f"{self.study}/{self.model} {self.replicate.name}"


@dataclass(frozen=True)
class Outcome:
    """What came of a replicate: `macro_f1` after `seconds`, or a `problem`."""

    macro_f1: float = 0.0
    seconds: float = 0.0
    problem: str | None = None


def train_on_ray(
    tasks: dict[Work, Task], concurrent: int | None, told: Callable[[Work, Outcome], None]
) -> None:
    """Train replicates on Ray.

    Args:
        tasks: at least one; they are queued in this order.
        concurrent: how many at a time; None for as many as there are processors.
        told: called for each when it ends, well or not.

    Raises:
        TrainingError: RAY_ADDRESS cannot be reached.
    """
    waiting = iter(tasks)
    running: dict[Any, Work] = {}
    with ray_session(next(iter(tasks)).root / STATE):
        try:
            while True:
                room = None if concurrent is None else concurrent - len(running)
                for work in islice(waiting, room):
                    running[_submit(work, tasks[work])] = work
                if not running:
                    return
                (ended,), _ = ray.wait(list(running))
                work = running.pop(ended)
                told(work, _collect(ended, work, tasks[work]))
        except BaseException:
            _stop(list(running))
            raise


def _submit(work: Work, task: Task) -> Any:
    """Queue a replicate with the processors that it needs, as far as any machine has them."""
    assert isinstance(task.params, ReplicateParams)  # noqa: S101  (the stage's own class)
    model = task.params.model
    processes = model.training(task.params.train).workers
    cpus = min(processes, _most("CPU"))
    gpus = 0 if isinstance(model, BoostingParams) else min(processes, _most("GPU"))
    remote = ray.remote(num_cpus=cpus, num_gpus=gpus, max_retries=0)(train_replicate)
    return remote.remote(work)


def _most(kind: str) -> int:
    """The most processors of a kind that one machine of the cluster has."""
    nodes = ray.nodes()  # type: ignore[no-untyped-call]
    return max(int(node["Resources"].get(kind, 0)) for node in nodes if node["Alive"])


def train_replicate(work: Work) -> Outcome:
    """What runs in a worker."""
    os.environ["OMP_NUM_THREADS"] = "1"  # torch reads this when it is first imported
    start = time.monotonic()
    try:
        _require_project(work)
        report = run_stage(
            "replicate", work.study, work.model, root=work.root, replicate=work.replicate
        )
    except UnstainedError as error:
        return Outcome(problem=str(error))
    except Exception as error:
        frame = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{Path(frame.filename).name}, line {frame.lineno}"
        return Outcome(problem=f"unexpected {type(error).__name__}: {error} ({where})")
    return Outcome(float(str(report.metrics["macro_f1"])), time.monotonic() - start)


def _require_project(work: Work) -> None:
    path = work.root / "params.yaml"
    if not path.is_file():
        raise UnstainedError(
            f"the project's directory {work.root} is not on {socket.gethostname()}, a worker of "
            "the Ray cluster",
            "share it with all workers under the same path, or unset RAY_ADDRESS",
        )
    if file_sha256(path) != work.params:
        raise UnstainedError(
            f"{path} on {socket.gethostname()} is not what it was here when the grid started",
            "run `unstained grid` again",
        )


def _collect(ended: Any, work: Work, task: Task) -> Outcome:
    """The outcome of a replicate, believed when its outputs are here."""
    try:
        outcome: Outcome = ray.get(ended)
    except ray.exceptions.RayError as error:
        return Outcome(problem=f"its worker was lost: {last_line(error)}")
    if outcome.problem is None and not is_done(work.root, task):
        home = stage_directory(work.root, task.stage, work.study, work.model, work.replicate)
        return Outcome(
            problem=f"its worker has finished, but {home} is not its result: the directory is not "
            "shared, or code or inputs were changed meanwhile"
        )
    return outcome


def _stop(running: list[Any]) -> None:
    """Interrupt the workers and wait until they have ended; their checkpoints stay."""
    for reference in running:
        ray.cancel(reference)
    if running:
        ray.wait(running, num_returns=len(running), timeout=STOP_SECONDS)

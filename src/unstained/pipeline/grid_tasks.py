"""Replicates on Ray: what one needs, what runs in a worker, what came of it."""

from __future__ import annotations

import os
import socket
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, Final

import ray

from unstained.errors import UnstainedError
from unstained.files import file_sha256
from unstained.learning.ray_session import last_line, ray_session
from unstained.pipeline.catalogue import stage_directory
from unstained.pipeline.contract import Replicate
from unstained.pipeline.done import remaining
from unstained.pipeline.runner import run_stage
from unstained.pipeline.task import Task
from unstained.stages.train import TrainSections

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
    """What came of a replicate: what is `said` of it, or the `problem` that its stage had."""

    said: str = ""
    stage: str = ""
    problem: str | None = None


def train_on_ray(
    tasks: dict[Work, list[Task]], concurrent: int | None, told: Callable[[Work, Outcome], None]
) -> None:
    """Train and evaluate replicates on Ray.

    Args:
        tasks: at least one replicate, each with what is left to do; queued in this order.
        concurrent: how many at a time; None for as many as there are processors.
        told: called for each when it ends, well or not.

    Raises:
        TrainingError: RAY_ADDRESS cannot be reached.
    """
    waiting = iter(tasks)
    running: dict[Any, Work] = {}
    with ray_session():
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


def _submit(work: Work, tasks: list[Task]) -> Any:
    """Queue a replicate with the processors that it needs, as far as any machine has them."""
    cpus, gpus = 1, 0
    if isinstance(params := tasks[0].params, TrainSections):
        processes = params.model.training(params.train).workers
        cpus = min(processes, _most("CPU"))
        gpus = min(processes, _most("GPU")) if params.model.learns_by_gradient else 0
    remote = ray.remote(num_cpus=cpus, num_gpus=gpus, max_retries=0)(run_replicate)
    return remote.remote(work, [task.stage.name for task in tasks])


def _most(kind: str) -> int:
    """The most processors of a kind that one machine of the cluster has."""
    nodes = ray.nodes()  # type: ignore[no-untyped-call]
    return max(int(node["Resources"].get(kind, 0)) for node in nodes if node["Alive"])


def run_replicate(work: Work, stages: Sequence[str]) -> Outcome:
    """What runs in a worker."""
    os.environ["OMP_NUM_THREADS"] = "1"  # torch reads this when it is first imported
    start = time.monotonic()
    try:
        _require_project(work)
    except UnstainedError as error:
        return Outcome(stage=stages[0], problem=str(error))
    outcome = run_stages(work, stages)
    return replace(outcome, said=f"{outcome.said}, {time.monotonic() - start:.0f} s")


def run_stages(work: Work, stages: Sequence[str]) -> Outcome:
    """Run some stages of a replicate here, up to the first that fails."""
    said = ""
    for stage in stages:
        try:
            report = run_stage(
                stage, work.study, work.model, root=work.root, replicate=work.replicate
            )
        except UnstainedError as error:
            return Outcome(stage=stage, problem=str(error))
        except Exception as error:
            frame = traceback.extract_tb(error.__traceback__)[-1]
            where = f"{Path(frame.filename).name}, line {frame.lineno}"
            problem = f"unexpected {type(error).__name__}: {error} ({where})"
            return Outcome(stage=stage, problem=problem)
        said = ", ".join(f"{key} {value}" for key, value in report.metrics.items())
    return Outcome(said)


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


def _collect(ended: Any, work: Work, tasks: list[Task]) -> Outcome:
    """The outcome of a replicate, believed when its outputs are here."""
    try:
        outcome: Outcome = ray.get(ended)
    except ray.exceptions.RayError as error:
        problem = f"its worker was lost: {last_line(error)}"
        return Outcome(stage=tasks[0].stage.name, problem=problem)
    missing = remaining(work.root, tasks) if outcome.problem is None else []
    if missing:
        stage = missing[0].stage
        home = stage_directory(work.root, stage, work.study, work.model, work.replicate)
        problem = (
            f"its worker has finished, but {home} is not its result: the directory is not shared, "
            "or code or inputs were changed meanwhile"
        )
        return Outcome(stage=stage.name, problem=problem)
    return outcome


def _stop(running: list[Any]) -> None:
    """Interrupt the workers and wait until they have ended; their checkpoints stay."""
    for reference in running:
        ray.cancel(reference)
    if running:
        ray.wait(running, num_returns=len(running), timeout=STOP_SECONDS)

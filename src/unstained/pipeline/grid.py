"""All replicates of `baselines`: what is done is skipped, the rest is trained on Ray.

One replicate takes one core with one thread, or one GPU: several small trainings side by side use
the cores of a machine better than one after the other with all threads, and the result does not
depend on how many cores there are. Exports and versions follow one by one: times are measured on a
machine that does nothing else, and versions count in the order of params.yaml.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from rich.console import Console

from unstained.config.project import load_params
from unstained.errors import ParameterError, RegistryError, TrainingError
from unstained.files import file_sha256, read_json
from unstained.pipeline.catalogue import LEARNING, SHIPPING, replicates_of, stage_directory
from unstained.pipeline.configure import configure
from unstained.pipeline.done import remaining, require_inputs
from unstained.pipeline.dvc_record import record
from unstained.pipeline.grid_tasks import Outcome, Work, run_stages, train_on_ray
from unstained.pipeline.holdings import lost
from unstained.pipeline.task import Task, make_task
from unstained.registry.registry import Registry

PIPELINE: Final = "baselines/dvc.yaml"


def run_grid(root: Path, study: str | None = None, concurrent: int | None = None) -> None:
    """Train, evaluate, export and register the replicates that are not done yet, and tell DVC.

    Args:
        root: the project's directory.
        study: one of params.yaml `active`; None for all of them.
        concurrent: replicates at a time; None for one a core or GPU.

    Raises:
        ParameterError: the study is not active.
        StageInputError: an earlier stage has not finished, or did with other parameters.
        TrainingError: replicates failed, all others are done; or RAY_ADDRESS cannot be reached.
        KeyboardInterrupt: the workers were stopped.
    """
    tasks = _tasks(root, study)
    configure(root)
    failed: dict[Work, Outcome] = {}
    for some, run, what in ((LEARNING, train_on_ray, "trained"), (SHIPPING, _ship, "registered")):
        wanted = {
            work: [task for task in found if task.stage.name in some]
            for work, found in tasks.items()
            if work not in failed
        }
        left = {work: todo for work, t in wanted.items() if (todo := remaining(root, t))}
        gone, unseen = _gone(root, wanted) if some is SHIPPING else ({}, "")
        left = gone | left
        progress = _Progress(len(tasks), len(left) + len(failed), what)
        if unseen:
            progress.say(unseen)
        try:
            if left:
                run(left, concurrent, progress.tell)
        except KeyboardInterrupt:
            progress.say("stopped; those that were running go on from their last checkpoint")
            raise
        failed |= progress.failed
    done = [work for work in tasks if work not in failed]
    names = [_in_dvc(work, stage) for work in done for stage in (*LEARNING, *SHIPPING)]
    recorded = record(root, PIPELINE, names)
    progress.say(
        "this is no DVC project: nothing was recorded"
        if recorded is None
        else f"DVC knows what is done, {recorded} stages of it new: `dvc repro {PIPELINE}` goes on"
    )
    if failed:
        one, outcome = next(iter(failed.items()))
        raise TrainingError(
            f"{len(failed)} of {len(tasks)} replicates failed; the others are done\n"
            + "\n".join(_grouped(failed)),
            "correct the cause and run again, which does what is left; for a traceback: "
            f"`unstained --debug run {outcome.stage} {one.study} --model {one.model} "
            f"--fold {one.replicate.fold} --seed {one.replicate.seed}`",
        )


def _ship(
    tasks: dict[Work, list[Task]], _: int | None, told: Callable[[Work, Outcome], None]
) -> None:
    """Export and register replicates here, one by one; see `train_on_ray`."""
    for work, left in tasks.items():
        told(work, run_stages(work, [task.stage.name for task in left]))


def _gone(root: Path, tasks: Mapping[Work, list[Task]]) -> tuple[dict[Work, list[Task]], str]:
    """Replicates that were registered here and that the registry holds no more, to register again.

    Args:
        root: the project's directory.
        tasks: of each replicate, the last of which registers it.

    Returns:
        (replicate -> what is left to do, a sentence where the registry cannot be asked).
    """
    registered = {}
    for work, todo in tasks.items():
        home = stage_directory(root, todo[-1].stage, work.study, work.model, work.replicate)
        if (record := home / todo[-1].stage.outputs["registration"].path).is_file():
            registered[work] = read_json(record)
    if not registered:
        return {}, ""
    registry = Registry(os.environ.get("MLFLOW_TRACKING_URI"), root)
    try:
        missing = lost(registry, list(registered.values()))
    except RegistryError as error:
        return {}, f"whether the registry holds what was registered was not seen: {error}"
    return {work: tasks[work][-1:] for work, one in registered.items() if one in missing}, ""


class _Progress:
    """What is printed while replicates end.

    Args:
        total: replicates of the grid.
        left: those that are not done.
        what: what is done with them.
    """

    def __init__(self, total: int, left: int, what: str) -> None:
        self.console = Console(soft_wrap=True, highlight=False, markup=False, emoji=False)
        self.done, self.left, self.what = total - left, left, what
        self.failed: dict[Work, Outcome] = {}
        self.say(f"{self.done} of {total} replicates are {what}")

    def say(self, line: str) -> None:
        """Print a line."""
        self.console.print(line)

    def tell(self, work: Work, outcome: Outcome) -> None:
        """Note the end of a replicate."""
        self.left -= 1
        if outcome.problem is None:
            self.done += 1
            what = outcome.said
        else:
            self.failed[work] = outcome
            what = f"{outcome.stage} failed: {outcome.problem}"
        self.say(f"[{self.done} {self.what}, {self.left} left] {work.name}: {what}")


def _tasks(root: Path, study: str | None) -> dict[Work, list[Task]]:
    """Every replicate with its tasks in order, in the order of params.yaml, its inputs checked."""
    path = root / "params.yaml"
    project = load_params(path)
    if study is not None and study not in project.active:
        raise ParameterError(
            f"{study!r} is not among the active studies",
            f"use one of: {', '.join(project.active)}; or add it to params.yaml `active`",
        )
    digest = file_sha256(path)
    works = [
        Work(root.resolve(), digest, name, model, replicate)
        for name in ([study] if study else project.active)
        for model in project.baselines.models
        for replicate in replicates_of(project.baselines)
    ]
    tasks = {
        work: [
            make_task(project, stage, work.study, work.model, work.replicate)
            for stage in (*LEARNING, *SHIPPING)
        ]
        for work in works
    }
    for first in {work.study: found[0] for work, found in tasks.items()}.values():
        require_inputs(root, project, first)
    return tasks


def _in_dvc(work: Work, stage: str) -> str:
    """The name of a replicate's stage in `PIPELINE`."""
    return f"{stage}@{work.study}-{work.model}-{work.replicate.fold}-{work.replicate.seed}"


def _grouped(failed: dict[Work, Outcome]) -> list[str]:
    """One paragraph a message, with the replicates that it came from."""
    names: dict[str, list[str]] = {}
    for work, outcome in failed.items():
        names.setdefault(str(outcome.problem), []).append(work.name)
    return [f"{', '.join(which)}: {problem}" for problem, which in names.items()]

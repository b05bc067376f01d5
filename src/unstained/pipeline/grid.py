"""All replicates of `companions` as tasks on Ray: what is done is skipped, the rest is shared out.

One replicate takes one core with one thread, or one GPU: several small trainings side by side use
the cores of a machine better than one after the other with all threads, and the result does not
depend on how many cores there are.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from rich.console import Console

from unstained.config.project import load_params
from unstained.errors import ParameterError, TrainingError
from unstained.files import file_sha256
from unstained.pipeline.catalogue import replicates_of, stage_definition
from unstained.pipeline.configure import configure
from unstained.pipeline.done import is_done, require_inputs
from unstained.pipeline.dvc_record import record
from unstained.pipeline.grid_tasks import Outcome, Work, train_on_ray
from unstained.pipeline.task import Task, make_task

PIPELINE: Final = "companions/dvc.yaml"


def run_grid(root: Path, study: str | None = None, concurrent: int | None = None) -> None:
    """Train the replicates that are not done yet, then tell DVC of all that are.

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
    left = {work: task for work, task in tasks.items() if not is_done(root, task)}
    progress = _Progress(len(tasks), len(left))
    if left:
        try:
            train_on_ray(left, concurrent, progress.tell)
        except KeyboardInterrupt:
            progress.say("stopped; those that were running go on from their last checkpoint")
            raise
    failed = progress.failed
    recorded = record(root, PIPELINE, [_in_dvc(work) for work in tasks if work not in failed])
    progress.say(
        "this is no DVC project: nothing was recorded"
        if recorded is None
        else f"DVC knows what is done, {recorded} of it new: `dvc repro {PIPELINE}` goes on"
    )
    if failed:
        one = next(iter(failed))
        raise TrainingError(
            f"{len(failed)} of {len(tasks)} replicates failed; the others are done\n"
            + "\n".join(_grouped(failed)),
            "correct the cause and run again, which trains these alone; for a traceback: "
            f"`unstained --debug run replicate {one.study} --model {one.model} "
            f"--fold {one.replicate.fold} --seed {one.replicate.seed}`",
        )


class _Progress:
    """What is printed while replicates end.

    Args:
        total: replicates of the grid.
        left: those that are not done.
    """

    def __init__(self, total: int, left: int) -> None:
        self.console = Console(soft_wrap=True, highlight=False, markup=False, emoji=False)
        self.done, self.total = total - left, total
        self.failed: dict[Work, str] = {}
        self.say(f"{self.done} of {total} replicates are done")

    def say(self, line: str) -> None:
        """Print a line."""
        self.console.print(line)

    def tell(self, work: Work, outcome: Outcome) -> None:
        """Note the end of a replicate."""
        if outcome.problem is None:
            self.done += 1
            what = f"macro-F1 {outcome.macro_f1:.3f}, {outcome.seconds:.0f} s"
        else:
            self.failed[work] = outcome.problem
            what = f"failed: {outcome.problem}"
        left = self.total - self.done - len(self.failed)
        self.say(f"[{self.done} done, {left} left] {work.name}: {what}")


def _tasks(root: Path, study: str | None) -> dict[Work, Task]:
    """Every replicate, in the order of params.yaml, its inputs checked."""
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
        for model in project.companions.models
        for replicate in replicates_of(project.companions)
    ]
    for name in dict.fromkeys(work.study for work in works):
        require_inputs(root, project, stage_definition("replicate"), name)
    return {
        work: make_task(project, "replicate", work.study, work.model, work.replicate)
        for work in works
    }


def _in_dvc(work: Work) -> str:
    """A replicate's name in `PIPELINE`."""
    return f"replicate@{work.study}-{work.model}-{work.replicate.fold}-{work.replicate.seed}"


def _grouped(failed: dict[Work, str]) -> list[str]:
    """One paragraph a message, with the replicates that it came from."""
    names: dict[str, list[str]] = {}
    for work, problem in failed.items():
        names.setdefault(problem, []).append(work.name)
    return [f"{', '.join(which)}: {problem}" for problem, which in names.items()]

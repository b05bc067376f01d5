"""What a comparison of all models will take, before it starts: replicates left, and GPU hours."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from unstained.config.project import ProjectParams, load_params
from unstained.errors import ParameterError
from unstained.files import read_json
from unstained.pipeline.catalogue import RUNS, replicates_directory, replicates_of
from unstained.pipeline.contract import REPORT
from unstained.wording import counted

PASSES: Final = 6
"""Operations of training for each multiply-accumulate of one image: two forward, four backward."""

VIEWS: Final = 2
"""Of each cell in an epoch of pretraining."""


@dataclass(frozen=True)
class Share:
    """The replicates of one model.

    Attributes:
        study, model: names.
        done, left: replicates that are there, and that are not.
        seconds: of one training on this machine, the mean of those that are there; or None.
        operations: floating-point operations of one replicate; None where they cannot be counted.
    """

    study: str
    model: str
    done: int
    left: int
    seconds: float | None
    operations: float | None


def print_plan(root: Path, teraflops: float) -> None:
    """Print what is left of all studies' comparisons.

    Args:
        root: the project's root.
        teraflops: what a GPU sustains in training, in 10^12 operations a second.
    """
    from rich.console import Console

    console = Console()
    project = load_params(root / "params.yaml")
    shares = list(plan(root, project))
    for share in shares:
        known = f", {share.seconds:.0f} s each here" if share.seconds else ""
        console.print(
            f"{share.study}/{share.model}: {share.done} of {share.done + share.left} replicates "
            f"are there{known}",
            highlight=False,
            soft_wrap=True,
        )
    left = sum(share.left for share in shares)
    operations = sum(share.left * (share.operations or 0.0) for share in shares)
    hours = operations / (teraflops * 1e12) / 3600
    seconds = sum(share.left * (share.seconds or 0.0) for share in shares)
    unknown = sum(share.left for share in shares if share.seconds is None)
    told = counted(left, "replicate is", "replicates are")
    console.print(
        f"{told} left: about {hours:.2g} GPU hours at {teraflops:g} TFLOP/s "
        f"sustained; {_time_here(seconds, unknown)}. DVC also runs those again whose code or "
        "parameters changed.",
        highlight=False,
        soft_wrap=True,
    )


def _time_here(seconds: float, unknown: int) -> str:
    """How long replicates take on this machine, of which some are `unknown`."""
    parts = [] if unknown and not seconds else [f"{seconds / 60:.0f} minutes"]
    if unknown:
        many = counted(unknown, "replicate")
        parts.append(f"{many} whose time is known once one of their model is done")
    return f"here {' and '.join(parts)}"


def plan(root: Path, project: ProjectParams) -> Iterator[Share]:
    """What is left, model by model.

    Raises:
        ParameterError: a study's partition is crossed, which has no folds.
    """
    grid = project.baselines
    replicates = replicates_of(grid)
    for study in project.active:
        _require_folds(project, study)
    for study in project.active:
        folds = project.studies[study].recipes[project.recipe].split.folds
        cells = _training_cells(root / RUNS / study / "split" / "split.parquet", folds)
        for model in grid.models:
            reports = [
                replicates_directory(root, "train", study) / model / replicate.name / REPORT
                for replicate in replicates
            ]
            times = [read_json(p)["metrics"]["seconds"] for p in reports if p.is_file()]
            yield Share(
                study=study,
                model=model,
                done=len(times),
                left=len(reports) - len(times),
                seconds=sum(times) / len(times) if times else None,
                operations=_operations(project, study, model, cells),
            )


def _require_folds(project: ProjectParams, study: str) -> None:
    if project.studies[study].recipes[project.recipe].split.strategy == "crossed":
        raise ParameterError(
            f"{study!r} keeps times and places apart at once (split.strategy: crossed): too few "
            "snippets are left to train on for folds, and a comparison of all models needs them",
            f"take {study} out of `active` while `make baselines` runs, or set "
            f"studies.{study}.split.strategy to grouped; the main job (`make repro`) compares its "
            "`models` as it is",
        )


def _training_cells(split: Path, folds: int) -> int | None:
    """Cells that a replicate is trained on; None before the split is there."""
    import pandas as pd

    if not split.is_file():
        return None
    part = pd.read_parquet(split, columns=["part"])["part"]
    known = int(part.isin(["train", "val"]).sum())
    return known * (folds - 1) // folds


def _operations(project: ProjectParams, study: str, model: str, cells: int | None) -> float | None:
    from unstained.models.complexity import complexity
    from unstained.tasks.study import Tasks

    section = project.studies[study]
    recipe = section.recipes[project.recipe]
    data = section.data
    asked, planes = Tasks.of(data.tasks), data.axes.planes
    cost = complexity(recipe.models[model], asked.logits, asked.targets, planes, data.canvas)
    if cost is None or cells is None:
        return None
    train = recipe.models[model].training(recipe.train)
    epochs = train.epochs + VIEWS * train.pretraining.epochs
    return float(PASSES * cost.multiply_accumulates * cells * epochs)

"""`unstained grid`: every model on every fold with every seed, side by side."""

from __future__ import annotations

from typing import Annotated

import typer

from unstained.cli.project import project_root


def grid(
    study: Annotated[
        str | None, typer.Option(help="One of params.yaml `active`; without it all of them.")
    ] = None,
    concurrent: Annotated[
        int | None,
        typer.Option(min=1, help="Replicates at a time; without it one a core, or one a GPU."),
    ] = None,
    teraflops: Annotated[
        float, typer.Option(min=0.001, help="For the plan: what a GPU sustains, TFLOP/s.")
    ] = 20.0,
) -> None:
    """Train all replicates of params.yaml `baselines` on Ray; skip those that are done.

    A cluster is used where RAY_ADDRESS names one; every worker then needs this directory under the
    same path, with the same code and params.yaml (a network file system). Otherwise Ray is started
    here, for as long as the command runs.
    """
    from unstained.pipeline.grid import run_grid
    from unstained.pipeline.plan import print_plan

    root = project_root()
    print_plan(root, teraflops)
    run_grid(root, study, concurrent)

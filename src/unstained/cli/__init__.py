"""The command line: parse, call one function, turn errors into one message and an exit status.

Only typer, rich and the parameter models are imported here; a command imports what it runs.
"""

from __future__ import annotations

import inspect
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from unstained.cli.cluster import cluster_app
from unstained.cli.evaluate_external import evaluate_external
from unstained.cli.explain_cell import explain_cell
from unstained.cli.export_package import export_package
from unstained.cli.grid import grid
from unstained.cli.init import init
from unstained.cli.outlines import outlines
from unstained.cli.params import params as show_params
from unstained.cli.pipeline import pipeline_app
from unstained.cli.predict import predict
from unstained.cli.project import Study, project_root
from unstained.cli.serve import serve
from unstained.cli.signing import make_keys, sign
from unstained.errors import NoCandidateError, UnstainedError
from unstained.files import disk_error
from unstained.garbage import search_rarely
from unstained.secrecy import hide_secrets

app = typer.Typer(
    name="unstained",
    help="Label-free single-cell phenotyping: from raw cytometry images to a promoted ONNX model.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)

INTERRUPTED = 128 + signal.SIGINT

app.add_typer(pipeline_app)
app.add_typer(cluster_app)
app.command()(evaluate_external)
app.command()(explain_cell)
app.command()(export_package)
app.command()(grid)
app.command()(init)
app.command()(predict)
app.command()(outlines)
app.command()(serve)
app.command()(make_keys)
app.command()(sign)
app.command("params")(show_params)


@app.callback()
def options(
    debug: Annotated[bool, typer.Option(help="Show tracebacks.")] = False,
) -> None:
    """Options of every command."""
    if debug:
        os.environ["UNSTAINED_DEBUG"] = "1"


@app.command()
def run(
    stage: Annotated[str, typer.Argument(help="Stage, e.g. ingest, train, promote.")],
    study: Study,
    model: Annotated[str | None, typer.Option(help="For stages that run once a model.")] = None,
    fold: Annotated[int | None, typer.Option(help="Held out, for a model of `baselines`.")] = None,
    seed: Annotated[int | None, typer.Option(help="With --fold: of its training.")] = None,
    params: Annotated[Path | None, typer.Option(help="Another file than params.yaml.")] = None,
) -> None:
    """Run one stage of one study."""
    from rich.console import Console

    from unstained.pipeline.contract import Replicate
    from unstained.pipeline.runner import run_stage

    one = None if fold is None or seed is None else Replicate(fold, seed)
    root = project_root()
    report = run_stage(stage, study, model, root=root, replicate=one, params_file=params)
    console = Console(stderr=True)
    for note in report.notes:
        console.print(f"  {note}", markup=False, highlight=False)


@app.command()
def configure() -> None:
    """Write what each stage is asked for and what lies at the sources, for DVC to compare."""
    from unstained.pipeline.configure import configure as write_parameters

    changed = write_parameters(project_root(), lambda line: typer.echo(line, err=True))
    typer.echo(f"{changed} of the stages' parameters changed", err=True)


@app.command()
def holdings(study: Study) -> None:
    """See whether the registry still holds a study's models, for DVC to register them again."""
    from unstained.operations import look_at_holdings

    if said := look_at_holdings(project_root(), study):
        typer.echo(said, err=True)


@app.command()
def mend() -> None:
    """Mend what a killed command left and what stops DVC; `make repro` begins with it."""
    from unstained.pipeline.mending import mend as mend_project

    if done := mend_project(project_root()):
        typer.echo(done, err=True)


@app.command()
def summary() -> None:
    """Print leaderboards, champions and where the reports are."""
    from unstained.summary import print_summary

    print_summary(project_root())


@app.command()
def plan(
    teraflops: Annotated[
        float, typer.Option(min=0.001, help="What a GPU sustains in training, TFLOP/s.")
    ] = 20.0,
) -> None:
    """Print what is left of the comparison of all models, and what it will cost."""
    from unstained.pipeline.plan import print_plan

    print_plan(project_root(), teraflops)


@app.command()
def dvc() -> None:
    """Write dvc.yaml and baselines/dvc.yaml from the stages and their imports."""
    from unstained.pipeline.dvc import write_dvc_files

    for name in write_dvc_files(project_root()):
        typer.echo(name)


@app.command()
def source(
    study: Study,
    path: Annotated[str, typer.Argument(help="Directory of the raw images, or 'simulator'.")],
) -> None:
    """Point a study at its images and make `dvc repro` run it (edits params.yaml)."""
    from unstained.sources import set_source

    typer.echo(set_source(project_root() / "params.yaml", study, path))


@app.command()
def compare(study: Study) -> None:
    """Compare all registered versions of a study on the same test cells."""
    from rich.console import Console

    from unstained.operations import compare_study, settled_study
    from unstained.registry.standings_table import render_leaderboard
    from unstained.report.leaderboard.folds import across_folds, render_folds, replicate_versions

    console, root = Console(), project_root()
    folds = across_folds(root, study)
    for note in settled_study(root, study).notes:
        typer.echo(f"note: {note}", err=True)
    try:
        console.print(render_leaderboard(compare_study(root, study)))
    except NoCandidateError as error:
        if folds is None:
            raise
        console.print(f"{error}\n", markup=False, highlight=False, soft_wrap=True)
    if folds is not None:
        console.print(render_folds(folds, replicate_versions(root, study)))


@app.command()
def rollback(
    study: Study,
    reason: Annotated[str, typer.Option(help="Why; goes into the ledger.")] = "asked for by hand",
) -> None:
    """Make the previous champion champion again."""
    from unstained.operations import rollback_study

    typer.echo(rollback_study(project_root(), study, reason))


@app.command()
def deployment(study: Study) -> None:
    """Print the KServe InferenceService of the champion; puts it into UNSTAINED_MODEL_STORE."""
    from unstained.operations import deployment_study

    typer.echo(deployment_study(project_root(), study), nl=False)


@app.command()
def history(
    study: Study,
    pull: Annotated[
        bool,
        typer.Option(
            "--pull", help="First add what other projects decided, as the registry recorded it."
        ),
    ] = False,
    vouch: Annotated[
        bool,
        typer.Option("--sign", help="First sign it as it is: one from before there were keys."),
    ] = False,
) -> None:
    """Print the promotion ledger: who was champion when, why, and what the registry says to it."""
    from unstained.operations import history_of, pull_ledger, sign_ledger

    root = project_root()
    if pull:
        typer.echo(pull_ledger(root, study), err=True)
    if vouch:
        typer.echo(sign_ledger(root, study), err=True)
    found = history_of(root, study)
    for entry in found.entries:
        typer.echo(
            f"{entry.time}  {entry.action:9}  v{entry.version}  {entry.actor}  {entry.reason}"
        )
    for note in found.notes:
        typer.echo(f"note: {note}", err=True)
    if found.broken:
        raise found.broken


def _let_help_flow() -> None:
    """Take the lines of a help together: typer keeps breaks that fit the code, not a screen."""
    for commands in (app, pipeline_app, cluster_app):
        for command in commands.registered_commands:
            text = command.help or inspect.getdoc(command.callback) or ""
            command.help = "\n\n".join(" ".join(one.split()) for one in text.split("\n\n"))


_let_help_flow()


def main() -> None:
    """Entry point of the command `unstained`."""
    hide_secrets()
    search_rarely()
    signal.signal(signal.SIGTERM, _interrupt)
    sys.exit(guarded(lambda: app(standalone_mode=False)))


def guarded(command: Callable[[], object]) -> int:
    """Run a command; one clear message and an exit status instead of a traceback.

    Returns:
        0; the error's own status; 2 for a wrong command line; 130 when interrupted; 70 for a
        defect. With --debug every exception but an exit passes through.
    """
    from typer.exceptions import TyperException

    try:
        result = command()
    except UnstainedError as error:
        return _fail(str(error), error.exit_code)
    except TyperException as error:
        message = error.format_message()
        return _fail(f"{message}\n  -> see `unstained --help`", 2) if message else 2
    except KeyboardInterrupt:
        result = INTERRUPTED
    except Exception as error:
        return _fail(explain(error), 70)
    if result == INTERRUPTED:  # typer turns Ctrl-C within a command into this status
        typer.echo("\ninterrupted; run the same command again to go on", err=True)
    return result if isinstance(result, int) else 0


def explain(error: BaseException) -> str:
    """One message for an exception that is not ours."""
    chain: BaseException | None = error
    while chain is not None:
        if explained := disk_error(chain):
            return str(explained)
        if "No space left on device" in str(chain) or "disk is full" in str(chain):
            return (
                f"the disk is full ({chain}); nothing half-written was kept\n"
                "  -> free some space and run the same command again"
            )
        chain = chain.__cause__ or chain.__context__
    text = str(error).strip().splitlines()
    first = text[0] if text else ""
    return (
        f"unexpected {type(error).__name__}: {first}\n"
        "  -> run again as `unstained --debug ...` for the traceback, and please report it"
    )


def _fail(message: str, status: int) -> int:
    if os.environ.get("UNSTAINED_DEBUG"):
        raise
    typer.echo(f"error: {message}", err=True)
    return status


def _interrupt(*_: object) -> NoReturn:
    raise KeyboardInterrupt

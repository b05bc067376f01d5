"""`unstained explain-cell`: what the champion predicts of one cell, in words."""

from __future__ import annotations

import json
import logging
from typing import Annotated

import typer

from unstained.cli.project import Study, project_root


def explain_cell(
    study: Study,
    cell: Annotated[str, typer.Argument(help="Its cell_id in the store's cells.parquet.")],
    as_json: Annotated[bool, typer.Option("--json", help="The prediction too, as JSON.")] = False,
    log: Annotated[bool, typer.Option("--log", help="Prompt and text to MLflow.")] = False,
) -> None:
    """Tell in words what the champion predicts of a cell.

    A template writes the words, or the language model at UNSTAINED_LLM_URL where its text says
    nothing but what was predicted.
    """
    from unstained.answering import explain_cell as explained

    logging.getLogger("unstained.summaries").setLevel(logging.CRITICAL)  # said below
    summary = explained(project_root(), study, cell, log=log)
    typer.echo(
        json.dumps({"cell": cell, **summary.as_json()}, indent=2) if as_json else summary.text
    )
    if refusal := summary.refusal:
        why = f"{refusal.kind}: {refusal.detail}"
        typer.echo(f"note: the text of {summary.model} is not told ({why})", err=True)
    else:
        typer.echo(f"note: written by {summary.model or 'the template'}", err=True)

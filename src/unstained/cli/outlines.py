"""`unstained outlines`: movies with outlined cells, as the reader `movies` takes them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from unstained.wording import counted


def outlines(
    frames: Annotated[Path, typer.Argument(help="Folder of numbered frames.")],
    table: Annotated[Path, typer.Argument(help="Outlines: .csv or .csv.gz, a row a cell.")],
    destination: Annotated[Path, typer.Argument(help="New folder.")],
    column: Annotated[str, typer.Option(help="Its number tells kinds apart.")] = "circularity",
    bound: Annotated[float, typer.Option(help="From it on a cell is of kind 2 in masks.")] = 0.78,
    block: Annotated[int, typer.Option(min=1, help="Frames of a movie.")] = 20,
) -> None:
    """Write movies, masks of two kinds and tables of cells from frames and outlines."""
    from unstained.data.outlines import Kinds, movies_from_outlines

    count = movies_from_outlines(frames, table, destination, Kinds(column, bound), block)
    typer.echo(f"{counted(count, 'movie')} of {counted(block, 'frame')} in {destination}")

"""`unstained init`: a study's section of params.yaml from a look at its images."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from unstained.cli.project import project_root


def init(
    study: Annotated[str, typer.Argument(help="Name of the new study.")],
    path: Annotated[str, typer.Argument(help="Folder of the images, or a table in it.")],
    table: Annotated[
        str | None, typer.Option(help="Table with a row a cell, or `none`: folders alone.")
    ] = None,
    reader: Annotated[str | None, typer.Option(help="Layout, where several fit.")] = None,
    image: Annotated[
        list[str] | None, typer.Option(help="Column of files; several: one a channel.")
    ] = None,
    label: Annotated[
        str | None, typer.Option(help="Class: a column, a part of the folders' names, or `none`.")
    ] = None,
    class_: Annotated[
        list[str] | None, typer.Option("--class", help="NAME=PATTERN on the folders' names.")
    ] = None,
    without: Annotated[
        list[str] | None, typer.Option(help="Class whose cells are left out.")
    ] = None,
    min_cells: Annotated[
        int | None, typer.Option(min=1, help="Cells that each class must have at least.")
    ] = None,
    value: Annotated[
        list[str] | None, typer.Option(help="Column of numbers to predict, or `none`.")
    ] = None,
    group: Annotated[
        str | None,
        typer.Option(help="Recorded together: a column, `folder`, `block`, or `none`."),
    ] = None,
    object_: Annotated[str | None, typer.Option("--object", help="Column of cell numbers.")] = None,
    external: Annotated[
        str | None, typer.Option(help="Column that is true for external test cells, or `none`.")
    ] = None,
    channel: Annotated[
        list[str] | None, typer.Option(help="What models see, e.g. Ch1; or a name for it.")
    ] = None,
    marker: Annotated[
        list[str] | None, typer.Option(help="NAME=CHANNEL: a stain, summed up to a value.")
    ] = None,
    pages: Annotated[
        Literal["channels", "frames"] | None, typer.Option(help="What a file's images are.")
    ] = None,
    float_range: Annotated[
        str | None, typer.Option(metavar="LOW,HIGH", help="Of images that hold real numbers.")
    ] = None,
    pixel_size: Annotated[
        float | None, typer.Option(min=0.001, help="Micrometres of a pixel.")
    ] = None,
    canvas: Annotated[
        int | None, typer.Option(min=16, max=512, help="Side of the square, in pixels.")
    ] = None,
    frames: Annotated[int | None, typer.Option(min=1, help="Of a snippet of a movie.")] = None,
    stride: Annotated[
        int | None, typer.Option(min=1, help="Frames from one snippet to the next.")
    ] = None,
    on_error: Annotated[
        Literal["fail", "quarantine"] | None, typer.Option(help="At files that cannot be used.")
    ] = None,
    title: Annotated[str | None, typer.Option(help="Of the report.")] = None,
    question: Annotated[str | None, typer.Option(help="What the study asks.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the study's section.")] = False,
) -> None:
    """Look at images, write the study's section into params.yaml, and draw a contact sheet.

    What files leave uncertain is asked: the command then stops with the choices and the command to
    type, and nothing is written.
    """
    from unstained.onboarding.narration import outcome_text
    from unstained.onboarding.options import Options
    from unstained.onboarding.start import start_study

    options = Options(
        table=table,
        reader=reader,
        image=tuple(image or ()),
        label=label,
        class_=tuple(class_ or ()),
        without=tuple(without or ()),
        min_cells=min_cells,
        value=tuple(value or ()),
        group=group,
        object=object_,
        external=external,
        channel=tuple(channel or ()),
        marker=tuple(marker or ()),
        pages=pages,
        float_range=float_range,
        pixel_size=pixel_size,
        canvas=canvas,
        frames=frames,
        stride=stride,
        on_error=on_error,
        title=title,
        question=question,
        force=force,
    )
    typer.echo(outcome_text(study, start_study(project_root(), study, path, options)))

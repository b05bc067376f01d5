"""What a user may say beside the study's name and the folder."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Literal


def option_of(field: str) -> str:
    """The option of a field, as it is typed."""
    return f"--{field.strip('_').replace('_', '-')}"


@dataclass(frozen=True)
class Options:
    """Options of `unstained init`; a field's name is its option's, with hyphens.

    Attributes:
        table: relative to the folder or to the working directory; 'none': folders alone.
        reader: layout, where several fit.
        image: columns of files, one or one a channel.
        label: column, part of the folders' names, or 'none'.
        class_: NAME=PATTERN on folders' names.
        without: classes whose cells are left out.
        min_cells: of each class.
        value: columns of numbers to predict, or 'none'.
        group: column, 'folder', 'block' or 'none'.
        object: column of object numbers.
        external: column that is true for external test cells, or 'none'.
        channel: what models see: 'Ch<k>', or names for the channels of each image.
        marker: NAME=Ch<k>, stains that are summed up to values.
        pages: what the pages of a file are.
        float_range: 'LOW,HIGH', of images of real numbers.
        pixel_size: micrometres.
        canvas: pixels.
        frames: of a snippet of a movie.
        stride: frames from one snippet to the next.
        on_error: of the section `ingest`.
        title, question: of the report.
        force: replace a study that is there.
    """

    table: str | None = None
    reader: str | None = None
    image: tuple[str, ...] = ()
    label: str | None = None
    class_: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    min_cells: int | None = None
    value: tuple[str, ...] = ()
    group: str | None = None
    object: str | None = None
    external: str | None = None
    channel: tuple[str, ...] = ()
    marker: tuple[str, ...] = ()
    pages: Literal["channels", "frames"] | None = None
    float_range: str | None = None
    pixel_size: float | None = None
    canvas: int | None = None
    frames: int | None = None
    stride: int | None = None
    on_error: Literal["fail", "quarantine"] | None = None
    title: str | None = None
    question: str | None = None
    force: bool = False

    def given(self) -> set[str]:
        """Fields that the user gave."""
        return {one.name for one in fields(self) if getattr(self, one.name) != one.default}

    def command(
        self, study: str, path: str, answers: Iterable[tuple[str, str]], *, force: bool = False
    ) -> str:
        """The same command with further answers, as it is typed."""
        words = ["unstained", "init", study, path]
        for one in fields(self):
            value, name = getattr(self, one.name), option_of(one.name)
            if value is True:
                words.append(name)
            elif isinstance(value, tuple):
                words += [word for inner in value for word in (name, inner)]
            elif value not in (None, False):
                words += [name, str(value)]
        words += [word for option, value in answers for word in (option, value)]
        words += ["--force"] if force and not self.force else []
        return shlex.join(words)

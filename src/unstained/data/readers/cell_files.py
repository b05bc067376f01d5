"""A cell from its own files: one that holds all of it, or a grey one for each channel."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from unstained.config.study import StudyData
from unstained.data.readers.images import ImageError, read_image
from unstained.data.readers.protocol import (
    Acquisition,
    Item,
    Outcome,
    Refused,
    group_name,
    relative,
)
from unstained.data.store.blocks import Cell
from unstained.imaging.axes import Axes


def read_cells(
    source: Path, data: StudyData, acquisition: Acquisition, items: Sequence[Item]
) -> Iterator[Outcome]:
    """Read the cells' files, one outcome a cell."""
    directory = str(source / acquisition.directory)
    for item in items:
        found = _pixels(directory, data, acquisition, item.files)
        if isinstance(found, Refused):
            yield found
            continue
        group = group_name(data, acquisition, item.object_index)
        file = relative(acquisition, item.files[0])
        yield Cell(item.object_index, file, group, found, told=dict(item.told))


def _pixels(
    directory: str, data: StudyData, acquisition: Acquisition, files: Sequence[str]
) -> np.ndarray | Refused:
    """(T, C, h, w) of one file, or of one file a channel."""
    axes = data.axes
    each = [axes] if len(files) == 1 else [Axes((name,), axes.frames) for name in axes.channels]
    images: list[np.ndarray] = []
    for file, of_file in zip(files, each, strict=True):
        try:
            image = read_image(f"{directory}/{file}", of_file, data.float_range)
        except ImageError as error:
            return Refused(relative(acquisition, file), str(error), error.remedy)
        first = images[0] if images else image
        if image.shape != first.shape or image.dtype != first.dtype:
            return Refused(
                relative(acquisition, file),
                f"is {_words(image)}, the cell's first file {_words(first)}",
                "export the channels of a cell alike, or set ingest.on_error: quarantine to go on "
                "without the cell",
            )
        images.append(image)
    return np.concatenate(images, axis=1)


def _words(image: np.ndarray) -> str:
    return f"{image.shape[2]} x {image.shape[3]} pixels of {image.dtype.name}"

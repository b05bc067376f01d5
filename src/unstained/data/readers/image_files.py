"""One file a cell: `<sample>/<any name>.tif` (also .tiff, .png, .bmp), colour or grey.

A colour image holds the channels red, green, blue. Where a cell has several frames or several grey
channels, they are the pages of a TIFF, frame by frame (readers/images.py). Cells are numbered in
the order of their files' names.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from unstained.config.study import StudyData
from unstained.data.readers.images import ImageError, read_image
from unstained.data.readers.protocol import (
    Acquisition,
    Item,
    Listing,
    Outcome,
    Refused,
    group_name,
    image_names,
    relative,
    sample_directories,
)
from unstained.data.store.blocks import Cell
from unstained.errors import ParameterError


@dataclass(frozen=True)
class ImageFiles:
    """Reader of a directory tree with one file a cell."""

    source: Path
    data: StudyData

    def acquisitions(self) -> list[Acquisition]:
        """One a directory that holds images, named by its path. Raises: see `Reader`."""
        if self.data.markers:
            raise ParameterError(
                "this layout has no marker channels beside a cell's image",
                "remove studies.<study>.data.markers",
            )
        return sample_directories(self.source, self.data)

    def items(self, acquisition: Acquisition) -> Listing:
        """A cell a file."""
        names = image_names(self.source / acquisition.directory)
        items = [Item(number, (name,)) for number, name in enumerate(names)]
        return Listing(items, cells=len(items))

    def decode(self, acquisition: Acquisition, items: Sequence[Item]) -> Iterator[Outcome]:
        """Read the cells' files, one outcome a cell."""
        directory = str(self.source / acquisition.directory)
        for item in items:
            (name,) = item.files
            file = relative(acquisition, name)
            try:
                pixels = read_image(f"{directory}/{name}", self.data.axes)
            except ImageError as error:
                yield Refused(file, str(error), error.remedy)
                continue
            group = group_name(self.data, acquisition, item.object_index)
            yield Cell(item.object_index, file, group, pixels)

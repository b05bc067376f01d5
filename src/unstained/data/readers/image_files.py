"""One file a cell: `<sample>/<any name>.tif` (also .tiff, .png, .bmp, .jpg), colour or grey.

A colour image holds the channels red, green, blue. Where a cell has several frames or several grey
channels, they are the pages of a TIFF, frame by frame (readers/images.py). Cells are numbered in
the order of their files' names. Classes, values and shares of single cells come from `cells.csv`
beside them (readers/sample_table.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from unstained.config.study import StudyData
from unstained.config.tasks import ClassesParams
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
from unstained.data.readers.sample_table import TABLE, Told, read_sample_table
from unstained.data.store.blocks import Cell
from unstained.data.store.schema import LABEL, told_columns
from unstained.errors import ParameterError, SourceError


@dataclass(frozen=True)
class ImageFiles:
    """Reader of a directory tree with one file a cell."""

    source: Path
    data: StudyData

    def acquisitions(self) -> list[Acquisition]:
        """One a directory that holds images, named by its path.

        Raises:
            SourceError: see `Reader`; or a sample lacks the table that the tasks need, or the table
                is wrong.
            ParameterError: the study names markers.
        """
        if self.data.markers:
            raise ParameterError(
                "this layout has no marker channels beside a cell's image",
                "remove studies.<study>.data.markers",
            )
        found = sample_directories(self.source, self.data)
        for acquisition in found:
            self._told(acquisition)
        return found

    def items(self, acquisition: Acquisition) -> Listing:
        """A cell a file, with the table where there is one."""
        names = image_names(self.source / acquisition.directory)
        table = (TABLE,) if self._columns() else ()
        items = [Item(number, (name, *table)) for number, name in enumerate(names)]
        return Listing(items, cells=len(items))

    def decode(self, acquisition: Acquisition, items: Sequence[Item]) -> Iterator[Outcome]:
        """Read the cells' files, one outcome a cell."""
        directory = str(self.source / acquisition.directory)
        told = self._told(acquisition)
        for item in items:
            name = item.files[0]
            file = relative(acquisition, name)
            try:
                pixels = read_image(f"{directory}/{name}", self.data.axes)
            except ImageError as error:
                yield Refused(file, str(error), error.remedy)
                continue
            group = group_name(self.data, acquisition, item.object_index)
            yield Cell(item.object_index, file, group, pixels, told=told.get(name, {}))

    def _told(self, acquisition: Acquisition) -> Mapping[str, Told]:
        """What the sample's table tells of each file; nothing where no task needs one."""
        columns = self._columns()
        if not columns:
            return {}
        path = self.source / acquisition.directory / TABLE
        if not path.is_file():
            raise SourceError(
                f"{path} is missing: images alone tell no {', '.join(columns)}",
                f"write it: a row a file, with the columns file, {', '.join(columns)}; an unknown "
                "value stays empty",
            )
        return read_sample_table(path, tuple(columns.items()))

    def _columns(self) -> dict[str, str]:
        """What the table must tell: the tasks' columns, and the class where directories do not."""
        classes = [task for task in self.data.tasks if isinstance(task, ClassesParams)]
        first = {LABEL: "string"} if any(task.names for task in classes[:1]) else {}
        return first | told_columns(self.data.tasks)

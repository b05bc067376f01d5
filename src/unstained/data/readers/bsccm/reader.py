"""Reader of BSCCM: a slide is an acquisition, a cell an array of its own."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from unstained.config.study import BsccmParams, StudyData
from unstained.data.readers.bsccm.chunks import AGAIN, chunk_name, read_chunk, read_header
from unstained.data.readers.bsccm.metadata import METADATA, Metadata, read_metadata
from unstained.data.readers.bsccm.tables import GROUP, INDEX, MARKERS, list_cells, not_asked
from unstained.data.readers.images import ImageError
from unstained.data.readers.places import folders
from unstained.data.readers.protocol import (
    Acquisition,
    Item,
    Listing,
    Outcome,
    Refused,
    group_name,
    relative,
)
from unstained.data.readers.row_items import FILE, RowItems, places_of
from unstained.data.store.blocks import Cell
from unstained.errors import ParameterError, SourceError

IMAGES: Final = "BSCCM_images.zarr"
BACKGROUNDS: Final = "BSCCM_backgrounds.zarr"
CONTRAST: Final = "led_array"
"""Of the kinds of images, the label-free ones that were recorded."""
BESIDE: Final = (METADATA, INDEX, MARKERS, IMAGES, BACKGROUNDS)


def open_bsccm(source: Path, data: StudyData) -> Bsccm:
    """The reader, on the folder that holds the index at or below `source`.

    Raises:
        ParameterError: the study asks for markers' channels or frames.
        SourceError: there is no such folder, or several.
    """
    if data.markers or data.frames > 1:
        raise ParameterError(
            "this layout has one frame of a cell, and markers as columns of its table",
            "remove studies.<study>.data.markers and frames; values come from `column` of a task",
            absent=data.markers.values(),
        )
    homes = [one.directory for one in folders(source) if INDEX in one.files]
    if len(homes) != 1:
        found = f"several sets ({', '.join(sorted(homes))})" if homes else f"no {INDEX}"
        raise SourceError(
            f"{source} holds {found}", "point the source at the folder of one unpacked download"
        )
    return Bsccm(source, data, "" if homes[0] == "." else f"{homes[0]}/")


@dataclass(frozen=True)
class Bsccm:
    """See the module's text.

    Attributes:
        source: the folder that was named.
        data: the study's section.
        prefix: of the set's folder within the source, '' or ending in '/'.
    """

    source: Path
    data: StudyData
    prefix: str

    def __reduce__(self) -> tuple[type[Bsccm], tuple[object, ...]]:
        """Workers get items, never the table."""
        return Bsccm, (self.source, self.data, self.prefix)

    def acquisitions(self) -> list[Acquisition]:
        """One a slide, by its path within the set.

        Raises:
            SourceError, ParameterError: see `list_cells` and `Metadata.planes`.
        """
        self._metadata.planes(self.data)
        images = f"{self.prefix}{IMAGES}"
        if not (self.source / images).is_dir():
            raise SourceError(f"{self.source / images} is not there", AGAIN)
        return [
            Acquisition(name, None, False, f"{images}/{name}/{CONTRAST}", name)
            for name in sorted(self._places)
        ]

    def items(self, acquisition: Acquisition) -> Listing:
        """The slide's cells by the index; those without a folder of images are refused."""
        start, count = self._places[acquisition.name]
        rows = self._cells.slice(start, count)
        there = pa.array(_names(self.source / acquisition.directory), pa.string())
        folder = pc.binary_join_element_wise("cell_", rows["object"].cast(pa.string()), "")
        present = pc.is_in(folder, value_set=there)
        refused = [
            Refused(
                relative(acquisition, name),
                f"is not there, and {INDEX} lists the cell",
                f"{AGAIN}, or set ingest.on_error: quarantine to go on without the cell",
            )
            for name in folder.filter(pc.invert(present)).to_pylist()
        ]
        for k, plane in enumerate(self._metadata.planes(self.data)):
            name = pc.binary_join_element_wise(folder, chunk_name(plane), "/")
            rows = rows.append_column(f"{FILE}{k}", name)
        beside = tuple(self.prefix + name for name in BESIDE)
        return Listing(RowItems(rows.filter(present)), refused, count, beside)

    def decode(self, acquisition: Acquisition, items: Sequence[Item]) -> Iterator[Outcome]:
        """Read the cells' planes, one outcome a cell."""
        for item in items:
            told = dict(item.told)
            group = told.pop(GROUP, None)
            if group is None:
                group = group_name(self.data, acquisition, item.object_index)
            pixels = self._read(acquisition, item.files)
            if isinstance(pixels, Refused):
                yield pixels
                continue
            file = relative(acquisition, item.files[0])
            yield Cell(item.object_index, file, str(group), pixels, told=told)

    def _read(self, acquisition: Acquisition, files: Sequence[str]) -> np.ndarray | Refused:
        """A cell's planes (1, C, h, w), or the file that cannot be used."""
        file = files[0].rpartition("/")[0]
        try:
            planes = read_header(self.source / relative(acquisition, file))
            if planes.shape[0] != len(self._metadata.channels):
                raise ImageError(
                    f"holds {planes.shape[0]} planes, {METADATA} names "
                    f"{len(self._metadata.channels)} channels",
                    AGAIN,
                )
            found = []
            for file in files:
                found.append(read_chunk(planes, self.source / relative(acquisition, file)))
        except ImageError as error:
            return Refused(relative(acquisition, file), str(error), error.remedy)
        return np.stack(found)[None]

    def passed_over(self) -> dict[str, int]:
        """See `Choosing`. Raises: SourceError, see `not_asked`."""
        return not_asked(self.source / self.prefix, self.data.bsccm or BsccmParams())

    @cached_property
    def _metadata(self) -> Metadata:
        return read_metadata(self.source / self.prefix)

    @cached_property
    def _cells(self) -> pa.Table:
        return list_cells(self.source / self.prefix, self.data, self.data.bsccm or BsccmParams())

    @cached_property
    def _places(self) -> dict[str, tuple[int, int]]:
        return places_of(self._cells)


def _names(folder: Path) -> list[str]:
    """Names within a folder; none where it is not there."""
    try:
        return os.listdir(folder)  # noqa: PTH208 - names alone, of some ten thousand folders
    except OSError:
        return []

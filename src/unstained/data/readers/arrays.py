"""Files of many cells each: RT-DC (.rtdc), scPortrait (.h5sc), OME-Zarr with labels (.zarr).

A file is an acquisition, in folders as the user keeps them. Classes come from the names of its
folders, or from a column of the file (a feature, a column of `obs`, a property of a label), as the
values of other tasks do. `studies.<study>.data.channels` names images that the file holds.
"""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import numpy as np

from unstained.config.nearest import suggestion
from unstained.config.study import StudyData
from unstained.data.readers.array_files import FORMATS, open_array
from unstained.data.readers.array_files.contract import CellArray
from unstained.data.readers.images import ImageError
from unstained.data.readers.places import folders
from unstained.data.readers.protocol import (
    Acquisition,
    Item,
    Listing,
    Outcome,
    Refused,
    classify,
    group_name,
    no_images,
)
from unstained.data.readers.real_numbers import as_counts
from unstained.data.readers.tabular import LARGEST
from unstained.data.readers.told import asked_columns, require_known_classes
from unstained.data.store.blocks import Cell
from unstained.errors import ParameterError, SourceError

SIZES_AGREE: Final = 0.01
"""Relative difference of pixel sizes that is rounding."""


@dataclass(frozen=True)
class Arrays:
    """Reader of a directory tree with files of many cells."""

    source: Path
    data: StudyData

    def acquisitions(self) -> list[Acquisition]:
        """One a file, named by its path.

        Raises:
            SourceError: see `Reader`.
            ParameterError: the study asks for markers or frames, which such files do not have.
        """
        if self.data.markers or self.data.frames > 1:
            raise ParameterError(
                "this layout has one frame of a cell and no marker channels beside it",
                "remove studies.<study>.data.markers and frames; values come from the file's "
                "columns, by `column` of a task",
                absent=self.data.markers.values(),
            )
        files = _files(self.source)
        if not files:
            raise no_images(self.source, f"files {', '.join(FORMATS)}")
        found = []
        for file in files:
            label, external = classify(file, str(self.source / file), self.data.classes)
            found.append(Acquisition(file, label, external, ".", file))
        return found

    def items(self, acquisition: Acquisition) -> Listing:
        """The cells of a file; one that cannot be opened is one item, which `decode` refuses."""
        file = acquisition.name
        try:
            array = self._open(file)
            told = self._told(array, file)
        except ImageError:
            return Listing([Item(0, (file,))])
        order = np.argsort(array.objects, kind="stable")
        numbers = array.objects[order]
        doubled = numbers[1:][numbers[1:] == numbers[:-1]]
        if len(doubled):
            reason = f"holds the object number {doubled[0]} twice"
            return Listing([], [Refused(file, reason)], cells=len(numbers))
        items = [Item(int(array.objects[row]), (file,), told[row]) for row in order]
        return Listing(items, cells=len(items))

    def decode(self, acquisition: Acquisition, items: Sequence[Item]) -> Iterator[Outcome]:
        """Read cells, one outcome a cell."""
        file = acquisition.name
        try:
            array = self._open(file)
            channels = [array.channels.index(name) for name in self.data.channels]
        except ImageError as error:
            yield from (Refused(file, str(error), error.remedy) for _ in items)
            return
        rows = {int(number): row for row, number in enumerate(array.objects)}
        for item in items:
            number = item.object_index
            try:
                image, mask = array.read(rows[number], channels)
                image = as_counts(image, self.data.float_range)
            except ImageError as error:
                yield Refused(file, f"object {number}: {error}", error.remedy)
                continue
            group = group_name(self.data, acquisition, number)
            masks = None if mask is None else np.broadcast_to(mask, image[None].shape)
            yield Cell(number, file, group, image[None], told=dict(item.told), masks=masks)

    def _open(self, file: str) -> CellArray:
        path = self.source / file
        state = os.stat(path)  # noqa: PTH116
        array = _opened(path, state.st_size, state.st_mtime_ns)
        self._check(array, file)
        return array

    def _check(self, array: CellArray, file: str) -> None:
        """Refuse a file that is not what the study says.

        Raises:
            ImageError: no image is called as a channel, or the pixel size is another.
        """
        for name in self.data.channels:
            if name not in array.channels:
                raise ImageError(
                    f"holds no image {name!r}; {suggestion(name, array.channels)}",
                    "correct studies.<study>.data.channels",
                )
        size, ours = array.pixel_size_um, self.data.pixel_size_um
        if size is not None and not math.isclose(size, ours, rel_tol=SIZES_AGREE):
            raise ImageError(
                f"has pixels of {size:g} micrometres, studies.<study>.data.pixel_size_um is "
                f"{ours:g}",
                f"set studies.<study>.data.pixel_size_um: {size:g}, or make a study of each size",
            )

    def _told(self, array: CellArray, file: str) -> list[tuple[tuple[str, Any], ...]]:
        """Of each cell, what tasks ask of the file's columns."""
        columns: dict[str, list[str | float | None]] = {}
        for name, (column, kind) in asked_columns(self.data).items():
            if column not in array.columns:
                raise ParameterError(
                    f"{file} has no column {column!r}; {suggestion(column, array.columns)}",
                    "correct `column` of the task in studies.<study>.data.tasks",
                    absent=[column],
                )
            values = array.column(column).tolist()
            columns[name] = [_plain(value, kind, f"{file}: {column}") for value in values]
        counts = {
            name: Counter(label for label in found if isinstance(label, str))
            for name, found in columns.items()
        }
        require_known_classes(self.data, file, counts)
        known = zip(*columns.values(), strict=True) if columns else [()] * len(array.objects)
        return [tuple(zip(columns, of_cell, strict=True)) for of_cell in known]


def _plain(value: Any, kind: str, where: str) -> str | float | None:
    """A name or None, a number or NaN."""
    if kind == "string":
        return None if value is None else str(value)
    try:
        number = float("nan") if value is None else float(value)
        if abs(number) > LARGEST:
            raise OverflowError
        return number
    except (ValueError, TypeError, OverflowError):
        raise SourceError(
            f"{where} holds {value!r}, which is no finite number below {LARGEST:.2g}",
            "name a column of numbers in studies.<study>.data.tasks",
        ) from None


@lru_cache(maxsize=2)
def _opened(path: Path, size: int, modified: int) -> CellArray:
    """An open file; looking through a label image at every block would cost more than reading."""
    return open_array(path)


def _files(source: Path) -> list[str]:
    """Files of known formats below a folder, relative to it, in order of name."""
    found = []
    for folder in folders(source):
        place = "" if folder.directory == "." else f"{folder.directory}/"
        found += [place + name for name in folder.files if name.lower().endswith(tuple(FORMATS))]
    return sorted(found)

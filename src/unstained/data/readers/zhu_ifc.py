"""Imaging flow cytometry as Zhu et al. 2021 exported it (Nat Commun 12:2614).

One directory a sample, one file a cell and channel: `<sample>_<object>_Ch<k>.ome.tif` (also .tiff,
.bmp, .png, with or without '.ome'; the sample's name may be missing). Crops differ in height.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from unstained.config.study import StudyData
from unstained.data.readers.fluorescence import integrated_fluorescence
from unstained.data.readers.images import ImageError, read_grey
from unstained.data.readers.numbered import absent_channel, channel_numbers
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

_NAME: Final = re.compile(
    r"(?:.*_)?(?P<object>\d+)_Ch(?P<channel>\d+)(?:\.ome)?\.(?:tiff?|bmp|png|jpe?g)", re.IGNORECASE
)


@dataclass(frozen=True)
class ZhuIfc:
    """Reader of a directory tree with one file a cell and channel."""

    source: Path
    data: StudyData

    def acquisitions(self) -> list[Acquisition]:
        """One a directory that holds images, named by its path. Raises: see `Reader`."""
        return sample_directories(self.source, self.data)

    def items(self, acquisition: Acquisition) -> Listing:
        """Cells of a sample directory by their files' names."""
        wanted = {number: at for at, number in enumerate(channel_numbers(self.data))}
        cells: dict[int, list[str]] = {}
        doubled: dict[int, Refused] = {}
        refused = []
        for name in image_names(self.source / acquisition.directory):
            match = _NAME.fullmatch(name)
            if match is None:
                refused.append(_misnamed(relative(acquisition, name)))
                continue
            position = wanted.get(int(match["channel"]))
            if position is None:
                continue
            files = cells.setdefault(int(match["object"]), [""] * len(wanted))
            if files[position]:
                first = relative(acquisition, files[position])
                doubled[int(match["object"])] = _doubled(relative(acquisition, name), first)
            files[position] = name
        usable = []
        for index, names in sorted(cells.items()):
            if index in doubled:
                refused.append(doubled[index])
            elif absent := absent_channel(self.data, names):
                other = relative(acquisition, next(filter(None, names)))
                refused.append(_blind(other, index, absent))
            else:
                usable.append(Item(index, tuple(names)))
        return Listing(usable, refused, len(cells))

    def decode(self, acquisition: Acquisition, items: Sequence[Item]) -> Iterator[Outcome]:
        """Read the cells' files, one outcome a cell."""
        directory = str(self.source / acquisition.directory)
        for item in items:
            images = []
            try:
                for name in item.files:
                    images.append(read_grey(f"{directory}/{name}") if name else None)
            except ImageError as error:
                yield Refused(relative(acquisition, name), str(error), error.remedy)
                continue
            yield self._cell(acquisition, item, images)

    def _cell(
        self, acquisition: Acquisition, item: Item, images: Sequence[np.ndarray | None]
    ) -> Outcome:
        count = len(self.data.channels)
        seen = [image for image in images[:count] if image is not None]
        first, name = seen[0], self.data.channels[0]
        for file, image in zip(item.files, images, strict=True):
            if image is not None and image.shape != first.shape:
                return Refused(
                    relative(acquisition, file),
                    f"is {image.shape[0]} x {image.shape[1]} pixels, the cell's {name} "
                    f"{first.shape[0]} x {first.shape[1]}",
                )
        return Cell(
            object_index=item.object_index,
            source_file=relative(acquisition, item.files[0]),
            group=group_name(self.data, acquisition, item.object_index),
            pixels=np.stack(seen)[None],
            markers=tuple(map(integrated_fluorescence, images[count:])),
        )


def _misnamed(file: str) -> Refused:
    return Refused(
        file,
        "is not named <sample>_<object>_Ch<k>.ome.tif",
        "rename it or move it out of the source, or set ingest.on_error: quarantine",
    )


def _doubled(file: str, first: str) -> Refused:
    return Refused(
        file,
        f"is a second file for the cell and channel of {first}",
        "keep one of the two, or set ingest.on_error: quarantine to go on without the cell",
    )


def _blind(file: str, index: int, channel: str) -> Refused:
    return Refused(
        file,
        f"belongs to object {index}, whose channel {channel} is missing",
        "copy the missing file, or set ingest.on_error: quarantine to go on without the cell",
    )

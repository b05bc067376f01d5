"""Imaging flow cytometry as Zhu et al. 2021 exported it (Nat Commun 12:2614).

One directory a sample, one file a cell and channel: `<sample>_<object>_Ch<k>.ome.tif` (also .tiff,
.bmp, .png, with or without '.ome'; the sample's name may be missing, and is the same for all files
of a cell). Crops differ in height.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from unstained.config.study import StudyData
from unstained.data.readers.fluorescence import integrated_fluorescence
from unstained.data.readers.images import ImageError, read_grey
from unstained.data.readers.numbered import absent_channel, channel_numbers
from unstained.data.readers.places import image_names
from unstained.data.readers.protocol import (
    Acquisition,
    Item,
    Listing,
    Outcome,
    Refused,
    group_name,
    relative,
    sample_directories,
)
from unstained.data.store.blocks import Cell
from unstained.data.store.fitness import counts_of

_NAME: Final = re.compile(
    r"(?:(?P<sample>.*)_)?(?P<object>\d{1,18})_Ch(?P<channel>\d+)(?:\.ome)?\.(?:tiff?|bmp|png|jpe?g)",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class ZhuIfc:
    """Reader of a directory tree with one file a cell and channel."""

    source: Path
    data: StudyData

    def acquisitions(self) -> list[Acquisition]:
        """One a directory that holds images, named by its path. Raises: see `Reader`.

        Where nothing is asked of the cells (they are to be judged), a directory may hold files of
        several samples, which are an acquisition each: object numbers count within a sample.
        """
        found = sample_directories(self.source, self.data)
        if self.data.tasks:
            return found
        return [part for acquisition in found for part in self._samples(acquisition)]

    def _samples(self, acquisition: Acquisition) -> list[Acquisition]:
        """The acquisition, or one a sample where its files' names tell several.

        A sample that has a directory of its own has gone astray, which `items` says of its cells.
        """
        names = image_names(self.source / acquisition.directory)
        matches = [match for match in map(_NAME.fullmatch, names) if match]
        samples = {_folded(match["sample"] or ""): match["sample"] or "" for match in matches}
        astray = samples.keys() & self._directories - {_own(acquisition)}
        if len(samples) < 2 or astray:
            return [acquisition]
        return [
            replace(acquisition, name=name, title=name, sample=sample)
            for sample in sorted(samples.values())
            for name in [relative(acquisition, sample).rstrip("/") or acquisition.name]
        ]

    def items(self, acquisition: Acquisition) -> Listing:
        """Cells of a sample directory by their files' names."""
        numbers = channel_numbers(self.data)
        wanted = {number: at for at, number in enumerate(numbers)}
        cells: dict[int, list[_Named]] = {}
        refused = []
        for name in image_names(self.source / acquisition.directory):
            match = _NAME.fullmatch(name)
            if acquisition.sample is not None and not _is_of(match, acquisition.sample):
                continue
            if match is None:
                refused.append(_misnamed(relative(acquisition, name)))
            elif int(match["channel"]) in wanted:
                one = _Named(wanted[int(match["channel"])], name, match["sample"] or "")
                cells.setdefault(int(match["object"]), []).append(one)
        usable: list[Item] = []
        beside: list[str] = []
        for index, named in sorted(cells.items()):
            found = self._cell_of(acquisition, index, named, len(numbers))
            if isinstance(found, Refused):
                refused.append(found)
                beside += (relative(acquisition, one.name) for one in named)
            else:
                usable.append(found)
        return Listing(usable, refused, len(cells), tuple(beside))

    def _cell_of(
        self, acquisition: Acquisition, index: int, named: Sequence[_Named], channels: int
    ) -> Item | Refused:
        """A cell by the names of its files, or what is wrong with them."""
        files = [""] * channels
        for one in named:
            if files[one.position]:
                first = relative(acquisition, files[one.position])
                return _doubled(relative(acquisition, one.name), first)
            files[one.position] = one.name
            if other := self._stranger(acquisition, one.sample):
                return _strange(relative(acquisition, one.name), other)
            if one.sample != named[0].sample:
                first = relative(acquisition, named[0].name)
                return _mixed(relative(acquisition, one.name), first)
        if absent := absent_channel(self.data, files):
            return _blind(relative(acquisition, named[0].name), index, absent)
        return Item(index, tuple(files))

    def _stranger(self, acquisition: Acquisition, sample: str) -> str:
        """What speaks against a file's sample in this directory, '' where nothing does.

        A directory may have another name than its files' sample, so long as that is not another
        directory's name and does not tell another class.
        """
        name = _folded(sample)
        if not name or acquisition.sample is not None or name == _own(acquisition):
            return ""
        if name in self._directories:
            return f"the sample {sample}, which has a directory of its own"
        rules = self.data.classes
        told = next((rule.name for rule in rules if re.search(rule.pattern, sample)), None)
        if told is not None and told != acquisition.label:
            return f"the sample {sample}, by its name {told}"
        return ""

    @cached_property
    def _directories(self) -> frozenset[str]:
        """Names of all sample directories, in one spelling."""
        found = sample_directories(self.source, self.data)
        return frozenset(_folded(Path(one.name).name) for one in found)

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
            if image is not None and image.dtype != first.dtype:
                return Refused(
                    relative(acquisition, file),
                    f"holds {image.dtype.name} pixels, the cell's {name} {first.dtype.name}: one "
                    "of them was scaled on export",
                )
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
            stains=counts_of(images[count:]),
        )


class _Named(NamedTuple):
    """A file by its name: place among the channels, name, sample."""

    position: int
    name: str
    sample: str


def _folded(name: str) -> str:
    """A name in one spelling: macOS writes letters with marks as two."""
    return unicodedata.normalize("NFC", name).casefold()


def _own(acquisition: Acquisition) -> str:
    """Name of the acquisition's directory, in one spelling."""
    directory = acquisition.directory if acquisition.directory != "." else acquisition.name
    return _folded(Path(directory).name)


def _is_of(match: re.Match[str] | None, sample: str) -> bool:
    """Whether a file's name is of a cell of the sample."""
    return match is not None and _folded(match["sample"] or "") == _folded(sample)


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


def _strange(file: str, sample: str) -> Refused:
    return Refused(
        file,
        f"names {sample}",
        "move it back to its sample, or out of the source; or set ingest.on_error: quarantine to "
        "go on without the cell",
    )


def _mixed(file: str, first: str) -> Refused:
    return Refused(
        file,
        f"names another sample than {first}, a file of the same cell",
        "move it back to its sample, or set ingest.on_error: quarantine to go on without the cell",
    )


def _blind(file: str, index: int, channel: str) -> Refused:
    return Refused(
        file,
        f"belongs to object {index}, whose channel {channel} is missing",
        "copy the missing file, or set ingest.on_error: quarantine to go on without the cell",
    )

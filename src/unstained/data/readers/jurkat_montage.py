"""Jurkat cells stitched into montages (Blasi et al. 2016, Hennig et al. 2017; BBBC048).

`[<experiment>/]<phase>/Ch<k>_<montage>.tif`: 30 x 30 tiles of 40 x 40 pixels, numbered down the
columns: tile t lies in row t % 30, column t // 30. Tiles after the last cell are fillers, all
alike in every channel.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from unstained.config.study import StudyData
from unstained.data.readers.images import ImageError, read_grey
from unstained.data.readers.numbered import absent_channel, channel_numbers
from unstained.data.readers.places import image_names
from unstained.data.readers.protocol import (
    Acquisition,
    Filler,
    Item,
    Listing,
    Outcome,
    Refused,
    classify,
    group_name,
    image_directories,
    no_images,
    relative,
)
from unstained.data.store.blocks import Cell
from unstained.data.store.fitness import counts_of
from unstained.errors import SourceError

TILE: Final = 40
SIDE: Final = 30
"""Tiles along a side of a montage."""

_NAME: Final = re.compile(r"Ch(?P<channel>\d+)_(?P<montage>\w+)\.tiff?", re.IGNORECASE)


@dataclass(frozen=True)
class JurkatMontage:
    """Reader of montages; `source` holds the experiments or is one."""

    source: Path
    data: StudyData

    def acquisitions(self) -> list[Acquisition]:
        """One a montage, named '<experiment>-<phase>-<montage>'. Raises: see `Reader`."""
        found: dict[str, Acquisition] = {}
        for directory in image_directories(self.source):
            phase = Path(directory).name or self.source.resolve().name
            what = f"directory {self.source / directory}"
            label, external = classify(phase, what, self.data.classes)
            experiment = Path(directory).parent.as_posix()
            if experiment == ".":
                experiment = self.source.resolve().name
            for montage in sorted(self._montages(directory)):
                title = f"{experiment}/{phase}/{montage}"
                name = title.replace("/", "-")
                if name in found:
                    raise SourceError(
                        f"{title} and {found[name].title} in {self.source} have the same name "
                        f"{name}",
                        "rename one of the directories",
                    )
                found[name] = Acquisition(name, label, external, directory, title, montage)
        if not found:
            raise no_images(self.source, "<experiment>/<phase>/Ch<k>_<montage>.tif")
        return [found[name] for name in sorted(found)]

    def _montages(self, directory: str) -> dict[str, dict[int, str]]:
        """Montage -> channel -> file, in one phase's directory."""
        montages: dict[str, dict[int, str]] = {}
        for name in image_names(self.source / directory):
            match = _NAME.fullmatch(name)
            if match is None:
                raise SourceError(
                    f"{self.source / directory / name} is not named Ch<k>_<montage>.tif",
                    "rename it or move it out of the source",
                )
            files = montages.setdefault(match["montage"], {})
            channel = int(match["channel"])
            if channel in files:
                raise SourceError(
                    f"{self.source / directory / name} is a second file for {files[channel]}",
                    "keep one of the two",
                )
            files[channel] = name
        return montages

    def items(self, acquisition: Acquisition) -> Listing:
        """All tiles of a montage; which of them are fillers only the pixels tell."""
        files = self._montages(acquisition.directory)[acquisition.montage]
        names = tuple(files.get(number, "") for number in channel_numbers(self.data))
        if absent := absent_channel(self.data, names):
            other = relative(acquisition, next(iter(files.values())))
            reason = f"belongs to a montage whose channel {absent} is missing"
            beside = tuple(relative(acquisition, name) for name in files.values())
            return Listing([], [Refused(other, reason)], beside=beside)
        return Listing([Item(tile, names) for tile in range(SIDE * SIDE)])

    def decode(self, acquisition: Acquisition, items: Sequence[Item]) -> Iterator[Outcome]:
        """Cut a montage into cells; a montage that cannot be used is refused tile by tile."""
        if not items:
            return
        names = items[0].files
        try:
            stacks = [self._tiles(acquisition, name) if name else None for name in names]
        except _BadMontageError as error:
            yield from (error.refused for _ in items)
            return
        cells = SIDE * SIDE - min(fillers(stack) for stack in stacks if stack is not None)
        count = len(self.data.channels)
        seen = [stack for stack in stacks[:count] if stack is not None]
        for item in items:
            tile = item.object_index
            if tile >= cells:
                yield Filler(tile)
                continue
            yield Cell(
                object_index=tile,
                source_file=relative(acquisition, names[0]),
                group=group_name(self.data, acquisition, tile),
                pixels=np.stack([stack[tile] for stack in seen])[None],
                markers=tuple(
                    integrated_fluorescence(stack[tile]) if stack is not None else float("nan")
                    for stack in stacks[count:]
                ),
                stains=counts_of(
                    [None if stack is None else stack[tile] for stack in stacks[count:]]
                ),
            )

    def _tiles(self, acquisition: Acquisition, name: str) -> np.ndarray:
        """Tiles (900, 40, 40) of a montage in order of their number."""
        file = relative(acquisition, name)
        try:
            montage = read_grey(self.source / file)
        except ImageError as error:
            raise _BadMontageError(Refused(file, str(error), error.remedy)) from error
        if montage.shape != (SIDE * TILE, SIDE * TILE):
            reason = f"is {montage.shape[0]} x {montage.shape[1]} pixels, not 1200 x 1200"
            raise _BadMontageError(Refused(file, reason))
        grid = montage.reshape(SIDE, TILE, SIDE, TILE)
        return np.ascontiguousarray(grid.transpose(2, 0, 1, 3)).reshape(-1, TILE, TILE)


class _BadMontageError(Exception):
    """Carries the reason why a montage is refused."""

    def __init__(self, refused: Refused) -> None:
        super().__init__(refused.reason)
        self.refused = refused


def fillers(tiles: np.ndarray) -> int:
    """Number of filler tiles: the run of equal tiles at the end, where it is longer than one.

    Args:
        tiles: (n, h, w) in order of their number.
    """
    different = np.flatnonzero((tiles != tiles[-1]).any(axis=(1, 2)))
    run = len(tiles) - (int(different[-1]) + 1 if len(different) else 0)
    return run if run > 1 else 0


def integrated_fluorescence(tile: np.ndarray) -> float:
    """Sum of counts above the tile's median; pixels below it do not count.

    The rule behind the integrated DNA intensities with which these cells were labelled. In a tile
    that a nucleus fills more than half, it underestimates.

    Args:
        tile: (h, w) counts.
    """
    return float(np.maximum(tile - np.median(tile), 0.0).sum())

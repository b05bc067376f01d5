"""Amnis .cif: one file an acquisition, with all channels and the instrument's masks of its objects.

Files below a directory, or one file. Channels are Ch1 to Ch12, and `brightfield` where one channel
alone is. A cell's class is told by its file's or directory's name (rules), or by the populations
that IDEAS wrote beside the file (names; readers/amnis/populations.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final

import numpy as np

from unstained.config.study import StudyData
from unstained.data.readers.amnis.asked import (
    by_populations,
    check_asked,
    check_channels,
    check_classes,
    populations_of,
    positions,
)
from unstained.data.readers.amnis.cells import NegativeError, read_object
from unstained.data.readers.amnis.channels import Channels
from unstained.data.readers.amnis.directories import CifError
from unstained.data.readers.amnis.labels import Populations, check_objects, classes_of
from unstained.data.readers.amnis.objects import read_head, read_objects
from unstained.data.readers.amnis.strips import StripError
from unstained.data.readers.fluorescence import integrated_fluorescence
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
    relative,
)
from unstained.data.store.blocks import Cell
from unstained.data.store.fitness import counts_of
from unstained.errors import SourceError

SUFFIX: Final = ".cif"
AGAIN: Final = (
    "copy the file or export it from IDEAS again, or set ingest.on_error: quarantine to go on "
    "without what is wrong"
)
UNSIGNED_ONLY: Final = (
    "export the file again without compensation and background subtraction, leave the channel out "
    "of studies.<study>.data.channels, or set ingest.on_error: quarantine to go on without it"
)


@dataclass(frozen=True)
class Cif:
    """Reader of .cif files.

    Attributes:
        source: directory that holds them.
        data: the study.
        file: the one to read, where the study's source is a file.
    """

    source: Path
    data: StudyData
    file: str = ""

    @classmethod
    def of(cls, source: Path, data: StudyData) -> Cif:
        """A reader of a directory or of one file."""
        if source.is_file():
            return cls(source.parent, data, source.name)
        return cls(source, data)

    def acquisitions(self) -> list[Acquisition]:
        """One a file, named by its path without suffix.

        Raises:
            SourceError: see `Reader`; or a class has no population, or a file's populations cannot
                be told.
            ParameterError: the study asks for what no .cif tells.
        """
        check_asked(self.data)
        files, place = self._files(), self.source / self.file
        if not files:
            raise no_images(place, f"{SUFFIX} files")
        check_channels(self.data, place, [one for file in files for one in self._channels(file)])
        there = (name for file in files for name in self._populations(file).files)
        check_classes(self.data, self.source, there)
        found = sorted(map(self._acquisition, files), key=lambda acquisition: acquisition.name)
        for one, other in pairwise(found):
            if one.name == other.name:
                raise SourceError(
                    f"{one.montage} and {other.montage} in {self.source / one.directory} have the "
                    f"same name {one.name}",
                    "rename one of them",
                )
        return found

    def _files(self) -> list[str]:
        """Paths relative to the source, sorted."""
        if self.file:
            return [self.file] if self.file.lower().endswith(SUFFIX) else []
        found = []
        for folder in folders(self.source):
            place = "" if folder.directory == "." else f"{folder.directory}/"
            found += [place + name for name in folder.files if name.lower().endswith(SUFFIX)]
        return sorted(found)

    def _acquisition(self, file: str) -> Acquisition:
        path = Path(file)
        directory = path.parent.as_posix()
        name = path.with_suffix("").as_posix()
        what = f"{self.source / file}, by its name and its folder's,"
        try:
            label, external = classify(path.stem, what, self.data.classes)
        except SourceError:
            around = self.source.resolve().name if directory == "." else path.parent.name
            label, external = classify(around, what, self.data.classes)
        return Acquisition(name, label, external, directory, name, path.name)

    def _channels(self, file: str) -> list[Channels]:
        """Of a readable file; one that is not is refused when its items are listed."""
        try:
            return [read_head(self.source / file).channels]
        except (CifError, OSError):
            return []

    def _populations(self, file: str) -> Populations:
        """Populations of a file, where the study asks for any."""
        asked = by_populations(self.data)
        return Populations.beside(self.source / file) if asked else Populations({})

    def items(self, acquisition: Acquisition) -> Listing:
        """Objects of a file, with the populations that tell their classes.

        Raises:
            SourceError: a population holds an object that the file lacks.
        """
        file = relative(acquisition, acquisition.montage)
        try:
            objects = read_objects(self.source / file)
            positions(self.data, objects.head.channels)
        except OSError as error:
            return Listing([], [Refused(file, f"cannot be read ({error.strerror})", AGAIN)], 0)
        except CifError as error:
            return Listing([], [Refused(file, str(error), AGAIN)], 0)
        populations = self._populations(file)
        faults, names = dict(objects.faults), set()
        for classes in populations_of(self.data, populations.files).values():
            faults |= classes_of(objects.numbers, populations, classes)[1]
            names |= {name for chosen in classes.values() for name in chosen}
        check_objects(self.source / file, objects.numbers, populations, sorted(names))
        told = sorted({path.name for name in names for path in populations.files[name]})
        files = (acquisition.montage, *told)
        items = [Item(number, files) for number in objects.numbers.tolist() if number not in faults]
        refused = [_refused(file, number, faults[number]) for number in sorted(faults)]
        return Listing(items, refused, len(items) + len(refused))

    def decode(self, acquisition: Acquisition, items: Sequence[Item]) -> Iterator[Outcome]:
        """Decode objects of a file, one outcome each."""
        file = relative(acquisition, acquisition.montage)
        try:
            objects = read_objects(self.source / file)
            found = positions(self.data, objects.head.channels)
        except (CifError, OSError) as error:
            yield from (Refused(file, str(error), AGAIN) for _ in items)
            return
        numbers = [item.object_index for item in items]
        count = len(self.data.channels)
        seen = [at for at in found[:count] if at is not None]
        with (self.source / file).open("rb", buffering=0) as opened:
            for number, told in zip(numbers, self._told(file, numbers), strict=True):
                try:
                    pixels, masks, stains = read_object(
                        opened, objects, number, seen, found[count:]
                    )
                except NegativeError as error:
                    yield _refused(file, number, str(error), UNSIGNED_ONLY)
                except (CifError, StripError) as error:
                    yield _refused(file, number, str(error))
                else:
                    group = group_name(self.data, acquisition, number)
                    markers = tuple(map(integrated_fluorescence, stains))
                    counts = counts_of(stains)
                    yield Cell(
                        number, file, group, pixels[None], markers, told, masks[None], counts
                    )

    def _told(self, file: str, numbers: Sequence[int]) -> list[dict[str, str | float | None]]:
        """Column -> class of each object, None where it is in no population."""
        populations = self._populations(file)
        told: list[dict[str, str | float | None]] = [{} for _ in numbers]
        for column, classes in populations_of(self.data, populations.files).items():
            names, _ = classes_of(np.array(numbers, np.int64), populations, classes)
            for one, name in zip(told, names, strict=True):
                one[column] = name
        return told


def _refused(file: str, number: int, reason: str, remedy: str = AGAIN) -> Refused:
    return Refused(file, f"object {number} {reason}", remedy)

"""Amnis .cif: one file an acquisition, with all channels and the instrument's masks of its objects.

Files below a directory, or one file. Channels are Ch1 to Ch12, and `brightfield` where one channel
alone is. A cell's class is told by its file's or directory's name (rules), or by the populations
that IDEAS wrote beside the file (names; readers/amnis/populations.py).
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

import numpy as np

from unstained.config.study import StudyData
from unstained.config.tasks import ClassesParams
from unstained.data.readers.amnis.directories import CifError
from unstained.data.readers.amnis.labels import (
    Populations,
    check_objects,
    classes_of,
    of_classes,
)
from unstained.data.readers.amnis.objects import Head, Objects, read_head, read_objects
from unstained.data.readers.amnis.strips import Strip, StripError, decode_image, decode_mask
from unstained.data.readers.fluorescence import integrated_fluorescence
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
from unstained.data.store.schema import MARKER_PREFIX
from unstained.errors import ParameterError, SourceError

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
        self._check_asked()
        files = self._files()
        if not files:
            raise no_images(self.source / self.file, f"{SUFFIX} files")
        self._check_channels(files)
        self._check_classes(files)
        return sorted(map(self._acquisition, files), key=lambda acquisition: acquisition.name)

    def _files(self) -> list[str]:
        """Paths relative to the source, sorted; hidden files and directories are passed over."""
        if self.file:
            return [self.file] if self.file.lower().endswith(SUFFIX) else []
        found = []
        for directory, below, names in os.walk(self.source):
            below[:] = [name for name in below if not name.startswith(".")]
            place = Path(directory).relative_to(self.source)
            found += [
                (place / name).as_posix()
                for name in names
                if name.lower().endswith(SUFFIX) and not name.startswith(".")
            ]
        return sorted(found)

    def _acquisition(self, file: str) -> Acquisition:
        path = Path(file)
        directory = path.parent.as_posix()
        name = path.with_suffix("").as_posix()
        try:
            label, external = classify(path.stem, directory, self.data.classes)
        except SourceError:
            around = self.source.resolve().name if directory == "." else path.parent.name
            label, external = classify(around, directory, self.data.classes)
        return Acquisition(name, label, external, directory, name, path.name)

    def _check_asked(self) -> None:
        """Raises: ParameterError."""
        known = {MARKER_PREFIX + marker for marker in self.data.markers}
        told = {column for task in self.data.tasks if not isinstance(task, ClassesParams)
                for column in task.columns}  # fmt: skip
        if strange := sorted(told - known):
            raise ParameterError(
                f"this layout tells no {strange[0]!r} of a cell, only {sorted(known) or 'classes'}",
                "correct the columns of studies.<study>.data.tasks, or add a marker",
            )
        names = {name for task in self._named for name in task.names}
        if strange := sorted(set(self._patterns) - names):
            raise ParameterError(
                f"studies.<study>.data.cif.populations: {strange[0]!r} is no class of a task",
                f"choose from {', '.join(sorted(names)) or 'classes that a task names'}",
            )
        if self.data.frames != 1:
            raise ParameterError(
                f"this layout has one frame of a cell, not {self.data.frames}",
                "set studies.<study>.data.frames to 1",
            )

    def _check_channels(self, files: Sequence[str]) -> None:
        """Check that each channel and marker is in some file; what one lacks, `items` refuses."""
        heads = [head for head in map(self._head, files) if head is not None]
        for name in (*self.data.channels, *self.data.markers.values()):
            if heads and all(head.channels.position(name) is None for head in heads):
                there = "; ".join(sorted({str(head.channels) for head in heads}))
                raise ParameterError(
                    f"no file of {self.source / self.file} has a channel {name!r}",
                    f"choose studies.<study>.data.channels and markers from {there}",
                )

    def _head(self, file: str) -> Head | None:
        """Of a readable file; an unreadable one is refused when its items are listed."""
        try:
            return read_head(self.source / file)
        except (CifError, OSError):
            return None

    def _check_classes(self, files: Sequence[str]) -> None:
        """Check that each class which populations tell has one. Raises: SourceError."""
        if not self._named:
            return
        known = {
            name: None for file in files for name in Populations.beside(self.source / file).files
        }
        for task in self._named:
            for name, chosen in of_classes(task, self._patterns, known).items():
                if not chosen:
                    raise SourceError(
                        f"class {name} has no population beside the files of {self.source}; there "
                        f"are {', '.join(sorted(known)) or 'none'}",
                        f"export it from IDEAS as <name of the .cif>_{name}.txt, or name its "
                        "populations by a pattern in studies.<study>.data.cif.populations",
                    )

    @property
    def _named(self) -> tuple[ClassesParams, ...]:
        """Tasks whose classes are told by populations."""
        tasks = self.data.tasks
        return tuple(task for task in tasks if isinstance(task, ClassesParams) and task.names)

    @property
    def _patterns(self) -> Mapping[str, str]:
        return self.data.cif.populations if self.data.cif else {}

    def items(self, acquisition: Acquisition) -> Listing:
        """Objects of a file, with the populations that tell their classes.

        Raises:
            SourceError: a population holds an object that the file lacks.
        """
        file = relative(acquisition, acquisition.montage)
        path = self.source / file
        try:
            objects = read_objects(path)
            self._positions(objects.head)
        except OSError as error:
            return Listing([], [Refused(file, f"cannot be read ({error.strerror})", AGAIN)], 0)
        except CifError as error:
            return Listing([], [Refused(file, str(error), AGAIN)], 0)
        populations = Populations.beside(path) if self._named else Populations({})
        _, wrong = self._told(objects.numbers, populations)
        check_objects(path, objects.numbers, populations, self._used(populations))
        faults = objects.faults | wrong
        told = [path.name for name in self._used(populations) for path in populations.files[name]]
        files = (acquisition.montage, *dict.fromkeys(told))
        items = [Item(number, files) for number in objects.numbers.tolist() if number not in faults]
        refused = [_refused(file, number, faults[number]) for number in sorted(faults)]
        return Listing(items, refused, len(items) + len(refused))

    def _used(self, populations: Populations) -> list[str]:
        """Populations that tell a class."""
        chosen = [of_classes(task, self._patterns, populations.files) for task in self._named]
        return sorted({name for classes in chosen for names in classes.values() for name in names})

    def _told(
        self, numbers: np.ndarray, populations: Populations
    ) -> tuple[list[dict[str, str | float | None]], dict[int, str]]:
        """Column -> class of each object, and what is wrong with some."""
        told: list[dict[str, str | float | None]] = [{} for _ in numbers]
        wrong: dict[int, str] = {}
        for task in self._named:
            chosen = of_classes(task, self._patterns, populations.files)
            classes, doubled = classes_of(numbers, populations, chosen)
            wrong |= doubled
            for one, name in zip(told, classes, strict=True):
                one[task.column] = name
        return told, wrong

    def _positions(self, head: Head) -> list[int | None]:
        """Where the channels and markers lie side by side; None for a marker not recorded.

        Raises:
            CifError: a channel that models see was not recorded.
        """
        names = (*self.data.channels, *self.data.markers.values())
        found = [head.channels.position(name) for name in names]
        for name, position in zip(self.data.channels, found, strict=False):
            if position is None:
                raise CifError(f"has no channel {name!r}; it holds {head.channels}")
        return found

    def decode(self, acquisition: Acquisition, items: Sequence[Item]) -> Iterator[Outcome]:
        """Decode objects of a file, one outcome each."""
        file = relative(acquisition, acquisition.montage)
        path = self.source / file
        numbers = np.array([item.object_index for item in items], np.int64)
        populations = Populations.beside(path) if self._named else Populations({})
        told, _ = self._told(numbers, populations)
        try:
            objects = read_objects(path)
            positions = self._positions(objects.head)
        except (CifError, OSError) as error:
            yield from (Refused(file, str(error), AGAIN) for _ in items)
            return
        with path.open("rb", buffering=0) as opened:
            for number, known in zip(numbers.tolist(), told, strict=True):
                try:
                    pixels, masks, markers = self._read(opened, objects, number, positions)
                except _SignedError as error:
                    yield _refused(file, number, str(error), UNSIGNED_ONLY)
                except (CifError, StripError) as error:
                    yield _refused(file, number, str(error))
                else:
                    group = group_name(self.data, acquisition, number)
                    yield Cell(number, file, group, pixels, markers, known, masks)

    def _read(
        self, file: BinaryIO, objects: Objects, number: int, positions: Sequence[int | None]
    ) -> tuple[np.ndarray, np.ndarray, tuple[float, ...]]:
        """Pixels and masks (1, C, h, w) of an object, and its markers."""
        row, width = objects.row(number), objects.head.channel_width
        shape = (row["rows"], row["columns"])
        count = len(objects.head.channels.in_use)
        if shape[1] != count * width:
            raise CifError(f"is {shape[1]} pixels wide, not {count} channels of {width}")
        strip = _strip(file, row["strip"], row["bytes"])
        image = decode_image(strip, shape, row["compression"], bool(row["signed"]))
        strip = _strip(file, row["mask_strip"], row["mask_bytes"])
        mask = decode_mask(strip, shape, row["mask_compression"])
        parts = [None if at is None else slice(at * width, (at + 1) * width) for at in positions]
        seen = [part for part in parts[: len(self.data.channels)] if part is not None]
        counts = np.stack([image[:, part] for part in seen])
        if counts.min() < 0:
            raise _SignedError(f"has negative counts, down to {counts.min()}")
        markers = tuple(
            integrated_fluorescence(None if part is None else image[:, part])
            for part in parts[len(self.data.channels) :]
        )
        masks = np.stack([mask[:, part] for part in seen])
        return counts.astype(np.uint16)[None], masks[None], markers


class _SignedError(Exception):
    """An object has negative counts where models look."""


def _strip(file: BinaryIO, place: int, size: int) -> Strip:
    return np.frombuffer(os.pread(file.fileno(), size, place), np.uint8)


def _refused(file: str, number: int, reason: str, remedy: str = AGAIN) -> Refused:
    return Refused(file, f"object {number} {reason}", remedy)

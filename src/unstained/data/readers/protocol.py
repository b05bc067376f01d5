"""What a reader of a raw layout offers to ingest.

Listing is cheap and complete (names only, no file is opened), so that everything that names can
tell is refused before an hour of decoding. Decoding runs in worker processes: readers are small
and picklable, and import neither torch nor pandas.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Protocol, runtime_checkable

from unstained.config.study import StudyData
from unstained.config.tasks import ClassRule
from unstained.data.readers.images import EXPORT_AGAIN
from unstained.data.readers.places import folders, is_image
from unstained.data.store.blocks import Cell
from unstained.errors import ParameterError, SourceError
from unstained.wording import counted


class Item(NamedTuple):
    """A cell as its files' names, or a table, tell it.

    Attributes:
        object_index: object number or tile index within the acquisition.
        files: names within the acquisition's directory: the channels that models see, then the
            study's markers, in order; '' where a marker was not recorded.
        told: what a table says of it, by column of the cell table (`Cell.told`).
    """

    object_index: int
    files: tuple[str, ...]
    told: tuple[tuple[str, str | float | None], ...] = ()


class Refused(NamedTuple):
    """A file or cell that cannot be used.

    Attributes:
        source_file: path relative to the source.
        reason: what is wrong with it.
        remedy: what the user should do.
    """

    source_file: str
    reason: str
    remedy: str = EXPORT_AGAIN

    def error(self, source: Path) -> SourceError:
        """The error that stops ingest where bad files are not quarantined."""
        return SourceError(f"{source / self.source_file}: {self.reason}", self.remedy)


class Filler(NamedTuple):
    """An item that is no cell but padding of the layout."""

    object_index: int


Outcome = Cell | Refused | Filler


@dataclass(frozen=True)
class Acquisition:
    """Cells recorded together.

    Attributes:
        name: unique within the study.
        label: class name; None where directories tell no class.
        external: cells are an external test set.
        directory: holds the files, relative to the source.
        title: name within group names.
        montage: name of the montage, where the layout has several a directory.
        sample: name of the sample, where the directory holds files of several.
    """

    name: str
    label: str | None
    external: bool
    directory: str
    title: str
    montage: str = ""
    sample: str | None = None


@dataclass(frozen=True)
class Listing:
    """What the names in one acquisition's directory tell.

    Attributes:
        items: ordered by object index.
        refused: files and cells that are unusable by name alone.
        cells: cells including refused ones, or None where only decoding can tell.
        beside: files that items do not name and that need no mention: a table that was read for
            the listing, further files of refused cells; relative to the source.
    """

    items: Sequence[Item]
    refused: list[Refused] = field(default_factory=list)
    cells: int | None = None
    beside: tuple[str, ...] = ()


class Reader(Protocol):
    """A raw layout."""

    @property
    def source(self) -> Path:
        """Directory of the raw images."""

    @property
    def data(self) -> StudyData:
        """What the study's data are."""

    def acquisitions(self) -> list[Acquisition]:
        """All acquisitions in order of name.

        Raises:
            SourceError: a directory's name matches no class, or there is none.
        """

    def items(self, acquisition: Acquisition) -> Listing:
        """What an acquisition holds, by names alone; the same at every call."""

    def decode(self, acquisition: Acquisition, items: Sequence[Item]) -> Iterator[Outcome]:
        """Decode some of an acquisition's items, one outcome an item, in order."""


@runtime_checkable
class Choosing(Protocol):
    """A reader whose study asks for some of the cells alone that its layout lists."""

    def passed_over(self) -> Mapping[str, int]:
        """Cells that the study does not ask for: which, and how many."""


def passed_over(reader: Reader) -> list[str]:
    """Sentences on the cells that a study does not ask for."""
    found = reader.passed_over() if isinstance(reader, Choosing) else {}
    return [f"{counted(count, 'cell')} left out: {which}" for which, count in found.items()]


def relative(acquisition: Acquisition, name: str) -> str:
    """Path of a file relative to the source, with '/' on every system."""
    return name if acquisition.directory == "." else f"{acquisition.directory}/{name}"


def group_name(data: StudyData, acquisition: Acquisition, object_index: int) -> str:
    """The group of a cell: its acquisition, or its block of consecutive objects."""
    if data.group == "acquisition":
        return acquisition.name
    return f"{acquisition.title}/b{object_index // data.block_size:02d}"


def image_directories(source: Path) -> list[str]:
    """Directories at or below `source` that hold image files, relative to it, in name order."""
    return sorted(one.directory for one in folders(source) if any(map(is_image, one.files)))


def sample_directories(source: Path, data: StudyData) -> list[Acquisition]:
    """An acquisition a directory that holds images, named by its path, in order of name.

    Raises:
        SourceError: there is none, or one's name matches no class.
    """
    directories = image_directories(source)
    if not directories:
        raise no_images(source, "one sub-directory of images a sample")
    found = []
    for directory in directories:
        name = source.resolve().name if directory == "." else directory
        what = f"directory {source / directory}"
        label, external = classify(name.rsplit("/", 1)[-1], what, data.classes)
        found.append(Acquisition(name, label, external, directory, name))
    return sorted(found, key=lambda acquisition: acquisition.name)


def classify(name: str, what: str, rules: Sequence[ClassRule]) -> tuple[str | None, bool]:
    """Class and whether external, by the first rule whose pattern is in a sample's name.

    Without rules a name tells no class.

    Args:
        name: e.g. of a directory, without those around it.
        what: what has this name, for people, with its whole path.
        rules: of the study's first classes task.

    Raises:
        SourceError: no rule matches.
        ParameterError: a pattern is no regular expression.
    """
    for rule in rules:
        try:
            if re.search(rule.pattern, name):
                return rule.name, rule.external
        except re.error as error:
            raise ParameterError(
                f"the pattern {rule.pattern!r} of class {rule.name} is no regular expression: "
                f"{error}",
                "correct it in the rules of studies.<study>.data.tasks",
            ) from None
    if not rules:
        return None, False
    known = "; ".join(f"{rule.name}: {rule.pattern}" for rule in rules)
    raise SourceError(
        f"{what} matches no class ({known})",
        "rename it so that a pattern matches, move it out of the source, or add a rule to "
        "studies.<study>.data.tasks; where each folder is a class, `unstained init STUDY PATH` "
        "writes a study that reads them so",
    )


def no_images(source: Path, layout: str) -> SourceError:
    """The error for a source without a single image directory."""
    return SourceError(
        f"{source} holds no images", f"point the source at a directory with {layout}"
    )

"""One file a cell in folders, without a table: `<any folders>/<any name>.tif`, .png, .bmp or .jpg.

A folder is an acquisition, its cells are numbered in the order of their files' names. The class
comes from the folder's path: by the rules of the first classes task, or one of its `names`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from unstained.config.study import StudyData
from unstained.config.tasks import ClassesParams
from unstained.data.readers.cell_files import read_cells
from unstained.data.readers.places import image_names
from unstained.data.readers.protocol import (
    Acquisition,
    Item,
    Listing,
    Outcome,
    sample_directories,
)
from unstained.data.store.schema import LABEL
from unstained.errors import ParameterError, SourceError


@dataclass(frozen=True)
class Folders:
    """Reader of a directory tree with one file a cell and a class a folder."""

    source: Path
    data: StudyData

    def acquisitions(self) -> list[Acquisition]:
        """One a directory that holds images, named by its path.

        Raises:
            SourceError: see `Reader`.
            ParameterError: a task asks for what folders cannot tell.
        """
        untold = [
            task.name
            for number, task in enumerate(self.data.tasks)
            if number or not isinstance(task, ClassesParams) or task.column != LABEL
        ]
        if untold:
            raise ParameterError(
                f"folders alone tell no {', '.join(untold)}",
                "name a table with their columns in studies.<study>.data.table",
            )
        found = sample_directories(self.source, self.data)
        names = self.data.class_names
        if self.data.classes or not self.data.tasks:  # told by rules, or not asked for
            return found
        return [replace(one, label=class_of(one.name, names, self.source)) for one in found]

    def items(self, acquisition: Acquisition) -> Listing:
        """A cell a file."""
        names = image_names(self.source / acquisition.directory)
        items = [Item(number, (name,)) for number, name in enumerate(names)]
        return Listing(items, cells=len(items))

    def decode(self, acquisition: Acquisition, items: Sequence[Item]) -> Iterator[Outcome]:
        """Read the cells' files, one outcome a cell."""
        return read_cells(self.source, self.data, acquisition, items)


def class_of(path: str, names: Sequence[str], source: Path) -> str:
    """The class that a folder's path names, in any case of letters."""
    folded = {name.casefold(): name for name in names}
    found = {folded[part.casefold()] for part in path.split("/") if part.casefold() in folded}
    if len(found) == 1:
        return found.pop()
    what = f"matches classes {', '.join(sorted(found))}" if found else "matches no class"
    raise SourceError(
        f"directory {source / path} {what} ({', '.join(names)})",
        "name a folder on its path like its class, move it out of the source, or give rules in "
        "studies.<study>.data.tasks",
    )

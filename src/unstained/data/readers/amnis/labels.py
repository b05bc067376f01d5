"""What class a .cif's objects are of, by the populations that IDEAS wrote beside it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from unstained.config.tasks import ClassesParams
from unstained.data.readers.amnis import daf
from unstained.data.readers.amnis.directories import CifError
from unstained.data.readers.amnis.objects import read_objects
from unstained.data.readers.amnis.populations import Numbers, population_files, read_population
from unstained.errors import ParameterError, SourceError


@dataclass(frozen=True)
class Populations:
    """Populations of one .cif.

    Attributes:
        files: name of a population -> the files that tell it: a text, an analysis (.daf), or both.
    """

    files: Mapping[str, tuple[Path, ...]]

    @classmethod
    def beside(cls, cif: Path) -> Populations:
        """Those of a .cif.

        Raises:
            SourceError: a file of its directory cannot be read, or belongs to none.
        """
        texts = population_files(cif.parent).get(cif.name, {})
        files = {name: (path,) for name, path in texts.items()}
        for analysis in _analyses(cif):
            for name in analysis.gates.populations:
                files[name] = (*files.get(name, ()), analysis.path)
        return cls(files)

    def objects(self, names: Iterable[str]) -> Numbers:
        """Objects that are in any of some populations.

        Raises:
            SourceError: a file is wrong, or two files tell a population otherwise.
        """
        found = [self._of(name) for name in names]
        return np.unique(np.concatenate(found)) if found else np.empty(0, np.int64)

    def _of(self, name: str) -> Numbers:
        first, *others = ((path, _read(path, name)) for path in self.files[name])
        for path, numbers in others:
            if not np.array_equal(numbers, first[1]):
                raise SourceError(
                    f"{first[0]} and {path} tell the population {name!r} otherwise",
                    "keep the one that is right, and move the other out of the source",
                )
        return first[1]


def _read(path: Path, name: str) -> Numbers:
    if path.suffix.lower() == daf.SUFFIX:
        return daf.read_daf(path).objects(name)
    return read_population(path)


def _analyses(cif: Path) -> list[daf.Daf]:
    """Analyses of a .cif, by the places of its first images.

    Raises:
        SourceError: one that has its name belongs to another file.
    """
    paths = sorted(
        path
        for path in cif.parent.iterdir()
        if path.suffix.lower() == daf.SUFFIX and not path.name.startswith(".")
    )
    if not paths:
        return []
    try:
        places = read_objects(cif).first_places
    except (CifError, OSError):
        return []  # the file is refused when its objects are listed
    found = []
    for path in paths:
        if daf.first_places(path) == places:
            found.append(daf.read_daf(path))
        elif path.stem == cif.stem:
            raise SourceError(
                f"{path} is no analysis of {cif.name}: its first images lie elsewhere",
                "open this very .cif in IDEAS and save its analysis, or move the .daf out of the "
                "source",
            )
    return found


def of_classes(
    task: ClassesParams, patterns: Mapping[str, str], populations: Iterable[str]
) -> dict[str, tuple[str, ...]]:
    """Populations of each class of a task: those its pattern is found in, or of its very name.

    Args:
        task: its classes.
        patterns: class -> regular expression, for classes that are called otherwise in IDEAS.
        populations: names of all there are.

    Raises:
        ParameterError: a pattern is no regular expression.
    """
    found: dict[str, tuple[str, ...]] = {}
    for name in task.names:
        pattern = patterns.get(name, f"^{re.escape(name)}$")
        try:
            found[name] = tuple(one for one in populations if re.search(pattern, one))
        except re.error as error:
            raise ParameterError(
                f"the pattern {pattern!r} of class {name} is no regular expression: {error}",
                "correct it in studies.<study>.data.cif.populations",
            ) from None
    return found


def classes_of(
    numbers: Numbers, populations: Populations, chosen: Mapping[str, Sequence[str]]
) -> tuple[list[str | None], dict[int, str]]:
    """Class of some objects by their populations.

    Args:
        numbers: (n,) of the objects.
        populations: of their .cif.
        chosen: class -> its populations.

    Returns:
        n classes, None for objects in no population; and object -> what is wrong with it, for
        those in populations of several classes.
    """
    found: list[str | None] = [None] * len(numbers)
    doubled: dict[int, str] = {}
    for name, names in chosen.items():
        for at in np.flatnonzero(np.isin(numbers, populations.objects(names))).tolist():
            if found[at] is not None:
                doubled[int(numbers[at])] = f"is in populations of {found[at]} and of {name}"
            found[at] = name
    return found, doubled


def check_objects(
    cif: Path, numbers: Numbers, populations: Populations, names: Iterable[str]
) -> None:
    """Check that populations hold objects of their .cif alone.

    Raises:
        SourceError: one holds another.
    """
    for name in names:
        strange = np.setdiff1d(populations.objects([name]), numbers)
        if len(strange):
            raise SourceError(
                f"{populations.files[name][0]} names object {strange[0]}, which {cif.name} lacks",
                "export it from the analysis of this very .cif, or move it out of the source",
            )

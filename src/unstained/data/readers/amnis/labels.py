"""What class a .cif's objects are of, by the populations that IDEAS wrote beside it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from unstained.config.tasks import ClassesParams
from unstained.data.readers.amnis.populations import Numbers, population_files, read_population
from unstained.errors import ParameterError, SourceError


@dataclass(frozen=True)
class Populations:
    """Populations of one .cif.

    Attributes:
        files: name of a population -> the file that tells it.
    """

    files: Mapping[str, Path]

    @classmethod
    def beside(cls, cif: Path) -> Populations:
        """Those of a .cif. Raises: see `population_files`."""
        return cls(population_files(cif.parent).get(cif.name, {}))

    def objects(self, names: Iterable[str]) -> Numbers:
        """Objects that are in any of some populations. Raises: see `read_population`."""
        found = [read_population(self.files[name]) for name in names]
        return np.unique(np.concatenate(found)) if found else np.empty(0, np.int64)


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
                f"{populations.files[name]} names object {strange[0]}, which {cif.name} lacks",
                "export it from the analysis of this very .cif, or move it out of the source",
            )

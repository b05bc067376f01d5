"""Populations of a .cif that IDEAS wrote beside it: the objects that belong to each.

A text file a population: tab-separated, the number of an object first, after lines of names. It is
called `<name of the .cif>_<population>.txt`; where a directory holds one .cif alone,
`<population>.txt` will do.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from unstained.errors import SourceError

SUFFIX: Final = ".txt"
SEPARATORS: Final = "_- ."
"""Between the name of a .cif and that of a population."""

Numbers = npt.NDArray[np.int64]


def population_files(directory: Path) -> dict[str, dict[str, Path]]:
    """Population files of a directory: name of a .cif -> population -> file.

    Raises:
        SourceError: a file belongs to none of several .cif, or is a second one for a population.
    """
    names = sorted(path.name for path in directory.iterdir() if not path.name.startswith("."))
    files = [name for name in names if name.lower().endswith(".cif")]
    found: dict[str, dict[str, Path]] = {name: {} for name in files}
    for name in names:
        if not name.lower().endswith(SUFFIX):
            continue
        owner, population = _owner(name[: -len(SUFFIX)], files)
        if not owner:
            raise SourceError(
                f"{directory / name} belongs to no .cif of its directory",
                f"name it <name of the .cif>_<population>{SUFFIX}, or move it out of the source",
            )
        if population in found[owner]:
            raise SourceError(
                f"{directory / name} is a second file for the population {population!r} of {owner}",
                "keep one of the two",
            )
        found[owner][population] = directory / name
    return found


def _owner(stem: str, files: Sequence[str]) -> tuple[str, str]:
    """The .cif whose name begins a file's, the longest, and what is left as population."""
    for file in sorted(files, key=len, reverse=True):
        own, rest = file[: -len(".cif")], stem[len(file) - len(".cif") :]
        if stem.startswith(own) and rest[:1] in tuple(SEPARATORS) and rest.strip(SEPARATORS):
            return file, rest.strip(SEPARATORS)
    return (files[0], stem) if len(files) == 1 else ("", "")


def read_population(path: Path) -> Numbers:
    """Numbers of a population's objects, ascending; the last files that were read are remembered.

    Raises:
        SourceError: a row does not begin with a number, or an object is there twice; names the row.
    """
    status = path.stat()
    return _remembered(path, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=64)
def _remembered(path: Path, size: int, modified: int) -> Numbers:
    numbers: list[int] = []
    content = path.read_bytes()
    code = "utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    for line, text in enumerate(content.decode(code, errors="replace").splitlines(), 1):
        first = text.split("\t", 1)[0].strip()
        if re.fullmatch(r"\d{1,15}(\.0*)?", first):
            numbers.append(int(first.split(".")[0]))
        elif first and (numbers or first[0].isdigit()):
            raise SourceError(
                f"{path}: line {line}: {first!r} is no number of an object",
                "export the population again, object numbers in the first column",
            )
    found, counts = np.unique(np.array(numbers, np.int64), return_counts=True)
    if len(found) < len(numbers):
        twice = int(found[counts > 1][0])
        raise SourceError(f"{path}: object {twice} stands there twice", "export it again")
    return found

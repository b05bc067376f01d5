"""What lies below a folder, by names alone: one walk, no file is opened."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Final, TypeVar

from unstained.data.readers.places import IMAGE_SUFFIXES
from unstained.errors import SourceError

TABLE_SUFFIXES: Final = (".csv", ".tsv", ".parquet")
T = TypeVar("T")
IFC_NAME: Final = re.compile(r"(?:.*_)?\d+_Ch(\d+)(?:\.ome)?\.[a-z]+", re.IGNORECASE)
"""A cell and channel as IDEAS exports them (readers/zhu_ifc.py)."""
MONTAGE_NAME: Final = re.compile(r"Ch(\d+)_\w+\.tiff?", re.IGNORECASE)
"""A channel of a montage (readers/jurkat_montage.py)."""


@dataclass(frozen=True)
class Tree:
    """Files below a folder; hidden ones are passed over.

    Attributes:
        root: the folder.
        folders: those with images, relative to the root -> their images' names, sorted.
        tables, cif: files of these kinds, relative to the root, sorted.
        others: suffix -> number of files of no kind that is read.
    """

    root: Path
    folders: Mapping[str, tuple[str, ...]]
    tables: tuple[str, ...]
    cif: tuple[str, ...]
    others: Mapping[str, int]

    @cached_property
    def images(self) -> int:
        """Number of image files."""
        return sum(len(names) for names in self.folders.values())

    def channels(self, pattern: re.Pattern[str]) -> tuple[Counter[int], int]:
        """Images a channel number in names of a pattern, and images with other names."""
        found: Counter[int] = Counter()
        for names in self.folders.values():
            found.update(int(m[1]) for m in map(pattern.fullmatch, names) if m)
        return found, self.images - found.total()

    def sample(self, most: int) -> list[str]:
        """Up to about `most` images, relative to the root, spread evenly over folders and names."""
        share = max(1, most // max(1, len(self.folders)))
        picked = spread(list(self.folders), most)
        return [
            joined(folder, name)
            for folder in picked
            for name in spread(self.folders[folder], share)
        ]

    @cached_property
    def by_name(self) -> dict[str, list[str]]:
        """Name and stem of each image, in lower case -> its paths relative to the root."""
        found: dict[str, list[str]] = {}
        for folder, names in self.folders.items():
            for name in names:
                path = joined(folder, name)
                for key in {name.lower(), PurePosixPath(name).stem.lower()}:
                    found.setdefault(key, []).append(path)
        return found


def joined(folder: str, name: str) -> str:
    """Path of a file in a folder, both relative to the root."""
    return name if folder == "." else f"{folder}/{name}"


def spread(items: Sequence[T], most: int) -> list[T]:
    """Up to `most` items at even distances, the first and the last among them."""
    if len(items) <= most:
        return list(items)
    if most == 1:
        return [items[0]]
    return [items[k * (len(items) - 1) // (most - 1)] for k in range(most)]


def survey(root: Path) -> Tree:
    """Walk a folder.

    Raises:
        SourceError: it holds nothing that is read.
    """
    folders: dict[str, tuple[str, ...]] = {}
    tables: list[str] = []
    cif: list[str] = []
    others: Counter[str] = Counter()
    for folder, names in _walk(root):
        images = []
        for name in names:
            suffix = os.path.splitext(name)[1].lower()  # noqa: PTH122  (600,000 names)
            if suffix in IMAGE_SUFFIXES:
                images.append(name)
            elif suffix in TABLE_SUFFIXES:
                tables.append(joined(folder, name))
            elif suffix == ".cif":
                cif.append(joined(folder, name))
            else:
                others[suffix or name] += 1
        if images:
            folders[folder] = tuple(sorted(images))
    if not folders and not cif:
        found = ", ".join(f"{n} {suffix}" for suffix, n in others.most_common(5)) or "no files"
        raise SourceError(
            f"{root} holds no images ({found})",
            f"name the folder that holds them: {', '.join(IMAGE_SUFFIXES)} or .cif",
        )
    folders = {name: folders[name] for name in sorted(folders)}
    return Tree(root, folders, tuple(sorted(tables)), tuple(sorted(cif)), others)


def _walk(root: Path) -> Iterator[tuple[str, list[str]]]:
    """Each folder, relative to the root, and its files' names; links are followed once."""
    seen: set[tuple[int, int]] = set()
    for path, inner, names in os.walk(root, followlinks=True):
        status = os.stat(path)  # noqa: PTH116
        if (status.st_dev, status.st_ino) in seen:
            inner.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        inner[:] = sorted(name for name in inner if not name.startswith("."))
        yield (
            Path(path).relative_to(root).as_posix(),
            [name for name in names if not name.startswith(".")],
        )

"""What lies below a source and no cell names: counted and named, so that nothing is lost unseen."""

from __future__ import annotations

import os
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Final

import numpy as np

from unstained.data.readers.places import Folder, Passed, folders, is_image
from unstained.data.readers.protocol import Acquisition, Listing, Refused, relative
from unstained.wording import counted

OTHER_IMAGES: Final = frozenset({
    "gif", "webp", "czi", "nd2", "lif", "lsm", "oib", "oif", "vsi", "svs", "ndpi", "scn", "dv",
    "zvi", "ims", "stk", "flex", "mrxs", "jp2", "j2k", "jpx", "jxr", "jxl", "jls", "heic", "avif",
    "tga", "ppm", "pgm", "pbm", "exr", "hdr", "dng", "raw", "fits", "mrc", "dcm", "nii", "sif",
    "spe", "cif", "rif", "daf", "npy", "npz", "mat", "h5", "hdf5", "h5sc", "rtdc", "zarr", "n5",
    "lmdb", "tfrecord", "avi", "mp4", "mov", "btf", "tf2", "tf8", "svg", "psd", "xcf", "ets",
})  # fmt: skip
"""Ends of names of image files, and of files of many images, where a reader has not named them."""

PACKED: Final = frozenset(
    {"gz", "bz2", "xz", "zst", "zip", "7z", "rar", "tar", "tgz", "part", "bak"}
)
"""Ends of names of packed files, which may hold images."""

RENAME: Final = (
    "rename it, e.g. with `convmv -f latin1 -t utf8 -r --notest DIRECTORY`, or set "
    "ingest.on_error: quarantine to go on without what is in it"
)


@dataclass
class Leftover:
    """What no cell names.

    Attributes:
        refused: may hold cells, and a strict run stops.
        unread: is listed.
        kinds: images of kinds that are not read, by the end of their names.
        images: images that no cell of the study names.
        others: no images.
    """

    refused: list[Refused] = field(default_factory=list)
    unread: list[Passed] = field(default_factory=list)
    kinds: Counter[str] = field(default_factory=Counter)
    images: int = 0
    others: int = 0

    def notes(self, listed: str = "; quarantine.csv lists them") -> Iterator[str]:
        """Sentences for who ran it, with where all of them are listed."""
        if self.kinds:
            count = self.kinds.total()
            ends = ", ".join(f"{n:,} {end}" for end, n in sorted(self.kinds.items()))
            first = next(p.path for p in self.unread if p.reason.startswith(UNREAD))
            yield (
                f"{count:,} file{'s' * (count > 1)} of kinds that are not read ({ends}), which may "
                f"hold cells, are left out, the first {first}{listed}"
            )
        if self.images:
            first = next(p.path for p in self.unread if p.reason == NAMELESS)
            yield (
                f"{counted(self.images, 'image')} of no cell of the study left out, the "
                f"first {first}{listed}"
            )
        if self.others:
            others = counted(self.others, "other file or link", "other files or links")
            yield f"{others} not read{listed}"


UNREAD: Final = "is of a kind that is not read"
NAMELESS: Final = "belongs to no cell of the study"


class Named:
    """Files that a reader's listings name, eight bytes each."""

    def __init__(self, others: Iterable[str] = ()) -> None:
        self._hashes = array("q", map(hash, others))

    def add(self, acquisition: Acquisition, listing: Listing) -> None:
        """Remember what an acquisition's listing names."""
        names = {name for item in listing.items for name in item.files if name}
        for name in names:
            path = relative(acquisition, name)
            if ".." in name or "./" in name:
                path = os.path.normpath(path)
            self._hashes.append(hash(path))
        self._hashes.extend(hash(one.source_file) for one in listing.refused)
        self._hashes.extend(map(hash, listing.beside))

    def lacks(self, paths: list[str]) -> list[str]:
        """Those of some paths that no listing names."""
        known = self._sorted
        wanted = np.fromiter(map(hash, paths), np.int64, len(paths))
        places = np.searchsorted(known, wanted)
        places[places == len(known)] = 0
        there = known[places] == wanted if len(known) else np.zeros(len(paths), bool)
        return [path for path, found in zip(paths, there, strict=True) if not found]

    @cached_property
    def _sorted(self) -> np.ndarray:
        """All hashes; nothing is added after it was asked for."""
        return np.sort(np.frombuffer(self._hashes, np.int64))


def leftover(source: Path, named: Named) -> Leftover:
    """What lies below `source` and is not named."""
    found = Leftover()
    for folder in folders(source):
        for passed in folder.passed:
            if passed.cells:
                found.refused.append(Refused(passed.path, passed.reason, RENAME))
            else:
                found.unread.append(passed)
                found.others += 1
        for path in named.lacks(_paths(folder)):
            _add(found, path)
    found.unread.sort()
    return found


def _paths(folder: Folder) -> list[str]:
    prefix = "" if folder.directory == "." else f"{folder.directory}/"
    return [prefix + name for name in folder.files]


def _add(found: Leftover, path: str) -> None:
    parts = path.rpartition("/")[2].lower().split(".")
    end = parts[-1]
    if is_image(path.rpartition("/")[2]):
        found.images += 1
        found.unread.append(Passed(path, NAMELESS))
    elif end in OTHER_IMAGES or end in PACKED:
        kind = ".".join(["", *parts[-2:]]) if end in PACKED and len(parts) > 2 else f".{end}"
        found.kinds[kind] += 1
        found.unread.append(Passed(path, f"{UNREAD} ({kind})"))
    else:
        found.others += 1
        found.unread.append(Passed(path, "is no image"))

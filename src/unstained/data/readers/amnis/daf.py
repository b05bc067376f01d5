"""What a .daf, the analysis that IDEAS keeps beside a .cif, tells of populations.

XML up to `</Assay>`; then, where `binaryfeatures` is true, the features of all objects and what
became of their images in binary, little-endian. Otherwise (version 6.0) both are XML too. A .daf
belongs to the .cif whose first five images have places of the same sum.
"""

from __future__ import annotations

import mmap
import struct
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final
from xml.etree import ElementTree as ET

import numpy as np
import numpy.typing as npt

from unstained.data.readers.amnis.gates import Gates, UntoldError
from unstained.data.readers.amnis.populations import Numbers
from unstained.errors import SourceError

SUFFIX: Final = ".daf"
END: Final = b"</Assay>"
GAP: Final = 3
"""Bytes between the XML and the binary part."""
FIRST: Final = 5
"""Images whose places tell which .cif a .daf belongs to."""
RECORD: Final = struct.Struct("<IQ64x")
"""Of an image: its object, its place, then 64 bytes; four arrays with their lengths follow."""
AGAIN: Final = "save the analysis again in IDEAS, or move the file out of the source"


@dataclass(frozen=True)
class Daf:
    """An analysis.

    Attributes:
        path: its file.
        first_places: sum of the places of the first FIRST images.
        gates: its populations.
    """

    path: Path
    first_places: int
    gates: Gates

    def objects(self, population: str) -> Numbers:
        """Numbers of a population's objects, ascending.

        Raises:
            SourceError: the file alone does not tell them.
        """
        try:
            return np.flatnonzero(self.gates.members(population)).astype(np.int64)
        except UntoldError as error:
            raise SourceError(
                f"{self.path}: the population {population!r} {error}",
                "export it from IDEAS as a text file, and keep that beside the .cif instead of "
                "the .daf",
            ) from None


def read_daf(path: Path) -> Daf:
    """Read an analysis; the last few that were read and did not change are remembered.

    Raises:
        SourceError: it is none, or it ends early.
    """
    status = path.stat()
    return _remembered(path, status.st_size, status.st_mtime_ns)


def first_places(path: Path) -> int:
    """`Daf.first_places` of a file; remembered of any number of files. Raises: see `read_daf`."""
    status = path.stat()
    return _first_places(path, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=4096)
def _first_places(path: Path, size: int, modified: int) -> int:
    return _remembered(path, size, modified).first_places


@lru_cache(maxsize=4)
def _remembered(path: Path, size: int, modified: int) -> Daf:
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as whole:
            return _parsed(path, whole)
    except (OSError, ValueError, ET.ParseError, struct.error) as error:
        raise SourceError(f"{path}: is no readable .daf ({error})", AGAIN) from error


def _parsed(path: Path, whole: mmap.mmap) -> Daf:
    end = whole.find(END) + len(END)
    if end < len(END):
        raise ValueError(f"{END.decode()} is missing")
    root = ET.fromstring(whole[:end])  # noqa: S314  (expat limits what entities become)
    if root.get("binaryfeatures", "").lower() == "true":
        features, first = _binary(whole[end + GAP :])
    else:
        features, first = _text(root)
    names = [element.get("name", "") for element in root.iter("UDF")]
    if len(names) != len(features):
        raise ValueError(f"it has {len(features)} features for {len(names)} names")
    count = features.shape[1]
    if any(one.get("objcount", str(count)) != str(count) for one in root.iter("SOD")):
        raise ValueError(f"it has features of {count} objects, and promises others")
    return Daf(path, first, Gates(root, count, dict(zip(names, features, strict=True))))


def _binary(content: bytes) -> tuple[npt.NDArray[np.float64], int]:
    """Features (n_features, n_objects), and the sum of the first places."""
    _, count, objects = struct.unpack_from("<III", content)
    kind = np.dtype([("id", "<u4"), ("values", "<f8", (objects,))])
    features = np.frombuffer(content, kind, count, offset=12)["values"]
    place = 12 + count * kind.itemsize
    (images,) = struct.unpack_from("<I", content, place)
    if images != objects:
        raise ValueError(f"it holds {images} images of {objects} objects")
    place, total = place + 4, 0
    for number in range(min(FIRST, images)):
        found, offset = RECORD.unpack_from(content, place)
        if found != number:
            raise ValueError(f"image {number} is of object {found}")
        place, total = place + RECORD.size, total + offset
        for _ in range(4):
            place += 4 + 8 * struct.unpack_from("<I", content, place)[0]
    return np.array(features, np.float64), total


def _text(root: ET.Element) -> tuple[npt.NDArray[np.float64], int]:
    """The same of a .daf that is XML alone."""
    images = [(int(image.get("id", "-1")), int(image.get("imgIFD", "-1")))
              for image in root.iter("SO")]  # fmt: skip
    if [number for number, _ in images] != list(range(len(images))):
        raise ValueError("its images are not in the order of objects")
    rows = [np.array(values.get("fv", "").split("|")) for values in root.iter("UDFValues")]
    if any(len(row) != len(images) for row in rows):
        raise ValueError("a feature has values for more or fewer objects than there are")
    features = np.array(rows).astype(np.float64) if rows else np.empty((0, len(images)))
    return features.reshape(-1, len(images)), sum(place for _, place in images[:FIRST])

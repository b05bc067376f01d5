"""Frames of a movie one by one: a TIFF with a page a frame, or a folder of numbered files.

A TIFF is mapped into memory, so that only the pages asked for are read, and all of its pages must
lie within the file: one that ends early is refused as a whole, before an hour of decoding.
"""

from __future__ import annotations

import mmap
import re
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final, cast

import numpy as np

from unstained.data.readers.formats import tags
from unstained.data.readers.formats.layout import places
from unstained.data.readers.formats.page import EXPORT_AGAIN, ImageError, Page, check_size
from unstained.data.readers.formats.tags import Directory, directories
from unstained.data.readers.formats.tiff import tiff_pages
from unstained.data.readers.images import read_pages
from unstained.data.readers.places import image_names
from unstained.data.readers.real_numbers import Range, as_counts
from unstained.wording import counted

TIFF: Final = (".tif", ".tiff")
NUMBER: Final = re.compile(r"(\d+)(?=\D*$)")
UNEVEN: Final = 0.1
"""Of the usual time between frames, by which one may differ."""
ONE_MOVIE: Final = "export one movie as one file or folder, all frames alike and in order"
_DELTA: Final = re.compile(r'<(?:\w+:)?Plane\b[^>]*\bDeltaT="([^"]+)"')


@dataclass(frozen=True)
class Frames:
    """Where a movie's frames are.

    Attributes:
        path: the file, or the folder.
        names: of the files in a folder, in order; none for a single file.
        pages: of the file, in order of time; none for a folder.
        numbers: of the frames: as their names tell, or from 0.
        shape: (h, w) of each.
    """

    path: Path
    names: tuple[str, ...]
    pages: tuple[int, ...]
    numbers: tuple[int, ...]
    shape: tuple[int, int]

    def __len__(self) -> int:
        return len(self.numbers)

    def file(self, at: int) -> str:
        """Path of a frame's file within the movie: '' for a single file."""
        return self.names[at] if self.names else ""

    def read(self, start: int, count: int, float_range: Range | None) -> np.ndarray:
        """Some consecutive frames.

        Args:
            start: of the first.
            count: how many.
            float_range: of real numbers, see `real_numbers.as_counts`.

        Returns:
            (count, h, w) uint8 or uint16.

        Raises:
            FrameError: one cannot be read, or is another kind of image.
        """
        if not self.names:
            found = _tiff_frames(self.path, self.pages[start : start + count], float_range)
        else:
            each = [
                _file_frame(self.path, name, float_range)
                for name in self.names[start : start + count]
            ]
            found = list(each)
        for at, frame in enumerate(found):
            if frame.shape != self.shape or frame.dtype != found[0].dtype:
                raise FrameError(
                    self.file(start + at),
                    f"frame {self.numbers[start + at]} is {_words(frame)}, the movie's first is "
                    f"{self.shape[0]} x {self.shape[1]} pixels of {found[0].dtype.name}",
                    ONE_MOVIE,
                )
        return np.stack(found)


class FrameError(Exception):
    """A frame cannot be used.

    Attributes:
        file: of the frame within the movie's folder, '' for a single file.
        reason, remedy: for people.
    """

    def __init__(self, file: str, reason: str, remedy: str = EXPORT_AGAIN) -> None:
        super().__init__(reason)
        self.file, self.reason, self.remedy = file, reason, remedy


def find_frames(
    path: Path, first: int | None = None, last: int | None = None, *, gaps: bool = False
) -> Frames:
    """The frames of a movie; of a TIFF the tags of all pages are read, of a folder one file.

    Args:
        path: a TIFF or a folder.
        first: number of the first frame to be used; None: all from the first.
        last: of the last one.
        gaps: whether numbers may be left out.

    Raises:
        FrameError: there is no such movie, its frames are no like grey images, or they are not
            evenly spaced in time.
    """
    found = _in_folder(path) if path.is_dir() else _in_tiff(path)
    kept = [
        at
        for at, number in enumerate(found.numbers)
        if (first is None or number >= first) and (last is None or number <= last)
    ]
    numbers = tuple(found.numbers[at] for at in kept)
    if not numbers:
        raise FrameError(
            "", f"has no frame from {first} to {last}", "correct the table's first and last frame"
        )
    for one, other in pairwise(numbers):
        if other != one + 1 and not gaps:
            raise FrameError(
                "",
                f"its frames are not evenly spaced: {other} follows {one}",
                "name the parts without a gap as movies of their own: a row each, with the columns "
                "movies.first and movies.last",
            )
    return Frames(
        found.path,
        tuple(found.names[at] for at in kept) if found.names else (),
        tuple(found.pages[at] for at in kept) if found.pages else (),
        numbers,
        found.shape,
    )


def _in_folder(path: Path) -> Frames:
    """Files by the last number in their names."""
    numbered: dict[int, str] = {}
    for name in image_names(path):
        number = NUMBER.search(Path(name).stem)
        if number is None:
            raise FrameError(name, "its name ends in no number of a frame", ONE_MOVIE)
        if int(number[1]) in numbered:
            other = numbered[int(number[1])]
            raise FrameError(name, f"is frame {int(number[1])}, and {other} is too", ONE_MOVIE)
        numbered[int(number[1])] = name
    if not numbered:
        raise FrameError("", "holds no images", ONE_MOVIE)
    numbers = tuple(sorted(numbered))
    names = tuple(numbered[number] for number in numbers)
    shape = _file_page(path, names[0]).pixels.shape
    return Frames(path, names, (), numbers, (shape[1], shape[2]))


def _in_tiff(path: Path) -> Frames:
    if path.suffix.lower() not in TIFF:
        raise FrameError("", f"is no {' or '.join(TIFF)} and no folder of frames", ONE_MOVIE)
    with _mapped(path) as content:
        found = directories(content)
        shapes = [(tag.number(tags.HEIGHT, 0), tag.number(tags.WIDTH, 0)) for tag in found]
        check_size(*shapes[0])
        _require_whole(found, len(content))
        told = places(found)
        _require_even(found[0].text(tags.DESCRIPTION))
    if any(place.channel for place in told):
        raise FrameError("", "holds several channels", "export one channel a movie")
    if len(set(shapes)) > 1:
        at = next(at for at, shape in enumerate(shapes) if shape != shapes[0])
        raise FrameError(
            "",
            f"frame {at} is {shapes[at][0]} x {shapes[at][1]} pixels, the first "
            f"{shapes[0][0]} x {shapes[0][1]}",
            ONE_MOVIE,
        )
    pages = list(range(len(found)))
    if all(place.frame is not None for place in told):
        pages.sort(key=lambda page: told[page].frame or 0)
    return Frames(path, (), tuple(pages), tuple(range(len(pages))), shapes[0])


@contextmanager
def _mapped(path: Path) -> Iterator[bytes]:
    """A file's content, read where it is looked at; what goes wrong with it is a FrameError."""
    try:
        with path.open("rb") as file:
            content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except (OSError, ValueError) as error:
        raise FrameError("", f"cannot be read ({error})") from error
    try:
        yield cast(bytes, content)  # it has slices and is a buffer
    except ImageError as error:
        raise FrameError("", str(error), error.remedy) from error
    except (RuntimeError, ValueError, IndexError, struct.error) as error:
        raise FrameError("", f"truncated or corrupt ({error})") from error


def _require_whole(found: list[Directory], size: int) -> None:
    for at, tag in enumerate(found):
        places_at = (*tag.numbers(tags.STRIPS), *tag.numbers(tags.TILES))
        lengths = (*tag.numbers(tags.STRIP_BYTES), *tag.numbers(tags.TILE_BYTES))
        if not places_at or max(map(sum, zip(places_at, lengths, strict=True))) > size:
            raise ValueError(f"it ends within frame {at} of {len(found)}")


def _require_even(description: str) -> None:
    """Refuse a movie whose OME-XML tells times that are not evenly spaced."""
    times = np.array([float(text) for text in _DELTA.findall(description)])
    steps = np.diff(times)
    if len(steps) > 1 and np.abs(steps - np.median(steps)).max() > UNEVEN * abs(np.median(steps)):
        raise ImageError(
            f"its frames are not evenly spaced: {steps.min():g} to {steps.max():g} from one to the "
            "next (DeltaT)",
            "cut it into movies with one interval each",
        )


def _tiff_frames(path: Path, pages: tuple[int, ...], float_range: Range | None) -> list[np.ndarray]:
    with _mapped(path) as content:
        return [_grey(page, float_range) for page in tiff_pages(content, pages)]


def _file_page(folder: Path, name: str) -> Page:
    """The only image of a file."""
    try:
        pages = read_pages(folder / name)
    except ImageError as error:
        raise FrameError(name, str(error), error.remedy) from error
    if len(pages) != 1:
        raise FrameError(name, f"holds {counted(len(pages), 'image')}, expected is 1", ONE_MOVIE)
    return pages[0]


def _file_frame(folder: Path, name: str, float_range: Range | None) -> np.ndarray:
    page = _file_page(folder, name)
    try:
        return _grey(page, float_range)
    except ImageError as error:
        raise FrameError(name, str(error), error.remedy) from error


def _grey(page: Page, float_range: Range | None) -> np.ndarray:
    """(h, w) counts of a page of one sample, or of one whose samples are alike."""
    pixels = page.pixels
    if len(pixels) > 1 and not (page.perhaps_grey and (pixels == pixels[:1]).all()):
        raise ImageError(f"holds {len(pixels)} samples a pixel, a frame is grey", ONE_MOVIE)
    return as_counts(np.ascontiguousarray(pixels[0]), float_range)


def _words(frame: np.ndarray) -> str:
    return f"{frame.shape[0]} x {frame.shape[1]} pixels of {frame.dtype.name}"

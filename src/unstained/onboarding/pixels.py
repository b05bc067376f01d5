"""What a sample of files holds: types, sizes, counts, channels, and the scale where tags say it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from unstained.data.readers.facts import file_facts
from unstained.data.readers.images import ImageError, read_pages
from unstained.imaging.background import border_background


@dataclass(frozen=True)
class Seen:
    """One file.

    Attributes:
        path: relative to the source.
        dtype: of its pixels.
        pages, samples: images in it, and channels of each.
        height, width: in pixels.
        low, high: smallest and largest count.
        background: counts at the border of the first page, the mean over its channels.
        spread: standard deviation of counts divided by the background, 0 where that is 0.
        colour: whether the samples are red, green, blue.
        alike: whether the samples of a page are all the same.
        names: of channels, where the file tells them.
        pixel_size_um: where a tag tells it.
    """

    path: str
    dtype: str
    pages: int
    samples: int
    height: int
    width: int
    low: float
    high: float
    background: float
    spread: float = 0.0
    colour: bool = False
    alike: bool = False
    names: tuple[str, ...] = ()
    pixel_size_um: float | None = None


def look(root: Path, files: Iterable[str]) -> tuple[list[Seen], list[str]]:
    """Open files.

    Returns:
        What was seen, and a line for each file that cannot be read.
    """
    seen, broken = [], []
    for file in files:
        try:
            seen.append(_seen(root, file))
        except ImageError as error:
            broken.append(f"{file}: {error}")
    return seen, broken


def _seen(root: Path, file: str) -> Seen:
    pages = read_pages(root / file)
    first = pages[0].pixels
    names = tuple(dict.fromkeys(page.name for page in pages))
    background = float(border_background(first).mean())
    size = file_facts(root / file).pixel_um
    alike = first.shape[0] > 1 and bool((first == first[:1]).all())
    grey = pages[0].perhaps_grey and alike
    return Seen(
        path=file,
        dtype=first.dtype.name,
        pages=len(pages),
        samples=1 if grey else first.shape[0],
        height=first.shape[1],
        width=first.shape[2],
        low=float(min(page.pixels.min() for page in pages)),
        high=float(max(page.pixels.max() for page in pages)),
        background=background,
        spread=float(first.std() / background) if background > 0 else 0.0,
        colour=pages[0].colour and not grey,
        alike=alike and not grey,
        names=names if all(names) else (),
        pixel_size_um=None if size is None else size[0],
    )


def bits_used(high: float) -> int:
    """Bits that counts up to `high` need."""
    return int(high).bit_length()


def pixel_words(seen: Sequence[Seen]) -> str:
    """Type and depth in words, e.g. 'uint16, values up to 4012: 12 bits used'."""
    kinds = Counter(one.dtype for one in seen)
    parts = []
    for kind in kinds:
        of_kind = [one for one in seen if one.dtype == kind]
        low, high = min(one.low for one in of_kind), max(one.high for one in of_kind)
        if kind.startswith("uint"):
            parts.append(f"{kind}, values up to {high:.0f}: {bits_used(high)} bits used")
        else:
            parts.append(f"{kind}, values from {low:.4g} to {high:.4g}")
    return "; ".join(parts)

"""The pages of a file that a study asks for, in its order; by name where channels are named."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from unstained.data.readers.formats.page import ImageError, Page
from unstained.imaging.axes import Axes


def chosen(pages: Sequence[Page], axes: Axes) -> list[Page]:
    """Pages frame by frame, within a frame in the order of the study's channels.

    A file that names several channels is read by their names alone. Names of pages (a TIFF's tag
    285) mean channels where the study names one of them. Without names, pages that the file puts in
    order go by it, others as they stand. An only axis may be frames or channels, as the study says.

    Raises:
        ImageError: the file names other channels than the study.
    """
    if len(pages) == 1 or axes.colour or any(len(page.pixels) != 1 for page in pages):
        return list(pages)
    ordered = all(page.frame is not None for page in pages)
    names = list(dict.fromkeys(page.name for page in pages))
    named = all(names) and (len(names) > 1 if ordered else not {*axes.channels}.isdisjoint(names))
    if named and not (ordered and len(names) != 1 + max(page.channel for page in pages)):
        return _by_name(pages, axes, names)
    if not ordered:
        return list(pages)
    return sorted(pages, key=lambda page: (page.frame, page.channel))


def _by_name(pages: Sequence[Page], axes: Axes, names: Sequence[str]) -> list[Page]:
    absent = [name for name in axes.channels if name not in names]
    if absent:
        raise ImageError(
            f"has no channel {', '.join(absent)}: it names {', '.join(names)}",
            "write studies.<study>.data.channels as the files name them",
        )
    found, seen = {}, Counter[str]()
    for page in pages:
        frame = seen[page.name] if page.frame is None else page.frame
        seen[page.name] += 1
        found[frame, page.name] = page
    frames = sorted({frame for frame, _ in found})
    return [
        found[frame, name] for frame in frames for name in axes.channels if (frame, name) in found
    ]

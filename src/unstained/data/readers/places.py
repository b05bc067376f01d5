"""What lies below a source: every directory once, every name, and why some are passed over.

Links are followed, each place once, directories before links to them; a link that leads back, to a
directory around the source, or to nothing is named. Names that are no text in UTF-8, which no table
can hold, are named with their odd bytes written out. A directory *.zarr counts as one file.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

from unstained.errors import SourceError

IMAGE_SUFFIXES: Final = (".tif", ".tiff", ".bmp", ".png", ".jpg", ".jpeg")

OF_THE_SYSTEM: Final = frozenset({
    ".ds_store", "thumbs.db", "ehthumbs.db", "desktop.ini", "__macosx", ".spotlight-v100",
    ".trashes", ".fseventsd", ".appledouble", "$recycle.bin", "system volume information",
    "lost+found",
})  # fmt: skip
"""Names, in lower case, that systems leave behind; so are those that start with '._'."""

NOT_TEXT: Final = "its name is no text in UTF-8"


class Passed(NamedTuple):
    """Something that is not read.

    Attributes:
        path: relative to the source, printable.
        reason: why.
        cells: whether cells may be lost with it, so that a strict run must stop.
    """

    path: str
    reason: str
    cells: bool = False


class Folder(NamedTuple):
    """A directory.

    Attributes:
        directory: relative to the source with '/', '.' for the source itself.
        files: names, sorted; those of the system are left out.
        passed: what is in it and is neither a file with a name nor a directory to be walked.
    """

    directory: str
    files: list[str]
    passed: list[Passed]


def folders(source: Path) -> Iterator[Folder]:
    """Every directory at or below `source`, once.

    Raises:
        SourceError: a directory may not be read.
    """
    top = os.path.realpath(source)
    seen = {top}
    pending, links = deque([("", str(source))]), deque[tuple[str, str]]()
    while pending or links:
        follows = not pending
        prefix, path = (links if follows else pending).popleft()
        if follows:
            real = os.path.realpath(path)
            if refusal := _leads_back(real, top, seen):
                yield Folder(_parent(prefix), [], [Passed(prefix.rstrip("/"), refusal)])
                continue
            seen.add(real)
        found = Folder(prefix.rstrip("/") or ".", [], [])
        for entry in _entries(path):
            _sort(entry, prefix, found, pending, links, seen)
        found.files.sort()
        yield found


def _sort(
    entry: os.DirEntry[str],
    prefix: str,
    found: Folder,
    pending: deque[tuple[str, str]],
    links: deque[tuple[str, str]],
    seen: set[str],
) -> None:
    """Put an entry where it belongs."""
    name = f"{prefix}{entry.name}"
    if of_the_system(entry.name):
        return
    if not _is_text(entry.name):
        written = os.fsencode(name).decode("utf-8", "backslashreplace")
        found.passed.append(Passed(written, NOT_TEXT, cells=True))
    elif _is(entry.is_dir) and not entry.name.lower().endswith(".zarr"):
        if entry.name.startswith("."):
            found.passed.append(Passed(name, "is a hidden directory"))
        elif entry.is_symlink():
            links.append((f"{name}/", entry.path))
        else:
            seen.add(os.path.realpath(entry.path))
            pending.append((f"{name}/", entry.path))
    elif entry.name.startswith("."):
        found.passed.append(Passed(name, "is a hidden file"))
    elif is_image(entry.name) or _is(entry.is_file) or _is(entry.is_dir):
        found.files.append(entry.name)
    else:
        what = "is a link to nothing" if entry.is_symlink() else "is no file that can be read"
        found.passed.append(Passed(name, what))


def _is(question: Callable[[], bool]) -> bool:
    """The answer to a question about an entry, which a link to itself has not."""
    try:
        return question()
    except OSError:
        return False


def _leads_back(real: str, top: str, seen: set[str]) -> str:
    """Why a link to a directory is not followed, '' where it is."""
    if real in seen:
        return "is a link to a directory that is read without it"
    if f"{top}/".startswith(f"{real.rstrip('/')}/"):
        return "is a link to a directory around the source"
    return ""


def image_names(directory: Path) -> list[str]:
    """Names of the image files in a directory, sorted, as `folders` tells them."""
    with os.scandir(directory) as entries:
        return sorted(e.name for e in entries if is_image(e.name) and not _is(e.is_dir))


def is_image(name: str) -> bool:
    """Whether a file is to be decoded, by its name alone."""
    return name.lower().endswith(IMAGE_SUFFIXES) and not name.startswith(".") and _is_text(name)


def of_the_system(name: str) -> bool:
    """Whether a system left it behind."""
    return name.startswith("._") or name.lower() in OF_THE_SYSTEM


def _is_text(name: str) -> bool:
    return name.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in name)


def _parent(prefix: str) -> str:
    return prefix.rstrip("/").rpartition("/")[0] or "."


def _entries(path: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(path) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        raise SourceError(
            f"{path} cannot be read: {error.strerror}", "give this user the right to read it"
        ) from error

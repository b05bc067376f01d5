"""What lies at a study's source: names, sizes and times of its files, and what changed in them.

Raw images lie outside of runs/ and of DVC. Their digest makes a change of them a change of what
`ingest` is asked for: `configure` writes it as a file that DVC compares, and the runner makes it a
part of the stage's fingerprint. No file is opened. Where the source is away (a clone with `dvc
pull`, a drive that is not mounted), what was last seen of it holds.
"""

from __future__ import annotations

import filecmp
import gzip
import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from unstained.config.study import StudyData
from unstained.errors import SourceError
from unstained.files import read_json, whole_file
from unstained.pipeline.catalogue import RUNS, STATE

OWN: Final = frozenset({RUNS, STATE, "mlartifacts", "ledger"})
"""Names in the project's root that runs write, should the source be that directory."""

NAMED: Final = 3
"""Directories that a sentence names."""

File = tuple[str, str]
"""Path relative to the source, with '/' behind a directory's; size and time, '' of a directory."""


@dataclass(frozen=True)
class Seen:
    """A source at one time.

    Attributes:
        digest: sha256 of names, sizes and times; '' where nothing lies outside (a simulation).
        files, directories: how many; hidden ones are passed over.
    """

    digest: str = ""
    files: int = 0
    directories: int = 0

    def as_json(self) -> dict[str, Any]:
        """Plain content."""
        return asdict(self)


def see(root: Path, data: StudyData, keep: Path | None = None) -> Seen | None:
    """Look at a study's source.

    Args:
        root: the project's directory.
        data: of the study.
        keep: file that the list is written to, compressed.

    Returns:
        What is there; None where the source is away: no directory, or one without files, as a
        mount point is while nothing is mounted.

    Raises:
        SourceError: a directory cannot be read.
    """
    place = data.place(root)
    if place is None:
        return Seen()
    if keep is None:
        return _sum(_lines(place, root, data))
    with (
        whole_file(keep) as temporary,
        temporary.open("wb") as raw,
        gzip.GzipFile("", "wb", 1, raw, mtime=0) as file,  # equal lists, equal bytes
    ):
        return _sum(_written(_lines(place, root, data), file))


def changes(before: Path, now: Path) -> str:
    """What differs between two kept lists: '12 files added, 1 directory removed (o_1d1)'.

    Args:
        before: file written by `see` at an earlier time.
        now: file written by `see`.
    """
    old, new = _kept(before), _kept(now)
    parts = []
    for what, names in (
        ("added", new.keys() - old.keys()),
        ("removed", old.keys() - new.keys()),
        ("replaced", {name for name in new.keys() & old.keys() if new[name] != old[name]}),
    ):
        folders = sorted(name for name in names if name.endswith("/"))
        parts += _counted(len(names) - len(folders), "file", "files", what)
        told = _counted(len(folders), "directory", "directories", what)
        more = ", ..." if len(folders) > NAMED else ""
        parts += [f"{t} ({', '.join(f.rstrip('/') for f in folders[:NAMED])}{more})" for t in told]
    return ", ".join(parts)


def recorded(root: Path, study: str) -> Seen | None:
    """What `configure` last saw of a study's source; None where it has written nothing."""
    path = root / source_file(study)
    return Seen(**read_json(path)) if path.is_file() else None


def source_file(study: str) -> str:
    """Where `configure` writes what it saw, relative to the project's root."""
    return f"{RUNS}/configure/{study}/source.json"


def require_seen(root: Path, study: str, data: StudyData, seen: Seen | None) -> Seen:
    """What is at a source now, or was when it was last seen.

    Args:
        root: the project's directory.
        study: key of params.yaml `studies`.
        data: of the study.
        seen: what is there now, see `see`.

    Raises:
        SourceError: it is away, and nothing says what it held.
    """
    seen = seen or recorded(root, study)
    if seen is None:
        raise SourceError(
            f"no image of {study} is at {data.place(root)}",
            f"mount or copy them there, or name their directory: `unstained source {study} PATH`; "
            "a clone whose results lie in a DVC remote works without them after `dvc pull`",
        )
    return seen


class Memory:
    """The lists of what was ingested, a file a study.

    Args:
        state: directory that keeps what an interrupted run needs.
        study: key of params.yaml `studies`.
    """

    def __init__(self, state: Path, study: str) -> None:
        self.path = state / "sources" / f"{study}.gz"
        self.next = state / "sources" / f"{study}.next.gz"

    def look(self, root: Path, data: StudyData) -> tuple[Seen | None, str]:
        """See what is there, and keep its list aside for `commit`.

        Returns:
            (see `see`, a sentence on what changed since the last ingest, or '').
        """
        seen = see(root, data, self.next)
        known = seen is not None and self.path.is_file() and self.next.is_file()
        if not known or filecmp.cmp(self.path, self.next, shallow=False):
            return seen, ""
        what = changes(self.path, self.next)
        return seen, f"{what} since the last ingest, at {data.place(root)}" if what else ""

    def commit(self) -> None:
        """What `look` saw last has been ingested."""
        if self.next.is_file():
            self.next.replace(self.path)


def _lines(place: Path, root: Path, data: StudyData) -> Iterator[File]:
    """Files and directories in an order of their names; links are followed, each place once.

    Links to directories around the source are not followed, as no reader does. With them goes a
    table that lies elsewhere.
    """
    place = place.parent if place.is_file() else place
    own = {os.path.realpath(root / name) for name in OWN}
    top = os.path.realpath(place)
    around = {top, *map(str, Path(top).parents)}
    pending, walked = [("", str(place))], set()
    while pending:
        name, path = pending.pop()
        for entry in _entries(path):
            if entry.name.startswith("."):
                continue
            inner = f"{name}{entry.name}"
            if not _is_directory(entry):
                yield inner, _size_and_time(entry.stat)
            elif (real := os.path.realpath(entry.path)) not in own and real not in walked:
                walked.add(real)
                if real not in around:
                    pending.append((f"{inner}/", entry.path))
                yield f"{inner}/", ""
    table = Path(data.table.file) if data.table and data.table.file else place
    if table.is_absolute() and table != place:
        yield str(table), _size_and_time(table.stat)


def _is_directory(entry: os.DirEntry[str]) -> bool:
    """Whether it is one, or a link to one; links that lead to each other are none."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def _size_and_time(stat: Callable[[], os.stat_result]) -> str:
    try:
        found = stat()
    except OSError:
        return "a link to nothing"
    return f"{found.st_size} {found.st_mtime_ns}"


def _entries(path: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(path) as found:
            return sorted(found, key=lambda entry: entry.name)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise SourceError(
            f"{path} cannot be read: {error.strerror}", "give this user the right to read it"
        ) from error


def _sum(lines: Iterable[File]) -> Seen | None:
    digest, counts = hashlib.sha256(), [0, 0]
    for name, rest in lines:
        digest.update(_encoded(name, rest))
        counts[not rest] += 1
    return Seen(digest.hexdigest(), *counts) if counts[0] else None


def _written(lines: Iterable[File], file: gzip.GzipFile) -> Iterator[File]:
    for name, rest in lines:
        file.write(_encoded(name, rest))
        yield name, rest


def _encoded(name: str, rest: str) -> bytes:
    return os.fsencode(f"{name}\0{rest}\0\n")


def _kept(path: Path) -> Mapping[str, str]:
    text = os.fsdecode(gzip.decompress(path.read_bytes()))
    parts = (line.partition("\0") for line in text.split("\0\n") if line)
    return {name: rest for name, _, rest in parts}


def _counted(count: int, one: str, many: str, what: str) -> list[str]:
    return [f"{count} {one if count == 1 else many} {what}"] if count else []

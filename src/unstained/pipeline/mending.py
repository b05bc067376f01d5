"""Mends what a kill leaves in DVC's folder and what would stop every later command of DVC.

DVC notes in .dvc/tmp/rwlock which process reads and writes which file, and writes the note in
place: a kill may leave it empty or cut off. It removes entries of dead processes itself, but takes
a new process of the same number for the dead one.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import psutil

from unstained.errors import UnstainedError
from unstained.files import write_json

NOTE: Final = Path(".dvc/tmp/rwlock")


def mend(root: Path) -> str:
    """Let DVC work again where a kill left its note of locks unreadable or out of date.

    Args:
        root: the project's directory.

    Returns:
        What was done, in a sentence; '' where there was nothing to do.

    Raises:
        UnstainedError: DVC is at work in the project, so that its note is not to be touched.
    """
    note = root / NOTE
    if not note.is_file() or _is_sound(note):
        return ""
    with _held(note):
        living = _living(note)
        if _is_sound(note):  # by now: DVC was writing it
            return ""
        if living is None:
            if at_work := _dvc_processes(root):
                raise _busy(note, f"DVC is at work (process {at_work[0]})")
            note.unlink()
            return f"{note} was left unreadable by a command that was killed: removed"
        write_json(note, living)
        return f"{note} named processes that are gone: they were removed"


def _read(note: Path) -> dict[str, Any] | None:
    """The note; None where it is not what DVC writes."""
    try:
        content = json.loads(note.read_text(encoding="utf-8"))
        for held in (content.get("write", {}), content.get("read", {})):
            for entries in held.values():
                for entry in _several(entries):
                    int(entry["pid"])
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
    return dict(content)


def _is_sound(note: Path) -> bool:
    content = _read(note)
    return content is not None and _living(note) == content


def _living(note: Path) -> dict[str, Any] | None:
    """The note with entries of living processes alone; None where it cannot be read."""
    content = _read(note)
    if content is None:
        return None
    written = note.stat().st_mtime
    kept = dict(content)
    if "write" in content:
        kept["write"] = {p: e for p, e in content["write"].items() if _lives(e, written)}
    if "read" in content:
        readers = {p: [e for e in es if _lives(e, written)] for p, es in content["read"].items()}
        kept["read"] = {path: entries for path, entries in readers.items() if entries}
    return kept


def _several(entries: Any) -> list[Any]:
    return entries if isinstance(entries, list) else [entries]


def _lives(entry: Mapping[str, Any], written: float) -> bool:
    """Whether the process that made an entry still runs: one that began later is another.

    One that has ended and that nobody waited for (in a container whose first process does not) has
    its number still, and DVC takes it for a living one.
    """
    try:
        process = psutil.Process(int(entry["pid"]))
        return process.status() != psutil.STATUS_ZOMBIE and process.create_time() <= written
    except (psutil.NoSuchProcess, ValueError):  # no number of a process is negative
        return False


def _dvc_processes(root: Path) -> list[int]:
    """Numbers of the processes of `dvc` in a project."""
    found = []
    for process in psutil.process_iter():
        try:
            words, place = process.cmdline()[:3], Path(process.cwd())
        except (psutil.Error, OSError):
            continue
        if place.is_relative_to(root.resolve()) and any(Path(w).name == "dvc" for w in words):
            found.append(process.pid)
    return found


@contextmanager
def _held(note: Path) -> Iterator[None]:
    """Hold the lock that DVC holds while it writes the note."""
    from dvc.config import Config
    from dvc.lock import LockError, make_lock

    core = Config(str(note.parents[1])).get("core", {})
    lock = make_lock(
        f"{note}.lock", str(note.parent), hardlink_lock=core.get("hardlink_lock", False)
    )
    try:
        lock.lock()
    except LockError as error:
        raise _busy(note, "DVC is writing it") from error
    try:
        yield
    finally:
        lock.unlock()


def _busy(note: Path, why: str) -> UnstainedError:
    return UnstainedError(
        f"{note} is unreadable or out of date, and {why}", "wait until it has ended, and run again"
    )

"""The promotion ledger: who was champion when, by whom, why, on which evidence.

One JSON line an event, append-only, one file a study. Every line carries the sha256 of the line
before it and its own, so a changed, removed or torn line is detected; a ledger that was cut at the
end is detected by promotion, which keeps the digest of the newest effective entry in the registry.
The ledger, not the registry's aliases, is the truth: an event is written, and on the disk, before
any alias moves.
"""

from __future__ import annotations

import getpass
import hashlib
import json
import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal, NoReturn, get_args

from unstained.errors import IntegrityError, RegistryError
from unstained.files import disk_full_explained

Action = Literal["promote", "rollback", "adopt", "restore", "repair", "refuse", "dry-run"]

FIRST: Final = "0" * 64
"""`previous_sha256` of the first entry."""

LOCK_SECONDS: Final = 120.0


@dataclass(frozen=True)
class Event:
    """What happened, before it has a place in the ledger.

    Attributes:
        action: 'promote', 'rollback' and 'adopt' (a champion that was there before the ledger)
            change who is champion; 'restore' (the same artifact is another version now) changes
            its number; 'repair', 'refuse' and 'dry-run' change nothing.
        study: key of params.yaml `studies`.
        name: registered model.
        version: the version that the event is about.
        replaced: the champion before it, or None.
        reason: one sentence.
        digests: artifact, data, split and params digests of `version`.
        gate: the gate's criteria, as JSON.
    """

    action: Action
    study: str
    name: str
    version: int
    replaced: int | None
    reason: str
    digests: Mapping[str, str] = field(default_factory=dict)
    gate: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True)
class Entry(Event):
    """An event in the ledger.

    Attributes:
        sequence: 1, 2, 3, ...
        time: UTC, ISO 8601.
        actor: UNSTAINED_ACTOR, or user@host.
        previous_sha256: of the entry before.
        sha256: of all the other fields.
    """

    sequence: int = 0
    time: str = ""
    actor: str = ""
    previous_sha256: str = FIRST
    sha256: str = ""

    def sealed(self) -> Entry:
        """The entry with its own digest."""
        content = {key: value for key, value in asdict(self).items() if key != "sha256"}
        text = json.dumps(content, sort_keys=True, allow_nan=False)
        return replace(self, sha256=hashlib.sha256(text.encode()).hexdigest())


@dataclass(frozen=True)
class Standing:
    """Who holds which alias, by the ledger.

    Attributes:
        champions: entries that made somebody champion and were not rolled back, oldest first.
        withdrawn: version -> entry that rolled it back, unless it became champion again.
        head: the newest entry that changed who is champion, or None.
    """

    champions: tuple[Entry, ...] = ()
    withdrawn: Mapping[int, Entry] = field(default_factory=dict)
    head: Entry | None = None

    @property
    def champion(self) -> int | None:
        """Version that is champion."""
        return self.champions[-1].version if self.champions else None

    @property
    def previous(self) -> int | None:
        """Version that a rollback would make champion."""
        return self.champions[-2].version if len(self.champions) > 1 else None


class Ledger:
    """A study's ledger.

    Args:
        path: the JSON-lines file; created with its directory by the first event.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def entries(self) -> list[Entry]:
        """All entries, oldest first; empty where nothing happened yet.

        Raises:
            IntegrityError: a line is torn, was changed, or is missing.
        """
        if not self.path.exists():
            return []
        *lines, rest = self.path.read_text(encoding="utf-8").split("\n")
        entries: list[Entry] = []
        previous = FIRST
        for number, line in enumerate(lines, start=1):
            entry = _parse(line)
            if entry is None or entry != entry.sealed():
                self._refuse(number, "was changed after it was written")
            if entry.previous_sha256 != previous or entry.sequence != number:
                self._refuse(number, "does not follow the line before it; lines were removed")
            entries.append(entry)
            previous = entry.sha256
        if rest:
            raise IntegrityError(
                f"line {len(lines) + 1} of {self.path} is torn: the computer stopped while it was "
                "written, before any alias moved",
                "delete that last, unfinished line and run the same command again",
            )
        return entries

    def standing(self) -> Standing:
        """Who is champion by the ledger.

        Raises:
            IntegrityError: see `entries`.
        """
        champions: list[Entry] = []
        withdrawn: dict[int, Entry] = {}
        head = None
        for entry in self.entries():
            if entry.action in ("promote", "adopt"):
                champions.append(entry)
                withdrawn.pop(entry.version, None)
            elif entry.action == "restore":
                champions[-1] = entry
            elif entry.action == "rollback":
                withdrawn[champions.pop().version] = entry
                withdrawn.pop(entry.version, None)
            else:
                continue
            head = entry
        return Standing(tuple(champions), withdrawn, head)

    def append(self, event: Event) -> Entry:
        """Write an event; it is on the disk when this returns.

        Call it inside `locked`.

        Raises:
            IntegrityError: the ledger is damaged; nothing was added to it.
        """
        entries = self.entries()
        entry = Entry(
            **{name: getattr(event, name) for name in Event.__dataclass_fields__},
            sequence=len(entries) + 1,
            time=datetime.now(UTC).isoformat(timespec="seconds"),
            actor=actor(),
            previous_sha256=entries[-1].sha256 if entries else FIRST,
        ).sealed()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        line = json.dumps(asdict(entry), sort_keys=True, allow_nan=False) + "\n"
        with disk_full_explained(self.path):
            _append(self.path, line.encode())
        return entry

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the study's lock: one promotion or rollback at a time in this project.

        Raises:
            RegistryError: another one holds it for longer than LOCK_SECONDS.
        """
        from filelock import FileLock, Timeout

        self.path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.path.with_name(self.path.name + ".lock"))
        try:
            lock.acquire(timeout=LOCK_SECONDS)
        except Timeout:
            raise RegistryError(
                f"another promotion or rollback holds {lock.lock_file}", "wait until it has ended"
            ) from None
        try:
            yield
        finally:
            lock.release()

    def _refuse(self, line: int, what: str) -> NoReturn:
        raise IntegrityError(
            f"line {line} of {self.path} {what}",
            "restore the ledger from a backup; until then nothing can be promoted or rolled back",
        )


def ledger_path(root: Path, study: str) -> Path:
    """Where a study's ledger lies: in UNSTAINED_LEDGER, or in the project's ledger/.

    A pod has no project directory that outlives it: there the variable names a mounted volume.
    """
    folder = os.environ.get("UNSTAINED_LEDGER")
    return (Path(folder) if folder else root / "ledger") / f"{study}.jsonl"


def known_ledger(root: Path, study: str) -> Ledger | None:
    """A study's ledger, to read from; None where there is none, as in pods that never promote."""
    path = ledger_path(root, study)
    return Ledger(path) if path.is_file() else None


def actor() -> str:
    """Who acts: the environment's UNSTAINED_ACTOR, or user@host."""
    if named := os.environ.get("UNSTAINED_ACTOR"):
        return named
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user id without a name
        user = f"uid{os.getuid()}"
    return f"{user}@{socket.gethostname()}"


def _parse(line: str) -> Entry | None:
    """The entry of a line, or None where it is no entry."""
    try:
        content = json.loads(line)
        entry = Entry(**content)
    except (ValueError, TypeError):
        return None
    return entry if entry.action in get_args(Action) else None


def _append(path: Path, line: bytes) -> None:
    """Add a line durably; what a full disk cut short is taken back."""
    with path.open("ab", buffering=0) as file:
        size = file.tell()
        try:
            while line:
                line = line[file.write(line) :]
            os.fsync(file.fileno())
        except OSError:
            file.truncate(size)
            raise
    descriptor = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

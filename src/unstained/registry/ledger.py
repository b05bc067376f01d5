"""The promotion ledger's file: who was champion when, by whom, why, on which evidence.

One JSON line an entry, append-only, one file a study. A line is written only after the registry has
recorded it (`records`): until then it waits in a file beside the ledger, so that whoever comes
after a killed process knows whether to write it or to forget it. The ledger, not the registry's
aliases, is the truth: an entry is on the disk before any alias moves.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NoReturn

from unstained.errors import IntegrityError, OvertakenError, RegistryError
from unstained.files import disk_error, disk_explained, whole_file
from unstained.registry.entries import Entry, Event, Standing

LOCK_SECONDS: Final = 120.0


class Ledger:
    """A study's ledger.

    Args:
        path: the JSON-lines file; created with its directory by the first event.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._waiting = path.with_name(f".{path.name}.next")

    def entries(self) -> list[Entry]:
        """All entries, oldest first; empty where nothing happened yet.

        Raises:
            IntegrityError: a line is torn, was changed, or is missing.
        """
        if not self.path.exists():
            return []
        *lines, rest = self.path.read_text(encoding="utf-8", errors="replace").split("\n")
        entries: list[Entry] = []
        for number, line in enumerate(lines, start=1):
            entry = Entry.parsed(line)
            if entry is None:
                self._refuse(number, "was changed after it was written")
            if not entry.follows(entries):
                self._refuse(number, "does not follow the line before it; lines were removed")
            entries.append(entry)
        if rest:
            raise IntegrityError(
                f"line {len(lines) + 1} of {self.path} is torn: the computer stopped while it was "
                "written, before any alias moved, or the file was cut",
                f"delete that last, unfinished line; then `unstained history {self.path.stem} "
                "--pull` writes what the registry recorded of it",
            )
        return entries

    def standing(self) -> Standing:
        """Who is champion by the file alone.

        Raises:
            IntegrityError: see `entries`.
        """
        return Standing.of(self.entries())

    def waiting(self) -> Entry | None:
        """The entry that a process is about to write, or was when it was killed."""
        try:
            return Entry.parsed(self._waiting.read_text(encoding="utf-8").rstrip("\n"))
        except (OSError, ValueError):
            return None

    def append(
        self,
        event: Event,
        sign: Callable[[Entry], Entry] = Entry.sealed,
        claim: Callable[[Entry], None] = lambda entry: None,
    ) -> Entry:
        """Write an event; it is on the disk when this returns. Call it inside `locked`.

        Args:
            event: what happened.
            sign: gives an entry its signature and its seal.
            claim: records the entry where others see it, or raises OvertakenError where theirs is
                there already. After another exception nobody knows: the entry waits.

        Raises:
            IntegrityError: the ledger is damaged; nothing was added to it.
        """
        entry = sign(event.after(self.entries()))
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(self._waiting) as partial:
            _append(partial, f"{entry.line}\n".encode())
        try:
            claim(entry)
        except OvertakenError:
            self.forget()
            raise
        self.add([entry])
        return entry

    def add(self, entries: Sequence[Entry]) -> None:
        """Write entries that are recorded elsewhere. Call it inside `locked`."""
        lines = "".join(f"{entry.line}\n" for entry in entries)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with disk_explained(self.path):
            _append(self.path, lines.encode())
        self.forget()

    def forget(self) -> None:
        """Nothing is waiting any more, nor what a killed process had begun to write of it."""
        for left in (self._waiting, *self.path.parent.glob(f".{self._waiting.name}.*.partial")):
            left.unlink(missing_ok=True)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the study's lock: one promotion or rollback at a time in this project.

        Raises:
            RegistryError: another one holds it for longer than LOCK_SECONDS, or its directory
                cannot be written to.
        """
        from filelock import FileLock, Timeout

        folder, lock = self.path.parent, FileLock(self.path.with_name(self.path.name + ".lock"))
        try:
            folder.mkdir(parents=True, exist_ok=True)
            lock.acquire(timeout=LOCK_SECONDS)
        except PermissionError as error:
            raise RegistryError(
                f"user {os.getuid()} of group {os.getgid()} may not write to {folder} and all in "
                f"it, where the promotion ledger lies ({error.strerror})",
                "let that group write there: on a cluster the pod's fsGroup does it "
                f"(k8s/RUNBOOK.md), elsewhere `chgrp -R {os.getgid()} {folder}` and "
                f"`chmod -R g+rwX {folder}`",
            ) from None
        except Timeout:
            raise RegistryError(
                f"another promotion or rollback holds {lock.lock_file}", "wait until it has ended"
            ) from None
        except OSError as error:
            if refused := disk_error(error, folder):
                raise RegistryError(refused.message, refused.remedy) from None
            raise
        try:
            yield
        finally:
            lock.release()

    def _refuse(self, line: int, what: str) -> NoReturn:
        raise IntegrityError(
            f"line {line} of {self.path} {what}",
            f"restore the ledger from a backup; or `mv {self.path} {self.path}.old`, and "
            f"`unstained history {self.path.stem} --pull` writes what the registry recorded of it",
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


def _append(path: Path, lines: bytes) -> None:
    """Add lines durably; what a full disk cut short is taken back."""
    with path.open("ab", buffering=0) as file:
        size = file.tell()
        try:
            while lines:
                lines = lines[file.write(lines) :]
            os.fsync(file.fileno())
        except OSError:
            file.truncate(size)
            raise
    descriptor = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

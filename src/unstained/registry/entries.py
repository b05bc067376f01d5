"""What a promotion ledger consists of: chained entries, and who is champion by them.

Every entry carries the sha256 of the one before it and its own, so entries that were changed,
removed or exchanged do not follow each other any more. Where a key is configured, an entry is
signed, and with it, through the chain, are all entries before it.
"""

from __future__ import annotations

import getpass
import hashlib
import json
import os
import secrets
import socket
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Final, Literal, get_args

from unstained.errors import IntegrityError

Action = Literal["promote", "rollback", "adopt", "restore", "repair", "refuse", "dry-run", "vouch"]

EFFECTIVE: Final = ("promote", "rollback", "adopt", "restore")
"""Actions that change who is champion, or its number."""

FIRST: Final = "0" * 64
"""`previous_sha256` of the first entry."""


@dataclass(frozen=True)
class Event:
    """What happened, before it has a place in the ledger.

    Attributes:
        action: 'promote', 'rollback' and 'adopt' (a champion that was there before the ledger)
            change who is champion; 'restore' (the same artifact is another version now) changes
            its number; 'repair', 'refuse', 'dry-run' and 'vouch' (somebody signed what was there)
            change nothing.
        study: key of params.yaml `studies`.
        name: registered model.
        version: the version that the event is about.
        replaced: the champion before it, or None.
        reason: one sentence.
        digests: of artifact, data, split, params and predictions of `version`.
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

    def after(self, entries: Sequence[Entry]) -> Entry:
        """The entry that it becomes at the end of a ledger, as yet without a seal."""
        return Entry(
            **{name: getattr(self, name) for name in Event.__dataclass_fields__},
            sequence=len(entries) + 1,
            time=datetime.now(UTC).isoformat(timespec="seconds"),
            actor=actor(),
            previous_sha256=entries[-1].sha256 if entries else FIRST,
            nonce=secrets.token_hex(8),
        )


@dataclass(frozen=True)
class Entry(Event):
    """An event in the ledger.

    Attributes:
        sequence: 1, 2, 3, ...
        time: UTC, ISO 8601.
        actor: UNSTAINED_ACTOR, or user@host.
        previous_sha256: of the entry before.
        nonce: at random, so that who decides the same in the same second makes another entry; ''
            in entries from before there was one.
        signature: of `content`, see `signing`; '' where no key was configured.
        sha256: of all the other fields.
    """

    sequence: int = 0
    time: str = ""
    actor: str = ""
    previous_sha256: str = FIRST
    nonce: str = ""
    signature: str = ""
    sha256: str = ""

    @classmethod
    def parsed(cls, line: str) -> Entry | None:
        """The entry of a line; None where it is none, or was changed after it was written."""
        try:
            entry = cls(**json.loads(line))
            whole = entry.action in get_args(Action) and entry == entry.sealed()
            named = entry.action not in EFFECTIVE or len(entry.digests["artifact"]) > 0
        except (ValueError, TypeError, KeyError, RecursionError):
            return None
        return entry if whole and named and isinstance(entry.version, int) else None

    @property
    def content(self) -> bytes:
        """All fields but signature and digest, which is what a signature is of."""
        return _json(self, without=("signature", "sha256")).encode()

    @property
    def line(self) -> str:
        """As it stands in a ledger."""
        return _json(self)

    def sealed(self) -> Entry:
        """The entry with its own digest."""
        text = _json(self, without=("sha256",))
        return replace(self, sha256=hashlib.sha256(text.encode()).hexdigest())

    def follows(self, entries: Sequence[Entry]) -> bool:
        """Whether it is the next one of a ledger."""
        last = entries[-1].sha256 if entries else FIRST
        return self.sequence == len(entries) + 1 and self.previous_sha256 == last

    def told(self) -> str:
        """The entry for a sentence: 'promote v3 by ada@lab at 2026-01-31T12:00:00+00:00'."""
        return f"{self.action} v{self.version} by {self.actor} at {self.time}"


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

    @classmethod
    def of(cls, entries: Iterable[Entry]) -> Standing:
        """What a ledger's entries, oldest first, led to.

        Raises:
            IntegrityError: one takes back what no entry before it did; no command writes that.
        """
        champions: list[Entry] = []
        withdrawn: dict[int, Entry] = {}
        head = None
        for entry in entries:
            if entry.action in ("restore", "rollback") and not champions:
                raise IntegrityError(
                    f"entry {entry.sequence} of the ledger of {entry.study} is a {entry.action}, "
                    "and nobody was champion before it",
                    "restore the ledger from a backup; it was not written by this project",
                )
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
        return cls(tuple(champions), withdrawn, head)

    @property
    def champion(self) -> int | None:
        """Version that is champion."""
        return self.champions[-1].version if self.champions else None

    @property
    def previous(self) -> int | None:
        """Version that a rollback would make champion."""
        return self.champions[-2].version if len(self.champions) > 1 else None


def actor() -> str:
    """Who acts: the environment's UNSTAINED_ACTOR, or user@host."""
    if named := os.environ.get("UNSTAINED_ACTOR"):
        return named
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user id without a name
        user = f"uid{os.getuid()}"
    return f"{user}@{socket.gethostname()}"


def _json(entry: Entry, without: tuple[str, ...] = ()) -> str:
    """Fields in a fixed order; an entry without signature or nonce has no field for it."""
    empty = (name for name in ("nonce", "signature") if not getattr(entry, name))
    left_out = {*without, *empty}
    content = {key: value for key, value in asdict(entry).items() if key not in left_out}
    return json.dumps(content, sort_keys=True, allow_nan=False)

"""One ledger in two places: the project's file, and the registry's record of it.

The registry decides which entry is the next one (`records`), the file keeps whoever changes the
registry by hand from changing the past. Both must be the same: a line that is missing here, another
one there, or a chain that was made anew is told to everybody who asks who is champion. Two
differences are no offence, and mended by the next command that may write: an entry that waits here
and is recorded there, after a process was killed between the two, and entries that the registry
lost or never had. Where UNSTAINED_MODEL_STORE names an object store, it holds a copy (`stored`),
which tells when file and registry were changed alike.

Where UNSTAINED_SIGNING_KEY names a key, every entry is signed with it, and where
UNSTAINED_VERIFY_KEY names some, the newest signature must be of one of them: it vouches for all
entries before it. Nothing that changes who is champion may come after it without one, and a ledger
without any is refused, too: who may write file, registry and store could have made it so. One from
before there were keys is signed by hand (`vouch`).
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final

from unstained.artifact.keys import (
    SIGN,
    VERIFY,
    fingerprint,
    required_signing_key,
    signature_of,
    signer_among,
    signing_key,
)
from unstained.artifact.signing import REQUIRE, Trust, trust_of
from unstained.errors import IntegrityError
from unstained.registry.entries import EFFECTIVE, Entry, Event
from unstained.registry.ledger import Ledger
from unstained.registry.records import SUFFIX, Records
from unstained.registry.registry import Registry
from unstained.registry.shipping import model_store
from unstained.registry.stored import Stored
from unstained.wording import counted

KIND: Final = "application/vnd.unstained.ledger-entry+json"
"""What is signed: an entry's content."""


@dataclass(frozen=True)
class Agreement:
    """A ledger that file and registry agree on.

    Attributes:
        entries: oldest first.
        written: how many of them the file holds: all, or all but one that waits.
        recorded: how many of them the registry holds.
        unstored: those that the object store does not hold, where there is one.
        doubt: what is said where keys are trusted and none signed the ledger; else ''.
    """

    entries: tuple[Entry, ...] = ()
    written: int = 0
    recorded: int = 0
    unstored: tuple[Entry, ...] = ()
    doubt: str = ""


def agreed(
    registry: Registry, ledger: Ledger, study: str, name: str, trust: Trust | None = None
) -> Agreement:
    """The ledger; nothing is changed.

    Args:
        registry: that records it.
        ledger: its file.
        study: key of params.yaml `studies`.
        name: registered model.
        trust: by default the environment's.

    Raises:
        IntegrityError: the file is damaged, lacks what registry or store hold, or differs from it;
            or a signature that must be there is not.
        StoreError: the object store refuses or is unreachable.
    """
    # In this order, who writes meanwhile is not taken for somebody else: the entry waits, is
    # recorded, is written, and waits no more.
    recorded = Records(registry, name).entries()
    waiting, written = ledger.waiting(), ledger.entries()
    entries = list(written)
    if waiting is not None and waiting.follows(written) and waiting in recorded:
        entries.append(waiting)
    for mine, theirs in zip(entries, recorded, strict=False):
        if mine != theirs:
            raise _differs(ledger, name, mine, theirs)
    if len(recorded) > len(entries):
        raise _lacks(ledger, recorded[len(entries) :])
    store, trust = model_store(), trust or trust_of()
    unstored = Stored(store, study).missing(entries, ledger.path) if store else ()
    said = trusted(entries, trust)
    doubt = said if trust.keys and not any(entry.signature for entry in entries) else ""
    return Agreement(tuple(entries), len(written), len(recorded), unstored, doubt)


def mend(
    registry: Registry, ledger: Ledger, study: str, name: str, found: Agreement
) -> tuple[str, ...]:
    """Write what waits, and record what registry and store do not hold. Call it inside the lock.

    Args:
        registry: that records the ledger.
        ledger: its file.
        study: key of params.yaml `studies`.
        name: registered model.
        found: what they agree on.

    Returns:
        What was done that people should know.
    """
    if waited := found.entries[found.written :]:
        ledger.add(waited)
    ledger.forget()
    missing = found.entries[found.recorded :]
    for entry in missing:
        Records(registry, name).claim(entry)
    _store(study, found.unstored)
    if not missing:
        return ()
    what = counted(len(missing), "entry", "entries")
    return (f"the registry held no record of {what} of {ledger.path}: recorded",)


def write(registry: Registry, ledger: Ledger, event: Event) -> Entry:
    """Make an event the next entry, in the registry and in the file. Call it inside the lock.

    Raises:
        OvertakenError: another project wrote that entry; nothing was changed here.
        IntegrityError: the ledger is damaged, or must be signed and there is no key.
    """
    if event.action in EFFECTIVE and trust_of().required and signing_key() is None:
        raise IntegrityError(
            f"an entry of the ledger that says {event.action} must be signed here, and {SIGN} "
            "names no key",
            f"run the command where promotion's key is; {REQUIRE}=0 takes unsigned entries",
        )
    entry = ledger.append(event, _signed, Records(registry, event.name).claim)
    _store(event.study, [entry])
    return entry


def pull(registry: Registry, ledger: Ledger, name: str) -> tuple[Entry, ...]:
    """Take into the file what other projects wrote.

    Returns:
        The new entries.

    Raises:
        IntegrityError: file and registry differ, or the new entries must be signed and are not.
    """
    with ledger.locked():
        written, recorded = ledger.entries(), Records(registry, name).entries()
        for mine, theirs in zip(written, recorded, strict=False):
            if mine != theirs:
                raise _differs(ledger, name, mine, theirs)
        new = recorded[len(written) :]
        if new:
            trusted(recorded, trust_of())
            ledger.add(new)
    return tuple(new)


def vouch(registry: Registry, ledger: Ledger, study: str, name: str) -> Entry | None:
    """Sign a ledger as it is, by an entry that changes nothing; None where it is empty.

    Raises:
        UnstainedError: there is no key to sign with.
        IntegrityError: the key is none that is trusted here; or see `agreed`, but for entries
            without a signature.
    """
    key, trust = required_signing_key().public_key(), trust_of()
    if trust.keys and fingerprint(key) not in map(fingerprint, trust.keys):
        raise IntegrityError(
            f"the key of {SIGN} ({fingerprint(key)}) is none that {VERIFY} names",
            f"use a key whose public half {VERIFY} names, or add it there",
        )
    with ledger.locked():
        found = agreed(registry, ledger, study, name, replace(trust, required=False))
        mend(registry, ledger, study, name, found)
        if not found.entries:
            return None
        last = found.entries[-1]
        reason = f"the ledger was signed by hand to entry {last.sequence}"
        return write(registry, ledger, Event("vouch", study, name, last.version, None, reason))


def trusted(entries: Sequence[Entry], trust: Trust) -> str:
    """See who signed a ledger.

    Args:
        entries: oldest first.
        trust: what the deployment asks.

    Returns:
        What a person should know of it; '' where there is nothing to say.

    Raises:
        IntegrityError: the newest signature is of no trusted key, or there is none where one must
            be.
    """
    if not entries:
        return ""
    signed = max((entry.sequence for entry in entries if entry.signature), default=0)
    tail = entries[signed:]
    if trust.keys and signed:
        _verify(entries[signed - 1], trust)
    changes = [entry for entry in tail if entry.action in EFFECTIVE]
    if trust.required and changes:
        study = changes[0].study
        raise IntegrityError(
            f"entry {changes[0].sequence} of the ledger ({changes[0].told()}) is not signed, and "
            "signatures are required here",
            f"find out who wrote it. If `unstained history {study}` is right, `unstained history "
            f"{study} --sign` signs it where {SIGN} is; {REQUIRE}=0 takes it all the same",
        )
    if not signed:
        return "no entry of the ledger is signed"
    said = f"the ledger is signed to entry {signed} of {len(entries)}"
    return said if trust.keys else f"{said}, which was not verified: {VERIFY} names no key"


def out_of_order(entries: Sequence[Entry]) -> tuple[str, ...]:
    """Entries that are dated before the one they follow: a clock was wrong, or somebody lied."""
    return tuple(
        f"entry {after.sequence} of the ledger is dated {after.time}, before the one it follows "
        f"({before.time})"
        for before, after in pairwise(entries)
        if after.time < before.time
    )


def _store(study: str, entries: Sequence[Entry]) -> None:
    """Copy entries into the object store, where there is one."""
    if entries and (store := model_store()):
        Stored(store, study).add(entries)


def _signed(entry: Entry) -> Entry:
    """An entry with the deployment's signature, if it has a key, and its seal."""
    key = signing_key()
    if key is None:
        return entry.sealed()
    signature = base64.b64encode(signature_of(key, KIND, entry.content)).decode()
    return replace(entry, signature=signature).sealed()


def _verify(entry: Entry, trust: Trust) -> None:
    """Raises: IntegrityError: no trusted key signed the entry."""
    try:
        signature = base64.b64decode(entry.signature, validate=True)
    except ValueError:
        signature = b""
    if signer_among(trust.keys, signature, KIND, entry.content) is None:
        keys = ", ".join(fingerprint(key) for key in trust.keys)
        raise IntegrityError(
            f"the signature of entry {entry.sequence} of the ledger ({entry.told()}) was not made "
            f"by a key that is trusted here ({keys})",
            f"restore the ledger from a backup; if its writer is to be trusted, add the public key "
            f"to {VERIFY}",
        )


def _differs(ledger: Ledger, name: str, mine: Entry, theirs: Entry) -> IntegrityError:
    return IntegrityError(
        f"entry {mine.sequence} of {ledger.path} is {mine.told()}; the registry recorded "
        f"{theirs.told()} ({mine.sha256[:12]}, {theirs.sha256[:12]}): one of them was rewritten",
        f"find out which is right. If it is the registry, `mv {ledger.path} {ledger.path}.old` and "
        f"`unstained history {mine.study} --pull`; if it is the file, delete the registered model "
        f"{name}{SUFFIX} in MLflow: the next command records the file's entries anew",
    )


def _lacks(ledger: Ledger, missing: Sequence[Entry]) -> IntegrityError:
    first, last = missing[0], missing[-1]
    to = "" if first == last else f" to {last.sequence}"
    which = f"{'entries' if to else 'entry'} {first.sequence}{to}"
    newest = next((entry for entry in reversed(missing) if entry.action in EFFECTIVE), last)
    return IntegrityError(
        f"{ledger.path} lacks {which}, which the registry recorded, such as {newest.told()}: "
        "another project decided, or lines were removed here",
        f"if that is rightful, `unstained history {first.study} --pull` takes it into the ledger; "
        "if somebody forged it, see who changes the registry, and delete the version of "
        f"{first.name}{SUFFIX} in MLflow that holds it",
    )

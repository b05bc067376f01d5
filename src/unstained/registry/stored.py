"""A copy of a ledger in the store of models, out of reach of who can write registry and project.

    <UNSTAINED_MODEL_STORE>/<study>/ledger/00000012-<sha256 of entry 12>.json

One object an entry, never written again, so that the bucket may keep them for good (object lock). A
listing is enough to compare: a name holds the entry's place and digest.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from unstained.data.remote.object_store import explained
from unstained.errors import IntegrityError
from unstained.registry.entries import Entry

NAME: Final = re.compile(r"([0-9]{8})-([0-9a-f]{64})\.json")


class Stored:
    """The entries of a study's ledger in an object store.

    Args:
        store: s3://bucket/prefix, see `shipping.model_store`.
        study: key of params.yaml `studies`.
    """

    def __init__(self, store: str, study: str) -> None:
        self.address = f"{store}/{study}/ledger"
        place = urlsplit(self.address)
        self._bucket, self._prefix = place.netloc, place.path.lstrip("/")

    def missing(self, entries: Sequence[Entry], file: Path) -> tuple[Entry, ...]:
        """Entries of a ledger that the store does not hold yet.

        Args:
            entries: oldest first.
            file: that holds them, for a message.

        Raises:
            IntegrityError: the store holds others.
            StoreError: it refuses or is unreachable.
        """
        known = {(entry.sequence, entry.sha256) for entry in entries}
        held = self._held()
        for sequence, digest in sorted(held - known):
            address = f"{self.address}/{_name(sequence, digest)}"
            if sequence > len(entries):
                raise IntegrityError(
                    f"{file} lacks entry {sequence}, which is at {address}: lines were removed "
                    "here and in the registry",
                    f"if that is rightful, `aws s3 cp {address} - >> {file}` puts it back, and the "
                    "next command records it; to begin a new ledger, move those objects away",
                )
            raise IntegrityError(
                f"entry {sequence} of {file} has the digest {entries[sequence - 1].sha256[:12]}, "
                f"and another one is at {address}: the ledger was rewritten here and in the "
                "registry",
                "restore the ledger from a backup, or from that folder",
            )
        return tuple(entry for entry in entries if (entry.sequence, entry.sha256) not in held)

    def later(self, entries: Sequence[Entry]) -> tuple[Entry, ...]:
        """Entries that the store holds beyond those of a ledger, as of one from a backup.

        Args:
            entries: of the ledger, oldest first.

        Raises:
            IntegrityError: one of them does not follow the one before it.
            StoreError: it refuses or is unreachable.
        """
        chain = list(entries)
        for sequence, digest in sorted(self._held()):
            if sequence <= len(entries):
                continue
            name = _name(sequence, digest)
            with explained(self.address):
                found = self._client().get_object(Bucket=self._bucket, Key=f"{self._prefix}/{name}")
                line = found["Body"].read().decode("utf-8", errors="replace")
            entry = Entry.parsed(line)
            if entry is None or not entry.follows(chain):
                raise IntegrityError(
                    f"{self.address}/{name} does not follow entry {len(chain)} of the ledger",
                    "restore a newer backup, or move that object away after finding out who wrote "
                    "it",
                )
            chain.append(entry)
        return tuple(chain[len(entries) :])

    def add(self, entries: Sequence[Entry]) -> None:
        """Put entries there. Raises: StoreError: the store refuses or is unreachable."""
        with explained(self.address):
            client = self._client()
            for entry in entries:
                key = f"{self._prefix}/{_name(entry.sequence, entry.sha256)}"
                client.put_object(Bucket=self._bucket, Key=key, Body=f"{entry.line}\n".encode())

    def _held(self) -> set[tuple[int, str]]:
        """(place, digest) of what the store holds."""
        with explained(self.address):
            listing = self._client().get_paginator("list_objects_v2")
            pages = listing.paginate(Bucket=self._bucket, Prefix=f"{self._prefix}/")
            keys = [found["Key"] for page in pages for found in page.get("Contents", ())]
        names = (NAME.fullmatch(key.rpartition("/")[2]) for key in keys)
        return {(int(name[1]), name[2]) for name in names if name}

    def _client(self) -> Any:
        import boto3

        return boto3.client("s3")


def studies_of(store: str) -> tuple[str, ...]:
    """Studies whose ledger a store holds. Raises: StoreError: it refuses or is unreachable."""
    import boto3

    place = urlsplit(f"{store}/")
    with explained(store):
        listing = boto3.client("s3").get_paginator("list_objects_v2")
        pages = listing.paginate(Bucket=place.netloc, Prefix=place.path.lstrip("/"))
        keys = [found["Key"].split("/") for page in pages for found in page.get("Contents", ())]
    ledgers = {k[-3] for k in keys if len(k) > 2 and k[-2] == "ledger" and NAME.fullmatch(k[-1])}
    return tuple(sorted(ledgers))


def _name(sequence: int, digest: str) -> str:
    return f"{sequence:08d}-{digest}.json"

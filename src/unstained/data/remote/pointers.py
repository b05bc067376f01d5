"""Pointers to packed stores: a few lines say where a store lies and what its bytes must be.

A store that DVC tracks lies in a DVC remote as content-addressed objects
(`data.remote.object_store`). Who has a pointer can fetch it, prove every byte, and
needs no clone of the project.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

from pydantic import Field, ValidationError

from unstained.config.base import Count, Params
from unstained.data.remote import object_store
from unstained.data.remote.object_store import explained, open_objects
from unstained.data.remote.project import open_project
from unstained.errors import IntegrityError, StoreError
from unstained.files import file_sha256, whole_directory
from unstained.wording import counted

if TYPE_CHECKING:
    from dvc_data.hashfile.db import HashFileDB
    from dvc_data.hashfile.tree import Tree

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]

MANIFEST = "manifest.json"


class StorePointer(Params):
    """Where a packed store lies, and what it is."""

    study: str
    md5: str = Field(pattern=r"^[0-9a-f]{32}\.dir$", description="DVC's name of the directory")
    remote: str = Field(description="s3://bucket/prefix, or a directory")
    manifest_sha256: Sha256
    data_digest: Sha256 = Field(description="the store's data hash")
    rows: Annotated[int, Field(ge=0)] = Field(description="cells")
    size_bytes: Annotated[int, Field(ge=0)]
    files: Count
    quarantine: str = Field(
        default="",
        pattern=r"^([0-9a-f]{32})?$",
        description="DVC's name of the list of what ingest left out, or ''",
    )
    revision: str = Field(default="", description="git commit that names the store, or ''")

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> StorePointer:
        """Parse what `to_dict` gave.

        Raises:
            StoreError: something is missing, unknown or malformed.
        """
        try:
            return cls.model_validate(dict(content))
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(str(part) for part in first["loc"])
            raise StoreError(
                f"this is no pointer to a packed store: {place}: {first['msg']}",
                "start the pipeline again, whose tasks make it: `unstained pipeline run`",
            ) from error

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return self.model_dump(mode="json")


def locate_store(
    repository: str, revision: str, study: str, remote: str | None = None
) -> StorePointer:
    """Find a study's packed store by what a project's dvc.lock says at a revision.

    Args:
        repository: path of a working tree, or an address that git can clone.
        revision: commit, branch or tag; '' means the working tree, or an address's default branch.
        study: key of params.yaml `studies`.
        remote: name of a DVC remote, or an address; None means DVC's default remote and, for a
            project on this machine that has no remote, its DVC cache.

    Raises:
        StoreError: no such repository or revision, the store is not in dvc.lock or not in the
            remote, or the remote refuses or does not answer.
        IntegrityError: the remote holds something else than dvc.lock promises.
    """
    with open_project(repository, revision) as project:
        tracked = project.tracked_store(study)
        address, commit = project.remote(remote), project.revision
    md5 = str(tracked["md5"])
    objects = open_objects(address)
    listing = _listing(objects, address, md5, study)
    try:
        with explained(address):
            manifest = object_store.read_object(objects, listing[MANIFEST])
    except StoreError as error:
        raise _without(error, address, study) from error
    told = {
        "size_bytes": int(tracked.get("size", 0)),
        "files": len(listing),
        "quarantine": tracked["quarantine"],
        "revision": commit,
    }
    return _pointer(study, md5, address, manifest, told)


def push_store(
    store: Path, remote: str, study: str, quarantine: Path | None = None
) -> StorePointer:
    """Put a packed store into a DVC remote, exactly as `dvc push` does.

    Objects that are there are skipped, so that an interrupted push goes on where it was.

    Args:
        store: a finished store.
        remote: `s3://bucket/prefix`, or a directory, which is created.
        study: the study that it holds.
        quarantine: the list of what ingest left out; None where nobody will ask for it.

    Raises:
        StoreError: the store is incomplete or of another study, or the remote refuses or does not
            answer.
    """
    from dvc_data.hashfile.build import build
    from dvc_data.hashfile.hash import file_md5
    from dvc_objects.fs.local import localfs

    from unstained.data.store.cell_store import CellStore

    CellStore.open(store)
    address = remote if "://" in remote else str(Path(remote).resolve())
    manifest = (store / MANIFEST).read_bytes()
    objects = open_objects(address, writable=True)
    _, meta, built = build(objects, str(store.resolve()), localfs, "md5", dry_run=True)
    tree = cast("Tree", built)
    files = {info.value: store.resolve().joinpath(*parts) for parts, _, info in tree}
    told: dict[str, Any] = {"size_bytes": meta.size or 0, "files": len(tree)}
    if quarantine is not None:
        told["quarantine"] = file_md5(str(quarantine))
        files[told["quarantine"]] = quarantine.resolve()
    pointer = _pointer(study, tree.oid, address, manifest, told)
    with explained(address):
        object_store.upload(objects, files, tree)
    return pointer


def pull_store(pointer: StorePointer, destination: Path, cache: Path | None = None) -> Path:
    """Fetch a packed store and prove every file of it.

    Args:
        pointer: which store.
        destination: its directory; whole or absent. What is there is replaced.
        cache: directory that keeps the objects (DVC's layout), so that the next pull fetches only
            what is new; files at `destination` are then links to it where the file system can.

    Returns:
        `destination`.

    Raises:
        StoreError: the remote lacks the store, refuses or does not answer.
        IntegrityError: a file is not what the pointer promises; nothing is left at `destination`.
    """
    objects = open_objects(pointer.remote)
    listing = _listing(objects, pointer.remote, pointer.md5, pointer.study)
    with whole_directory(destination) as partial:
        try:
            with explained(pointer.remote):
                if cache is None:
                    object_store.download(objects, listing, partial)
                else:
                    object_store.download_through(cache, objects, listing, partial)
        except StoreError as error:
            raise _without(error, pointer.remote, pointer.study) from error
        _prove(partial, listing, pointer, cache)
    return destination


def pull_quarantine(pointer: StorePointer, destination: Path) -> None:
    """Fetch the list of what ingest left out, proven by its md5.

    Raises:
        StoreError: the pointer names none, or the remote lacks it, refuses or does not answer.
        IntegrityError: its bytes are not what the pointer promises.
    """
    if not pointer.quarantine:
        raise StoreError(
            f"nothing tells what was left out of the packed store of {pointer.study}",
            "run `dvc repro` and `dvc push` where the store was made, then the pipeline again",
        )
    objects = open_objects(pointer.remote)
    try:
        with explained(pointer.remote):
            content = object_store.read_object(objects, pointer.quarantine)
    except StoreError as error:
        raise _without(error, pointer.remote, pointer.study) from error
    destination.write_bytes(content)


def _listing(objects: HashFileDB, address: str, md5: str, study: str) -> dict[str, str]:
    try:
        with explained(address):
            listing = object_store.list_directory(objects, md5)
    except StoreError as error:
        raise _without(error, address, study) from error
    if MANIFEST not in listing:
        raise StoreError(
            f"the object {md5} in {address} is no packed store: it has no {MANIFEST}",
            "point to what the ingest stage wrote",
        )
    return listing


def _without(error: StoreError, address: str, study: str) -> StoreError:
    """Say what to do where an object is missing; any other error as it is."""
    if not isinstance(error.__cause__, FileNotFoundError):
        return error
    return StoreError(
        f"{address} does not hold the whole packed store of {study}: {error.__cause__}",
        "run `dvc push` where the store was made, and check that this is the remote it pushes to",
    )


def _pointer(
    study: str, md5: str, address: str, manifest: bytes, told: Mapping[str, Any]
) -> StorePointer:
    content = json.loads(manifest)
    if content["study"] != study:
        raise StoreError(
            f"the packed store {md5} holds the study {content['study']}, not {study}",
            "name the study that it holds, or ingest again",
        )
    return StorePointer(
        study=study,
        md5=md5,
        remote=address,
        manifest_sha256=hashlib.sha256(manifest).hexdigest(),
        data_digest=content["digest"],
        rows=content["cells"],
        **told,
    )


def _prove(
    store: Path, listing: Mapping[str, str], pointer: StorePointer, cache: Path | None
) -> None:
    """Compare every file with its md5, and the manifest with its sha256."""
    from dvc_data.hashfile.hash import file_md5

    with ThreadPoolExecutor(max_workers=4) as pool:
        hashes = pool.map(lambda name: file_md5(str(store / name)), listing)
        found = dict(zip(listing, hashes, strict=True))
    wrong = sorted(name for name, md5 in listing.items() if found[name] != md5)
    if wrong:
        if cache is not None:
            object_store.forget(cache, {listing[name] for name in wrong})
        raise IntegrityError(
            f"{wrong[0]} from {pointer.remote} is damaged: its md5 is {found[wrong[0]]}, not "
            f"{listing[wrong[0]]} ({counted(len(wrong), 'such file')})",
            "run the same command again; if it stays so, delete this object from the remote and "
            "push the store again",
        )
    if file_sha256(store / MANIFEST) != pointer.manifest_sha256:
        raise IntegrityError(
            f"the packed store {pointer.md5} in {pointer.remote} is not the one of the pointer: "
            f"its {MANIFEST} has another sha256",
            "start the pipeline again, whose first task locates the store",
        )

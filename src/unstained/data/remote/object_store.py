"""Content-addressed objects in a DVC remote: an S3 bucket, a directory or DVC's own cache.

    <address>/files/md5/ab/cdef...       a file whose md5 is abcdef...
    <address>/files/md5/ab/cdef....dir   JSON: the files of a directory, each with its md5

DVC's libraries read and write them. What is added here: the reason of a failure is known within
seconds and told with a remedy, where s3fs would retry for minutes and then name an object.
Endpoint, region and credentials come from the environment alone (AWS_*).
"""

from __future__ import annotations

import errno
import hashlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from unstained.errors import IntegrityError, StoreError, UnstainedError
from unstained.wording import counted

if TYPE_CHECKING:
    from dvc_data.hashfile.db import HashFileDB
    from dvc_data.hashfile.tree import Tree

CONNECT_SECONDS: Final = 5
ANSWER_SECONDS: Final = 10
"""For the first question; `READ_SECONDS` is for objects under way."""
READ_SECONDS: Final = 60

PUSH_AGAIN: Final = "delete it from the remote, and push the store again from where it is whole"

REFUSALS: Final = (
    "AccessDenied",
    "ExpiredToken",
    "InvalidAccessKeyId",
    "InvalidToken",
    "RequestTimeTooSkewed",
    "SignatureDoesNotMatch",
    "403",
)
"""Codes by which S3 servers refuse a key; 403 is what a reply without a body has."""


def open_objects(address: str, *, writable: bool = False) -> HashFileDB:
    """The objects at `address`, known to answer.

    Args:
        address: `s3://bucket/prefix` or a directory.
        writable: objects will be added; a directory is then created.

    Raises:
        StoreError: the address is of another kind, there is no such bucket or directory, the
            endpoint does not answer or refuses the credentials.
    """
    with explained(address):
        if is_s3(address):
            _knock(address)
        elif "://" in address:
            raise StoreError(
                f"{address} is no data remote that this version reads",
                "use s3://bucket/prefix or a directory",
            )
        elif writable:
            Path(address).mkdir(parents=True, exist_ok=True)
        elif not Path(address).is_dir():
            raise StoreError(
                f"the data remote {address} does not exist",
                "mount it, or name another remote: a directory or s3://bucket/prefix",
            )
        return _open(address)


def read_object(objects: HashFileDB, md5: str) -> bytes:
    """The bytes of one object.

    Raises:
        FileNotFoundError: there is none.
        IntegrityError: they are not the bytes that the name promises.
    """
    with objects.fs.open(objects.oid_to_path(md5), "rb") as file:
        content: bytes = file.read()
    found = hashlib.md5(content, usedforsecurity=False).hexdigest()
    if found != md5.removesuffix(".dir"):
        raise IntegrityError(
            f"the object {md5} in {objects.path} is damaged: its bytes have the md5 {found}",
            PUSH_AGAIN,
        )
    return content


def list_directory(objects: HashFileDB, md5: str) -> dict[str, str]:
    """Relative file names of a directory object and the md5 of each.

    Raises:
        FileNotFoundError: there is no such object.
        IntegrityError: it is damaged, or names a file outside of the directory.
    """
    import json

    listing = {e["relpath"]: e["md5"] for e in json.loads(read_object(objects, md5))}
    for name in listing:
        parts = name.split("/")
        if "\\" in name or any(part in ("", ".", "..") for part in parts):
            raise IntegrityError(
                f"the directory object {md5} in {objects.path} names the file {name!r}",
                "do not use this remote: no file of a store has such a name",
            )
    return listing


def upload(objects: HashFileDB, files: Mapping[str, Path], tree: Tree) -> None:
    """Add files that are not there yet, by md5; then the directory object that lists them.

    The directory object comes last: where it exists, everything that it names does.
    """
    from dvc_objects.fs.local import localfs

    there = _present(objects, {*files, tree.oid})
    new = sorted(set(files) - there)
    if new:
        objects.add([str(files[md5]) for md5 in new], localfs, new, check_exists=False)
    if tree.oid not in there:
        objects.add_bytes(tree.oid, tree.as_bytes())


def download(objects: HashFileDB, listing: Mapping[str, str], directory: Path) -> None:
    """Fetch the files of a directory object, in parallel."""
    from dvc_objects.fs import generic
    from dvc_objects.fs.local import localfs

    sources = [objects.oid_to_path(md5) for md5 in listing.values()]
    places = [directory / name for name in listing]
    for folder in {place.parent for place in places}:
        folder.mkdir(parents=True, exist_ok=True)
    generic.copy(objects.fs, sources, localfs, [str(place) for place in places])


def download_through(
    cache: Path, objects: HashFileDB, listing: Mapping[str, str], directory: Path
) -> None:
    """Fetch what a local cache lacks, and link the files of a directory object to it.

    Raises:
        IntegrityError: an object is damaged; it does not enter the cache.
    """
    from dvc_objects.fs import generic

    kept, wanted = open_objects(str(cache), writable=True), set(listing.values())
    missing = sorted(wanted - _present(kept, wanted))
    if missing:
        sources = [objects.oid_to_path(md5) for md5 in missing]
        kept.add(sources, objects.fs, missing, check_exists=False, verify=True)
    damaged = sorted(wanted - _present(kept, wanted))
    if damaged:
        raise IntegrityError(
            f"the object {damaged[0]} in {objects.path} is damaged "
            f"({counted(len(damaged), 'such object')})",
            PUSH_AGAIN,
        )
    for name, md5 in listing.items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        source, place = kept.oid_to_path(md5), str(directory / name)
        generic.transfer(kept.fs, source, kept.fs, place, hardlink=True)


def forget(cache: Path, damaged: Iterable[str]) -> None:
    """Remove objects from a local cache."""
    kept = open_objects(str(cache))
    for md5 in damaged:
        kept.delete(md5)


@contextmanager
def explained(address: str) -> Iterator[None]:
    """Turn what S3 and file systems raise into a StoreError that names the place and a remedy."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except UnstainedError:
        raise
    except (BotoCoreError, ClientError, OSError) as error:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise  # the local disk: told by whoever writes there
        message, remedy = _reason(error, address)
        raise StoreError(message, remedy) from error


def is_s3(address: str) -> bool:
    """Whether an address names a bucket."""
    return address.startswith("s3://")


def _open(address: str) -> HashFileDB:
    from dvc.fs import get_cloud_fs
    from dvc_data.hashfile.db import get_odb

    settings: dict[str, Any] = {"url": address}
    if is_s3(address):
        settings |= {"connect_timeout": CONNECT_SECONDS, "read_timeout": READ_SECONDS}
    kind, config, path = get_cloud_fs(None, **settings)
    filesystem = kind(**config)
    place = filesystem.join(filesystem.abspath(path), "files", "md5")
    objects: HashFileDB = get_odb(filesystem, place, hash_name="md5", **config)  # type: ignore[no-untyped-call]
    return objects


def _present(objects: HashFileDB, wanted: set[str]) -> set[str]:
    """Which objects are there; a directory's, unlike a bucket's, are hashed if not read-only."""
    return set(objects.oids_exist(wanted))  # type: ignore[no-untyped-call]


def _knock(address: str) -> None:
    """Ask the bucket for one name: proves endpoint, credentials and bucket within seconds."""
    import boto3
    from botocore.config import Config

    place = urlsplit(address)
    limits = Config(
        connect_timeout=CONNECT_SECONDS,
        read_timeout=ANSWER_SECONDS,
        retries={"total_max_attempts": 2},
    )
    try:
        client = boto3.session.Session().client("s3", config=limits)
        client.list_objects_v2(Bucket=place.netloc, Prefix=place.path.lstrip("/"), MaxKeys=1)
    except ValueError as error:
        raise StoreError(
            f"{address} cannot be reached: {error}", "correct AWS_ENDPOINT_URL"
        ) from error


def _reason(error: BaseException, address: str) -> tuple[str, str]:
    """Message and remedy of a failure, from the code of the server or the kind of the error."""
    from botocore import exceptions as boto

    cause, code = _origin(error)
    place = f"{address}{_endpoint() if is_s3(address) else ''}"
    if code == "NoSuchBucket":
        bucket = urlsplit(address).netloc
        return f"{place}: there is no bucket {bucket!r}", "create it, or correct the address"
    if code in REFUSALS or isinstance(error, PermissionError):
        keys = "check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and that they may use this place"
        local = "change the permissions of this directory, or use another"
        return f"{place}: refused ({code or error})", keys if is_s3(address) else local
    if isinstance(cause, boto.NoCredentialsError | boto.PartialCredentialsError):
        return f"{place}: {cause}", "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
    if isinstance(cause, boto.HTTPClientError | boto.ConnectionError | OSError):
        return (
            f"{place}: the server cannot be reached: {cause}",
            "check AWS_ENDPOINT_URL, and that the object store runs",
        )
    return f"{place}: {error}", "check the address and run the same command again"


def _origin(error: BaseException) -> tuple[BaseException, str]:
    """The first error of botocore among the causes, and the server's code where it sent one."""
    from botocore.exceptions import BotoCoreError, ClientError

    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ClientError):
            return cause, str(cause.response.get("Error", {}).get("Code", ""))
        if isinstance(cause, BotoCoreError):
            return cause, ""
        cause = cause.__cause__
    return error, ""


def _endpoint() -> str:
    import os

    address = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    return f" at {address}" if address else ""

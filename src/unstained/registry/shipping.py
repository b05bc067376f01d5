"""A champion's artifact at an address whose content never changes, for servers to fetch.

MLflow's own artifact addresses can be written again. Here the artifact lies below its digest, and
digest.json, which lists all its files, is put there last: an address that has it is complete.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from unstained.artifact.artifact import DIGEST_FILE, SIGNATURE_FILE
from unstained.artifact.signing import verify_signed
from unstained.data.remote.object_store import explained
from unstained.errors import ParameterError
from unstained.registry.deployment import S3

STORE: Final = "UNSTAINED_MODEL_STORE"


def model_store() -> str | None:
    """Where artifacts for servers are kept, s3://bucket/prefix, or None.

    Raises:
        ParameterError: UNSTAINED_MODEL_STORE is no such address.
    """
    address = os.environ.get(STORE)
    if address and not S3.fullmatch(f"{address.rstrip('/')}/study"):
        raise ParameterError(
            f"{STORE}={address!r} is no place for models",
            "set it to s3://bucket/prefix, the bucket in lower case, without spaces, '?' and '#'",
        )
    return address.rstrip("/") if address else None


def ship(artifact: Path, store: str, study: str) -> str:
    """Put an artifact below its digest, unless it is there; its signature in any case.

    Args:
        artifact: sealed artifact.
        store: s3://bucket/prefix, see `model_store`.
        study: key of params.yaml `studies`.

    Returns:
        Its address: <store>/<study>/<digest>.

    Raises:
        IntegrityError: the artifact is not what was sealed, or not signed as the environment asks.
        StoreError: the object store refuses or is unreachable.
    """
    import boto3

    digest, _ = verify_signed(artifact)
    address = f"{store}/{study}/{digest}"
    place = urlsplit(address)
    bucket, prefix = place.netloc, place.path.lstrip("/")
    with explained(address):
        client = boto3.client("s3")
        found = client.list_objects_v2(Bucket=bucket, Prefix=f"{prefix}/{DIGEST_FILE}")
        paths = sorted(path for path in artifact.rglob("*") if path.is_file())
        if found["KeyCount"]:
            paths = [path for path in paths if path.name == SIGNATURE_FILE]
        for path in sorted(paths, key=lambda path: path.name == DIGEST_FILE):
            key = f"{prefix}/{path.relative_to(artifact).as_posix()}"
            client.upload_file(str(path), bucket, key)
    return address

"""Signatures of versions, kept with a version's run; who fetches its artifact gets them with it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from unstained.artifact.artifact import SIGNATURE_FILE
from unstained.artifact.keys import SIGN, SigningKey, signing_key
from unstained.artifact.signing import sign_artifact, sign_files, trust_of
from unstained.registry.submission import RegisteredVersion
from unstained.registry.wrapping import WRAPPING, WRAPPING_SIGNATURE
from unstained.temporary import temporary_folder

if TYPE_CHECKING:
    from unstained.registry.registry import Registry

SIGNED: Final = "signed_by"
"""Tag of a signed version: the key's fingerprint."""

FOLDER: Final = "signature"
"""Among the artifacts of the version's run."""


def sign_promoted(registry: Registry, version: RegisteredVersion, artifact: Path) -> str:
    """Sign a version with the deployment's key, if it has one, and see that it is trusted here.

    Args:
        registry: that holds the version.
        version: to be promoted.
        artifact: of it, as fetched and verified.

    Returns:
        What is to be told of it; '' where it was signed.

    Raises:
        IntegrityError: servers that are configured as this process would refuse it.
        UnstainedError: a key cannot be read.
    """
    key = signing_key()
    if key is not None:
        sign_version(registry, version, artifact, key)
        return ""
    signed = trust_of().verify(artifact, version.digest)
    return "" if signed.by else f"{version.label} is not signed: {SIGN} names no key"


def sign_version(
    registry: Registry, version: RegisteredVersion, artifact: Path, key: SigningKey
) -> str:
    """Sign a version; who fetches its artifact gets the signature with it.

    Args:
        registry: that holds the version.
        version: which one.
        artifact: of it, as fetched and verified.
        key: private.

    Returns:
        The key's fingerprint.

    Raises:
        IntegrityError: the environment trusts other keys.
    """
    by = sign_artifact(artifact, key)
    trust_of().verify(artifact, version.digest)
    with temporary_folder() as temporary:
        wrapping = temporary / WRAPPING_SIGNATURE
        sign_files({WRAPPING: version.tags[WRAPPING]}, wrapping, key)
        for signature in (wrapping, artifact / SIGNATURE_FILE):
            registry.attach(version, signature, FOLDER)
    registry.tag_version(version.name, version.version, {SIGNED: by})
    return by

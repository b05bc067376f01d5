"""Keys of a deployment, as its environment names them: PEM files, or their text.

A private key never stands in a message, a log or the project's directory.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, TypeAlias

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from unstained.errors import UnstainedError

SIGN: Final = "UNSTAINED_SIGNING_KEY"
VERIFY: Final = "UNSTAINED_VERIFY_KEY"
PRIVATE_FILE: Final = "signing-key.pem"
PUBLIC_FILE: Final = "verify-key.pem"

PublicKey: TypeAlias = ec.EllipticCurvePublicKey
SigningKey: TypeAlias = ec.EllipticCurvePrivateKey

BLOCK: Final = re.compile(rb"-----BEGIN PUBLIC KEY-----.+?-----END PUBLIC KEY-----", re.DOTALL)
SHORT: Final = 16
"""Digits of a key's sha256 that name it."""

MAKE: Final = "`unstained make-keys FOLDER` makes a pair"


def signing_key(environment: Mapping[str, str] = os.environ) -> SigningKey | None:
    """The key that promotion signs with: UNSTAINED_SIGNING_KEY; None where none is configured.

    Raises:
        UnstainedError: it cannot be read, or is no P-256 key without a password.
    """
    if not environment.get(SIGN):
        return None
    pem, place = _read(environment, SIGN)
    try:
        key = load_pem_private_key(pem, None)
    except TypeError:
        raise UnstainedError(
            f"the key of {place} has a password", f"keep it where only promotion reads it; {MAKE}"
        ) from None
    except (ValueError, UnsupportedAlgorithm):
        raise UnstainedError(f"{place} holds no private key in PEM form", MAKE) from None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not _is_p256(key.public_key()):
        raise UnstainedError(f"the key of {place} is not of the curve P-256", MAKE)
    return key


def required_signing_key() -> SigningKey:
    """`signing_key`, where there must be one. Raises: UnstainedError."""
    key = signing_key()
    if key is None:
        raise UnstainedError(f"{SIGN} names no key to sign with", f"set it; {MAKE}")
    return key


def public_keys(environment: Mapping[str, str] = os.environ) -> tuple[PublicKey, ...]:
    """The keys that are trusted: UNSTAINED_VERIFY_KEY; several where keys are exchanged.

    Raises:
        UnstainedError: they cannot be read, or one is no P-256 key.
    """
    if not environment.get(VERIFY):
        return ()
    pem, place = _read(environment, VERIFY)
    blocks = BLOCK.findall(pem)
    if not blocks:
        raise UnstainedError(f"{place} holds no public key in PEM form", MAKE)
    found = []
    for block in blocks:
        try:
            key = load_pem_public_key(block)
        except (ValueError, UnsupportedAlgorithm):
            raise UnstainedError(f"a public key of {place} is damaged", MAKE) from None
        if not isinstance(key, ec.EllipticCurvePublicKey) or not _is_p256(key):
            raise UnstainedError(f"a public key of {place} is not of the curve P-256", MAKE)
        found.append(key)
    return tuple(found)


def make_keys(folder: Path, project: Path) -> tuple[Path, Path]:
    """Make a pair of keys.

    Args:
        folder: both are written into it; it is made where it is not there.
        project: the project's root, which a private key must not get into.

    Returns:
        (private, public) files.

    Raises:
        UnstainedError: the folder is within the project, or holds keys already.
    """
    if folder.resolve().is_relative_to(project.resolve()):
        raise UnstainedError(
            f"{folder} is in the project, where a private key might be committed or shipped",
            "choose a folder elsewhere, such as ~/.unstained",
        )
    private, public = folder / PRIVATE_FILE, folder / PUBLIC_FILE
    if there := [str(path) for path in (private, public) if path.exists()]:
        raise UnstainedError(
            f"{' and '.join(there)} would be overwritten",
            "choose another folder: what was signed with that key needs its public half",
        )
    key = ec.generate_private_key(ec.SECP256R1())
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    with os.fdopen(os.open(private, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(secret)
    public.write_bytes(
        key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    )
    return private, public


def fingerprint(key: PublicKey) -> str:
    """The beginning of the sha256 of a public key, by which people tell keys apart."""
    der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(der).hexdigest()[:SHORT]


def signature_of(key: SigningKey, kind: str, payload: bytes) -> bytes:
    """Sign a payload of a kind, a media type (ECDSA, SHA-256; DSSE's encoding of both)."""
    return key.sign(_encoded(kind, payload), ec.ECDSA(hashes.SHA256()))


def signer_among(
    keys: Sequence[PublicKey], signature: bytes, kind: str, payload: bytes
) -> PublicKey | None:
    """The key of some whose signature of a payload of a kind this is; None where it is nobody's."""
    encoded = _encoded(kind, payload)
    for key in keys:
        try:
            key.verify(signature, encoded, ec.ECDSA(hashes.SHA256()))
        except (InvalidSignature, UnsupportedAlgorithm):
            continue
        return key
    return None


def _encoded(kind: str, payload: bytes) -> bytes:
    """DSSE's pre-authentication encoding of type and payload (secure-systems-lab/dsse, v1)."""
    name = kind.encode()
    return b" ".join([b"DSSEv1", b"%d" % len(name), name, b"%d" % len(payload), payload])


def _read(environment: Mapping[str, str], variable: str) -> tuple[bytes, str]:
    """(PEM text, how to call its place)."""
    value = environment[variable]
    if value.lstrip().startswith("-----BEGIN "):
        return value.encode(), variable
    try:
        return Path(value).read_bytes(), f"{variable}={value}"
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is no path"
        raise UnstainedError(
            f"{variable} names a file that cannot be read: {reason}",
            f"set it to a key's PEM file or unset it; {MAKE}",
        ) from None


def _is_p256(key: PublicKey) -> bool:
    return isinstance(key.curve, ec.SECP256R1)

"""Who made an artifact: a signature over all of its files, and the keys that are trusted.

digest.json shows that files belong together, and whoever may write the directory may write it anew.
A signature takes a private key, which is kept elsewhere.

It is one of OpenSSF Model Signing: a Sigstore bundle with a DSSE envelope around an in-toto
statement that lists every file by its sha256 (ECDSA over P-256), which `model_signing verify key`
reads, too. That package brings clients of certificates and transparency logs (50 MB, 0.8 s a
start); here, where a public key is all that is trusted, the envelope is written with `cryptography`
alone, and a test compares both.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from unstained.artifact.artifact import (
    DIGEST_FILE,
    REMEDY,
    SIGNATURE_FILE,
    sealed_digests,
    verify_artifact,
)
from unstained.artifact.keys import (
    VERIFY,
    PublicKey,
    SigningKey,
    fingerprint,
    public_keys,
    signature_of,
    signer_among,
)
from unstained.errors import IntegrityError, UnstainedError
from unstained.files import write_json

REQUIRE: Final = "UNSTAINED_REQUIRE_SIGNATURE"

BUNDLE: Final = "application/vnd.dev.sigstore.bundle.v0.3+json"
PAYLOAD: Final = "application/vnd.in-toto+json"
STATEMENT: Final = "https://in-toto.io/Statement/v1"
PREDICATE: Final = "https://model_signing/signature/v1.0"
LARGEST: Final = 1 << 20
"""Bytes of a signature: a dozen files take 3 kB."""

MADE_AGAIN: Final = (
    "fetch the artifact again; if it was promoted here, `unstained sign` with the deployment's "
    "key signs it anew"
)


@dataclass(frozen=True)
class Signed:
    """What is known of an artifact's maker.

    Attributes:
        by: fingerprint of the trusted key that signed it; None where nothing was shown.
        doubt: what to tell people; '' where a signature was verified.
    """

    by: str | None
    doubt: str


@dataclass(frozen=True)
class Trust:
    """What is asked of an artifact's signature.

    Attributes:
        keys: whose signatures are trusted; without any none is verified.
        required: whether an artifact without a signature is refused.
    """

    keys: tuple[PublicKey, ...]
    required: bool

    def verify(self, directory: Path, digest: str) -> Signed:
        """Look at the signature of an artifact.

        Args:
            directory: the artifact, whose files `verify_artifact` has compared with digest.json.
            digest: of digest.json.

        Raises:
            IntegrityError: the signature is damaged, of another key or of other files, or there
                is none and it is required.
        """
        path, artifact = directory / SIGNATURE_FILE, f"artifact {digest[:12]}"
        if not self.keys:
            state = "has a signature, which" if path.is_file() else "is not signed, and it"
            return Signed(
                None, f"{artifact} {state} was not verified: {VERIFY} names no key to trust"
            )
        if path.is_file():
            return Signed(
                signer_of(path, {**sealed_digests(directory), DIGEST_FILE: digest}, self.keys), ""
            )
        if self.required:
            raise IntegrityError(
                f"{artifact} is not signed, and signatures are required here",
                f"promote with UNSTAINED_SIGNING_KEY set, or sign it by hand: `unstained sign`; "
                f"{REQUIRE}=0 takes unsigned artifacts",
            )
        return Signed(None, f"{artifact} is not signed; {REQUIRE}=0 takes it all the same")


def trust_of(environment: Mapping[str, str] = os.environ) -> Trust:
    """What the deployment trusts: UNSTAINED_VERIFY_KEY and UNSTAINED_REQUIRE_SIGNATURE.

    Signatures are required as soon as there is a key, unless the deployment says otherwise:
    whoever changes files would else take the signature away.

    Raises:
        UnstainedError: a key cannot be read, or signatures are required without one.
    """
    keys = public_keys(environment)
    said = environment.get(REQUIRE, "1" if keys else "0")
    if said not in ("0", "1"):
        raise UnstainedError(f"{REQUIRE} is {said!r}", "set it to 1 or 0")
    if said == "1" and not keys:
        raise UnstainedError(
            f"{REQUIRE} is 1, and there is no key to verify signatures with",
            f"set {VERIFY} to the file of the public key, or unset {REQUIRE}",
        )
    return Trust(keys, said == "1")


def verify_signed(
    directory: Path, expected: str | None = None, trust: Trust | None = None
) -> tuple[str, Signed]:
    """Check an artifact's files and who made it.

    Args:
        directory: the artifact.
        expected: its recorded digest, see `verify_artifact`.
        trust: by default the environment's.

    Returns:
        (digest, what is known of the maker).

    Raises:
        IntegrityError: see `verify_artifact` and `Trust.verify`.
        UnstainedError: see `trust_of`.
    """
    trust = trust or trust_of()
    digest = verify_artifact(directory, expected)
    return digest, trust.verify(directory, digest)


def sign_artifact(directory: Path, key: SigningKey) -> str:
    """Write the signature of an artifact into it.

    Args:
        directory: a sealed artifact; its bytes are checked first.
        key: private.

    Returns:
        Fingerprint of the key.

    Raises:
        IntegrityError: the artifact is not what was sealed.
    """
    files = {DIGEST_FILE: verify_artifact(directory), **sealed_digests(directory)}
    return sign_files(files, directory / SIGNATURE_FILE, key)


def sign_files(files: Mapping[str, str], path: Path, key: SigningKey) -> str:
    """Write the signature of files.

    Args:
        files: name -> sha256.
        path: of the signature.
        key: private.

    Returns:
        Fingerprint of the key.
    """
    payload = json.dumps(_statement(files), sort_keys=True).encode()
    signature = signature_of(key, PAYLOAD, payload)
    public = key.public_key()
    write_json(
        path,
        {
            "mediaType": BUNDLE,
            "verificationMaterial": {
                "publicKey": {"hint": _hint(public)},
                "tlogEntries": [],
            },
            "dsseEnvelope": {
                "payload": base64.b64encode(payload).decode(),
                "payloadType": PAYLOAD,
                "signatures": [{"sig": base64.b64encode(signature).decode(), "keyid": ""}],
            },
        },
    )
    return fingerprint(public)


def _statement(files: Mapping[str, str]) -> dict[str, Any]:
    """What is signed: name and sha256 of every file."""
    names = sorted(files)
    whole = hashlib.sha256(b"".join(bytes.fromhex(files[name]) for name in names))
    return {
        "_type": STATEMENT,
        "subject": [{"name": "artifact", "digest": {"sha256": whole.hexdigest()}}],
        "predicateType": PREDICATE,
        "predicate": {
            "serialization": {
                "method": "files",
                "hash_type": "sha256",
                "allow_symlinks": False,
                "ignore_paths": [SIGNATURE_FILE],
            },
            "resources": [
                {"name": name, "algorithm": "sha256", "digest": files[name]} for name in names
            ],
        },
    }


def signer_of(path: Path, files: Mapping[str, str], keys: tuple[PublicKey, ...]) -> str:
    """Fingerprint of the key that signed these files.

    Args:
        path: the signature.
        files: name -> sha256.
        keys: that are trusted.

    Raises:
        IntegrityError: it is damaged, of another key, or of other files.
    """
    try:
        if path.stat().st_size > LARGEST:
            raise ValueError("it is too large")
        content = json.loads(path.read_text(encoding="utf-8"))
        envelope = content["dsseEnvelope"]
        payload = base64.b64decode(envelope["payload"], validate=True)
        signature = base64.b64decode(envelope["signatures"][0]["sig"], validate=True)
        kind = envelope["payloadType"]
    except (ValueError, KeyError, IndexError, TypeError, RecursionError) as error:
        raise IntegrityError(f"{path} is no signature: {error!r:.80}", MADE_AGAIN) from None
    if kind != PAYLOAD:
        raise IntegrityError(f"{path} holds {kind!r:.60}, not {PAYLOAD}", MADE_AGAIN)
    signer = signer_among(keys, signature, PAYLOAD, payload)
    if signer is None:
        trusted = ", ".join(fingerprint(key) for key in keys)
        raise IntegrityError(
            f"{path} was not made by a key that is trusted here ({trusted})",
            f"do not use this copy; if its maker is to be trusted, add the public key to {VERIFY}",
        )
    try:
        signed = _signed_files(json.loads(payload))
    except (ValueError, KeyError, TypeError) as error:
        raise IntegrityError(f"{path} signs no list of files: {error!r:.80}", MADE_AGAIN) from None
    if signed != files:
        changed = sorted(
            name for name in signed.keys() | files if signed.get(name) != files.get(name)
        )
        raise IntegrityError(
            f"{path.parent}: {', '.join(changed)} {'is' if len(changed) == 1 else 'are'} not what "
            "was signed",
            REMEDY,
        )
    return fingerprint(signer)


def _signed_files(statement: Any) -> dict[str, str]:
    """The files of a statement whose signature was verified."""
    if statement["_type"] != STATEMENT or statement["predicateType"] != PREDICATE:
        raise ValueError("another kind of statement")
    return {
        each["name"]: each["digest"]
        for each in statement["predicate"]["resources"]
        if each["algorithm"] == "sha256"
    }


def _hint(key: PublicKey) -> str:
    """By which `model_signing` tells keys apart."""
    pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(pem).hexdigest()

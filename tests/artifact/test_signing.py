"""Signatures: against OpenSSF's own implementation, and against who writes the directory."""

from __future__ import annotations

import base64
import json
import shutil
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from tests.registered import make_artifact
from tests.signatures import deployment_keys
from unstained.artifact.artifact import (
    SIGNATURE_FILE,
    artifact_digest,
    seal_artifact,
    verify_artifact,
)
from unstained.artifact.keys import (
    SIGN,
    VERIFY,
    fingerprint,
    make_keys,
    public_keys,
    required_signing_key,
    signing_key,
)
from unstained.artifact.signing import REQUIRE, sign_artifact, trust_of, verify_signed
from unstained.errors import IntegrityError, UnstainedError
from unstained.files import read_json, write_json


@pytest.fixture(scope="module")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_artifact(tmp_path_factory.mktemp("sealed") / "artifact")


@pytest.fixture
def keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    return deployment_keys(tmp_path / "keys", monkeypatch)


@pytest.fixture
def signed(sealed: Path, keys: tuple[Path, Path], tmp_path: Path) -> Path:
    artifact = shutil.copytree(sealed, tmp_path / "artifact")
    sign_artifact(artifact, required_signing_key())
    return artifact


def test_a_signature_names_its_key_and_leaves_the_digest_alone(signed: Path, sealed: Path) -> None:
    digest, found = verify_signed(signed)
    assert digest == verify_artifact(sealed)
    assert (found.by, found.doubt) == (fingerprint(public_keys()[0]), "")


def test_openssf_verifies_ours_and_we_verify_theirs(signed: Path, keys: tuple[Path, Path]) -> None:
    import model_signing.signing
    import model_signing.verifying

    private, public = keys
    signature = signed / SIGNATURE_FILE
    model_signing.verifying.Config().use_elliptic_key_verifier(public_key=public).verify(
        signed, signature
    )
    signature.unlink()
    model_signing.signing.Config().use_elliptic_key_signer(private_key=private).sign(
        signed, signature
    )
    assert verify_signed(signed)[1].by
    (signed / "card.json").write_text("{}")
    with pytest.raises(ValueError):
        model_signing.verifying.Config().use_elliptic_key_verifier(public_key=public).verify(
            signed, signature
        )


def other_graph(artifact: Path) -> None:
    with (artifact / "model.onnx").open("ab") as file:
        file.write(b"\0")


@pytest.mark.parametrize("name", ["model.onnx", "card.json", "calibration.json", "extra"])
def test_who_rewrites_files_and_digests_is_caught(signed: Path, name: str) -> None:
    with (signed / name).open("ab") as file:
        file.write(b"\n")
    with pytest.raises(IntegrityError, match=f"{name} was"):
        verify_signed(signed)
    seal_artifact(signed)
    verify_artifact(signed)
    with pytest.raises(IntegrityError, match=r"digest\.json.* not what was signed"):
        verify_signed(signed)


def test_a_rewritten_digest_file_is_caught(signed: Path) -> None:
    path = signed / "digest.json"
    path.write_text(path.read_text() + "\n")
    verify_artifact(signed)
    with pytest.raises(IntegrityError, match=r"digest\.json is not what was signed"):
        verify_signed(signed)


def changed(change: Callable[[dict], object]) -> Callable[[Path], object]:
    def tamper(path: Path) -> None:
        content = read_json(path)
        change(content)
        write_json(path, content)

    return tamper


def another_payload(content: dict) -> None:
    payload = json.loads(base64.b64decode(content["dsseEnvelope"]["payload"]))
    payload["predicate"]["resources"].pop()
    content["dsseEnvelope"]["payload"] = base64.b64encode(json.dumps(payload).encode()).decode()


@pytest.mark.parametrize(
    ("tamper", "message"),
    [
        (lambda path: path.write_text("{"), "is no signature"),
        (lambda path: path.write_bytes(b"\xff\xfe"), "is no signature"),
        (lambda path: path.write_text("[" * 5000), "is no signature"),
        (lambda path: path.write_text(" " * (1 << 21)), "too large"),
        (lambda path: path.write_text("[]"), "is no signature"),
        (changed(lambda c: c["dsseEnvelope"].update(signatures=[])), "is no signature"),
        (changed(lambda c: c["dsseEnvelope"].update(payload="%")), "is no signature"),
        (changed(lambda c: c["dsseEnvelope"].update(payloadType="text/plain")), "text/plain"),
        (changed(another_payload), "not made by a key that is trusted"),
    ],
)
def test_a_damaged_signature_is_refused(
    signed: Path, tamper: Callable[[Path], object], message: str
) -> None:
    tamper(signed / SIGNATURE_FILE)
    with pytest.raises(IntegrityError, match=message):
        verify_signed(signed)


def test_another_key_is_refused_and_keys_can_be_exchanged(
    signed: Path, keys: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, other = make_keys(tmp_path / "other", tmp_path / "project")
    monkeypatch.setenv(VERIFY, str(other))
    with pytest.raises(IntegrityError, match="not made by a key that is trusted here"):
        verify_signed(signed)
    monkeypatch.setenv(VERIFY, other.read_text() + keys[1].read_text())
    assert verify_signed(signed)[1].by


def test_an_unsigned_artifact_is_told_or_refused(
    sealed: Path, keys: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(IntegrityError, match="is not signed, and signatures are required"):
        verify_signed(sealed)
    monkeypatch.setenv(REQUIRE, "0")
    found = verify_signed(sealed)[1]
    assert found.by is None
    assert found.doubt.startswith(f"artifact {artifact_digest(sealed)[:12]} is not signed")
    assert str(sealed) not in found.doubt  # a folder of the moment, where a version was fetched
    monkeypatch.delenv(VERIFY)
    assert "names no key to trust" in verify_signed(sealed)[1].doubt
    monkeypatch.setenv(REQUIRE, "1")
    with pytest.raises(UnstainedError, match="no key to verify"):
        trust_of()
    monkeypatch.setenv(REQUIRE, "yes")
    with pytest.raises(UnstainedError, match="set it to 1 or 0"):
        trust_of()


def test_a_signature_of_any_key_is_no_proof_without_one_that_is_trusted(
    signed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(VERIFY)
    found = verify_signed(signed)[1]
    assert (found.by, "has a signature, which was not verified" in found.doubt) == (None, True)


def test_a_private_key_is_readable_for_its_owner_alone_and_never_in_the_project(
    tmp_path: Path, keys: tuple[Path, Path]
) -> None:
    private, public = keys
    assert stat.S_IMODE(private.stat().st_mode) == 0o600
    assert b"PRIVATE" not in public.read_bytes()
    with pytest.raises(UnstainedError, match="would be overwritten"):
        make_keys(private.parent, tmp_path / "project")
    with pytest.raises(UnstainedError, match="is in the project"):
        make_keys(tmp_path / "project" / "runs", tmp_path / "project")
    assert not (tmp_path / "project").exists()


def pem(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey, password: bytes = b"") -> str:
    how = BestAvailableEncryption(password) if password else NoEncryption()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, how).decode()


P256, P384 = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP384R1())


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("/nowhere/key.pem", "cannot be read: No such file"),
        ("\0", "cannot be read"),
        (pem(P256, b"secret"), "has a password"),
        (pem(P384), "not of the curve P-256"),
        ("-----BEGIN PRIVATE KEY-----\nMIGH\n-----END PRIVATE KEY-----", "no private key"),
    ],
)
def test_a_signing_key_that_cannot_be_used_is_told_without_its_text(
    value: str, message: str
) -> None:
    with pytest.raises(UnstainedError, match=message) as caught:
        signing_key({SIGN: value})
    assert "MIGH" not in str(caught.value)
    assert "BEGIN" not in str(caught.value)


def test_public_keys_that_cannot_be_used_are_told(tmp_path: Path) -> None:
    other = P384.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    for value, message in (
        (pem(P256), "no public key"),
        (other.decode(), "not of the curve P-256"),
        (other.decode().replace("M", "A", 1), "damaged"),
        (str(tmp_path), "cannot be read"),
    ):
        with pytest.raises(UnstainedError, match=message):
            public_keys({VERIFY: value})
    assert public_keys({VERIFY: ""}) == ()
    assert signing_key({}) is None


def test_what_cannot_be_signed_is_not(sealed: Path, tmp_path: Path) -> None:
    artifact = shutil.copytree(sealed, tmp_path / "artifact")
    other_graph(artifact)
    with pytest.raises(IntegrityError, match="was changed"):
        sign_artifact(artifact, P256)
    assert not (artifact / SIGNATURE_FILE).exists()

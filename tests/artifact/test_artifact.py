from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unstained.artifact.artifact import (
    REQUIRED_FILES,
    artifact_digest,
    seal_artifact,
    verify_artifact,
)
from unstained.errors import IntegrityError
from unstained.files import file_sha256


def sealed(folder: Path) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    for name in REQUIRED_FILES:
        (folder / name).write_bytes(f"content of {name}".encode())
    return seal_artifact(folder)


def test_sealed_artifact_verifies_with_the_digest_of_its_digest_file(tmp_path: Path) -> None:
    digest = sealed(tmp_path)
    assert verify_artifact(tmp_path) == verify_artifact(tmp_path, digest) == digest
    assert digest == artifact_digest(tmp_path) == file_sha256(tmp_path / "digest.json")
    content = json.loads((tmp_path / "digest.json").read_text())
    assert set(content) == set(REQUIRED_FILES)
    assert all(content[name] == file_sha256(tmp_path / name) for name in REQUIRED_FILES)


def test_equal_files_have_equal_digests_and_others_another(tmp_path: Path) -> None:
    assert sealed(tmp_path / "a") == sealed(tmp_path / "b")
    (tmp_path / "b" / "model.onnx").write_bytes(b"another")
    assert seal_artifact(tmp_path / "b") != artifact_digest(tmp_path / "a")


@settings(max_examples=60, deadline=None)
@given(name=st.sampled_from(REQUIRED_FILES), position=st.integers(0, 10), flip=st.integers(1, 255))
def test_any_changed_byte_is_noticed(
    name: str, position: int, flip: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("artifact")
    sealed(folder)
    content = bytearray((folder / name).read_bytes())
    content[position] ^= flip
    (folder / name).write_bytes(bytes(content))
    with pytest.raises(IntegrityError, match=f"{name} was changed"):
        verify_artifact(folder)


def reseal_with_other_content(folder: Path) -> None:
    (folder / "model.onnx").write_bytes(b"forged")
    seal_artifact(folder)


@pytest.mark.parametrize(
    ("tamper", "message"),
    [
        (lambda f: (f / "card.json").unlink(), "card.json is missing"),
        (lambda f: (f / "extra.bin").write_bytes(b"x"), "extra.bin was added"),
        (lambda f: (f / "sub").mkdir() or (f / "sub" / "x").write_bytes(b"x"), "sub/x was added"),
        (lambda f: (f / "link").symlink_to("/"), "link was added"),
        (
            lambda f: (f / "card.json").unlink() or (f / "card.json").symlink_to("/"),
            "card.json was changed",
        ),
        (lambda f: (f / "digest.json").unlink(), "no digest.json"),
        (lambda f: (f / "digest.json").write_text("[]"), "was recorded"),
        (reseal_with_other_content, "was recorded"),
    ],
)
def test_tampering_is_refused(
    tmp_path: Path, tamper: Callable[[Path], object], message: str
) -> None:
    digest = sealed(tmp_path)
    tamper(tmp_path)
    with pytest.raises(IntegrityError, match=message):
        verify_artifact(tmp_path, digest)


@pytest.mark.parametrize("content", ["[]", "{", '{"model.onnx": 3}', "{}"])
def test_damaged_digest_file_is_refused_without_a_recorded_digest(
    tmp_path: Path, content: str
) -> None:
    sealed(tmp_path)
    (tmp_path / "digest.json").write_text(content)
    with pytest.raises(IntegrityError, match=r"digests|lacks"):
        verify_artifact(tmp_path)


@pytest.mark.parametrize("name", REQUIRED_FILES)
def test_incomplete_artifact_is_not_sealed(tmp_path: Path, name: str) -> None:
    sealed(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(IntegrityError, match=f"lacks {name}"):
        seal_artifact(tmp_path)

"""The artifact directory: what travels with a model, and proof that nothing in it was changed.

digest.json lists every other file but a signature with its sha256, and the sha256 of digest.json is
the artifact's digest: one number that fixes all bytes. Registry, promotion and serving pass it on
and check it before they load anything. This module needs the standard library
only, so a server can use it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from unstained.errors import IntegrityError
from unstained.files import file_sha256, write_json

MODEL_FILE: Final = "model.onnx"
INT8_FILE: Final = "model.int8.onnx"
CARD_FILE: Final = "card.json"
GOLDEN_FILE: Final = "golden.safetensors"
CALIBRATION_FILE: Final = "calibration.json"
ABSTENTION_FILE: Final = "abstention.safetensors"
DIGEST_FILE: Final = "digest.json"
SIGNATURE_FILE: Final = "model.sig"
"""Signs digest.json and all files that it lists, see `signing`; an artifact may have none."""

BESIDE: Final = (DIGEST_FILE, SIGNATURE_FILE)
"""Files that digest.json cannot list."""

REQUIRED_FILES: Final = (MODEL_FILE, CARD_FILE, GOLDEN_FILE, CALIBRATION_FILE, ABSTENTION_FILE)

CARD_FORMAT: Final = 3
"""Format of card.json; raised when older code could not read it, or when newer code needs more than
was there. 2: calibration by task. 3: rules of abstention, how files are read."""

REMEDY: Final = (
    "do not use this copy: fetch it again; `dvc repro` makes again what lies in runs/, and "
    "registers again a version that was deleted in MLflow for its damage"
)


def seal_artifact(directory: Path) -> str:
    """Write digest.json for all files of a finished artifact.

    Returns:
        The artifact's digest, see `artifact_digest`.

    Raises:
        IntegrityError: a required file is missing.
    """
    digests = {name: file_sha256(directory / name) for name in _files(directory)}
    _require_complete(directory, digests)
    write_json(directory / DIGEST_FILE, digests)
    return artifact_digest(directory)


def artifact_digest(directory: Path) -> str:
    """Sha256 of digest.json, hexadecimal, without checking the files that it lists.

    Raises:
        IntegrityError: there is no digest.json.
    """
    path = directory / DIGEST_FILE
    if not path.is_file():
        raise IntegrityError(f"{directory} is no sealed artifact: it has no {DIGEST_FILE}", REMEDY)
    return file_sha256(path)


def verify_artifact(directory: Path, expected: str | None = None) -> str:
    """Check that an artifact holds exactly the files that were sealed, byte for byte.

    Args:
        directory: the artifact.
        expected: the recorded digest. Without it only the artifact's agreement with its own
            digest.json is shown, which anybody who rewrote both could forge.

    Returns:
        The artifact's digest.

    Raises:
        IntegrityError: digest.json is missing or malformed, a file is missing, was added or
            changed, or the digest is not `expected`.
    """
    digest = artifact_digest(directory)
    if expected is not None and digest != expected:
        raise IntegrityError(
            f"the digest of {directory} is {digest}, but {expected} was recorded", REMEDY
        )
    sealed = sealed_digests(directory)
    _require_complete(directory, sealed)
    present = set(_files(directory))
    problems = [f"{name} is missing" for name in sorted(set(sealed) - present)]
    problems += [f"{name} was added" for name in sorted(present - set(sealed))]
    problems += [
        f"{name} was changed"
        for name in sorted(present & set(sealed))
        if not _holds(directory / name, sealed[name])
    ]
    if problems:
        raise IntegrityError(f"{directory}: " + "; ".join(problems), REMEDY)
    return digest


def _files(directory: Path) -> list[str]:
    """Relative names of all files and links that digest.json lists, sorted."""
    names = [
        path.relative_to(directory).as_posix()
        for path in directory.rglob("*")
        if path.is_symlink() or not path.is_dir()
    ]
    return sorted(name for name in names if name not in BESIDE)


def _holds(path: Path, digest: str) -> bool:
    """Whether `path` is a file (not a link to a directory, say) with this digest."""
    return path.is_file() and file_sha256(path) == digest


def sealed_digests(directory: Path) -> dict[str, str]:
    """Sha256 of each sealed file by its name, as digest.json says.

    Raises:
        IntegrityError: digest.json is damaged.
    """
    path = directory / DIGEST_FILE
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        content = None
    if not isinstance(content, dict) or not all(isinstance(v, str) for v in content.values()):
        raise IntegrityError(f"{path} is damaged: it is no table of file digests", REMEDY)
    return content


def _require_complete(directory: Path, digests: dict[str, str]) -> None:
    missing = [name for name in REQUIRED_FILES if name not in digests]
    if missing:
        raise IntegrityError(f"{directory} lacks {', '.join(missing)}", REMEDY)

"""A version's artifact, put together from what MLflow keeps of it, with proof of every byte."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from unstained.artifact.artifact import MODEL_FILE, SIGNATURE_FILE, verify_artifact
from unstained.errors import IntegrityError
from unstained.files import whole_directory
from unstained.registry.connection import explained
from unstained.registry.runs import EXTRA_FILES
from unstained.registry.signatures import FOLDER, SIGNED
from unstained.registry.wrapping import WRAPPING_SIGNATURE, verify_wrapping, wrapping_digest
from unstained.temporary import temporary_folder

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from unstained.registry.submission import RegisteredVersion


def fetch_artifact(
    client: MlflowClient,
    uri: str,
    place: str,
    digest: str,
    directory: Path,
    version: RegisteredVersion | None = None,
    signed: bool = True,
) -> str:
    """Fetch an artifact, of a version or one to be.

    Args:
        client: MLflow's.
        uri: of MLflow.
        place: where MLflow keeps it.
        digest: that it must have.
        directory: where the artifact is put, whole or not at all.
        version: whose artifact it is; None where it is about to become one.
        signed: with the version's signature, if it has one.

    Returns:
        Digest of MLflow's own files around it.

    Raises:
        IntegrityError: the artifact, or its signature, is not what was registered.
        RegistryError: MLflow failed.
    """
    again = version.remedy_if_lost if version else ""
    with temporary_folder() as temporary, explained(uri, again):
        import mlflow.artifacts

        model = Path(
            mlflow.artifacts.download_artifacts(
                artifact_uri=place, dst_path=str(temporary), tracking_uri=uri
            )
        )
        with whole_directory(directory) as partial:
            _restore_artifact(model, partial, digest, version)
            if version is not None:
                _restore_signature(client, version, model, partial, signed)
        return wrapping_digest(model)


def _restore_artifact(
    model: Path, directory: Path, digest: str, version: RegisteredVersion | None
) -> None:
    """Put an artifact together from a downloaded MLflow model, and check every byte.

    Args:
        model: MLflow's model directory.
        directory: the artifact.
        digest: that it must have.
        version: whose artifact it is, for a message; None where it is about to become one.

    Raises:
        IntegrityError: it is not the artifact with that digest.
    """
    try:
        shutil.copytree(model / EXTRA_FILES, directory, dirs_exist_ok=True)
        shutil.copyfile(model / MODEL_FILE, directory / MODEL_FILE)
        verify_artifact(directory, digest)
    except (IntegrityError, FileNotFoundError) as error:
        what = f"{version.uri} in MLflow" if version else "what MLflow kept of the upload"
        problem = error.message if isinstance(error, IntegrityError) else f"it lacks files: {error}"
        raise IntegrityError(
            f"{what} is not what was registered: "
            + problem.replace(str(directory), "its artifact").replace(f"{model}/", ""),
            version.remedy_if_lost if version else "run the same command again",
        ) from error


def _restore_signature(
    client: MlflowClient, version: RegisteredVersion, model: Path, directory: Path, signed: bool
) -> None:
    """Put a version's signature into its artifact, and check MLflow's own files around it.

    A version with half a signature, or whose signature is gone, comes as one that is not signed.

    Raises:
        IntegrityError: MLflow's files are not those that were registered, or signed.
    """
    with temporary_folder() as temporary:
        found = _signature(client, version, temporary) if signed else None
        if found:
            shutil.copyfile(found / SIGNATURE_FILE, directory / SIGNATURE_FILE)
        verify_wrapping(model, version, found and found / WRAPPING_SIGNATURE)


def _signature(client: MlflowClient, version: RegisteredVersion, place: Path) -> Path | None:
    """Fetch a version's signature into a folder; None where there is none, or half of one."""
    from mlflow.exceptions import MlflowException

    if SIGNED not in version.tags:
        return None
    try:
        found = Path(client.download_artifacts(version.run_id, FOLDER, str(place)))
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return None
    whole = all((found / name).is_file() for name in (SIGNATURE_FILE, WRAPPING_SIGNATURE))
    return found if whole else None

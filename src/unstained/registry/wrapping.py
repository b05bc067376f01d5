"""MLflow's own files around an artifact: MLmodel, requirements, environment, an example of inputs.

Nothing here reads them, but MLflow's own tools do: `mlflow models serve` imports what MLmodel names
and installs what requirements.txt lists. They hold the numbers of run and model, so they are in no
artifact: their digest is a tag of the version, and promotion signs it.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Final

from unstained.artifact.artifact import MODEL_FILE
from unstained.artifact.keys import VERIFY
from unstained.artifact.signing import signer_of, trust_of
from unstained.errors import IntegrityError
from unstained.files import file_sha256
from unstained.registry.runs import EXTRA_FILES

if TYPE_CHECKING:
    from unstained.registry.submission import RegisteredVersion

WRAPPING: Final = "mlflow_digest"
"""Tag of a version, and what is signed."""

WRAPPING_SIGNATURE: Final = "mlflow.sig"

NOT_LOGGED: Final = "registered_model_meta"
"""MLflow writes it where a model is downloaded to."""


def wrapping_digest(model: Path) -> str:
    """Sha256 over the names and digests of MLflow's own files in a downloaded model."""
    digests = {
        path.relative_to(model).as_posix(): file_sha256(path)
        for path in model.rglob("*")
        if path.is_file()
    }
    total = hashlib.sha256()
    for name in sorted(digests):
        if name not in (MODEL_FILE, NOT_LOGGED) and not name.startswith(f"{EXTRA_FILES}/"):
            total.update(f"{name} {digests[name]}\n".encode())
    return total.hexdigest()


def verify_wrapping(model: Path, version: RegisteredVersion, signature: Path | None) -> None:
    """Check MLflow's own files of a version.

    Args:
        model: MLflow's model as downloaded.
        version: it is the model of.
        signature: of the files; None where the version is not signed.

    Raises:
        IntegrityError: they are not those that were registered, or that were signed.
    """
    digest = wrapping_digest(model)
    if digest != version.tags.get(WRAPPING):
        raise IntegrityError(
            f"MLflow's own files of {version.uri} (MLmodel, requirements.txt ...) are not those "
            "that were registered",
            version.remedy_if_lost,
        )
    trust = trust_of()
    if signature is not None and trust.keys:
        try:
            signer_of(signature, {WRAPPING: digest}, trust.keys)
        except IntegrityError as error:
            found = error.message.replace(f"{signature.parent}/", "")
            study, number = version.tags.get("study"), version.version
            raise IntegrityError(
                f"the signature of {version.uri} does not hold: "
                + found.replace(f"{signature.parent}: ", ""),
                f"to trust its signer, add the public key to {VERIFY}. Else see who changes the "
                "registry: where MLmodel and the files beside it are right, `unstained sign "
                f"{study} --version {number}` signs them anew with the deployment's key; where "
                f"they are not, {version.remedy_if_lost}",
            ) from None

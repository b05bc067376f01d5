"""`unstained export-package`: a registered model as a folder that others know how to read."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import yaml
from safetensors.numpy import load_file

from unstained.answering import Model, fetched_model
from unstained.artifact.artifact import CARD_FILE, GOLDEN_FILE, artifact_digest
from unstained.artifact.signing import verify_signed
from unstained.config.project import load_params
from unstained.data.store.cell_store import CellStore
from unstained.errors import StoreError
from unstained.files import read_json, require_replaceable, whole_directory, write_json, write_text
from unstained.publishing import bioimage, croissant, hugging_face
from unstained.publishing.people import People
from unstained.temporary import temporary_folder

if TYPE_CHECKING:
    from collections.abc import Mapping

    from unstained.registry.registry import Registry

ARTIFACT: Final = "artifact"
METADATA: Final = "data/croissant.json"


def export_package(
    root: Path,
    study: str,
    out: Path,
    people: People,
    *,
    which: str | Path | None = None,
    registry: Registry | None = None,
) -> tuple[str, ...]:
    """Write a model's package, whole or not at all; nothing is asked of the network.

    Args:
        root: the project's root.
        study: key of params.yaml `studies`.
        out: the folder; an earlier package there is replaced.
        people: who made it, and who may use it.
        which: a version's number or alias, or the directory of an artifact; None: the champion.
        registry: by default the server at MLFLOW_TRACKING_URI, or SQLite in `root`.

    Returns:
        What a person should know of it, as sentences.

    Raises:
        ParameterError: there is no such study.
        RegistryError: there is no such version, or the registry does not hold it.
        IntegrityError: the artifact is not what was registered, or not signed as the environment
            asks.
        UnstainedError: `out` holds something else.
    """
    load_params(root / "params.yaml").require_study(study)
    require_replaceable(out, bioimage.FILE)
    with temporary_folder() as temporary:
        if isinstance(which, Path):
            model = Model(which, artifact_digest(which), "")
        else:
            model = fetched_model(root, study, which, temporary, registry)
        _, signed = verify_signed(model.artifact, model.digest)
        card = read_json(model.artifact / CARD_FILE)
        store, notes = _store(root, study, card)
        with whole_directory(out.absolute()) as folder:
            shutil.copytree(model.artifact, folder / ARTIFACT)
            tensors = _test_tensors(folder)
            text = hugging_face.readme(
                card, model.digest, model.label, people, croissant=store is not None
            )
            write_text(folder / "README.md", text)
            if store is not None:
                (folder / METADATA).parent.mkdir()
                write_json(folder / METADATA, croissant.metadata(store, card["title"], people))
            told = bioimage.description(folder, card, tensors, people)
            content = yaml.safe_dump(told, sort_keys=False, allow_unicode=True)
            write_text(folder / bioimage.FILE, content)
    doubts = (signed.doubt,) if signed.doubt else ()
    return (*doubts, *notes, *people.missing())


def _test_tensors(folder: Path) -> dict[str, Path]:
    """Write the golden batch as .npy files, one a tensor; by name."""
    found = {}
    for name, values in load_file(folder / ARTIFACT / GOLDEN_FILE).items():
        found[name] = folder / f"test_{name}.npy"
        np.save(found[name], values, allow_pickle=False)
    return found


def _store(
    root: Path, study: str, card: Mapping[str, Any]
) -> tuple[CellStore | None, tuple[str, ...]]:
    """The cells that a model was made of, where they are here; else None, and why."""
    path = root / "runs" / study / "ingest" / "store"
    try:
        store = CellStore.open(path)
    except StoreError as error:
        return None, (f"no Croissant metadata: {error.message}",)
    if store.digest != card["data_digest"]:
        return None, (f"no Croissant metadata: {path} holds other cells than the model's",)
    return store, ()

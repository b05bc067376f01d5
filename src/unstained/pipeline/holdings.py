"""Whether the registry still holds what was registered: DVC and its cache do not see it.

A registry is lost (a fresh clone after `dvc pull`, a deleted database), or versions are deleted in
it by hand. Then the file that `register` depends on is written anew, so that the next run of DVC
registers again what runs/ holds; as long as all is there, the file stays as it is. A database file
that is the one that was looked at before is not looked at again: that spares MLflow's start.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from unstained.errors import RegistryError
from unstained.files import file_sha256, read_json, write_json, write_text
from unstained.pipeline.catalogue import RUNS, STATE
from unstained.registry.connection import database_stamp
from unstained.registry.registry import Registry

HOLDINGS: Final = "holdings"
"""Name of the DVC stage."""


def holdings_file(study: str) -> str:
    """Where is written how often the registry was found incomplete, relative to the root."""
    return f"{RUNS}/{study}/{HOLDINGS}.json"


def lost(registry: Registry, wanted: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Those of some registrations whose version the registry does not hold as it was registered.

    Args:
        registry: where they should be.
        wanted: contents of registration.json.

    Raises:
        RegistryError: MLflow failed.
    """
    names = {str(one["name"]) for one in wanted}
    held = {(v.name, v.version, v.digest) for name in names for v in registry.versions(name)}
    return [one for one in wanted if (one["name"], one["version"], one["digest"]) not in held]


def look_at_registry(root: Path, study: str, registry: Registry) -> str:
    """See whether all models of a study's last run are registered.

    The file that `register` depends on is written anew where they are not.

    Args:
        root: the project's directory.
        study: key of params.yaml `studies`.
        registry: where they should be.

    Returns:
        A sentence where something is missing or the registry cannot be asked; else ''.
    """
    path = root / holdings_file(study)
    records = sorted((root / RUNS / study / "register").glob("*/registration.json"))
    seen = root / STATE / HOLDINGS / f"{study}.json"
    now = [database_stamp(registry.uri), *(file_sha256(record) for record in records)]
    if not path.is_file():
        write_text(path, json.dumps({"lost": None}) + "\n")
    if not records or (now[0] and seen.is_file() and read_json(seen) == now):
        return ""
    try:
        missing = lost(registry, [read_json(record) for record in records])
    except RegistryError as error:
        return f"{study}: whether the registry holds its models was not seen: {error}"
    if not missing:
        write_json(seen, now)
        return ""
    write_text(path, json.dumps({"lost": uuid.uuid4().hex}) + "\n")
    models = ", ".join(f"v{one['version']} ({one['model']})" for one in missing)
    return f"{study}: the registry holds {models} no more; registered again by `dvc repro`"

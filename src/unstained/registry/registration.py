"""Which versions models became: registration.json, and many versions in few words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from unstained.files import read_json
from unstained.registry.submission import RegisteredVersion


def registration_content(version: RegisteredVersion) -> dict[str, Any]:
    """What registration.json says of a version."""
    return {
        "name": version.name,
        "version": version.version,
        "model": version.model,
        "run_id": version.run_id,
        "uri": version.uri,
        "digest": version.digest,
        "data_digest": version.data_digest,
        "split_digest": version.split_digest,
        "predictions_digest": version.tags.get("predictions_digest", ""),
    }


def read_registrations(directory: Path, models: Sequence[str]) -> tuple[int, ...]:
    """Versions of this run, from the registration.json of every model."""
    paths = [directory / model / "registration.json" for model in models]
    return tuple(int(read_json(path)["version"]) for path in paths)


def version_ranges(versions: Iterable[int]) -> str:
    """Versions in few words: 'v4-v6, v9'."""
    ordered = sorted(set(versions))
    starts = ordered[:1] + [b for a, b in pairwise(ordered) if b > a + 1]
    ends = [a for a, b in pairwise(ordered) if b > a + 1] + ordered[-1:]
    return ", ".join(f"v{a}" if a == b else f"v{a}-v{b}" for a, b in zip(starts, ends, strict=True))

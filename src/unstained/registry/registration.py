"""Which versions models became: registration.json, and many versions in few words.

Between `register` and `promote` a version is in the hands of whoever may write to MLflow, and no
ledger names it yet: what registration.json says of it must be so when it is compared and promoted.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from unstained.errors import IntegrityError
from unstained.files import read_json
from unstained.registry.submission import RegisteredVersion
from unstained.registry.wrapping import WRAPPING

if TYPE_CHECKING:
    from unstained.registry.registry import Registry


TAGS: Final = ("predictions_digest", WRAPPING, "parity_passed", "latency_ms")
"""Tags of a version that the gate goes by, or that promotion signs."""


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
        **{tag: version.tags.get(tag, "") for tag in TAGS},
    }


def read_registrations(directory: Path, models: Sequence[str]) -> tuple[int, ...]:
    """Versions of this run, from the registration.json of every model."""
    paths = [directory / model / "registration.json" for model in models]
    return tuple(int(read_json(path)["version"]) for path in paths)


def require_as_registered(
    registry: Registry, name: str, directory: Path, models: Sequence[str]
) -> None:
    """See that the registry's versions of this run are what registration.json says of them.

    Versions that it lacks are not looked for.

    Args:
        registry: that holds them.
        name: registered model.
        directory: holds <model>/registration.json.
        models: of this run.

    Raises:
        IntegrityError: one was rewritten.
        RegistryError: MLflow failed.
    """
    held = {version.version: version for version in registry.versions(name)}
    for model in models:
        record = read_json(directory / model / "registration.json")
        version = held.get(int(record["version"]))
        if version is None:
            continue
        now = registration_content(version)
        if changed := sorted(key for key in record if record[key] != now[key]):
            what = ", ".join(f"{key} {record[key]!s:.12} (now {now[key]!s:.12})" for key in changed)
            raise IntegrityError(
                f"{version.label} of {name} was registered with {what}: it was rewritten in "
                "MLflow, or this is another registry",
                "set MLFLOW_TRACKING_URI as it was; or see who changes the registry, and "
                f"{version.remedy_if_lost}",
            )


def version_ranges(versions: Iterable[int]) -> str:
    """Versions in few words: 'v4-v6, v9'."""
    ordered = sorted(set(versions))
    starts = ordered[:1] + [b for a, b in pairwise(ordered) if b > a + 1]
    ends = [a for a, b in pairwise(ordered) if b > a + 1] + ordered[-1:]
    return ", ".join(f"v{a}" if a == b else f"v{a}-v{b}" for a, b in zip(starts, ends, strict=True))

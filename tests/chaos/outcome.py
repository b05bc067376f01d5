"""What a project ended in: what must be the same whatever was killed, and what must not be left."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from unstained.files import file_sha256, read_json
from unstained.registry.ledger import Ledger, ledger_path
from unstained.registry.registry import Registry

SAME: Final = (
    "runs/nsc/ingest/store/**/*",
    "runs/nsc/validate/clusters.parquet",
    "runs/nsc/split/split.parquet",
    "runs/nsc/tune/*/trials.csv",
    "runs/nsc/train/*/model/*",
    "runs/nsc/train/*/history.csv",
    "runs/nsc/evaluate/*/predictions.parquet",
    "runs/nsc/evaluate/*/calibration.json",
    "runs/nsc/export/*/artifact/*",
    "runs/nsc/replicates/train/*/*/model/*",
    "runs/nsc/replicates/evaluate/*/*/predictions.parquet",
    "runs/nsc/replicates/export/*/*/artifact/*",
    "predicted.csv",
)
"""Files that hold neither times nor numbers of runs: same bytes."""

UNCOUNTED: Final = (
    ".git", ".dvc/cache", ".dvc/tmp", "runs/pipeline", "state/pipeline", "state/holdings",
)  # fmt: skip
"""Folders whose files are named by contents and times, or tell how often something was called."""

MLFLOWS: Final = "mlartifacts"

FOREIGN: Final = re.compile(r"tmp|pymp-|torchinductor_|kfp-workspace-")

REPEATED: Final = ("refuse", "dry-run")
"""Actions that a command that is called again may write again, and that change nothing."""

NUMBER: Final = re.compile(r"[0-9a-f]{32}")
"""By which MLflow calls runs and models, at random."""


def outcome(root: Path) -> dict[str, str]:
    """Name -> what it is, in words or as a digest, of everything that is compared."""
    return {
        **{name: file_sha256(root / name) for pattern in SAME for name in _files(root, pattern)},
        "decision": json.dumps(_without_times(read_json(root / "runs/nsc/promote/decision.json"))),
        "ledger": "; ".join(told_by_ledger(root)),
        **_registry(root),
        **{f"artifact {name}": f"is there {n} times" for name, n in _artifacts(root).items()},
        **{f"file {name}": "is there" for name in _names(root)},
        **{f"temporary {name}": "is there" for name in _temporary(root.parent / "tmp")},
        "locks of DVC": _locks(root),
    }


def differences(expected: Mapping[str, str], found: Mapping[str, str]) -> list[str]:
    """A line for each thing that is not as expected."""
    return [
        f"{name}: {found.get(name, 'absent')}, undisturbed: {expected.get(name, 'absent')}"
        for name in sorted({*expected, *found})
        if expected.get(name) != found.get(name)
    ]


def unmatched(root: Path) -> list[str]:
    """A line for each pattern of `SAME` of which an undisturbed project holds no file."""
    found = [pattern for pattern in SAME if not any(_files(root, pattern))]
    return [f"nothing undisturbed is called {pattern}: it compares nothing" for pattern in found]


def told_by_ledger(root: Path) -> Iterator[str]:
    """Entries, of those that may be repeated the first."""
    before = ""
    for entry in Ledger(ledger_path(root, "nsc")).entries():
        told = f"{entry.action} v{entry.version}"
        if told != before or entry.action not in REPEATED:
            yield told
        before = told


def _files(root: Path, pattern: str) -> Iterator[str]:
    for path in root.glob(pattern):
        if path.is_file():
            yield path.relative_to(root).as_posix()


def _names(root: Path) -> set[str]:
    """Names of all files and empty folders but those that MLflow numbers."""
    names = [
        path.relative_to(root).as_posix()
        for path in root.rglob("*")
        if not path.is_relative_to(root / MLFLOWS)
        if path.is_file() or (path.is_dir() and not any(path.iterdir()))
    ]
    return {name for name in names if not name.startswith(UNCOUNTED)}


def _artifacts(root: Path) -> Counter[str]:
    """Names of MLflow's files, without the numbers of runs and models: how often each is there."""
    place = root / MLFLOWS
    files = (path.relative_to(place).as_posix() for path in place.rglob("*") if path.is_file())
    return Counter(NUMBER.sub("*", name) for name in files)


def _temporary(place: Path) -> set[str]:
    """Names of temporary files, but of those that other programs leave: `mktemp` of kfp's tasks,
    which nobody removes, and what Python's libraries had there when they were killed.
    """
    return {path.name for path in place.iterdir() if not FOREIGN.match(path.name)}


def _without_times(decision: dict[str, Any]) -> dict[str, Any]:
    """A decision; of the latency, which is measured anew each time, only its verdict."""
    for criterion in decision["criteria"]:
        if criterion["name"] == "latency":
            del criterion["value"], criterion["sentence"]
    return decision


def _registry(root: Path) -> dict[str, str]:
    """Versions with their digests and aliases; states of runs and logged models."""
    registry = Registry(None, root)
    found = {}
    for version in registry.versions("unstained-nsc"):
        about = (version.label, version.digest, ",".join(version.aliases))
        found[f"version {version.version}"] = " ".join(about)
    client = registry.client
    for experiment in client.search_experiments():
        number = [experiment.experiment_id]
        runs = [f"{run.info.run_name} {run.info.status}" for run in client.search_runs(number)]
        models = [f"{m.name} {m.status.value}" for m in client.search_logged_models(number)]
        found[f"runs of {experiment.name}"] = "; ".join(sorted(runs))
        found[f"models of {experiment.name}"] = "; ".join(sorted(models))
    return found


def _locks(root: Path) -> str:
    """Who holds locks of DVC, by its note."""
    note = root / ".dvc" / "tmp" / "rwlock"
    try:
        content = read_json(note) if note.is_file() else {}
    except ValueError:
        return "nobody knows: the note is unreadable"
    return json.dumps(content) if any(content.values()) else "nobody"

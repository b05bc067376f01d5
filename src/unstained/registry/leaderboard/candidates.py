"""Which registered versions can be compared, and their predictions on the same cells.

A champion that was evaluated on other cells is asked about these: otherwise no new version could
replace it once data were added.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from unstained.config.study import StudyData
from unstained.config.tasks import TaskParams
from unstained.predictions import Predictions
from unstained.registry.registry import Registry
from unstained.registry.standings import NotComparable
from unstained.registry.submission import RegisteredVersion
from unstained.temporary import temporary_folder

if TYPE_CHECKING:
    from unstained.config.compare import CompareStageParams

TAGS: Final = (
    "artifact_digest",
    "predictions_digest",
    "parity_passed",
    "latency_ms",
    "recipe",
    "simulated",
    "git_commit",
)
"""Tags that a version needs to be in a leaderboard."""

CHANGED: Final = "other test cells"


@dataclass(frozen=True)
class Candidate:
    """A version with its predictions, in order of cells."""

    version: RegisteredVersion
    test: Predictions
    validation: Predictions
    rescored: bool = False


@dataclass(frozen=True)
class CellFiles:
    """Where the cells of a run are, for a champion that was evaluated on others."""

    store: Path
    split: Path


def sort_out(
    registry: Registry,
    versions: Sequence[RegisteredVersion],
    reference: tuple[str, str],
    data: StudyData,
) -> tuple[list[Candidate], list[NotComparable]]:
    """Load the predictions of all versions that share the reference's test cells.

    Args:
        registry: where they are.
        versions: all versions of a study.
        reference: data and split digest of the versions of interest.
        data: the study, for its primary task.
    """
    found: list[Candidate] = []
    others: list[NotComparable] = []
    for version in reversed(versions):
        reason = _why_not(version, reference)
        if not reason:
            candidate = _load(registry, version)
            if candidate.test.of_task(data.primary_task) is None:
                reason = f"it does not predict {data.primary_task.name}"
            elif found and not _same_cells(candidate, found[0], data.primary_task):
                reason = "its predictions hold other cells or other true classes and values"
            else:
                found.append(candidate)
        if reason:
            others.append(
                {
                    "version": version.version,
                    "model": version.model,
                    "aliases": list(version.aliases),
                    "reason": reason,
                }
            )
    return found[::-1], others[::-1]


def admit(
    registry: Registry,
    champion: RegisteredVersion,
    cells: CellFiles,
    candidates: list[Candidate],
    others: list[NotComparable],
    params: CompareStageParams,
) -> None:
    """Bring a champion that was evaluated on other cells back into the comparison.

    Args:
        registry: where its artifact is.
        champion: the version.
        cells: where the cells of the candidates are.
        candidates: comparable versions; the champion is added where it can be asked.
        others: versions left out; the champion is removed, or the reason is completed.
        params: classes and targets of the study.
    """
    for position, other in enumerate(others):
        if other["version"] == champion.version and other["reason"].startswith(CHANGED):
            found = rescore(registry, champion, cells, candidates[0], params)
            if isinstance(found, Candidate):
                candidates.append(found)
                del others[position]
            else:
                other["reason"] += f", and it cannot be asked about these: {found}"
            return


def rescore(
    registry: Registry,
    version: RegisteredVersion,
    cells: CellFiles,
    like: Candidate,
    params: CompareStageParams,
) -> Candidate | str:
    """Ask a version that was evaluated on other cells about these.

    Args:
        registry: where its artifact is.
        version: the version.
        cells: where the cells are.
        like: a version that was evaluated on them.
        params: classes and targets of the study.

    Returns:
        The candidate, or why the version cannot be asked.

    Raises:
        IntegrityError: the artifact is not the one that was registered.
    """
    import pandas as pd

    from unstained.data.splits.units import independent
    from unstained.data.store.cell_store import CellStore
    from unstained.registry.rescore import artifact_predictions, why_unfit

    store = independent(CellStore.open(cells.store), cells.split)
    split = pd.read_parquet(cells.split)
    wanted = split[split["part"].isin(["val", "test"])].set_index("cell_id")["part"]
    table, description = store.columns("cell_id"), f"score v{version.version} on these cells"
    rows = np.flatnonzero(table["cell_id"].isin(wanted.index))
    with temporary_folder() as temporary:
        artifact = registry.download(version, temporary / "artifact")
        if reason := why_unfit(artifact, store, params.data):
            return reason
        part = wanted.loc[table["cell_id"].iloc[rows]].to_numpy(str)
        found = artifact_predictions(artifact, store, rows, part, params.data, description)
    candidate = _candidate(version, found, rescored=True)
    same = _same_cells(candidate, like, params.data.primary_task)
    return candidate if same else "the cells on disk are other ones"


def missing_tag(version: RegisteredVersion) -> str:
    """A tag that the version lacks because another tool registered it, or nothing."""
    return next((tag for tag in TAGS if tag not in version.tags), "")


def _why_not(version: RegisteredVersion, reference: tuple[str, str]) -> str:
    if tag := missing_tag(version):
        return f"it was not registered by this pipeline (no tag {tag})"
    if version.data_digest != reference[0]:
        return f"{CHANGED}: the data changed"
    if version.split_digest != reference[1]:
        return f"{CHANGED}: the split changed"
    return ""


def _load(registry: Registry, version: RegisteredVersion) -> Candidate:
    return _candidate(version, registry.predictions(version), rescored=False)


def _candidate(version: RegisteredVersion, found: Predictions, *, rescored: bool) -> Candidate:
    return Candidate(version, found.of("test"), found.of("val"), rescored)


def _same_cells(one: Candidate, two: Candidate, task: TaskParams) -> bool:
    first, second = (candidate.test.of_task(task) for candidate in (one, two))
    return (
        first is not None
        and second is not None
        and np.array_equal(one.test.cell_id, two.test.cell_id)
        and np.array_equal(one.test.group, two.test.group)
        and np.array_equal(first.truth, second.truth, equal_nan=True)
    )

"""Partition of cells into train, val and test, and folds for cross-validation.

A unit is what must not be torn apart: a cluster of duplicate cells (`stratified`), or groups and
whatever duplicate clusters join them (`grouped`). Units go to parts such that every class comes
close to its fraction in every part. All randomness comes from hashes of names, so the result
depends on the seed and on the cells, never on the order in which they are listed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

import numpy as np

from unstained.data.allocation import allocate
from unstained.errors import SplitError
from unstained.params import SplitParams

if TYPE_CHECKING:
    import pandas as pd

Strategy = Literal["stratified", "grouped"]

PARTS: Final = ("train", "val", "test")
EXTERNAL: Final = "external"


@dataclass(frozen=True)
class Split:
    """A partition and how it came out.

    Attributes:
        table: cell_id, part, fold and reference_part, one row a cell in the order given.
            `reference_part` comes from the other strategy; it is null where that is impossible.
        notes: sentences on what a user should know, worst first.
    """

    table: pd.DataFrame
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Units:
    """Units of a strategy over the cells that are not external.

    Attributes:
        of_cell: (n,) unit of every cell.
        counts: (U, K) cells of each class in a unit.
        names: (U,) smallest id in the unit.
    """

    of_cell: np.ndarray
    counts: np.ndarray
    names: np.ndarray


def stable_keys(names: Iterable[str], seed: int, purpose: str) -> np.ndarray:
    """Pseudo-random numbers that depend on each name, the seed and the purpose alone.

    Args:
        names: ids of cells, groups or units.
        seed: `common.seed`.
        purpose: what the numbers are for, so that two uses are independent.

    Returns:
        (n,) uint64, uniform.
    """
    prefix = hashlib.blake2b(f"{seed}/{purpose}/".encode(), digest_size=8)

    def key(name: str) -> int:
        digest = prefix.copy()
        digest.update(name.encode())
        return int.from_bytes(digest.digest(), "little")

    return np.fromiter((key(name) for name in names), dtype=np.uint64)


def make_split(
    cells: pd.DataFrame, clusters: pd.DataFrame, params: SplitParams, seed: int
) -> Split:
    """Partition cells.

    Args:
        cells: cell_id, group, label and external, one row a cell in any order.
        clusters: cell_id and cluster of cells that have duplicates.
        params: strategy, fractions and number of folds.
        seed: `common.seed`.

    Raises:
        SplitError: a class has fewer independent units than there are parts, or there are fewer
            units than folds.
    """
    import pandas as pd

    external = cells["external"].to_numpy(bool)
    order = np.argsort(cells["cell_id"].to_numpy(), kind="stable")
    inner = order[~external[order]]
    chosen = params.strategy
    other: Strategy = "grouped" if chosen == "stratified" else "stratified"
    frame = cells.iloc[inner]
    linked = _linked(frame["cell_id"], clusters)
    parts, folds, notes = _partition(frame, linked, chosen, params, seed)
    reference, excuse = _reference(frame, linked, other, params, seed)
    table = pd.DataFrame({"cell_id": cells["cell_id"].to_numpy()})
    names = np.array(PARTS, dtype=object)
    table["part"] = _spread(len(cells), inner, names[parts])
    fold = np.full(len(cells), -1, np.int32)
    fold[inner] = folds
    table["fold"] = fold
    table["reference_part"] = _spread(
        len(cells), inner, None if reference is None else names[reference]
    )
    leaks = _external_leaks(cells, clusters, external)
    return Split(table, (*leaks, *excuse, *notes))


def _spread(count: int, rows: np.ndarray, values: np.ndarray | None) -> np.ndarray:
    column = np.full(count, EXTERNAL, dtype=object)
    column[rows] = values
    return column


def _linked(cell_ids: pd.Series[str], clusters: pd.DataFrame) -> np.ndarray:
    """Cluster of every cell, -1 without."""
    found = clusters.set_index("cell_id")["cluster"].reindex(cell_ids)
    return found.fillna(-1).to_numpy(np.int64)


def _partition(
    frame: pd.DataFrame, linked: np.ndarray, strategy: Strategy, params: SplitParams, seed: int
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Part (n,) and fold (n,) of every cell, and notes."""
    units = _units(frame, linked, strategy)
    labels = sorted(frame["label"].unique())
    _require_units(units, labels, frame, strategy)
    part = allocate(units.counts, _keys(units, seed, strategy), np.array(params.fractions))
    _require_classes(units.counts, part, labels, strategy)
    trained = np.flatnonzero(part < 2)
    fold, notes = _folds(units, trained, labels, params.folds, seed)
    return part[units.of_cell], fold[units.of_cell], notes


def _reference(
    frame: pd.DataFrame, linked: np.ndarray, strategy: Strategy, params: SplitParams, seed: int
) -> tuple[np.ndarray | None, list[str]]:
    """The other strategy's part of every cell; None and the reason where it is impossible."""
    units = _units(frame, linked, strategy)
    labels = sorted(frame["label"].unique())
    try:
        _require_units(units, labels, frame, strategy)
        part = allocate(units.counts, _keys(units, seed, strategy), np.array(params.fractions))
        _require_classes(units.counts, part, labels, strategy)
    except SplitError as error:
        return None, [f"There is no {strategy} partition to compare with: {error.message}."]
    return part[units.of_cell], []


def _keys(units: _Units, seed: int, purpose: str) -> np.ndarray:
    return stable_keys(units.names, seed, purpose)


def _units(frame: pd.DataFrame, linked: np.ndarray, strategy: Strategy) -> _Units:
    """Units of a strategy over cells that are sorted by id."""
    import pandas as pd
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    count = len(frame)
    if strategy == "grouped":
        node, names = pd.factorize(frame["group"].to_numpy(), sort=True)
    else:
        node, names = np.arange(count), frame["cell_id"].to_numpy()
    member = np.flatnonzero(linked >= 0)
    _, cluster = np.unique(linked[member], return_inverse=True)
    size = len(names) + (int(cluster.max()) + 1 if len(cluster) else 0)
    edges = coo_array(
        (np.ones(len(member), np.int8), (node[member], cluster + len(names))), shape=(size, size)
    )
    _, component = connected_components(edges, directed=False)
    _, first, unit = np.unique(component[: len(names)], return_index=True, return_inverse=True)
    of_cell = unit[node].astype(np.int32)
    label, _ = pd.factorize(frame["label"].to_numpy(), sort=True)
    classes = int(label.max()) + 1
    counts = np.bincount(of_cell * np.int64(classes) + label, minlength=len(first) * classes)
    return _Units(of_cell, counts.reshape(len(first), classes), np.asarray(names)[first])


def _require_units(
    units: _Units, labels: list[str], frame: pd.DataFrame, strategy: Strategy
) -> None:
    available = (units.counts > 0).sum(axis=0)
    for label, number in zip(labels, available, strict=True):
        if number >= len(PARTS):
            continue
        if strategy == "stratified":
            raise SplitError(
                f"class {label} has {number} cells that are not duplicates of each other, and "
                f"{len(PARTS)} parts need one each",
                "add cells of this class, or remove it from the study's classes",
            )
        groups = sorted(frame.loc[(frame["label"] == label).to_numpy(), "group"].unique())
        shown = ", ".join(groups[:5]) + (", ..." if len(groups) > 5 else "")
        joined = " after joining those that share duplicate cells" if len(groups) > number else ""
        raise SplitError(
            f"class {label} has {number} independent groups{joined} ({shown}), and "
            f"{len(PARTS)} parts need one each",
            "record more acquisitions of this class, or set split.strategy to stratified",
        )


def _require_classes(
    counts: np.ndarray, part: np.ndarray, labels: list[str], strategy: Strategy
) -> None:
    for number, name in enumerate(PARTS):
        missing = np.flatnonzero(counts[part == number].sum(axis=0) == 0)
        if len(missing):
            raise SplitError(
                f"no {strategy} partition with class {labels[missing[0]]} in part {name} was found",
                "add groups of this class, or set split.strategy to stratified",
            )


def _folds(
    units: _Units, trained: np.ndarray, labels: list[str], folds: int, seed: int
) -> tuple[np.ndarray, list[str]]:
    """Fold (U,) of the units in train and val, -1 for others, and notes."""
    fold = np.full(len(units.names), -1, np.int32)
    if len(trained) < folds:
        raise SplitError(
            f"train and val consist of {len(trained)} independent units, fewer than {folds} folds",
            f"set split.folds to at most {len(trained)}, or add groups",
        )
    counts = units.counts[trained]
    keys = stable_keys(units.names[trained], seed, "fold")
    fold[trained] = allocate(counts, keys, np.full(folds, 1 / folds))
    if len(np.unique(fold[trained])) < folds:
        raise SplitError(
            f"the units in train and val are too uneven for {folds} folds",
            "lower split.folds, or add groups",
        )
    few = (counts > 0).sum(axis=0)
    notes = [
        f"Class {label} has {number} independent units in train and val, fewer than {folds} folds: "
        "it is absent from some folds."
        for label, number in zip(labels, few, strict=True)
        if number < folds
    ]
    return fold, notes


def _external_leaks(cells: pd.DataFrame, clusters: pd.DataFrame, external: np.ndarray) -> list[str]:
    """A note where external cells have duplicates among the others."""
    linked = _linked(cells["cell_id"], clusters)
    outside = np.setdiff1d(linked[external], [-1])
    shared = int(np.isin(linked[~external], outside).sum())
    if not shared:
        return []
    return [
        f"{shared} cells that are not external are duplicates of external cells: results on the "
        "external cells are not fully independent of training."
    ]

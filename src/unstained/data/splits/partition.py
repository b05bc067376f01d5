"""Partition of cells into train, val and test, and folds for cross-validation.

A unit is what must not be torn apart: a cluster of duplicate cells (`stratified`), or groups and
whatever duplicate clusters join them (`grouped`). Units go to parts such that every class comes
close to its fraction in every part; `crossed` is told of in its module. All randomness comes from
hashes of names, so the result depends on the seed and on the cells, never on the order in which
they are listed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from unstained.config.split import SplitParams
from unstained.data.splits.allocation import allocate
from unstained.data.splits.crossed import BETWEEN, Factor, crossed_parts, times_and_places
from unstained.data.splits.units import UNIT, joined
from unstained.data.store.columns import encode, numbers, places, strings
from unstained.errors import SplitError
from unstained.wording import counted

Strategy = Literal["stratified", "grouped"]

PARTS: Final = ("train", "val", "test")
EXTERNAL: Final = "external"


@dataclass(frozen=True)
class Split:
    """A partition and how it came out; its table has UNIT too where copies join groups.

    Attributes:
        table: cell_id, part, fold, reference_part and reference_fold, one row a cell in the order
            given. The last two come from the other strategy; where that is impossible, they are
            null and -1.
        notes: sentences on what a user should know, worst first.
    """

    table: pa.Table
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Cells:
    """The cells that are not external, sorted by id.

    Attributes:
        ids: (n,) strings.
        label, group: (n,) codes.
        labels, groups: their names, sorted.
        required: labels of which every part needs cells.
        linked: (n,) duplicate cluster, -1 without.
    """

    ids: pa.ChunkedArray
    label: np.ndarray
    labels: list[str]
    group: np.ndarray
    groups: list[str]
    linked: np.ndarray
    required: frozenset[str]


@dataclass(frozen=True)
class _Units:
    """What a strategy must not tear apart.

    Attributes:
        of_cell: (n,) unit of every cell.
        counts: (U, K) cells of each class in a unit.
        names: (U,) smallest id in the unit.
    """

    of_cell: np.ndarray
    counts: np.ndarray
    names: pa.ChunkedArray


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
    cells: pa.Table,
    clusters: pa.Table,
    params: SplitParams,
    seed: int,
    required: frozenset[str] | None = None,
) -> Split:
    """Partition cells.

    Args:
        cells: cell_id, group, label and external, one row a cell in any order.
        clusters: cell_id and cluster of cells that have duplicates.
        params: strategy, fractions and number of folds.
        seed: `common.seed`.
        required: labels of which every part needs cells; all without it.

    Raises:
        SplitError: a class has fewer independent units than there are parts, or there are fewer
            units than folds.
    """
    linked = _linked(cells["cell_id"], clusters)
    external = numbers(cells["external"])
    order = np.asarray(pc.sort_indices(cells["cell_id"]))
    inner = order[~external[order]]
    frame = _frame(cells, inner, linked, required)
    chosen = params.strategy
    other: Strategy = "grouped" if chosen == "stratified" else "stratified"
    if chosen == "crossed":
        parts, folds, notes = _crossed(frame, params, seed)
    else:
        parts, folds, notes = _partition(frame, chosen, params, seed)
    reference, reference_folds, excuse = _reference(frame, other, params, seed)
    fold = np.full((2, cells.num_rows), -1, np.int32)
    fold[:, inner] = folds, reference_folds
    columns = {
        "cell_id": cells["cell_id"],
        "part": _spread(cells.num_rows, inner, parts),
        "fold": pa.array(fold[0]),
        "reference_part": _spread(cells.num_rows, inner, reference),
        "reference_fold": pa.array(fold[1]),
    }
    units, told = _independent(cells["group"], linked)
    leaks = _external_leaks(linked, external)
    return Split(pa.table(columns | units), (*leaks, *excuse, *notes, *told))


def _independent(
    group: pa.ChunkedArray, linked: np.ndarray
) -> tuple[dict[str, pa.Array], tuple[str, ...]]:
    """The column UNIT where copies join groups, and a note; nothing where they do not."""
    code, names = encode(group)
    root = joined(code, len(names), linked)
    if (root == np.arange(len(names))).all():
        return {}, ()
    others = root != np.arange(len(names))
    ones = len(np.unique(root[others]))
    note = (
        f"{others.sum() + ones} groups hold copies of each other's cells and count as {ones}: a "
        "grouped split keeps them together, and intervals resample them as one."
    )
    return {UNIT: pa.array(np.array(names)[root[code]])}, (note,)


def _frame(
    cells: pa.Table, inner: np.ndarray, linked: np.ndarray, required: frozenset[str] | None
) -> _Cells:
    label, labels = encode(cells["label"].take(inner))
    group, groups = encode(cells["group"].take(inner))
    needed = frozenset(labels) if required is None else required
    ids = cells["cell_id"].take(inner)
    return _Cells(ids, label, labels, group, groups, linked[inner], needed)


def _spread(count: int, rows: np.ndarray, parts: np.ndarray | None) -> pa.Array:
    """Names of parts: `parts` at `rows` (null where that is None), EXTERNAL elsewhere."""
    codes = np.full(count, len(PARTS) + 1, np.int8)
    codes[rows] = -1 if parts is None else parts
    known = pa.array(codes, mask=codes < 0)
    return pa.DictionaryArray.from_arrays(known, [*PARTS, BETWEEN, EXTERNAL]).cast(pa.string())


def _linked(cell_ids: pa.ChunkedArray, clusters: pa.Table) -> np.ndarray:
    """Cluster of every cell, -1 without."""
    place = places(cell_ids, clusters["cell_id"].to_pylist())
    cluster = np.append(numbers(clusters["cluster"]).astype(np.int64), -1)
    return np.asarray(cluster[place])


def _partition(
    cells: _Cells, strategy: Strategy, params: SplitParams, seed: int
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Part (n,) and fold (n,) of every cell, and notes."""
    units = _units(cells, strategy)
    part = _parts(units, cells, strategy, params, seed)
    fold, notes = _folds(units, _dealt(part, params), cells, params.folds, seed)
    return part[units.of_cell], fold[units.of_cell], notes


def _crossed(
    cells: _Cells, params: SplitParams, seed: int
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Part (n,) of every cell by time and place, no folds, and notes."""
    factors = []
    for words, names in zip(("movies", "regions"), times_and_places(cells.groups), strict=True):
        known, code = np.unique(names, return_inverse=True)
        keys = stable_keys(known.tolist(), seed, words)
        factors.append(Factor(words, code[cells.group], known.tolist(), keys))
    part = crossed_parts((factors[0], factors[1]), cells.label, cells.linked, params.fractions)
    between = int((part == len(PARTS)).sum())
    note = (
        f"{between:,} of {len(part):,} cells lie between parts, their movie in one and their "
        "region in another, and are not used; there are no folds."
    )
    return part, np.full(len(part), -1, np.int32), [note]


def _dealt(part: np.ndarray, params: SplitParams) -> np.ndarray:
    """Units that have a fold: all where each fold is tested once, else those of train and val."""
    return np.flatnonzero(part <= 2 if params.rotate else part < 2)


def _reference(
    cells: _Cells, strategy: Strategy, params: SplitParams, seed: int
) -> tuple[np.ndarray | None, np.ndarray, list[str]]:
    """The other strategy's part and fold of every cell; None, -1 and why where impossible."""
    none = np.full(len(cells.label), -1, np.int32)
    units = _units(cells, strategy)
    try:
        part = _parts(units, cells, strategy, params, seed)
    except SplitError as error:
        return None, none, [f"There is no {strategy} partition to compare with: {error.message}."]
    try:
        fold, _ = _folds(units, _dealt(part, params), cells, params.folds, seed)
    except SplitError as error:
        why = f"The {strategy} partition to compare with has no folds: {error.message}."
        return part[units.of_cell], none, [why]
    return part[units.of_cell], fold[units.of_cell], []


def _parts(
    units: _Units, cells: _Cells, strategy: Strategy, params: SplitParams, seed: int
) -> np.ndarray:
    """Part of every unit, (U,)."""
    _require_units(units, cells, strategy)
    keys = stable_keys(strings(units.names), seed, strategy)
    part = allocate(units.counts, keys, np.array(params.fractions))
    for number, name in enumerate(PARTS):
        held = units.counts[part == number].sum(axis=0)
        if not held.any():
            raise SplitError(
                f"no {strategy} partition with cells in part {name} was found",
                "add groups, or set split.strategy to stratified",
            )
        missing = [cells.labels[at] for at in np.flatnonzero(held == 0)]
        for label in cells.required.intersection(missing):
            raise SplitError(
                f"no {strategy} partition with class {label} in part {name} was found",
                "add groups of this class, or set split.strategy to stratified",
            )
    return part


def _units(cells: _Cells, strategy: Strategy) -> _Units:
    """Connected components of cells or groups and the duplicate clusters that join them."""
    if strategy == "grouped":
        node, names = cells.group, pa.chunked_array([pa.array(cells.groups, pa.string())])
    else:
        node, names = np.arange(len(cells.label), dtype=np.int32), cells.ids
    root = joined(node, len(names), cells.linked)  # names are sorted, so are nodes
    first = np.flatnonzero(root == np.arange(len(names), dtype=np.int32))
    unit = np.empty(len(names), np.int32)
    unit[first] = np.arange(len(first), dtype=np.int32)
    of_cell = unit[root[node]]
    classes = len(cells.labels)
    cell = of_cell * np.int64(classes) + cells.label
    counts = np.bincount(cell, minlength=len(first) * classes).astype(np.int32)
    return _Units(of_cell, counts.reshape(len(first), classes), names.take(first))


def _require_units(units: _Units, cells: _Cells, strategy: Strategy) -> None:
    available = (units.counts > 0).sum(axis=0)
    for code, (label, number) in enumerate(zip(cells.labels, available, strict=True)):
        if number >= len(PARTS) or label not in cells.required:
            continue
        if strategy == "stratified":
            raise SplitError(
                f"class {label} has {counted(number, 'independent cell')}, duplicates taken as "
                "one, and "
                f"{len(PARTS)} parts need one each",
                "add cells of this class, or take it out of studies.<study>.data.tasks",
            )
        groups = [cells.groups[group] for group in np.unique(cells.group[cells.label == code])]
        shown = ", ".join(groups[:5]) + (", ..." if len(groups) > 5 else "")
        joined = " after joining those that share duplicate cells" if len(groups) > number else ""
        raise SplitError(
            f"class {label} has {counted(number, 'independent group')}{joined} ({shown}), and "
            f"{len(PARTS)} parts need one each",
            "record more acquisitions of this class, or set split.strategy to stratified",
        )


def _folds(
    units: _Units, dealt: np.ndarray, cells: _Cells, folds: int, seed: int
) -> tuple[np.ndarray, list[str]]:
    """Fold (U,) of some units, -1 for others, and notes."""
    fold = np.full(len(units.names), -1, np.int32)
    where = "all parts" if len(dealt) == len(units.names) else "train and val"
    if len(dealt) < folds:
        raise SplitError(
            f"{where} consist of {counted(len(dealt), 'independent unit')}, fewer than "
            f"{folds} folds",
            f"set studies.<study>.split.folds to at most {len(dealt)} and baselines.folds to folds "
            f"below that number, {list(range(len(dealt)))[:3]}, or add groups",
        )
    counts = units.counts[dealt]
    keys = stable_keys(strings(units.names.take(dealt)), seed, "fold")
    fold[dealt] = allocate(counts, keys, np.full(folds, 1 / folds))
    if len(np.unique(fold[dealt])) < folds:
        raise SplitError(
            f"the units in {where} are too uneven for {folds} folds",
            "lower split.folds, and baselines.folds with it, or add groups",
        )
    few = (counts > 0).sum(axis=0)
    notes = [
        f"Class {label} has {counted(number, 'independent unit')} in {where}, fewer than "
        f"{folds} folds: it is absent from some folds."
        for label, number in zip(cells.labels, few, strict=True)
        if number < folds and label in cells.required
    ]
    return fold, notes


def _external_leaks(linked: np.ndarray, external: np.ndarray) -> list[str]:
    """A note where external cells have duplicates among the others."""
    outside = np.setdiff1d(linked[external], [-1])
    shared = int(np.isin(linked[~external], outside).sum())
    if not shared:
        return []
    return [
        f"{counted(shared, 'cell that is', 'cells that are')} not external "
        f"{'is a duplicate' if shared == 1 else 'are duplicates'} of external cells: results on "
        "the external cells are not fully independent of training."
    ]

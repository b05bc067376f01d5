"""What a grouped split would leave: the split stage's own partition, before anything is packed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import pyarrow as pa

from unstained.config.split import SplitParams
from unstained.data.splits.partition import PARTS, make_split
from unstained.data.splits.strata import UNKNOWN
from unstained.errors import SplitError
from unstained.wording import counted

FEWEST_FOLDS: Final = 3
"""Folds that `baselines` asks for."""


@dataclass(frozen=True)
class Outlook:
    """A split that would come out.

    Attributes:
        groups: number of groups.
        folds: of the split; fewer than wanted where groups are few.
        parts: part -> class -> cells; empty where there is no such split.
        tested: groups in the test part.
        problem: why there is none.
    """

    groups: int
    folds: int
    parts: Mapping[str, Mapping[str, int]]
    problem: str = ""
    tested: int = 0

    @property
    def words(self) -> str:
        """In a sentence."""
        if self.problem:
            return f"{counted(self.groups, 'group')}, no grouped split: {self.problem}"
        parts = []
        for part, cells in self.parts.items():
            classes = ", ".join(f"{name} {count}" for name, count in cells.items())
            beside = f" ({classes})" if len(cells) > 1 else ""
            parts.append(f"{part} {sum(cells.values())}{beside}")
        return f"{counted(self.groups, 'group')}; {', '.join(parts)}"


def outlook(
    groups: Sequence[str], labels: Sequence[str | None], split: SplitParams, seed: int
) -> Outlook:
    """What a grouped split of cells would leave, duplicates aside.

    Args:
        groups: of each cell.
        labels: of each cell; None where unknown, all None without classes.
        split: fractions and folds that are wanted.
        seed: `common.seed`.
    """
    number = len(set(groups))
    names = [UNKNOWN if label is None else label for label in labels]
    cells = pa.table(
        {
            "cell_id": pa.array([f"{k:09d}" for k in range(len(groups))], pa.string()),
            "group": pa.array(list(groups), pa.string()),
            "label": pa.array(names, pa.string()),
            "external": pa.array([False] * len(groups), pa.bool_()),
        }
    )
    clusters = pa.table({"cell_id": pa.array([], pa.string()), "cluster": pa.array([], pa.int64())})
    required = frozenset(names) - {UNKNOWN}
    problem = ""
    for folds in range(split.folds, FEWEST_FOLDS - 1, -1):
        wanted = split.model_copy(update={"strategy": "grouped", "folds": folds})
        try:
            found = make_split(cells, clusters, wanted, seed, required).table["part"].to_pylist()
        except SplitError as error:
            problem = error.message
            if "folds" not in problem:
                break
            continue
        counts = Counter(zip(found, names, strict=True))
        classes = list(dict.fromkeys(sorted(names)))
        parts = {part: {name: counts[part, name] for name in classes} for part in PARTS}
        tested = {group for group, part in zip(groups, found, strict=True) if part == PARTS[2]}
        return Outlook(number, folds, parts, tested=len(tested))
    return Outlook(number, 0, {}, problem)

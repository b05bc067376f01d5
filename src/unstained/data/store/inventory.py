"""Whether a source holds the cells that it should: every class, and every promised count."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from json import JSONDecodeError
from pathlib import Path

from unstained.config.names import alike
from unstained.config.study import StudyData
from unstained.data.readers.protocol import Acquisition
from unstained.errors import SourceError
from unstained.files import read_json
from unstained.wording import counted

MANIFEST = "manifest.json"
EXPECTED = "complete the download, or correct studies.<study>.data.expected"


@dataclass
class Tally:
    """Cells of one acquisition.

    Attributes:
        cells: usable cells.
        refused: items that were quarantined; each may have been a cell.
    """

    cells: int = 0
    refused: int = 0


def require_distinct(acquisitions: Iterable[Acquisition], source: Path) -> None:
    """Refuse acquisitions whose names are one but for case or how letters are encoded.

    A split would take them for independent, and tear apart what was recorded together.

    Raises:
        SourceError: names two of them.
    """
    if twins := alike(one.name for one in acquisitions):
        raise SourceError(
            f"{source} has the acquisitions {twins[0]!r} and {twins[1]!r}, which differ in case or "
            "encoding alone: a split could tear one apart",
            "where they are one, write them alike (in the table, or the names of folders and "
            "files); where they are two, give them names that differ in more",
        )


def check_inventory(data: StudyData, source: Path, tallies: Mapping[Acquisition, Tally]) -> None:
    """Compare counts with `data.expected` and with the source's manifest.json, where there is one.

    A count may fall short by what was quarantined, not by more. A source of external cells alone
    may lack classes, and so may the rest of a source that has external cells of them.

    Raises:
        SourceError: a class has no cell, or a count is not the promised one.
    """
    own = {a: t for a, t in tallies.items() if not a.external}
    labels = _sum({a: t for a, t in tallies.items() if t.cells}, "label")
    required = dict.fromkeys(rule.name for rule in data.classes if not rule.external)
    empty = [name for name in required if name not in labels]
    if empty and any(tally.cells for tally in own.values()):
        raise SourceError(
            f"class {', '.join(empty)} has no cell in {source}",
            "add its directories to the source, or take it out of studies.<study>.data.tasks",
        )
    if data.expected is not None and data.classes:
        _compare("class", data.expected, _sum(own, "label"), EXPECTED)
    if (source / MANIFEST).is_file():
        remedy = f"complete the download, or correct {source / MANIFEST}"
        _compare("directory", _promised(source / MANIFEST), _sum(tallies, "directory"), remedy)


def check_expected(data: StudyData, labels: Mapping[str, int], refused: int) -> None:
    """Compare `data.expected` with classes that cells themselves tell, where no rules do.

    Args:
        data: the study's section.
        labels: class -> usable cells that are not external.
        refused: items that were quarantined; each may have been a cell of any class.

    Raises:
        SourceError: a count is not the promised one.
    """
    if data.expected is not None and not data.classes:
        found = {name: Tally(labels.get(name, 0), refused) for name in {*labels, *data.expected}}
        _compare("class", data.expected, found, EXPECTED)


def _sum(tallies: Mapping[Acquisition, Tally], attribute: str) -> dict[str, Tally]:
    cells: Counter[str] = Counter()
    refused: Counter[str] = Counter()
    for acquisition, tally in tallies.items():
        cells[getattr(acquisition, attribute) or ""] += tally.cells
        refused[getattr(acquisition, attribute) or ""] += tally.refused
    return {name: Tally(cells[name], refused[name]) for name in cells}


def _promised(manifest: Path) -> dict[str, int]:
    try:
        cells = read_json(manifest)["cells"]
        return {str(name): int(count) for name, count in cells.items()}
    except (
        JSONDecodeError,
        KeyError,
        TypeError,
        ValueError,
        OverflowError,
        AttributeError,
    ) as error:
        raise SourceError(
            f'{manifest} is not {{"cells": {{directory: count}}}}: {error!r}',
            "correct it or remove it",
        ) from error


def _compare(
    kind: str, promised: Mapping[str, int], found: Mapping[str, Tally], remedy: str
) -> None:
    wrong = []
    for name in sorted({*promised, *found}):
        tally, wanted = found.get(name, Tally()), promised.get(name, 0)
        if not tally.cells <= wanted <= tally.cells + tally.refused:
            beside = f" and {tally.refused} quarantined" if tally.refused else ""
            wrong.append(
                f"{kind} {name} has {counted(tally.cells, 'cell')}{beside}, {wanted} promised"
            )
    if wrong:
        raise SourceError("; ".join(wrong), remedy)

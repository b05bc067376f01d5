"""What lies at the source and is not in the study: counts by reason, and the first files."""

from __future__ import annotations

import csv
import re
from collections import Counter
from pathlib import Path
from typing import Final

from unstained.report.page import Block, Cell, Section, Table, Text
from unstained.report.prose import Prose
from unstained.wording import counted

PROSE = Prose(__name__)

MOST_REASONS: Final = 15
MOST_FILES: Final = 20
LINK: Final = "../ingest/quarantine.csv"
"""Where the file lies, seen from the page in runs/<study>/report."""

_NUMBER: Final = re.compile(r"\d[\d.,]*")


def left_out_section(quarantine: Path) -> Section:
    """The section on files and cells that ingest left out.

    Args:
        quarantine: quarantine.csv of the stage ingest.
    """
    with quarantine.open(newline="", encoding="utf-8") as file:
        rows = [(row["kind"], row["reason"], row["source_file"]) for row in csv.DictReader(file)]
    blocks: tuple[Block, ...] = (Text((PROSE("nothing_left_out"),)),)
    if rows:
        blocks = (_reasons(rows), _files(rows), Text((), ((PROSE("left_out_link"), LINK),)))
    refused = sum(kind == "quarantined" for kind, _, _ in rows)
    lead = PROSE("left_out_lead", refused=f"{refused:,}", unread=f"{len(rows) - refused:,}")
    return Section("left-out", "What was left out", "Left out", lead, blocks)


def _reasons(rows: list[tuple[str, str, str]]) -> Table:
    """Counts; reasons that differ in numbers alone are one."""
    counts: Counter[tuple[str, str]] = Counter()
    first: dict[tuple[str, str], tuple[str, str]] = {}
    for kind, reason, file in rows:
        key = (kind, _NUMBER.sub("N", reason))
        counts[key] += 1
        first.setdefault(key, (reason, file))
    listed = sorted(counts, key=lambda key: (-counts[key], key))
    table = [
        (Cell(key[0], strong=True), Cell(f"{counts[key]:,}"), Cell(first[key][0], first[key][1]))
        for key in listed[:MOST_REASONS]
    ]
    if len(listed) > MOST_REASONS:
        rest = sum(counts[key] for key in listed[MOST_REASONS:])
        more = len(listed) - MOST_REASONS
        table.append((Cell("others"), Cell(f"{rest:,}"), Cell(counted(more, "more reason"))))
    return Table(
        "Files and cells, by kind and reason",
        ("", "Count", "Reason, with an example"),
        tuple(table),
    )


def _files(rows: list[tuple[str, str, str]]) -> Table:
    listed = sorted((file, kind, reason) for kind, reason, file in rows)
    return Table(
        f"The first {min(MOST_FILES, len(rows)):,} of {len(rows):,}, by name",
        ("", "Kind", "Reason"),
        tuple((Cell(file), Cell(kind), Cell(reason)) for file, kind, reason in listed[:MOST_FILES]),
    )

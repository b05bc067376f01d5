"""The leaderboard as a table: for a terminal, and as CSV for `dvc plots` and spreadsheets."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

from unstained.registry.standings import (
    Entry,
    Leaderboard,
    findings,
    has_classes,
    is_worse,
    metric_words,
    number,
    side_numbers,
    side_tasks,
)

if TYPE_CHECKING:
    from rich.console import Group


def as_csv(leaderboard: Leaderboard) -> str:
    """One line an entry, for `dvc plots` and spreadsheets."""
    out = io.StringIO()
    rows = [_row(entry) for entry in leaderboard["entries"]]
    writer = csv.DictWriter(out, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def _row(entry: Entry) -> dict[str, object]:
    leader, champion = entry["versus_leader"], entry["versus_champion"]
    row: dict[str, object] = {
        "version": entry["version"],
        "model": entry["model"],
        "aliases": " ".join(entry["aliases"]),
    }
    names = ("value", "low", "high", "validation", "ece", "min_class_recall")
    row |= {name: entry[name] for name in names}  # type: ignore[literal-required]
    row |= {f"recall_{name}": value for name, value in entry["recalls"].items()}
    for task, metrics in entry["tasks"].items():
        row |= {f"{name}_{task}": value for name, value in metrics.items()}
    row |= {"parity_passed": entry["parity_passed"], "latency_ms": entry["latency_ms"]}
    for name, versus in (("leader", leader), ("champion", champion)):
        row[f"difference_to_{name}"] = versus["difference"] if versus else None
        row[f"p_adjusted_to_{name}"] = versus["p_adjusted"] if versus else None
    return row


def render_leaderboard(leaderboard: Leaderboard) -> Group:
    """The table for a terminal, 80 characters wide and with several lines a version."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    simulated = " (simulated cells)" if leaderboard["simulated"] else ""
    table = Table(
        title=f"{leaderboard['study']}: {leaderboard['name']}{simulated}",
        box=SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
    )
    metric = metric_words(leaderboard)
    for heading in ("", "model"):
        table.add_column(heading, no_wrap=True)
    classes = ("worst\nclass", "ECE") if has_classes(leaderboard) else ()
    for heading in (
        metric,
        "to\nleader",
        *classes,
        "ms",
        *(["tasks"] if side_tasks(leaderboard) else []),
    ):
        table.add_column(heading, justify="right", no_wrap=True)
    for entry in leaderboard["entries"]:
        champion = "champion" in entry["aliases"]
        table.add_row(*_cells(leaderboard, entry), style="bold" if champion else None)
    return Group(table, *(Text(line) for line in findings(leaderboard)))


def _cells(leaderboard: Leaderboard, entry: Entry) -> list[str]:
    versus = entry["versus_leader"]
    difference = "leader"
    if versus is not None:
        star = "*" if is_worse(leaderboard, entry) else ""
        difference = f"{versus['difference']:+.3f}{star}\np {versus['p_adjusted']:.3f}"
    marks = [*entry["aliases"], *(["new"] if entry["new"] else [])]
    return [
        f"v{entry['version']}",
        "\n".join([entry["model"], *([", ".join(marks)] if marks else [])]),
        f"{entry['value']:.3f}\n{entry['low']:.3f}-{entry['high']:.3f}",
        difference,
        *(
            [number(entry["min_class_recall"]), number(entry["ece"])]
            if has_classes(leaderboard)
            else []
        ),
        f"{entry['latency_ms']:.1f}",
        *(["\n".join(side_numbers(leaderboard, entry))] if side_tasks(leaderboard) else []),
    ]

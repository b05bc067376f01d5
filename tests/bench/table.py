"""One way to print a benchmark: what, ratio, goal, how it came about."""

from __future__ import annotations

from dataclasses import dataclass

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True)
class Row:
    """A ratio from one run. `at_most` turns the goal into an upper bound."""

    name: str
    ratio: float
    goal: float | None
    how: str
    at_most: bool = False

    @property
    def verdict(self) -> str:
        """'met', 'missed' or nothing where there is no goal."""
        if self.goal is None:
            return ""
        met = self.ratio <= self.goal if self.at_most else self.ratio >= self.goal
        return "met" if met else "missed"


def show(title: str, rows: list[Row]) -> None:
    """Print the rows as a table."""
    table = Table(title=title, title_justify="left")
    for heading in ("what", "ratio", "goal", "", "how"):
        table.add_column(heading)
    for row in rows:
        sign = "<=" if row.at_most else ">="
        goal = "" if row.goal is None else f"{sign} {row.goal:g}"
        table.add_row(row.name, f"{row.ratio:.2f}", goal, row.verdict, row.how)
    Console(width=120).print(table)

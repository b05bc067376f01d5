"""All that the page on uncertainty is made of in a study without classes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from unstained.evaluation.uncertainty import value_suspects, value_tables
from unstained.evaluation.uncertainty.predictions import Replicas
from unstained.evaluation.uncertainty.quantities import Quantity, quantities
from unstained.evaluation.uncertainty.results import Row, Shared, records
from unstained.evaluation.uncertainty.value_intervals import ABSOLUTE, Distances, coverage_table
from unstained.statistics.intervals import Resampling


@dataclass(frozen=True)
class ValueResults(Shared):
    """Tables by quantity (`value_tables`, `value_intervals`, `unknown_kinds`, `value_suspects`).

    `composition` holds means of groups, `rare` the errors at both ends of the true numbers.

    Attributes:
        asked: the quantities.
    """

    asked: tuple[Quantity, ...]

    @property
    def known(self) -> list[Quantity]:
        """Quantities whose truth is known of some test cell."""
        names = set(self.coverage["quantity"]) if len(self.coverage) else set()
        return [quantity for quantity in self.asked if quantity.name in names]

    def rows(self, table: str, **where: Any) -> list[Row]:
        """Rows of a table whose columns have some values."""
        found: pd.DataFrame = getattr(self, table)
        return [row for row in records(found) if all(row[k] == v for k, v in where.items())]

    def row(self, table: str, **where: Any) -> Row:
        """The only such row."""
        (found,) = self.rows(table, **where)
        return found

    def held(self, model: str, quantity: str, method: str = ABSOLUTE) -> Row:
        """Coverage of all test cells."""
        return self.row("coverage", model=model, quantity=quantity, method=method, part="all")


def make_results(
    replicas: Replicas,
    distances: Mapping[str, Distances],
    draws: Resampling,
    alpha: float,
    shared: Mapping[str, Any],
) -> ValueResults:
    """All tables.

    Args:
        replicas: best first.
        distances: of the cells of each model's first replicate.
        draws: bootstrap weights of the test cells.
        alpha: accepted fraction of cells outside their intervals.
        shared: the other attributes of `Shared`, and `outliers`.
    """
    asked, level = quantities(shared["data"].tasks), shared["confidence"]
    found = {one: value_suspects.out_of_fold(replicas, one) for one in asked}
    return ValueResults(
        **shared,
        asked=asked,
        calibration=value_tables.calibration_table(replicas, asked, draws, level),
        coverage=coverage_table(replicas, asked, alpha, distances, draws, level),
        selective=value_tables.selective_table(replicas, asked, distances, draws, level),
        curves=value_tables.curves_table(replicas, asked, distances),
        composition=value_tables.groups_table(replicas, asked),
        rare=value_tables.ends_table(replicas, asked, alpha, draws, level),
        audits=value_suspects.audits_table(found),
        suspects=value_suspects.suspects_table(found, shared["params"].suspects),
    )


def headline(results: ValueResults) -> dict[str, str | int | float | bool | None]:
    """Numbers of the model that is best on validation cells, rounded; None where undefined."""
    best = results.best
    metrics: dict[str, str | int | float | bool | None] = {"best": best}
    for quantity in results.known:
        held = results.held(best, quantity.name)
        gain = results.row("selective", model=best, quantity=quantity.name, measure="gain")
        metrics[f"{quantity.name}_coverage"] = _finite(held["coverage"])
        metrics[f"{quantity.name}_relative_width"] = _finite(held["relative"])
        metrics[f"{quantity.name}_gain_by_distance"] = _finite(gain["value"])
    for row in results.rows("outliers", model=best):
        metrics[f"auroc_{row['kind']}_{row['score']}"] = _finite(row["auroc"])
    metrics["suspects"] = len(results.suspects)
    return metrics


def _finite(value: float) -> float | None:
    """A rounded number; None for what JSON does not know."""
    return round(value, 6) if abs(value) < float("inf") else None

"""All that the page on uncertainty is made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd

from unstained.config.study import StudyData
from unstained.config.uncertainty import UncertaintyParams
from unstained.evaluation.label_errors import MarkerGate
from unstained.evaluation.uncertainty.predictions import Replicas

ROUNDING: Final = 1e-9

Row = dict[str, Any]
"""One row of a table: column -> value."""


def records(table: pd.DataFrame) -> list[Row]:
    """Rows of a table, in its order."""
    return [{str(key): value for key, value in row.items()} for row in table.to_dict("records")]


@dataclass(frozen=True)
class Shared:
    """What results of studies with and without classes have in common: tables of all models.

    Their columns are documented where they are made.

    Attributes:
        data, params: of the study.
        confidence: of all intervals.
        replicas: number a model.
        test_cells, test_groups: what models are tested on.
        caveat: what a reader must know of the intervals, or ''.
        apart: whether groups of test and held-out cells are apart from those of training.
        impure: fractions of debris and doublets among the simulator's ordinary cells, training
            cells too; None for real cells.
        simulated: whether the simulator made the cells.
    """

    data: StudyData
    params: UncertaintyParams
    confidence: float
    replicas: int
    test_cells: int
    test_groups: int
    caveat: str
    calibration: pd.DataFrame
    coverage: pd.DataFrame
    selective: pd.DataFrame
    curves: pd.DataFrame
    outliers: pd.DataFrame
    composition: pd.DataFrame
    rare: pd.DataFrame
    audits: pd.DataFrame
    suspects: pd.DataFrame
    apart: bool
    impure: tuple[float, float] | None
    simulated: bool

    @property
    def models(self) -> list[str]:
        """Names, best first on validation cells."""
        return list(dict.fromkeys(self.outliers["model"]))

    @property
    def best(self) -> str:
        """The first of them."""
        return self.models[0]

    @property
    def group_word(self) -> str:
        """What a group is called in a sentence."""
        return self.data.group_words[0]

    @property
    def groups_word(self) -> str:
        """The same of several."""
        return self.data.group_words[1]

    def taught(self, table: pd.DataFrame) -> pd.DataFrame:
        """Rows of models that have learnt something; all where that is not asked."""
        return table


@dataclass(frozen=True)
class Results(Shared):
    """Tables of a study with classes (`tables`, `unknown_kinds`, `mixtures`, `suspects`).

    Attributes:
        guessing: error rate of always calling the commonest class of the test cells.
        composition_summary: of the table `composition`.
        gates: of the markers, () where nothing is gated.
        gate_counts: class -> what fluorescence says -> cells.
    """

    guessing: float
    composition_summary: pd.DataFrame
    gates: tuple[MarkerGate, ...]
    gate_counts: dict[str, dict[str, int]]

    @property
    def untaught(self) -> list[str]:
        """Models whose error rate cannot be told from guessing."""
        found = self.measure("risk_all")
        return [m for m in self.models if found[m]["high"] >= self.guessing - ROUNDING]

    def taught(self, table: pd.DataFrame) -> pd.DataFrame:
        """Rows of models that have learnt something; all where none has."""
        known = table[~table["model"].isin(self.untaught)]
        return known if len(self.untaught) < len(self.models) else table

    def measure(self, name: str) -> dict[str, Row]:
        """A measure of abstention: model -> value, low, high, sd."""
        chosen = records(self.selective[self.selective["measure"] == name])
        return {row["model"]: row for row in chosen}


def guessing_risk(replicas: Replicas) -> float:
    """Error rate of always calling the commonest class of the test cells."""
    labels = next(iter(replicas.values()))[0].test.classes.labels
    return float(1.0 - np.bincount(labels).max() / len(labels))


def headline(results: Results) -> dict[str, str | int | float | bool | None]:
    """Numbers of the model that is best on validation cells, rounded; None where undefined."""

    def own(table: pd.DataFrame, **where: str) -> list[Row]:
        rows = [row for row in records(table) if row["model"] == results.best]
        return [row for row in rows if all(row[key] == value for key, value in where.items())]

    (ece,), (covered,) = (
        own(results.calibration, measure="ece"),
        own(results.coverage, part="all"),
    )
    metrics: dict[str, str | int | float | bool | None] = {
        "best": results.best,
        "ece": ece["after"],
        "coverage": covered["coverage"],
        "least_group_coverage": min(r["coverage"] for r in own(results.coverage, part="group")),
        "aurc": results.measure("aurc")[results.best]["value"],
        "answered": results.measure("coverage")[results.best]["value"],
        "risk_of_answers": results.measure("risk")[results.best]["value"],
    }
    for row in own(results.outliers):
        metrics[f"auroc_{row['kind']}_{row['score']}"] = row["auroc"]
    for row in own(results.composition_summary):
        metrics[f"composition_error_{row['method']}"] = row["error"]
    metrics["suspects"] = int(results.audits["suspects"].iloc[0])
    return {
        key: _finite(value) if isinstance(value, float) else value for key, value in metrics.items()
    }


def _finite(value: float) -> float | None:
    """A rounded number; None for NaN, which JSON does not know."""
    return None if value != value else round(value, 6)

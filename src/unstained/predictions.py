"""The table of predictions: one row a cell, written and read here and nowhere else.

| column | meaning |
|---|---|
| cell_id, group | names |
| label | number of the true class, -1 where it is not known |
| part | 'val', 'test', 'external', or 'unlearnt': external cells of a kind that no class names |
| logit_<k>, probability_<k> | of class k, before and after temperature scaling |
| predicted | number of the most probable class |
| target_<value>, predicted_<value> | true and predicted value; true is NaN where not recorded |
| low_<value>, high_<value> | ends of its interval; absent where none was fitted |
| share_<p>:<task>, predicted_<p>:<task> | true and predicted share of part p; NaN as above |
| set_<k> | whether class k is in the conformal set |

Where a study has several classes tasks, the columns of each end in `:<task>`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from unstained.config.tasks import ClassesParams, ProportionParams, TaskParams, ValueParams
from unstained.files import whole_file
from unstained.statistics.metrics import Floats, Labels

if TYPE_CHECKING:
    import pandas as pd

LABEL: Final = "label"
LOGIT, PROBABILITY, SET = "logit_", "probability_", "set_"
TARGET, PREDICTED, SHARE = "target_", "predicted_", "share_"
LOW, HIGH = "low_", "high_"
CHALLENGER: Final = "challenger_"
"""Before the name of a column that another model than the champion says."""
OF: Final = ":"
"""Between a column's name and the task that it belongs to; no task's name holds it."""

ONLY: Final = ""
"""Key of a study's only classes task, whose columns have no task in their names."""

UNKNOWN: Final = -1
"""Label of a cell whose class is not known."""


@dataclass(frozen=True)
class ClassPredictions:
    """Predicted classes of N cells.

    Attributes:
        labels: (N,) true classes, `UNKNOWN` where not known.
        logits, probabilities: (N, K), before and after temperature scaling.
        sets: (N, K) bool, conformal sets.
    """

    labels: Labels
    logits: Floats
    probabilities: Floats
    sets: np.ndarray

    @property
    def truth(self) -> Labels:
        """The labels, named as for other kinds of tasks."""
        return self.labels

    @property
    def predicted(self) -> Labels:
        """(N,) most probable classes."""
        return np.asarray(self.logits.argmax(axis=1))

    @property
    def confidence(self) -> Floats:
        """(N,) probabilities of the predicted classes."""
        return np.asarray(self.probabilities.max(axis=1))

    @property
    def wrong(self) -> np.ndarray:
        """(N,) whether the predicted class is not the true one."""
        return np.asarray(self.predicted != self.labels)

    @property
    def known(self) -> np.ndarray:
        """(N,) whether the true class is known."""
        return np.asarray(self.labels != UNKNOWN)

    def take(self, rows: np.ndarray) -> ClassPredictions:
        """The cells at some positions."""
        return ClassPredictions(
            self.labels[rows], self.logits[rows], self.probabilities[rows], self.sets[rows]
        )


@dataclass(frozen=True)
class ValuePredictions:
    """Predicted values of N cells, in the value's own (transformed) scale.

    Attributes:
        truth: (N,) true values, NaN where not recorded.
        predicted: (N,).
        bounds: ends (N,) each of the conformal intervals, infinite where nothing can be promised;
            None where none were fitted.
    """

    truth: Floats
    predicted: Floats
    bounds: tuple[Floats, Floats] | None = None

    @property
    def known(self) -> np.ndarray:
        """(N,) whether the true value is recorded."""
        return np.asarray(~np.isnan(self.truth))

    def take(self, rows: np.ndarray) -> ValuePredictions:
        """The cells at some positions."""
        bounds = None if self.bounds is None else (self.bounds[0][rows], self.bounds[1][rows])
        return ValuePredictions(self.truth[rows], self.predicted[rows], bounds)


@dataclass(frozen=True)
class SharePredictions:
    """Predicted shares of a whole of N cells.

    Attributes:
        parts: P names.
        truth: (N, P) true shares, a row NaN where not recorded.
        predicted: (N, P).
    """

    parts: tuple[str, ...]
    truth: Floats
    predicted: Floats

    @property
    def known(self) -> np.ndarray:
        """(N,) whether the true shares are recorded."""
        return np.asarray(~np.isnan(self.truth).any(axis=1))

    def take(self, rows: np.ndarray) -> SharePredictions:
        """The cells at some positions."""
        return SharePredictions(self.parts, self.truth[rows], self.predicted[rows])


TaskPredictions = ClassPredictions | ValuePredictions | SharePredictions


@dataclass(frozen=True)
class Predictions:
    """What one model says of N cells, beside what is known of them.

    Attributes:
        cell_id, group, part: (N,) names.
        by_class: classes task -> predicted classes; the only one of a study has the key `ONLY`.
        values: value -> predicted values.
        shares: proportion -> predicted shares.
    """

    cell_id: np.ndarray
    group: np.ndarray
    part: np.ndarray
    by_class: Mapping[str, ClassPredictions] = field(default_factory=dict)
    values: Mapping[str, ValuePredictions] = field(default_factory=dict)
    shares: Mapping[str, SharePredictions] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.cell_id)

    @property
    def classes(self) -> ClassPredictions:
        """Predicted classes of the first classes task.

        Raises:
            StopIteration: there is none.
        """
        return next(iter(self.by_class.values()))

    def of_task(self, task: TaskParams) -> TaskPredictions | None:
        """Predictions of a task, None where the table does not hold them."""
        match task:
            case ValueParams():
                return self.values.get(task.name)
            case ProportionParams():
                return self.shares.get(task.name)
            case ClassesParams():
                return self.by_class.get(task.name, self.by_class.get(ONLY))

    @property
    def strata(self) -> Labels:
        """(N,) what bootstrap resamples of groups are stratified by: the first classes, or 0.

        -1 where the class is not known.
        """
        return self.classes.labels if self.by_class else np.zeros(len(self), dtype=np.int64)

    def take(self, rows: np.ndarray) -> Predictions:
        """The cells at some positions."""
        return Predictions(
            self.cell_id[rows],
            self.group[rows],
            self.part[rows],
            {name: found.take(rows) for name, found in self.by_class.items()},
            {name: found.take(rows) for name, found in self.values.items()},
            {name: found.take(rows) for name, found in self.shares.items()},
        )

    def of(self, part: str) -> Predictions:
        """The cells of a part, in order of cell_id."""
        rows = np.flatnonzero(self.part == part)
        return self.take(rows[np.argsort(self.cell_id[rows], kind="stable")])


def write_predictions(path: Path, predictions: Predictions) -> None:
    """Write the table as Parquet, whole or not at all."""
    with whole_file(path) as temporary:
        predictions_table(predictions).to_parquet(temporary, index=False)


def read_predictions(path: Path) -> Predictions:
    """Read a table that `write_predictions` wrote; its columns say what was predicted."""
    import pandas as pd

    return parse_predictions(pd.read_parquet(path))


def predictions_table(predictions: Predictions) -> pd.DataFrame:
    """Predictions as a table, columns as in the module's description."""
    import pandas as pd

    classes = {_end(name): found for name, found in predictions.by_class.items()}
    columns: dict[str, np.ndarray] = {"cell_id": predictions.cell_id, "group": predictions.group}
    columns |= {f"{LABEL}{end}": found.labels for end, found in classes.items()}
    columns["part"] = predictions.part
    for end, found in classes.items():
        columns |= _numbered(LOGIT, found.logits, end)
        columns |= _numbered(PROBABILITY, found.probabilities, end)
        columns[f"predicted{end}"] = found.predicted
    for name, values in predictions.values.items():
        columns |= {f"{TARGET}{name}": values.truth, f"{PREDICTED}{name}": values.predicted}
        if values.bounds is not None:
            columns |= {f"{LOW}{name}": values.bounds[0], f"{HIGH}{name}": values.bounds[1]}
    for name, shares in predictions.shares.items():
        for k, part in enumerate(shares.parts):
            columns[f"{SHARE}{part}{OF}{name}"] = shares.truth[:, k]
            columns[f"{PREDICTED}{part}{OF}{name}"] = shares.predicted[:, k]
    for end, found in classes.items():
        columns |= _numbered(SET, found.sets, end)
    return pd.DataFrame(columns)


def parse_predictions(table: pd.DataFrame) -> Predictions:
    """A table as predictions, see `read_predictions`."""
    stored = [str(name) for name in table]
    parts: dict[str, list[str]] = {}
    for name in stored:
        if name.startswith(SHARE):
            part, _, task = name.removeprefix(SHARE).rpartition(OF)
            parts.setdefault(task, []).append(part)
    return Predictions(
        cell_id=table["cell_id"].to_numpy(str),
        group=table["group"].to_numpy(str),
        part=table["part"].to_numpy(str),
        by_class={name: _classes(table, _end(name)) for name in _classes_tasks(stored)},
        values={
            name: _value(table, name)
            for name in (n.removeprefix(TARGET) for n in stored if n.startswith(TARGET))
        },
        shares={task: _shares(table, task, names) for task, names in parts.items()},
    )


def _classes_tasks(stored: Iterable[str]) -> list[str]:
    """Tasks that the columns of labels belong to."""
    heads = (name.partition(OF) for name in stored)
    return [task for head, _, task in heads if head == LABEL]


def _classes(table: pd.DataFrame, end: str) -> ClassPredictions:
    names = [str(name) for name in table if str(name).startswith(LOGIT)]
    count = sum(name.removeprefix(LOGIT).removesuffix(end).isdigit() for name in names)
    logits, probabilities, sets = (
        table[[f"{stem}{k}{end}" for k in range(count)]].to_numpy()
        for stem in (LOGIT, PROBABILITY, SET)
    )
    return ClassPredictions(table[f"{LABEL}{end}"].to_numpy(np.int64), logits, probabilities, sets)


def _value(table: pd.DataFrame, name: str) -> ValuePredictions:
    truth, predicted = (_column(table, f"{stem}{name}") for stem in (TARGET, PREDICTED))
    if f"{LOW}{name}" not in table:
        return ValuePredictions(truth, predicted)
    bounds = _column(table, f"{LOW}{name}"), _column(table, f"{HIGH}{name}")
    return ValuePredictions(truth, predicted, bounds)


def _shares(table: pd.DataFrame, task: str, parts: list[str]) -> SharePredictions:
    truth, predicted = (
        table[[f"{stem}{part}{OF}{task}" for part in parts]].to_numpy(np.float64)
        for stem in (SHARE, PREDICTED)
    )
    return SharePredictions(tuple(parts), truth, predicted)


def _column(table: pd.DataFrame, name: str) -> Floats:
    return table[name].to_numpy(np.float64)


def _end(task: str) -> str:
    return f"{OF}{task}" if task else ""


def _numbered(stem: str, columns: np.ndarray, end: str) -> dict[str, np.ndarray]:
    """The columns of (N, K) numbers."""
    return {f"{stem}{k}{end}": column for k, column in enumerate(columns.T)}

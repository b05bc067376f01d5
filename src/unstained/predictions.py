"""The table of predictions: one row a cell, written and read here and nowhere else.

| column | meaning |
|---|---|
| cell_id, group | names |
| label | number of the true class, -1 where it is not known |
| part | 'val', 'test' or 'external' |
| logit_<k>, probability_<k> | of class k, before and after temperature scaling |
| predicted | number of the most probable class |
| target_<name>, predicted_<name> | true and predicted value; true is NaN where not recorded |
| set_<k> | whether class k is in the conformal set |
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from unstained.files import whole_file
from unstained.statistics.metrics import Floats, Labels

if TYPE_CHECKING:
    import pandas as pd

LOGIT, PROBABILITY, SET = "logit_", "probability_", "set_"
TARGET, PREDICTED = "target_", "predicted_"

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

    def take(self, rows: np.ndarray) -> ClassPredictions:
        """The cells at some positions."""
        return ClassPredictions(
            self.labels[rows], self.logits[rows], self.probabilities[rows], self.sets[rows]
        )


@dataclass(frozen=True)
class ValuePredictions:
    """Predicted values of N cells, in the target's own (transformed) scale.

    Attributes:
        truth: (N,) true values, NaN where not recorded.
        predicted: (N,).
    """

    truth: Floats
    predicted: Floats

    def take(self, rows: np.ndarray) -> ValuePredictions:
        """The cells at some positions."""
        return ValuePredictions(self.truth[rows], self.predicted[rows])


@dataclass(frozen=True)
class Predictions:
    """What one model says of N cells, beside what is known of them.

    Attributes:
        cell_id, group, part: (N,) names.
        classes: predicted classes.
        values: name of a target -> predicted values.
    """

    cell_id: np.ndarray
    group: np.ndarray
    part: np.ndarray
    classes: ClassPredictions
    values: Mapping[str, ValuePredictions] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.cell_id)

    def take(self, rows: np.ndarray) -> Predictions:
        """The cells at some positions."""
        return Predictions(
            self.cell_id[rows],
            self.group[rows],
            self.part[rows],
            self.classes.take(rows),
            {name: found.take(rows) for name, found in self.values.items()},
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

    found = predictions.classes
    columns: dict[str, np.ndarray] = {
        "cell_id": predictions.cell_id,
        "group": predictions.group,
        "label": found.labels,
        "part": predictions.part,
    }
    columns |= _numbered(LOGIT, found.logits) | _numbered(PROBABILITY, found.probabilities)
    columns["predicted"] = found.predicted
    for name, values in predictions.values.items():
        columns |= {f"{TARGET}{name}": values.truth, f"{PREDICTED}{name}": values.predicted}
    return pd.DataFrame(columns | _numbered(SET, found.sets))


def parse_predictions(table: pd.DataFrame) -> Predictions:
    """A table as predictions, see `read_predictions`."""
    stored = [str(name) for name in table]
    classes = range(sum(name.startswith(LOGIT) for name in stored))
    logits, probabilities, sets = (
        table[[f"{stem}{k}" for k in classes]].to_numpy() for stem in (LOGIT, PROBABILITY, SET)
    )
    names = [name.removeprefix(TARGET) for name in stored if name.startswith(TARGET)]
    return Predictions(
        cell_id=table["cell_id"].to_numpy(str),
        group=table["group"].to_numpy(str),
        part=table["part"].to_numpy(str),
        classes=ClassPredictions(table["label"].to_numpy(np.int64), logits, probabilities, sets),
        values={
            name: ValuePredictions(
                table[f"{TARGET}{name}"].to_numpy(np.float64),
                table[f"{PREDICTED}{name}"].to_numpy(np.float64),
            )
            for name in names
        },
    )


def _numbered(stem: str, columns: np.ndarray) -> dict[str, np.ndarray]:
    """The columns of (N, K) numbers."""
    return {f"{stem}{k}": column for k, column in enumerate(columns.T)}

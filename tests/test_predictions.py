"""The table of predictions keeps what a model said, byte for byte."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from unstained.predictions import (
    ClassPredictions,
    Predictions,
    ValuePredictions,
    read_predictions,
    write_predictions,
)

CELLS = 30


@pytest.fixture
def made() -> Predictions:
    """Predictions in no order of cell_id, with an unknown class and missing values."""
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(CELLS, 11))  # ten and more columns, so that text order is not theirs
    odds = np.exp(logits)
    truth = rng.normal(size=CELLS)
    truth[::4] = np.nan
    return Predictions(
        cell_id=np.array([f"g{k % 3}/{k}" for k in rng.permutation(CELLS)]),
        group=np.array([f"g{k % 3}" for k in range(CELLS)]),
        part=np.array(["val", "test", "external"])[np.arange(CELLS) % 3],
        classes=ClassPredictions(
            labels=np.arange(CELLS) % 12 - 1,
            logits=logits,
            probabilities=odds / odds.sum(axis=1, keepdims=True),
            sets=rng.random((CELLS, 11)) > 0.5,
        ),
        values={
            "DNA": ValuePredictions(truth, rng.normal(size=CELLS)),
            "set_2": ValuePredictions(truth, rng.normal(size=CELLS)),
        },
    )


def test_what_is_written_is_read(made: Predictions, tmp_path: Path) -> None:
    path = tmp_path / "predictions.parquet"
    write_predictions(path, made)
    found = read_predictions(path)
    for name in ("cell_id", "group", "part"):
        np.testing.assert_array_equal(getattr(found, name), getattr(made, name))
    for name in ("labels", "logits", "probabilities", "sets"):
        np.testing.assert_array_equal(getattr(found.classes, name), getattr(made.classes, name))
    assert list(found.values) == ["DNA", "set_2"]
    for name, values in made.values.items():
        np.testing.assert_array_equal(found.values[name].truth, values.truth)
        np.testing.assert_array_equal(found.values[name].predicted, values.predicted)


def test_columns_are_those_that_other_tools_know(made: Predictions, tmp_path: Path) -> None:
    write_predictions(tmp_path / "p.parquet", made)
    table = pd.read_parquet(tmp_path / "p.parquet")
    numbers = range(11)
    assert list(table) == [
        *("cell_id", "group", "label", "part"),
        *(f"logit_{k}" for k in numbers),
        *(f"probability_{k}" for k in numbers),
        *("predicted", "target_DNA", "predicted_DNA", "target_set_2", "predicted_set_2"),
        *(f"set_{k}" for k in numbers),
    ]
    probabilities = table[[f"probability_{k}" for k in numbers]].to_numpy()
    np.testing.assert_array_equal(table["predicted"], probabilities.argmax(axis=1))


def test_a_part_comes_in_order_of_cell_id(made: Predictions) -> None:
    chosen = made.part == "test"
    expected = pd.DataFrame(
        {
            "cell_id": made.cell_id[chosen],
            "truth": made.values["DNA"].truth[chosen],
            "logit": made.classes.logits[chosen, 4],
        }
    ).sort_values("cell_id")
    found = made.of("test")
    assert len(found) == chosen.sum()
    np.testing.assert_array_equal(found.cell_id, expected["cell_id"])
    np.testing.assert_array_equal(found.values["DNA"].truth, expected["truth"])
    np.testing.assert_array_equal(found.classes.logits[:, 4], expected["logit"])


def test_wrong_and_confident_are_those_of_the_largest_probability(made: Predictions) -> None:
    found, largest = made.classes, made.classes.probabilities.argmax(axis=1)
    np.testing.assert_array_equal(found.wrong, largest != found.labels)
    np.testing.assert_array_equal(found.confidence, found.probabilities.max(axis=1))

"""The table of predictions keeps what a model said, byte for byte."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from unstained.config.tasks import ClassesParams, ProportionParams, ValueParams
from unstained.predictions import (
    ONLY,
    ClassPredictions,
    Predictions,
    SharePredictions,
    ValuePredictions,
    read_predictions,
    write_predictions,
)

CELLS = 30


def drawn_classes(rng: np.random.Generator, classes: int) -> ClassPredictions:
    """Any predictions of classes, some of them unknown."""
    logits = rng.normal(size=(CELLS, classes))
    odds = np.exp(logits)
    return ClassPredictions(
        labels=np.arange(CELLS) % (classes + 1) - 1,
        logits=logits,
        probabilities=odds / odds.sum(axis=1, keepdims=True),
        sets=rng.random((CELLS, classes)) > 0.5,
    )


@pytest.fixture
def made() -> Predictions:
    """Predictions in no order of cell_id, with unknown classes and missing values."""
    rng = np.random.default_rng(0)
    truth = rng.normal(size=CELLS)
    truth[::4] = np.nan
    shares = rng.dirichlet([1, 1, 1], CELLS)
    shares[::5] = np.nan
    return Predictions(
        cell_id=np.array([f"g{k % 3}/{k}" for k in rng.permutation(CELLS)]),
        group=np.array([f"g{k % 3}" for k in range(CELLS)]),
        part=np.array(["val", "test", "external"])[np.arange(CELLS) % 3],
        by_class={ONLY: drawn_classes(rng, 11)},  # ten and more: text order is not theirs
        values={
            "DNA": ValuePredictions(truth, rng.normal(size=CELLS)),
            "set_2": ValuePredictions(truth, rng.normal(size=CELLS)),
        },
        shares={
            "mix": SharePredictions(("a", "b_1", "c"), shares, rng.dirichlet([1, 1, 1], CELLS))
        },
    )


def several(made: Predictions) -> Predictions:
    """Two classes tasks and nothing else."""
    rng = np.random.default_rng(1)
    tasks = {"phase": drawn_classes(rng, 4), "phase_2": drawn_classes(rng, 12)}
    return Predictions(made.cell_id, made.group, made.part, tasks)


def without_classes(made: Predictions) -> Predictions:
    """Values and shares alone."""
    return Predictions(made.cell_id, made.group, made.part, {}, made.values, made.shares)


@pytest.mark.parametrize("change", [lambda made: made, several, without_classes])
def test_what_is_written_is_read(
    made: Predictions, change: Callable[[Predictions], Predictions], tmp_path: Path
) -> None:
    wanted, path = change(made), tmp_path / "predictions.parquet"
    write_predictions(path, wanted)
    found = read_predictions(path)
    for name in ("cell_id", "group", "part"):
        np.testing.assert_array_equal(getattr(found, name), getattr(wanted, name))
    for kind, fields in (
        ("by_class", ("labels", "logits", "probabilities", "sets")),
        ("values", ("truth", "predicted")),
        ("shares", ("parts", "truth", "predicted")),
    ):
        held, expected = getattr(found, kind), getattr(wanted, kind)
        assert list(held) == list(expected)
        for task, name in itertools.product(expected, fields):
            np.testing.assert_array_equal(
                getattr(held[task], name), getattr(expected[task], name), f"{kind} {task} {name}"
            )


def test_a_task_is_found_by_its_name(made: Predictions) -> None:
    lineage = ClassesParams(kind="classes", name="lineage", names=("a", "b"), column="label")
    phase = lineage.model_copy(update={"name": "phase"})
    value = ValueParams(kind="value", name="DNA", column="DNA")
    mix = ProportionParams(kind="proportion", name="mix", parts=("a", "b"), columns=("a", "b"))
    assert made.of_task(value) is made.values["DNA"]
    assert made.of_task(mix) is made.shares["mix"]
    assert made.of_task(lineage) is made.classes  # the only classes task, whatever its name
    two = several(made)
    assert two.of_task(phase) is two.by_class["phase"]
    assert two.of_task(lineage) is None
    assert without_classes(made).of_task(lineage) is None
    assert made.of_task(value.model_copy(update={"name": "lineage"})) is None


def test_columns_are_those_that_other_tools_know(made: Predictions, tmp_path: Path) -> None:
    write_predictions(tmp_path / "p.parquet", replace(made, shares={}))
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

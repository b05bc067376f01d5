"""Experiments: one change to a model, and whether it made a difference."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pydantic import TypeAdapter
from scipy import stats

from tests.models.sizes import TINY
from tests.synthetic import make_store
from unstained.config.baselines import Experiment
from unstained.config.models import ModelParams
from unstained.data.canvas import load_canvases
from unstained.evaluation.baselines.experiments import (
    Hidden,
    Outcome,
    differences,
    experiments_table,
    hidden_cells,
    outcomes,
)
from unstained.evaluation.baselines.grid import Grid, ReplicateResult
from unstained.predictions import ONLY, ClassPredictions, Predictions
from unstained.report.baselines.experiment_section import experiment_section
from unstained.report.baselines.other_split import other_split_table
from unstained.report.page import Table, Text

FOLDS, SEEDS = (0, 1, 2), (42,)
TRAIN, CELLS = 100, 40
SCORES = {
    "plain": (0.70, 0.74, 0.72),
    "blind": (0.33, 0.30, 0.36),
    "large": (0.71, 0.76, 0.75),
    "elsewhere": (0.90, 0.91, 0.92),
}


def model(**changes: object) -> ModelParams:
    adapter: TypeAdapter[ModelParams] = TypeAdapter(ModelParams)
    return adapter.validate_python(TINY["cg_recnet"] | changes)


MODELS = {
    "plain": model(),
    "blind": model(input={"view": "background", "hidden_px": 9.0}),
    "large": model(input={"side": 64}, train={"epochs": 4}),
    "elsewhere": model(partition="reference"),
}
EXPERIMENTS = tuple(
    Experiment(question=f"{name}?", usual="plain", changed=name) for name in list(SCORES)[1:]
)


def _said(cell_id: np.ndarray, labels: np.ndarray) -> Predictions:
    """Predictions of which only names and labels matter."""
    logits, same = np.eye(3)[labels], np.full(len(labels), "test")
    found = ClassPredictions(labels, logits, logits, logits > 0)
    return Predictions(cell_id, cell_id, same, {ONLY: found})


def grid(low: float = 0.4) -> Grid:
    """Replicates with the scores above; every second cell is of the commonest class."""
    runs = {}
    for name, scores in SCORES.items():
        prefix = "far" if name == "elsewhere" else "near"
        label = [k % 2 * (1 + k % 3 // 2) for k in range(CELLS)]
        test = _said(np.array([f"{prefix}{k}" for k in range(CELLS)]), np.array(label))
        for fold, score in zip(FOLDS, scores, strict=True):
            found: dict[str, Any] = {"macro_f1": score, "accuracy": score}
            bounds = {"low": score - 0.05, "high": score + 0.1}
            found["interval"] = {"accuracy": {"low": low}, "macro_f1": bounds}
            found["target"] = {"CD16": {"r": score / 2, "r_low": score / 4, "r_high": score}}
            bounds = {"accuracy_low": score - 0.01, "accuracy_high": score + 0.01}
            found["task"] = {"mix": {"divergence": 0.1, "accuracy": score, **bounds}}
            numbers = {**found, "training_cells": TRAIN}
            history = pd.DataFrame({"epoch": range(4 if name == "large" else 8)})
            runs[name, fold, 42] = ReplicateResult(
                f"fold{fold}-seed42", numbers, test, test, history
            )
    sizes = {name: (1, 3000 if name == "large" else 1000) for name in SCORES}
    return Grid(tuple(SCORES), FOLDS, SEEDS, runs, sizes=sizes)


def found_in(full: Grid) -> tuple[Outcome, ...]:
    scores = {name: full.scores(name, "macro_f1") for name in full.models}
    return outcomes(full, EXPERIMENTS, MODELS, scores, 0.95)


def test_a_change_is_tested_fold_by_fold_where_the_cells_are_the_same() -> None:
    found = {o.experiment.changed: o for o in found_in(grid())}
    gains = np.subtract(SCORES["large"], SCORES["plain"])
    variance = (1 / 3 + CELLS / TRAIN) * gains.var(ddof=1)
    p = 2 * stats.t.sf(gains.mean() / np.sqrt(variance), 2)
    pair = found["large"].pair
    assert pair is not None
    assert pair.difference.value == pytest.approx(gains.mean())
    assert pair.p == pytest.approx(p)
    assert pair.p_holm == pytest.approx(p)  # of two tests, the larger stays as it is
    assert found["elsewhere"].pair is None
    assert not found["elsewhere"].same_cells
    assert found["large"].compute == pytest.approx(3 * 4 / 8)


def test_what_was_changed_is_read_from_the_parameters() -> None:
    assert list(differences(MODELS["plain"], MODELS["large"])) == [
        "input.side: 64",
        "train.epochs: 4",
    ]
    assert list(differences(MODELS["large"], MODELS["plain"])) == [
        "input.side: None",
        "train.epochs: as usual",
    ]
    assert list(differences(MODELS["plain"], MODELS["plain"])) == []


@pytest.mark.parametrize(
    ("low", "light", "said"),
    [
        (0.4, 2.0, "no better than that"),
        (0.6, 1.05, "the recording itself tells the class"),
        (0.6, 2.0, "neuron is 2.00 times as strong as farther out: light of the cells reaches"),
    ],
)
def test_the_page_says_whether_the_background_tells_the_class(
    low: float, light: float, said: str
) -> None:
    full = grid(low)
    found = found_in(full)
    hidden = {"blind": Hidden(0.987, {"astrocyte": 1.0, "neuron": light})}
    section = experiment_section(full, found, hidden, "Macro-F1")
    assert section is not None
    table, other, text = section.blocks
    assert isinstance(table, Table)
    assert isinstance(other, Table)
    assert isinstance(text, Text)
    sentences = " ".join(text.paragraphs)
    assert said in sentences
    assert "98.70%" in sentences
    assert "commonest class reaches 0.500" in sentences
    said = "elsewhere is trained and tested on the other partition: +0.190 in Macro-F1 against"
    assert said in sentences
    assert [cell.text for cell in table.rows[2]][4] == "other test cells"


def test_the_other_partition_stands_beside_the_usual_one_with_intervals() -> None:
    full = grid()
    table = other_split_table(full, found_in(full))
    assert table is not None
    first, second, third = table.rows
    assert [row[0].detail for row in table.rows] == [
        "Macro-F1",
        "r of CD16",
        "1 − mean absolute error of mix",
    ]
    assert [cell.text for cell in first[1:]] == ["0.72", "0.91", "+0.19"]
    off = np.hypot(0.05, 0.1)  # both intervals reach 0.05 down and 0.1 up
    assert first[3].detail == f"+{0.19 - off:.2f} to +{0.19 + off:.2f}"
    assert first[3].strong
    assert [cell.text for cell in second[1:]] == ["0.36", "0.46", "+0.09"]  # of 0.095
    assert not second[3].strong
    assert [cell.text for cell in third[1:]] == ["0.72", "0.91", "+0.19"]
    assert third[3].strong  # a random split promises more
    assert other_split_table(full, found_in(full)[:2]) is None


def test_the_table_keeps_what_the_page_shows() -> None:
    table = experiments_table(found_in(grid()))
    row = table.set_index("changed").loc["large"]
    assert row["changed_mean"] - row["usual_mean"] == pytest.approx((row["low"] + row["high"]) / 2)
    assert np.isnan(table.set_index("changed").loc["elsewhere", "p_holm"])


def test_one_fold_shows_a_difference_without_a_test() -> None:
    full = grid()
    single = Grid(full.models, (0,), SEEDS, full.runs, sizes=full.sizes)
    found = found_in(single)
    assert all(outcome.pair is None for outcome in found)
    section = experiment_section(single, found, {}, "Macro-F1")
    assert section is not None
    table = section.blocks[0]
    assert isinstance(table, Table)
    assert "one fold" in str(table.rows[1])


def test_a_larger_disc_hides_more_of_the_cells_and_leaves_less_light(tmp_path: Path) -> None:
    store = make_store(tmp_path / "store", cells_per_group=12, groups_per_class=2)
    rows = np.arange(len(store.columns("cell_id")))
    found = [hidden_cells(store, rows, 64, radius, ("a", "b", "c")) for radius in (1, 8, 14, 28)]
    shares = [hidden.share for hidden in found]
    assert shares == sorted(shares)
    assert shares[0] < 0.05
    assert shares[-1] == 1.0
    small, large = found[2].light, found[-1].light
    assert list(small) == ["a", "b", "c"]
    assert min(small.values()) > 2  # the blobs reach beyond 14 pixels
    assert all(abs(ratio - 1) < 0.08 for ratio in large.values())  # noise alone


def test_the_light_that_is_left_is_measured_class_by_class(tmp_path: Path) -> None:
    store = make_store(tmp_path / "store", cells_per_group=8, groups_per_class=1, width=(64, 64))
    rows = np.arange(len(store.columns("cell_id")))
    contrast = load_canvases(store, rows, 64).contrast(slice(None), 1.0)[:, 0].double().numpy()
    y, x = np.mgrid[-32:32, -32:32]
    distance, labels = np.hypot(y, x), store.labels(("a", "b", "c"))
    heights = [image.shape[-2] for image in store.images(rows)]
    found = hidden_cells(store, rows, 64, 16.0, ("a", "b", "c")).light
    for label, name in enumerate("abc"):
        rim, rest = [], []
        for row in rows[labels == label]:
            top = 32 - heights[row] // 2
            inside = (y + 32 >= top) & (y + 32 < top + heights[row])
            rim.append(contrast[row][inside & (distance > 16) & (distance <= 18)])
            rest.append(contrast[row][inside & (distance > 20)])
        outside, far = (np.square(np.concatenate(part)).mean() for part in (rim, rest))
        assert found[name] == pytest.approx(np.sqrt(outside / far))

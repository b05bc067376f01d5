"""Folds that rotate: each cell is tested once, and every page counts it once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import f1_score

from unstained.config.project import load_params
from unstained.evaluation.baselines.grid import Grid, read_grid
from unstained.evaluation.baselines.tables import classes_table, with_intervals
from unstained.evaluation.baselines.verdicts import every_cell, fold_sizes, pooled_decisions
from unstained.evaluation.uncertainty.predictions import read_replicas
from unstained.files import write_json
from unstained.predictions import ClassPredictions, Predictions, write_predictions
from unstained.report.baselines.tested_once import every_cell_section
from unstained.statistics.folds import FoldSizes
from unstained.statistics.metrics import macro_f1

MODELS, FOLDS, SEEDS, CLASSES = ("one", "two"), (0, 1, 2), (7, 9), 4
CELLS = 120
PLACES = [(fold, seed, f"fold{fold}-seed{seed}") for fold in FOLDS for seed in SEEDS]


def part_of(fold: int) -> np.ndarray:
    number = np.arange(CELLS) % len(FOLDS)
    chosen = np.where(number == (fold + 1) % len(FOLDS), "val", "train")
    return np.where(number == fold, "test", chosen)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `evaluate` writes of two models: the second is right more often."""
    root, rng = tmp_path_factory.mktemp("replicates"), np.random.default_rng(1)
    labels = rng.integers(0, CLASSES, CELLS)
    for skill, model in enumerate(MODELS):
        for fold, _, name in PLACES:
            part = part_of(fold)
            rows = np.flatnonzero(part != "train")
            logits = rng.normal(size=(len(rows), CLASSES))
            logits[np.arange(len(rows)), labels[rows]] += 0.5 + skill
            chances = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
            said = ClassPredictions(labels[rows], logits, chances, chances > 0.1)
            ids = np.array([f"c{row:03d}" for row in rows])
            table = Predictions(
                ids, np.array([f"g{row // 6}" for row in rows]), part[rows], {"": said}
            )
            place = root / model / name
            place.mkdir(parents=True)
            write_predictions(place / "predictions.parquet", table)
            test = part[rows] == "test"
            support = np.bincount(labels[rows][test], minlength=CLASSES).tolist()
            each = {"precision": 0.5, "recall": 0.5, "f1": 0.5}
            numbers = {"class": {f"k{k}": each | {"support": n} for k, n in enumerate(support)}}
            numbers |= {"training_cells": 40, "temperature": 1.0 + fold, "validation_macro_f1": 0.5}
            write_json(place / "metrics.json", numbers)
    return root


@pytest.fixture(scope="module")
def grid(home: Path) -> Grid:
    return read_grid(home, MODELS, PLACES)


def told(home: Path, model: str) -> pd.DataFrame:
    """Mean probabilities over seeds of the test cells of all folds, read without the product."""
    tables = [pd.read_parquet(home / model / name / "predictions.parquet") for *_, name in PLACES]
    tested = pd.concat([table[table["part"] == "test"] for table in tables])
    columns = ["label", *(f"probability_{k}" for k in range(CLASSES))]
    return tested.groupby("cell_id")[columns].mean()


def test_models_are_scored_on_every_cell_once(home: Path, grid: Grid) -> None:
    assert grid.rotates
    assert fold_sizes(grid) == FoldSizes(train=40.0, test=CELLS / len(FOLDS))
    once = every_cell(grid, "macro_f1", tuple("abcd"), 200, 0.95, 42)
    expected_of = {}
    for model in MODELS:
        table = told(home, model)
        assert len(table) == CELLS
        called = table.filter(like="probability").to_numpy().argmax(axis=1)
        found = once.scores[model]
        expected = expected_of[model] = f1_score(table["label"], called, average="macro")
        assert found.overall["macro_f1"].value == pytest.approx(expected)
        assert found.overall["macro_f1"].low < expected < found.overall["macro_f1"].high
        assert macro_f1(found.confusion) == pytest.approx(expected)
    assert sum(one.support for one in once.scores["one"].classes) == CELLS
    assert once.ranked == ("two", "one")
    (behind,) = once.behind.values()
    gain = behind.difference
    assert gain.value == pytest.approx(expected_of["two"] - expected_of["one"])
    assert gain.low < gain.value < gain.high
    assert 0 < behind.p == behind.p_holm < 0.05
    assert behind.detectable == pytest.approx((gain.high - gain.low) * 2.8016 / 3.9199, rel=1e-4)
    (pair,) = pooled_decisions(grid)
    assert pair.second_only > pair.first_only
    support = classes_table(grid, tuple(f"k{k}" for k in range(CLASSES))).groupby("model")[
        "support"
    ]
    assert (support.sum() == CELLS).all()


def test_replicates_of_a_seed_become_one_that_saw_every_cell_in_each_part(home: Path) -> None:
    for runs in read_replicas(home, MODELS, PLACES).values():
        assert len(runs) == len(SEEDS)
        for run in runs:
            for part in (run.test, run.validation):
                assert part.cell_id.tolist() == [f"c{n:03d}" for n in range(CELLS)]
            assert run.temperature == 2.0  # the mean over folds
            assert not np.array_equal(run.test.classes.logits, run.validation.classes.logits)


def test_the_page_tells_intervals_and_how_many_cells_of_each_class(
    grid: Grid, repository: Path
) -> None:
    data = load_params(repository / "params.yaml").studies["blood"].data
    once = every_cell(grid, "macro_f1", data.class_names, 200, 0.95, 42)
    section = every_cell_section(grid, once, data, 0.95)
    table, behind = section.blocks
    assert [row[0].text for row in table.rows] == ["two", "one"]  # type: ignore[union-attr]
    assert all(" to " in cell.detail for row in table.rows for cell in row[1:])  # type: ignore[union-attr]
    numbers = pd.DataFrame({"model": MODELS})
    found = with_intervals(numbers, once)
    assert (found["once_macro_f1_low"] < found["once_macro_f1"]).all()
    assert found["once_behind"].isna().tolist() == [False, True]
    assert with_intervals(numbers, None) is numbers
    ((model, *told),) = behind.rows  # type: ignore[union-attr]
    assert model.text == "one"
    first = found.iloc[0]
    assert told[0].text == f"{first['once_behind']:.3f}"
    assert told[-1].text == f"{first['once_detectable']:.3f}"

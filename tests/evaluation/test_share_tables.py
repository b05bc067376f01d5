"""Loss and accuracy of shares by part, and what is reached without a network."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tests.stages.studies import COMPARE
from tests.synthetic import tasks
from unstained.evaluation.baselines.grid import Grid, ReplicateResult
from unstained.evaluation.baselines.share_tables import (
    error_by_share,
    of_model,
    streams_compared,
    without_a_network,
)
from unstained.predictions import Predictions, SharePredictions
from unstained.tasks.study import Tasks

MIX = {"muscle": {"kind": "proportion", "parts": ["muscle", "fibroblast"], "columns": ["m"]}}
TASK = Tasks.of(tasks(MIX)).proportions[0]
LEVELS = np.arange(11) / 10


def pairs(first: np.ndarray) -> np.ndarray:
    return np.stack([first, 1 - first], axis=1)


def entropy(p: np.ndarray) -> float:
    p = np.clip(p, 1e-300, 1)
    q = np.clip(1 - p, 1e-300, 1)
    return float((-p * np.log(p) - q * np.log(q)).mean())


def test_the_floor_and_the_constant_of_even_proportions_are_those_of_the_paper() -> None:
    truth, movies = pairs(np.tile(LEVELS, 3)), np.repeat(["a", "b", "c"], 11)
    part = np.repeat(["train", "val", "test"], 11)
    found = without_a_network(TASK, truth, movies, [part])
    for which in ("train", "val", "test"):
        assert found["floor"][which].loss == pytest.approx(entropy(LEVELS), abs=1e-9)
        assert found["floor"][which].loss == pytest.approx(0.4465, abs=1e-4)
        assert found["floor"][which].accuracy == 1
        assert found["constant"][which].loss == pytest.approx(np.log(2), abs=1e-9)
        assert found["constant"][which].accuracy == pytest.approx(0.7273, abs=1e-4)
        assert np.isnan(found["floor"][which].loss_sd)


def test_the_movie_mean_tells_movies_it_has_met_and_is_the_constant_for_others() -> None:
    share = np.repeat(LEVELS, 4)
    truth, movies = pairs(share), np.repeat(np.arange(11).astype(str), 4)
    by_snippet = np.tile(["train", "train", "val", "test"], 11)
    by_movie = np.where(share < 0.65, "train", np.where(share < 0.85, "val", "test"))
    truth[0] = np.nan
    found = without_a_network(TASK, truth, movies, [by_snippet])
    assert found["movie mean"]["test"].accuracy == pytest.approx(1)
    assert found["movie mean"]["test"].loss == pytest.approx(found["floor"]["test"].loss)
    held_out = without_a_network(TASK, truth, movies, [by_movie])
    mean, constant = (held_out[name]["test"] for name in ("movie mean", "constant"))
    assert (mean.loss, mean.accuracy) == (constant.loss, constant.accuracy)
    both = without_a_network(TASK, truth, movies, [by_snippet, by_movie])
    accuracies = [one["movie mean"]["test"].accuracy for one in (found, held_out)]
    assert both["movie mean"]["test"].accuracy == pytest.approx(np.mean(accuracies))
    assert both["movie mean"]["test"].accuracy_sd == pytest.approx(np.std(accuracies, ddof=1))


def replicate(name: str, truth: np.ndarray, said: np.ndarray, groups: np.ndarray, **numbers):
    ids = np.array([f"{group}/{number}" for number, group in enumerate(groups)])
    parts = []
    for part in ("test", "val"):
        shares = {"muscle": SharePredictions(TASK.names, pairs(truth), pairs(said))}
        parts.append(Predictions(ids, groups, np.full(len(ids), part), {}, {}, shares))
    return ReplicateResult(name, numbers, *parts)


@pytest.fixture
def grid() -> Grid:
    rng = np.random.default_rng(0)
    truth, groups = np.tile(LEVELS, 8), np.repeat([f"m{k}" for k in range(8)], 11)
    runs = {}
    for model, error in (("one", 0.2), ("two", 0.05)):
        for seed in (1, 2, 3):
            said = np.clip(truth + rng.normal(0, error, len(truth)), 0.01, 0.99)
            fit = {"muscle": {"cross_entropy": 0.4 + seed / 10, "accuracy": 0.9}}
            runs[model, 0, seed] = replicate("fold0", truth, said, groups, training=fit)
    return Grid(("one", "two"), (0,), (1, 2, 3), runs)


def test_a_models_numbers_are_means_over_replicates(grid: Grid) -> None:
    row = of_model(grid, "one", TASK)
    errors = []
    for run in grid.of("one"):
        found = run.test.shares["muscle"]
        errors.append(1 - np.abs(found.truth[:, 0] - found.predicted[:, 0]).mean())
    assert row["test"].accuracy == pytest.approx(np.mean(errors))
    assert row["test"].accuracy_sd == pytest.approx(np.std(errors, ddof=1))
    assert row["train"].loss == pytest.approx(0.6)
    assert row["train"].loss_sd == pytest.approx(0.1)


def test_streams_are_compared_over_movies_on_mean_predictions(grid: Grid) -> None:
    found = streams_compared(grid, ("one", "two"), TASK, COMPARE, seed=1)
    assert found.n_groups == 8
    assert found.low <= found.difference <= found.high < 0
    assert found.p_floor <= found.p_permutation < 0.02
    same = streams_compared(grid, ("one", "one"), TASK, COMPARE, seed=1)
    assert (same.difference, same.p_permutation) == (0, 1)


def test_errors_are_told_by_true_share(grid: Grid) -> None:
    table = error_by_share(grid, ("one", "two"), TASK)
    assert table.groupby("model")["share"].apply(list)["two"] == pytest.approx(LEVELS.tolist())
    assert (table["snippets"] == 8).all()
    wide: pd.DataFrame = table.pivot(index="share", columns="model", values="error")
    assert (wide["two"] < wide["one"]).mean() > 0.7

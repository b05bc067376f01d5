"""What the movie or the time alone would tell: means of the others."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import numpy as np
import pandas as pd
import pytest

from tests.conftest import ROOT
from tests.evaluation.evaluations import evaluate_params
from unstained.config.project import load_params
from unstained.data.store.cell_store import CellStore
from unstained.evaluation.informed import informed_means, others_mean
from unstained.evaluation.predictions import Cells

STUDY = load_params(ROOT / "params.yaml").studies["rounding"]


def test_a_snippet_is_told_the_mean_of_the_others() -> None:
    truth = np.array([[1.0], [2.0], [6.0], [np.nan], [5.0]])
    keys = np.array(["a", "a", "a", "a", "b"])
    found = others_mean(truth, keys)[:, 0]
    np.testing.assert_allclose(found, [4.0, 3.5, 1.5, 3.0, 3.0])  # b is alone: all others


def cells(
    truths: dict[str, np.ndarray], movie: np.ndarray, frame: np.ndarray
) -> tuple[CellStore, Cells]:
    count = len(movie)
    table = pd.DataFrame({"acquisition": movie, "frame": frame})
    schema = SimpleNamespace(names=list(table.columns))
    store = SimpleNamespace(schema=schema, columns=lambda *names: table[list(names)])
    names = np.array([f"{at}" for at in range(count)])
    part = np.full(count, "test")
    return cast(CellStore, store), Cells(np.arange(count), part, names, names, truths)


def test_frames_tell_more_than_movies_where_truth_drifts() -> None:
    movie, frame = np.repeat(["a", "b"], 40), np.tile(np.repeat([0, 5, 10, 15], 10), 2)
    rng = np.random.default_rng(0)
    speed = 0.2 * frame + 0.1 * rng.standard_normal(80)
    share = np.where(movie == "a", 0.3, 0.7)
    truths = {"rounded": np.stack([share, 1 - share], axis=1), "speed": speed}
    store, found = cells(truths, movie, frame)
    scores = informed_means(store, found, STUDY.data, evaluate_params(), 1)
    assert "rounded" not in scores["movie mean"]  # the same in all of a movie
    by_frame, by_movie = (
        scores[f"{name} mean"]["speed"].metrics["r2"] for name in ("frame", "movie")
    )
    assert by_frame.value > 0.95
    assert by_movie.value < 0.1
    assert by_frame.low < by_frame.value < by_frame.high
    assert scores["frame mean"]["speed"].known == 80
    other = STUDY.data.model_copy(update={"reader": "table"})
    assert informed_means(store, found, other, evaluate_params(), 1) == {}


def test_scores_are_those_of_the_plain_mean() -> None:
    movie, frame = np.repeat(["a", "b"], 4), np.zeros(8)
    speed = np.arange(8.0)
    truths = {"rounded": np.full((8, 2), np.nan), "speed": speed}
    store, found = cells(truths, movie, frame)
    scores = informed_means(store, found, STUDY.data, evaluate_params(), 1)
    mean = [speed[(movie == movie[at]) & (np.arange(8) != at)].mean() for at in range(8)]
    error = scores["movie mean"]["speed"].metrics["mae"].value
    assert error == pytest.approx(np.abs(speed - mean).mean())

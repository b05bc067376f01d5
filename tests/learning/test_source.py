"""Held and streamed canvases: the same contrast, batch by batch."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.learning.cases import STUDY, small_store, split_rows
from unstained.imaging.preprocess import Preprocess
from unstained.learning import source as module
from unstained.learning.order import epoch_batches
from unstained.learning.problem import Problem, pose
from unstained.learning.source import Resident, Streamed, open_source

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def problem(tmp_path_factory) -> Problem:
    store = small_store(tmp_path_factory.mktemp("source") / "store")
    return pose(store, *split_rows(store), STUDY, seed=0)


@pytest.mark.parametrize("loading", ["resident", "stream"])
@pytest.mark.parametrize("window", [1, 2, 100])
def test_contrast_is_that_of_the_raw_images(problem: Problem, loading, window: int):
    batches = epoch_batches(len(problem.train), 20, window, seed=1, epoch=2)
    source = open_source(problem, problem.train, loading, CPU, 1)
    reader, preprocess = problem.reader(), Preprocess(problem.canvas, problem.scale)
    seen = 0
    for positions, contrast in zip(batches, source.contrasts(batches, window), strict=True):
        images = reader.images(problem.train.rows[positions])
        for image, mine in zip(images, contrast, strict=True):
            assert torch.equal(preprocess(torch.from_numpy(image)[None])[0], mine)
        seen += len(positions)
    assert seen == len(problem.train) // 20 * 20


def test_an_epoch_without_remaining_batches_yields_nothing(problem: Problem):
    for source in (
        open_source(problem, problem.train, "resident", CPU, 1),
        Streamed(problem, problem.train, CPU),
    ):
        assert list(source.contrasts([], 3)) == []


def test_streaming_holds_at_most_two_windows(problem: Problem, monkeypatch):
    sizes: list[int] = []
    load = module.load_canvases

    def counting(store, rows, canvas):
        sizes.append(len(rows))
        return load(store, rows, canvas)

    monkeypatch.setattr(module, "load_canvases", counting)
    batches = epoch_batches(len(problem.train), 10, 2, seed=1, epoch=0)
    stream = Streamed(problem, problem.train, CPU).contrasts(batches, 2)
    next(stream)
    assert len(sizes) <= 2
    rest = list(stream)
    assert len(rest) == len(batches) - 1
    assert max(sizes) == 20


def test_auto_streams_what_does_not_fit(problem: Problem, monkeypatch):
    assert isinstance(open_source(problem, problem.train, "auto", CPU, 1), Resident)
    needed = len(problem.train) * problem.cell_bytes
    monkeypatch.setattr(module, "_free_host_bytes", lambda: 3 * needed)
    assert isinstance(open_source(problem, problem.train, "auto", CPU, 1), Resident)
    assert isinstance(open_source(problem, problem.train, "auto", CPU, 2), Streamed)


def test_an_error_in_the_reading_thread_reaches_the_trainer(problem: Problem):
    stream = Streamed(problem, problem.train, CPU)
    with pytest.raises(IndexError):
        list(stream.contrasts([np.array([0]), np.array([10**6])], 1))

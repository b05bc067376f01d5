"""A run killed with SIGKILL at any moment and started again ends with the same weights."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from pathlib import Path

import pytest

from tests.learning.cases import process_factory, small_store, train_small, write_result
from unstained.data.store.cell_store import CellStore


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("resume") / "store"
    small_store(path)
    return path


def run(store: Path, scratch: Path | None, out: Path, overrides: dict):
    arguments = (store, scratch, out, overrides, 0.0)
    process = process_factory().Process(target=write_result, args=arguments)
    process.start()
    return process


def position(scratch: Path) -> tuple[str, int, int]:
    for phase in ("training", "pretraining"):
        state = scratch / ("checkpoint" if phase == "training" else phase) / "state.json"
        if state.exists():
            content = json.loads(state.read_text())["state"]
            return (phase, content["epoch"], content["step"])
    return ("", 0, 0)


@pytest.mark.parametrize(
    ("loading", "kills", "before"),
    [
        ("resident", 1, 0),
        pytest.param("resident", 2, 0, marks=pytest.mark.minutes),
        pytest.param("stream", 2, 0, marks=pytest.mark.minutes),
        pytest.param("stream", 2, 8, marks=pytest.mark.minutes),
    ],
)
def test_a_killed_run_ends_with_the_weights_of_an_uninterrupted_one(
    store: Path, tmp_path: Path, loading: str, kills: int, before: int
):
    overrides = {
        "train.loading": loading,
        "train.epochs": 8,
        "train.pretraining.epochs": before,
        "train.pretraining.batch_size": 16,
        "model.dropout": 0.1,
    }
    whole, out, scratch = tmp_path / "whole", tmp_path / "out", tmp_path / "scratch"
    process = run(store, None, whole, overrides)
    process.join()
    assert process.exitcode == 0
    rng, positions = random.Random(loading), []
    for _ in range(kills):
        process = run(store, scratch, out, overrides)
        last, further = position(scratch), rng.randint(1, 3)
        steps = 0
        while process.is_alive() and steps < further:
            now = position(scratch)
            steps, last = steps + (now != last), now
            time.sleep(0.001)
        time.sleep(rng.uniform(0, 0.03))
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        positions.append(position(scratch))
    assert not out.exists(), "the run ended before it was killed often enough"
    assert positions == sorted(set(positions)), "a killed run made no progress"
    assert any(step > 0 for *_, step in positions), "no kill was in the middle of an epoch"
    process = run(store, scratch, out, overrides)
    process.join()
    assert process.exitcode == 0
    assert json.loads(out.read_text()) == json.loads(whole.read_text())


def test_a_finished_run_is_read_back_and_its_epochs_are_reported_again(store: Path, tmp_path: Path):
    cells = CellStore.open(store)
    first = train_small(cells, scratch=tmp_path, train={"epochs": 2})
    seen = []
    again = train_small(
        cells,
        scratch=tmp_path,
        train={"epochs": 2},
        on_epoch=lambda record: seen.append(record) or True,
    )
    assert seen == first.history == again.history
    assert again.cells_per_second == 0
    assert again.best_epoch == first.best_epoch


@pytest.mark.parametrize("change", [{"seed": 9}, {"train": {"epochs": 2, "clip_norm": 2.0}}])
def test_a_checkpoint_of_other_parameters_is_not_used(store: Path, tmp_path: Path, change: dict):
    cells, arguments = CellStore.open(store), {"train": {"epochs": 2}, **change}
    train_small(cells, scratch=tmp_path, train={"epochs": 2})
    mixed = train_small(cells, scratch=tmp_path, **dict(arguments))
    assert mixed.cells_per_second > 0
    arguments["train"] = dict(change.get("train", {"epochs": 2}))
    assert mixed.history == train_small(cells, **arguments).history

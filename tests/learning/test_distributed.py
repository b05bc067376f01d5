"""Data-parallel training: two workers take the steps of one with the same global batch."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.learning.cases import small_store, train_small
from unstained.data.store.cell_store import CellStore
from unstained.errors import TrainingError
from unstained.learning.distributed import Group

ROOT = Path(__file__).resolve().parents[2]
TWO_EPOCHS = {"epochs": 2, "learning_rate": 1e-3}


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> CellStore:
    return small_store(tmp_path_factory.mktemp("distributed") / "store")


@pytest.fixture(scope="module")
def alone(store: CellStore) -> list[float]:
    result = train_small(store, train=TWO_EPOCHS)
    return [loss for record in result.history for loss in (record.train_loss, record.val_loss)]


def test_two_workers_follow_the_loss_curve_of_one(store: CellStore, alone: list[float]):
    threads = torch.get_num_threads()
    result = train_small(store, train={**TWO_EPOCHS, "workers": 2})
    together = [loss for record in result.history for loss in (record.train_loss, record.val_loss)]
    np.testing.assert_allclose(together, alone, rtol=1e-4)
    assert multiprocessing.active_children() == []
    assert torch.get_num_threads() == threads


@pytest.mark.minutes
def test_torchrun_starts_the_same_training(store: CellStore, alone: list[float], tmp_path: Path):
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node=2", "--standalone"]
    command += ["-m", "tests.learning.cases", str(store.path), str(tmp_path / "out")]
    environment = {k: v for k, v in os.environ.items() if k not in ("RANK", "WORLD_SIZE")}
    overrides = {f"train.{name}": value for name, value in TWO_EPOCHS.items()}
    subprocess.run([*command, json.dumps(overrides)], check=True, cwd=ROOT, env=environment)
    results = [json.loads((tmp_path / f"out.{rank}").read_text()) for rank in (0, 1)]
    assert results[0] == results[1]
    np.testing.assert_allclose(results[0]["train_losses"], alone[::2], rtol=1e-4)


@pytest.mark.minutes
def test_a_lost_worker_is_reported_with_a_remedy(store: CellStore):
    def kill_the_other(record) -> bool:
        for process in multiprocessing.active_children():
            os.kill(process.pid, signal.SIGKILL)
        return True

    with pytest.raises(TrainingError, match="a training worker was lost") as caught:
        train_small(store, train={"epochs": 50, "workers": 2}, on_epoch=kill_the_other)
    assert "run the same command again" in caught.value.remedy


def test_more_workers_than_cells_in_a_batch_are_refused(store: CellStore, monkeypatch):
    with pytest.raises(TrainingError, match="4 workers cannot share batches of 3 cells"):
        from unstained.learning import learners

        monkeypatch.setattr(learners, "workers", lambda *_: _Fixed(Group(0, 4, 4)))
        train_small(store, train={"batch_size": 3})


def test_a_launcher_with_another_number_of_workers_is_refused(store: CellStore, monkeypatch):
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "3")
    with pytest.raises(TrainingError, match="the launcher started 3 processes"):
        train_small(store, train={"workers": 2})


class _Fixed:
    def __init__(self, group: Group) -> None:
        self.group = group

    def __enter__(self) -> Group:
        return self.group

    def __exit__(self, *_: object) -> None:
        return None

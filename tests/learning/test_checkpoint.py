"""Checkpoints: whole or absent, of one run only, safetensors and JSON alone."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

import pytest
import torch

from tests.learning.cases import process_factory
from unstained.learning.checkpoint import Checkpoint, CheckpointStore

SIZE = 200_000


def checkpoint(step: int, best: float | None = None) -> Checkpoint:
    return Checkpoint(
        state={"epoch": 0, "step": step, "best_epoch": -1 if best is None else 0},
        tensors={"a": torch.full((SIZE,), float(step)), "b": torch.full((SIZE,), float(step))},
        best={} if best is None else {"w": torch.full((3,), best)},
    )


def write_forever(directory: Path) -> None:
    store = CheckpointStore(directory, "run", 0)
    for step in range(10**6):
        store.save(checkpoint(step), -1)


def test_a_checkpoint_comes_back_as_written(tmp_path: Path):
    store = CheckpointStore(tmp_path / "c", "run", 0)
    assert store.load() is None
    store.save(checkpoint(3, best=0.5), 0)
    found = CheckpointStore(tmp_path / "c", "run", 0).load()
    assert found is not None
    assert found.state == {"epoch": 0, "step": 3, "best_epoch": 0}
    assert torch.equal(found.tensors["a"], torch.full((SIZE,), 3.0))
    assert torch.equal(found.best["w"], torch.full((3,), 0.5))


def test_layouts_survive(tmp_path: Path):
    weight = torch.randn(4, 3, 5, 5).to(memory_format=torch.channels_last)
    store = CheckpointStore(tmp_path, "run", 0)
    store.save(Checkpoint({"epoch": 0, "step": 1, "best_epoch": -1}, {"w": weight}, {}), -1)
    found = store.load()
    assert found is not None
    assert torch.equal(found.tensors["w"], weight)


def test_only_the_newest_checkpoint_stays_and_nothing_is_a_pickle(tmp_path: Path):
    store = CheckpointStore(tmp_path, "run", 0)
    (tmp_path / ".run-00000-0000000.safetensors.123.partial").write_bytes(b"of a killed run")
    for step in range(3):
        store.save(checkpoint(step, best=1.0), 0)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["best-00000.safetensors", "run-00000-0000002.safetensors", "state.json"]


def test_the_best_weights_are_written_only_when_they_change(tmp_path: Path):
    store = CheckpointStore(tmp_path, "run", 0)
    store.save(checkpoint(1, best=0.5), 0)
    first = (tmp_path / "best-00000.safetensors").stat().st_mtime_ns
    reopened = CheckpointStore(tmp_path, "run", 0)
    reopened.load()
    reopened.save(checkpoint(2, best=0.5), 0)
    assert (tmp_path / "best-00000.safetensors").stat().st_mtime_ns == first
    reopened.save(checkpoint(3, best=0.7), 4)
    found = reopened.load()
    assert found is not None
    assert torch.equal(found.best["w"], torch.full((3,), 0.7))


def test_another_runs_checkpoint_is_ignored_with_a_warning(tmp_path: Path, caplog):
    CheckpointStore(tmp_path, "other", 0).save(checkpoint(1), -1)
    assert CheckpointStore(tmp_path, "run", 0).load() is None
    assert "belongs to another run" in caplog.text


@pytest.mark.parametrize("damage", ["cut", "changed", "missing", "state", "emptied"])
def test_a_damaged_checkpoint_is_ignored_with_a_warning(tmp_path: Path, caplog, damage: str):
    store = CheckpointStore(tmp_path, "run", 0)
    store.save(checkpoint(1), -1)
    tensors, state = tmp_path / "run-00000-0000001.safetensors", tmp_path / "state.json"
    match damage:
        case "cut":
            tensors.write_bytes(tensors.read_bytes()[:-10])
        case "changed":
            tensors.write_bytes(tensors.read_bytes()[:-1] + b"x")
        case "missing":
            tensors.unlink()
        case "state":
            state.write_text(state.read_text()[:-20])
        case "emptied":
            state.write_text("{}")
    assert store.load() is None
    assert "damaged" in caplog.text


def test_killed_while_writing_the_former_or_the_new_checkpoint_is_there(tmp_path: Path):
    last = -1
    for wait in (0.02, 0.05, 0.09, 0.14):
        process = process_factory().Process(target=write_forever, args=(tmp_path,))
        process.start()
        deadline = time.monotonic() + 60
        before = (tmp_path / "state.json").stat().st_mtime_ns if last >= 0 else 0
        while time.monotonic() < deadline:
            path = tmp_path / "state.json"
            if path.exists() and path.stat().st_mtime_ns != before:
                break
            time.sleep(0.005)
        time.sleep(wait)
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        found = CheckpointStore(tmp_path, "run", 0).load()
        assert found is not None
        last = found.state["step"]
        assert torch.equal(found.tensors["b"], torch.full((SIZE,), float(last)))
        assert json.loads((tmp_path / "state.json").read_text())["fingerprint"] == "run"


def test_checkpoints_within_an_epoch_wait_for_their_time(tmp_path: Path):
    assert CheckpointStore(tmp_path, "run", 0).due()
    assert not CheckpointStore(tmp_path, "run", 3600).due()

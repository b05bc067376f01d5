"""Training as a whole: it learns, is deterministic, stops when told, and explains failures."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from tests.learning.cases import (
    NETWORK,
    STUDY,
    TRAIN,
    small_store,
    split_rows,
    train_small,
    weights_digest,
)
from tests.models.sizes import TINY, parse
from unstained.config.models import ModelParams
from unstained.config.networks import NetworkParams
from unstained.data.canvas import load_canvases
from unstained.data.store.cell_store import CellStore
from unstained.errors import ParameterError, TrainingError
from unstained.learning.fit import FitResult
from unstained.learning.scores import macro_f1
from unstained.models.build import bare_model
from unstained.models.imagenet import FOLDER_VARIABLE
from unstained.models.trained import load_trained, save_trained


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> CellStore:
    return small_store(tmp_path_factory.mktemp("fit") / "store")


@pytest.fixture(scope="module")
def learnt(store: CellStore) -> FitResult:
    return train_small(store, train={"epochs": 12})


def predictions(store: CellStore, result: FitResult) -> dict[str, np.ndarray]:
    _, val_rows = split_rows(store)
    return result.trained.predict(load_canvases(store, val_rows, STUDY.canvas))


def test_it_learns_classes_and_targets(store: CellStore, learnt: FitResult):
    _, val_rows = split_rows(store)
    found = predictions(store, learnt)
    labels = store.labels("abc")[val_rows]
    assert (found["logits"].argmax(axis=1) == labels).mean() > 0.75  # chance: 0.33
    truth = store.targets(STUDY.targets)[val_rows, 0]
    there = ~np.isnan(truth)
    assert np.corrcoef(truth[there], found["targets"][there, 0])[0, 1] > 0.6
    assert abs(found["targets"][:, 0].mean() - np.nanmean(truth)) < np.nanstd(truth)


def test_the_history_tells_what_happened(learnt: FitResult):
    history = learnt.history
    assert [record.epoch for record in history] == list(range(1, 13))
    assert [record.step for record in history] == [4 * epoch for epoch in range(1, 13)]
    assert history[-1].train_loss < 0.7 * history[0].train_loss
    assert history[-1].learning_rate < history[5].learning_rate
    assert learnt.cells_per_second > 0
    assert learnt.parameters == sum(p.numel() for p in learnt.trained.network.parameters())


def test_the_best_epochs_averaged_weights_are_returned(store: CellStore, learnt: FitResult):
    losses = [record.val_loss for record in learnt.history]
    assert learnt.best_epoch == 1 + int(np.argmin(losses))
    _, val_rows = split_rows(store)
    predicted = predictions(store, learnt)["logits"].argmax(axis=1)
    best = learnt.history[learnt.best_epoch - 1]
    assert macro_f1(store.labels("abc")[val_rows], predicted, 3) == pytest.approx(best.val_macro_f1)


def test_the_specification_describes_the_model(store: CellStore, learnt: FitResult, tmp_path):
    spec = learnt.trained.spec
    assert spec.class_names == ("a", "b", "c")
    assert spec.target_names == ("DNA",)
    assert [task.unit for task in spec.tasks if task.kind == "value"] == ["au"]
    assert spec.axes == store.axes
    assert spec.data_digest == store.digest
    assert spec.has_cam
    assert not learnt.trained.network.training
    save_trained(tmp_path / "model", learnt.trained)
    again = load_trained(tmp_path / "model")
    assert again.spec == spec


def test_the_same_seed_gives_the_same_bits_however_cells_are_loaded(store: CellStore):
    one, again = (
        train_small(store, train={"loading": loading}) for loading in ("resident", "stream")
    )
    assert weights_digest(one) == weights_digest(again)
    assert one.history == again.history
    assert weights_digest(train_small(store, seed=8)) != weights_digest(one)


def test_dropout_is_deterministic_and_leaves_torchs_generator_alone(store: CellStore):
    model = NETWORK.model_copy(update={"dropout": 0.3})
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    one = train_small(store, model=model, train={"epochs": 1})
    assert torch.equal(torch.rand(3), expected)
    assert not torch.are_deterministic_algorithms_enabled()
    assert weights_digest(one) == weights_digest(
        train_small(store, model=model, train={"epochs": 1})
    )


def published_weights(folder: Path, params: ModelParams, seed: int) -> None:
    """A made-up file of ImageNet weights that fits a network of `params`."""
    torch.manual_seed(seed)
    network = bare_model(params, 3, 1)
    save_file(network.trunk.state_dict(), folder / f"{network.pretrained}.safetensors")


def test_a_run_that_started_from_other_weights_is_another_run(store, tmp_path, monkeypatch):
    model = parse(TINY["mobilenet_v2"], weights="imagenet")
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))

    def run(scratch: Path | None) -> FitResult:
        return train_small(store, model=model, train={"epochs": 1}, scratch=scratch)

    published_weights(tmp_path, model, seed=1)
    first, again = run(tmp_path), run(tmp_path)
    assert first.cells_per_second > 0
    assert again.cells_per_second == 0  # read back, not trained
    assert weights_digest(again) == weights_digest(first)
    published_weights(tmp_path, model, seed=2)
    other = run(tmp_path)
    assert other.cells_per_second > 0
    assert weights_digest(other) == weights_digest(run(None)) != weights_digest(first)


def test_a_run_without_the_weights_that_it_wants_is_refused(store, tmp_path, monkeypatch):
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ParameterError, match=r"mobilenetv2_100\.ra_in1k is not there"):
        train_small(store, model=parse(TINY["mobilenet_v2"], weights="imagenet"), scratch=tmp_path)


def test_a_study_without_targets_trains(store: CellStore):
    study = STUDY.model_copy(update={"tasks": STUDY.tasks[:1]})
    result = train_small(store, data=study, train={"epochs": 1})
    assert math.isnan(result.history[0].val_r)
    assert result.trained.spec.target_mean == ()


def test_every_option_of_the_optimisation_trains(store: CellStore):
    model = NetworkParams(architecture="cg_recnet", width=0.125, depth=(1, 1, 1, 1), stem_stride=1)
    changes = {
        "optimiser": "adam",
        "schedule": "plateau",
        "class_weights": "balanced",
        "precision": "bfloat16",
        "epochs": 2,
    }
    result = train_small(store, model=model, train=changes)
    assert len(result.history) == 2
    assert all(math.isfinite(record.val_loss) for record in result.history)


def test_early_stopping_waits_for_patience_epochs(store: CellStore):
    changes = {"epochs": 40, "patience": 2, "learning_rate": 0.03, "schedule": "constant"}
    result = train_small(store, train=changes)
    losses = [record.val_loss for record in result.history]
    best = int(np.argmin(losses))
    assert len(losses) == best + 3 < 40
    assert result.best_epoch == best + 1


def test_the_caller_may_stop_after_any_epoch(store: CellStore):
    seen = []

    def stop_after_two(record) -> bool:
        seen.append(record)
        return len(seen) < 2

    result = train_small(store, train={"epochs": 10}, on_epoch=stop_after_two)
    assert result.history == seen
    assert len(seen) == 2


def test_a_diverging_run_names_step_and_remedy(store: CellStore):
    changes = {"learning_rate": 1e30, "optimiser": "adam", "warmup": 0.0, "clip_norm": 1e30}
    with pytest.raises(TrainingError, match=r"loss became (nan|inf) in epoch 1, step \d") as caught:
        train_small(store, train=changes)
    assert "train.learning_rate" in caught.value.remedy


def test_the_pipeline_of_a_batch_larger_than_the_set_is_one_step(store: CellStore):
    result = train_small(store, train={"epochs": 2, "batch_size": 4096})
    assert [record.step for record in result.history] == [1, 2]


def test_a_subset_trains_on_fewer_cells(store: CellStore):
    result = train_small(store, max_cells=64, train={"epochs": 1})
    assert result.history[0].step == 64 // TRAIN.batch_size

"""A network and trees on measured features in one ONNX graph."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from tests.exported import (
    BOOSTING,
    CANVAS,
    CLASSES,
    TEMPERATURE,
    exported_file,
    network_params,
    raw_cells,
    trained_model,
)
from unstained.artifact.inference import open_session, run_session
from unstained.artifact.padding import pad_batch
from unstained.config.models import EnsembleParams
from unstained.data.canvas import place
from unstained.models.trained import TrainedModel

MEMBERS = (network_params("resnet50"), BOOSTING)
BOTH = EnsembleParams(architecture="ensemble", members=("one", "two"), models=MEMBERS)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[TrainedModel, Path]:
    trained = trained_model(BOTH)
    folder = tmp_path_factory.mktemp("ensemble")
    return trained, exported_file(folder, trained, exporter="legacy")


def test_one_file_answers_as_the_mean_of_both(exported: tuple[TrainedModel, Path]) -> None:
    _, path = exported
    onnx.checker.check_model(str(path), full_check=True)
    cells = raw_cells(20, seed=4)
    found = run_session(open_session(path), pad_batch(cells))
    alone = [trained_model(params).predict(place(cells, CANVAS)) for params in MEMBERS]
    logits = np.mean([one["logits"].astype(np.float64) for one in alone], axis=0)
    np.testing.assert_allclose(found["logits"], logits, atol=1e-4)
    odds = np.exp(logits / TEMPERATURE)
    np.testing.assert_allclose(found["probabilities"], odds / odds.sum(1, keepdims=True), atol=1e-5)
    targets = np.mean([one["targets"] for one in alone], axis=0)
    np.testing.assert_allclose(found["targets"], targets, rtol=1e-4)
    assert len(set(logits.argmax(axis=1))) == len(CLASSES)


def test_its_map_and_embedding_are_the_networks(exported: tuple[TrainedModel, Path]) -> None:
    trained, path = exported
    cells = raw_cells(6, seed=5)
    found = run_session(open_session(path), pad_batch(cells))
    network = trained_model(MEMBERS[0]).predict(place(cells, CANVAS))
    assert trained.spec.has_cam
    for name in ("cam", "embedding"):
        np.testing.assert_allclose(found[name], network[name], rtol=1e-3, atol=1e-4)

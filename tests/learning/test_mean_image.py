"""Networks for frames, trained and exported: less the mean image, wherever cells are turned to."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.exported import EXPORTERS, export_params
from tests.learning.cases import AUGMENT, NO_AUGMENT, TRAIN
from tests.models.sizes import parse
from unstained.artifact.inference import open_session, run_session
from unstained.artifact.padding import pad_batch
from unstained.artifact.proven_export import export_with_parity
from unstained.artifact.serving_graph import ServingGraph
from unstained.config.study import StudyData
from unstained.data.canvas import load_canvases
from unstained.data.store.blocks import Cell, Origin
from unstained.data.store.cell_store import CellStore
from unstained.data.store.writer import StoreWriter
from unstained.imaging.axes import Axes
from unstained.learning import presenting
from unstained.learning.fit import FitResult, fit
from unstained.learning.optimiser import sum_of_squares

FRAMES = 3
DATA = StudyData.model_validate(
    {
        "title": "snippets",
        "question": "How much?",
        "reader": "table",
        "source": "files",
        "pixel_size_um": 1.0,
        "channels": ["phase"],
        "frames": FRAMES,
        "tasks": {"muscle": {"kind": "proportion", "parts": ["a", "b"], "columns": ["m"]}},
        "group": "acquisition",
        "canvas": 16,
        "table": {"file": "t.csv", "image": "image"},
    }
)
SIZES = {"width": 0.5, "frames": FRAMES, "image": 16}
MODELS = {
    "double": {"architecture": "differential_cnn", "streams": ["raw", "lag1"]},
    "shared": {
        "architecture": "differential_cnn",
        "streams": ["raw", "lag1", "diff2"],
        "shared": True,
    },
    "pooled": {"architecture": "differential_cnn_pooled", "streams": ["raw", "lag2"]},
    "cnn_3d": {"architecture": "cnn_3d"},
}
ALWAYS = {"shared", "cnn_3d"}
"""What the others are of is in these; they take their turn in `make test-all`."""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> CellStore:
    """Snippets below one gradient of light; the share is how fast a blob moves."""
    path, rng = tmp_path_factory.mktemp("snippets") / "store", np.random.default_rng(0)
    y, x = np.mgrid[:16, :16]
    axes, told = Axes(("phase",), FRAMES), {"m": "float64"}
    with StoreWriter(path, study="s", axes=axes, told=told) as writer:
        for name in ("one", "two"):
            cells = []
            for number in range(32):
                speed = rng.uniform(0, 3)
                at = 4 + speed * np.arange(FRAMES)[:, None, None]
                blob = np.exp(-((x - at) ** 2 + (y - 8) ** 2) / 6)
                pixels = 900 * (1 + 0.03 * x + 0.4 * blob) + rng.normal(0, 4, (FRAMES, 16, 16))
                cell = pixels.astype(np.uint16)[:, None]
                cells.append(Cell(number, f"{number}.tif", name, cell, (), {"m": speed / 3}))
            writer.write(Origin(name, "", False), cells)
    return CellStore.open(path)


def trained(store: CellStore, name: str, **train: object) -> FitResult:
    settings = TRAIN.model_validate(
        TRAIN.model_dump()
        | {"epochs": 2, "batch_size": 16, "augment": AUGMENT.model_dump()}
        | train
    )
    rows = np.arange(64)
    model = parse({**MODELS[name], **SIZES, "dropout": 0.5})
    return fit(store, rows[:32], rows[32:], data=DATA, model=model, train=settings, seed=1)


@pytest.mark.parametrize("exporter", EXPORTERS)
@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=() if name in ALWAYS else pytest.mark.minutes) for name in MODELS],
)
def test_the_graph_takes_raw_frames_and_gives_the_share(
    store: CellStore, tmp_path: Path, name: str, exporter: str
) -> None:
    result = trained(store, name)
    rows = np.arange(32)
    contrast = load_canvases(store, rows, 16).contrast(slice(None), result.trained.spec.scale)
    torch.testing.assert_close(
        result.trained.network.mean_image, contrast.double().mean(dim=0).float()
    )
    graph = ServingGraph(result.trained, {})
    cells = store.images(np.arange(32, 48))
    exported, parity, notes = export_with_parity(
        graph,
        tmp_path / "model.onnx",
        cells,
        dtype=np.dtype("uint16"),
        channels=FRAMES,
        params=export_params(exporters=(exporter,)),
    )
    assert (exported.exporter, notes, parity.passed) == (exporter, [], True)
    session = open_session(tmp_path / "model.onnx")
    shares = run_session(session, pad_batch(cells[:5]))[graph.output_names[0]]
    logits = result.trained.predict(load_canvases(store, np.arange(32, 37), 16))["logits"]
    assert logits is not None
    np.testing.assert_allclose(shares[:, 0], 1 / (1 + np.exp(-logits[:, 0])), atol=1e-4)
    np.testing.assert_allclose(shares.sum(axis=1), 1, atol=1e-6)
    assert np.ptp(shares[:, 0]) > 0


def test_the_mean_is_subtracted_before_cells_are_turned(
    store: CellStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[torch.Tensor, torch.Tensor]] = []
    plain = presenting.augment

    def spy(contrast: torch.Tensor, *rest: object) -> torch.Tensor:
        turned = plain(contrast, *rest)  # type: ignore[arg-type]
        seen.append((contrast, turned))
        return turned

    monkeypatch.setattr(presenting, "augment", spy)
    turns = NO_AUGMENT.model_copy(update={"dihedral": True}).model_dump()
    trained(store, "double", epochs=1, augment=turns)
    still = torch.cat([contrast for contrast, _ in seen])
    torch.testing.assert_close(still.mean(dim=0), torch.zeros_like(still[0]), rtol=0, atol=1e-5)
    assert any(not torch.equal(contrast, turned) for contrast, turned in seen)


def test_a_network_for_frames_learns_before_labels_and_keeps_its_mean_image(
    store: CellStore,
) -> None:
    before = {"epochs": 1, "batch_size": 16, "expander": 8}
    plain, found = (
        trained(store, "double", epochs=1, **one) for one in ({}, {"pretraining": before})
    )
    (told,) = found.pretrained
    assert told.cells == 32
    assert np.isfinite(told.losses).all()
    images = [result.trained.network.mean_image for result in (plain, found)]
    assert torch.equal(*images)
    assert plain.history != found.history


def test_l2_draws_weights_to_zero_and_is_no_part_of_the_losses_told(store: CellStore) -> None:
    once = {"epochs": 1, "batch_size": 32, "ema_decay": 0.0, "clip_norm": 1e9, "weight_decay": 0.0}
    without, with_l2 = (trained(store, "double", **once, weight_l2=l2) for l2 in (0.0, 10.0))
    assert with_l2.history[0].train_loss == without.history[0].train_loss
    squares = [
        sum_of_squares(found.trained.network).detach().item() for found in (without, with_l2)
    ]
    assert squares[1] < squares[0]

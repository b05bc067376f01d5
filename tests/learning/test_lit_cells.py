"""Cells lit from four sides through training: mirrored with their light, seen with their phase."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.learning.cases import NO_AUGMENT, STUDY, train_small
from tests.models.sizes import TINY, parse
from tests.optics import CHANNELS, ILLUMINATION, optics
from tests.synthetic import asked
from unstained.data.canvas import load_canvases
from unstained.data.store.blocks import Cell, Origin
from unstained.data.store.cell_store import CellStore
from unstained.data.store.writer import StoreWriter
from unstained.errors import TrainingError
from unstained.imaging.axes import Axes
from unstained.learning import presenting
from unstained.models.trained import load_trained, save_trained


@pytest.fixture
def store(tmp_path: Path) -> CellStore:
    """Cells that are their own mirror image: lit from the left what lit from the right mirrors."""
    rng = np.random.default_rng(0)
    writer = StoreWriter(tmp_path / "store", study="s", axes=Axes(CHANNELS), markers=("DNA",))
    with writer:
        for acquisition in ("a_00", "a_03", "b_00", "b_03"):
            cells = []
            for number in range(16):
                left, top, bottom = rng.normal(600, 60, (3, 33, 33))
                top, bottom = top + top[:, ::-1], bottom + bottom[:, ::-1]
                planes = np.stack([2 * left, 2 * left[:, ::-1], top, bottom])
                framed = np.pad(
                    planes[:, 1:-1, 1:-1], ((0, 0), (1, 1), (1, 1)), constant_values=1200
                )
                pixels = framed.clip(1).astype(np.uint16)[None]
                cells.append(
                    Cell(number, f"{number}.tif", acquisition, pixels, (1.0 + number,), {})
                )
            writer.write(Origin(acquisition, acquisition[0], False), cells)
    return CellStore.open(tmp_path / "store")


def test_training_mirrors_the_light_with_the_cell_and_shows_its_phase(
    store: CellStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = STUDY.model_dump(exclude={"tasks"}) | {
        "channels": CHANNELS,
        "canvas": 33,
        "illumination": ILLUMINATION,
        "tasks": asked("ab", DNA={"column": "marker_DNA"}),
    }
    shown = {"view": "phase", "optics": optics(33).model_dump(), "side": 32}
    moved: list[torch.Tensor] = []
    plain = presenting.augment

    def spy(contrast: torch.Tensor, *rest: object) -> torch.Tensor:
        found = plain(contrast, *rest)  # type: ignore[arg-type]
        moved.append((found - contrast).abs().amax())
        return found

    monkeypatch.setattr(presenting, "augment", spy)
    result = train_small(
        store,
        data=type(STUDY).model_validate(content),
        model=parse(TINY["hybrid_gated"], input=shown),
        train={
            "epochs": 1,
            "batch_size": 8,
            "augment": NO_AUGMENT.model_copy(update={"mirror": True}),
        },
    )
    assert moved
    assert max(moved) < 1e-6
    assert result.trained.network.images == 5
    save_trained(tmp_path / "model", result.trained)
    canvases = load_canvases(store, np.arange(6), 33)
    again = load_trained(tmp_path / "model").predict(canvases)
    for name, value in result.trained.predict(canvases).items():
        assert (value is None) == (again[name] is None)
        assert value is None or np.array_equal(value, again[name])


def test_symmetries_that_know_nothing_of_the_light_are_refused(store: CellStore) -> None:
    content = STUDY.model_dump(exclude={"tasks"}) | {
        "channels": CHANNELS,
        "canvas": 32,
        "illumination": ILLUMINATION,
        "tasks": asked("ab", DNA={"column": "marker_DNA"}),
    }
    model = parse(TINY["resnet50"], input={"symmetries": 2})  # as a search would set it
    with pytest.raises(TrainingError, match="not told which planes are lit"):
        train_small(store, data=STUDY.model_validate(content), model=model)

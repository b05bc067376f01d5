"""A small learning problem and small networks for the tests of this layer and of stage `train`."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tests.synthetic import asked, make_store
from unstained.config.learning import AugmentParams, TrainParams
from unstained.config.networks import NetworkParams
from unstained.config.overrides import apply_overrides
from unstained.config.study import StudyData
from unstained.data.store.cell_store import CellStore
from unstained.learning.fit import FitResult, fit

NO_AUGMENT = AugmentParams(
    dihedral=False, shift_px=0, scale=0.0, gain=0.0, offset=0.0, noise=0.0, blur_px=0.0
)
AUGMENT = AugmentParams(
    dihedral=True, shift_px=2, scale=0.05, gain=0.2, offset=0.01, noise=0.01, blur_px=0.6
)
NETWORK = NetworkParams(architecture="resnet50", width=0.125, depth=(1, 1, 1, 1), stem_stride=2)
STUDY = StudyData.model_validate(
    {
        "title": "synthetic",
        "question": "which blob?",
        "reader": "zhu_ifc",
        "source": "simulator",
        "pixel_size_um": 0.33,
        "channels": ["Ch1"],
        "tasks": asked("abc", DNA={"column": "marker_DNA", "transform": "log", "unit": "au"}),
        "group": "acquisition",
        "canvas": 32,
    }
)
TRAIN = TrainParams(
    epochs=3,
    batch_size=32,
    optimiser="adamw",
    learning_rate=3e-3,
    weight_decay=0.05,
    schedule="cosine",
    warmup=0.1,
    patience=10,
    ema_decay=0.9,
    clip_norm=1.0,
    target_weight=0.3,
    class_weights="none",
    precision="auto",
    compile="auto",
    workers=1,
    loading="auto",
    augment=AUGMENT,
)


def small_store(path: Path) -> CellStore:
    """180 cells of three classes in 12 acquisitions; a tenth of the markers is missing."""
    return make_store(path, cells_per_group=15, groups_per_class=4, missing_markers=0.1)


def split_rows(store: CellStore) -> tuple[np.ndarray, np.ndarray]:
    """Training and validation rows; the last acquisition of each class validates."""
    last = store.table["acquisition"].str.endswith("_03").to_numpy()
    return np.flatnonzero(~last), np.flatnonzero(last)


def train_small(store: CellStore, **arguments: Any) -> FitResult:
    """`fit` on the small problem; keywords replace its arguments, `train` updates TRAIN."""
    train_rows, val_rows = split_rows(store)
    train = TrainParams.model_validate({**TRAIN.model_dump(), **arguments.pop("train", {})})
    defaults: dict[str, Any] = {"data": STUDY, "model": NETWORK, "seed": 7}
    return fit(store, train_rows, val_rows, train=train, **{**defaults, **arguments})


def weights_digest(result: FitResult) -> str:
    """Sha256 of all weights and buffers."""
    total = hashlib.sha256()
    for name, tensor in sorted(result.trained.network.state_dict().items()):
        total.update(name.encode() + tensor.contiguous().numpy().tobytes())
    return total.hexdigest()


def write_result(
    store: Path, scratch: Path | None, out: Path, overrides: Mapping[str, Any], seconds: float
) -> None:
    """Train in a process of its own and write the weights' digest and the training losses."""
    torch.set_num_threads(1)
    model, train = apply_overrides(NETWORK, TRAIN, overrides)
    result = train_small(
        CellStore.open(store),
        scratch=scratch,
        model=model,
        train=train.model_dump(),
        checkpoint_seconds=seconds,
    )
    losses = [record.train_loss for record in result.history]
    content = {"digest": weights_digest(result), "train_losses": losses}
    out.write_text(json.dumps(content))


def process_factory() -> multiprocessing.context.ForkServerContext:
    """Processes that start in milliseconds, because a server has imported torch for them."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.learning.cases"])
    return context


if __name__ == "__main__":
    import os

    _, store_path, out_path, changes = sys.argv
    rank = os.environ["RANK"]
    write_result(Path(store_path), None, Path(f"{out_path}.{rank}"), json.loads(changes), 20.0)

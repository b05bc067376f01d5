"""Registered models without training: tiny sealed artifacts, predictions, a prepared database."""

from __future__ import annotations

import atexit
import functools
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pandas as pd
from onnx import TensorProto, helper
from safetensors.numpy import save_file

from unstained.artifact.abstention import fit_rules, write_rules
from unstained.artifact.artifact import CARD_FORMAT, seal_artifact
from unstained.config.compare import CompareStageParams
from unstained.files import write_json
from unstained.registry.leaderboard.candidates import CellFiles
from unstained.registry.ledger import Ledger
from unstained.registry.registry import Registry
from unstained.registry.settling import look
from unstained.registry.standings import Leaderboard
from unstained.registry.submission import DatasetFacts, RegisteredVersion, Submission
from unstained.stages.compare import make_leaderboard

NAME = "unstained-toy"
STUDY = "toy"
CLASSES = ("a", "b", "c")


HALF_MADE = (".mlflow.db.new", ".mlflow.db.new-journal")
"""What a killed process leaves that was making the database."""


@functools.cache
def template_database() -> Path:
    """A migrated, empty database: MLflow takes many seconds to make one."""
    folder = Path(tempfile.mkdtemp(prefix="unstained-mlflow-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    for left in HALF_MADE:
        (folder / left).write_bytes(b"half a database")
    assert Registry(None, folder).versions(NAME) == []
    return folder / "mlflow.db"


def fresh_registry(root: Path) -> Registry:
    """An empty SQLite registry in `root`."""
    shutil.copy(template_database(), root / "mlflow.db")
    return Registry(None, root)


SLOPES = np.array([-0.001, 0.0, 0.001], np.float32)
"""Logits of the toy graph are mean counts times these, plus (0, `bias`, -2 to shift it)."""


def toy_logits(images: np.ndarray, bias: float) -> np.ndarray:
    """What the toy graph says of (B, C, h, w) images, in float64."""
    means = images.astype(np.float64).mean(axis=(1, 2, 3))
    return means[:, None] * SLOPES + np.array([0.0, bias, -2.0])


def make_artifact(
    path: Path,
    *,
    bias: float = 0.0,
    classes: tuple[str, ...] = CLASSES,
    groups: tuple[str, ...] = (),
    card_format: int = CARD_FORMAT,
) -> Path:
    """A sealed artifact of the toy graph, for images of any size; `bias` makes them differ."""
    path.mkdir(parents=True)
    value, float32 = helper.make_tensor_value_info, TensorProto.FLOAT
    pixels = value("pixels", TensorProto.UINT16, ["batch", 1, "height", "width"])
    outputs = [
        value(name, float32, ["batch", size])
        for name, size in (("probabilities", 3), ("logits", 3), ("targets", 1))
    ]
    nodes = [
        helper.make_node("Cast", ["pixels"], ["counts"], to=float32),
        helper.make_node("ReduceMean", ["counts", "axes"], ["targets"], keepdims=0),
        helper.make_node("Mul", ["targets", "slopes"], ["scores"]),
        helper.make_node("Add", ["scores", "bias"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
    ]
    constants = [
        helper.make_tensor("axes", TensorProto.INT64, [2], [2, 3]),
        helper.make_tensor("slopes", float32, [1, 3], SLOPES),
        helper.make_tensor("bias", float32, [1, 3], [0.0, bias, -2.0]),
    ]
    graph = helper.make_graph(nodes, "toy", [pixels], outputs, constants)
    opset = [helper.make_opsetid("", 20)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=10), path / "model.onnx")
    images = np.random.default_rng(0).integers(0, 4000, (3, 1, 20, 24), dtype=np.uint16)
    logits = toy_logits(images, bias).astype(np.float32)
    save_file({"pixels": images, "logits": logits}, path / "golden.safetensors")
    target = {"name": "DNA", "transform": "none", "unit": ""}
    card = {
        "format": card_format,
        "study": STUDY,
        "bias": bias,
        "groups": list(groups),
        "inputs": [
            {"name": "pixels", "dtype": "uint16", "channels": ["Ch1"], "frames": 1, "white": None}
        ],
        "outputs": [
            {"name": "logits", "classes": list(classes)},
            {"name": "targets", "targets": [target]},
        ],
    }
    write_json(path / "card.json", card)
    calibration = {"temperature": 1.0, "thresholds": [0.9] * len(CLASSES)}
    write_json(path / "calibration.json", {"blob": calibration})
    write_rules(path, fit_rules([], np.empty((0, 1)), None, 0.05))
    seal_artifact(path)
    return path


def make_predictions(
    *,
    skill: float = 0.9,
    seed: int = 0,
    groups: int = 12,
    cells: int = 20,
    target: str | None = "DNA",
) -> pd.DataFrame:
    """Predictions that are right with probability `skill`; the cells are always the same ones."""
    fixed, drawn = np.random.default_rng(0), np.random.default_rng(seed)
    number = groups * cells
    group = np.repeat(np.arange(groups), cells)
    label = group % len(CLASSES)
    part = np.where(group < groups // 2, "val", "test")
    right = drawn.random(number) < skill
    predicted = np.where(right, label, (label + drawn.integers(1, 3, number)) % len(CLASSES))
    logits = drawn.normal(0, 0.3, (number, len(CLASSES)))
    logits[np.arange(number), predicted] += 2.5
    odds = np.exp(logits)
    probability = odds / odds.sum(1, keepdims=True)
    frame = pd.DataFrame(
        {
            "cell_id": [f"{g}/{i}" for i, g in enumerate(group)],
            "group": [f"g{g:02d}" for g in group],
            "label": label,
            "part": part,
        }
    )
    for k in range(len(CLASSES)):
        frame[f"logit_{k}"] = logits[:, k]
    for k in range(len(CLASSES)):
        frame[f"probability_{k}"] = probability[:, k]
    frame["predicted"] = logits.argmax(1)
    if target:
        truth = fixed.normal(10, 2, number)
        truth[::7] = np.nan
        frame[f"target_{target}"] = truth
        frame[f"predicted_{target}"] = np.nan_to_num(truth) + drawn.normal(0, 1, number)
    for k in range(len(CLASSES)):
        frame[f"set_{k}"] = probability[:, k] > 0.1
    return frame


def submission(
    folder: Path,
    *,
    bias: float = 0.0,
    model: str = "cg_recnet",
    predictions: pd.DataFrame | None = None,
    split: str = "5" * 64,
    classes: tuple[str, ...] = CLASSES,
    groups: tuple[str, ...] = (),
    card_format: int = CARD_FORMAT,
    tags: Mapping[str, str] | None = None,
    **changes: Any,
) -> Submission:
    """A complete submission; `bias` makes artifacts differ."""
    folder.mkdir(parents=True, exist_ok=True)
    artifact = folder / f"artifact-{model}-{bias}"
    if not artifact.exists():
        make_artifact(artifact, bias=bias, classes=classes, groups=groups, card_format=card_format)
    path = folder / f"{model}-{bias}.parquet"
    (make_predictions() if predictions is None else predictions).to_parquet(path)
    report = folder / "report.html"
    report.write_text("<title>report</title>")
    values: dict[str, Any] = {
        "experiment": "unstained",
        "name": NAME,
        "study": STUDY,
        "model": model,
        "recipe": "demo",
        "artifact": artifact,
        "dataset": DatasetFacts(STUDY, "d" * 64, split, "runs/toy/ingest/store", {"cells": 240}),
        "simulated": True,
        "params": {"train.learning_rate": 0.001, "model.architecture": model},
        "metrics": {"test_macro_f1": 0.9, "test_accuracy": 0.91, "undefined": float("nan")},
        "history": [{"epoch": e, "train_loss": 1 / e, "val_loss": 2 / e} for e in (1, 2, 3)],
        "tags": {"git_commit": "abc", "params_digest": "e" * 64, "class_names": "a,b,c"}
        | {"parity_passed": "true", "latency_ms": "3.5"}
        | dict(tags or {}),
        "files": {"report.html": report},
        "figures": {},
        "predictions": path,
        "headline": ["test_macro_f1", "test_accuracy"],
    }
    return Submission(**(values | changes))


def standing_of(
    registry: Registry,
    params: CompareStageParams,
    new: Sequence[int],
    cells: CellFiles | None = None,
) -> Leaderboard:
    """The leaderboard where nothing was promoted: the alias says who is champion."""
    settled = look(registry, Ledger(registry.root / "ledger" / "toy.jsonl"), STUDY, NAME)
    return make_leaderboard(registry, settled, params, STUDY, new, cells)


REPLICATE = {"fold": "0", "seed": "42", "role": "replicate"}
"""Tags of a version that is one training among folds and seeds."""


def register(registry: Registry, folder: Path, bias: float, **changes: Any) -> RegisteredVersion:
    """Register one more version."""
    return registry.register(submission(folder, bias=bias, **changes))[0]

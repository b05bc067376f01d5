"""Miniature studies, from files to a served answer: a section of params.yaml, no new reader."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipelines.arguments import run_arguments
from pipelines.compiler import compile_graph
from pipelines.deployment import load_deployment
from tests.config.test_config import edit
from tests.conftest import ROOT
from tests.registered import fresh_registry
from tests.synthetic import write_colour, write_films, write_ifc
from unstained.data.store.cell_store import CellStore
from unstained.files import read_json
from unstained.pipeline.catalogue import STAGES, stage_definition
from unstained.pipeline.configure import configure
from unstained.pipeline.contract import Replicate
from unstained.pipeline.runner import run_stage
from unstained.serving.predictor import Predictor

RESIDUAL = ("resnet50", {"depth": [1, 1, 1, 1], "width": 0.125, "stem_stride": 2})
STREAMS = ("differential_cnn_pooled", {"streams": ["raw", "lag1"], "dropout": 0.0, "width": 0.25})
MODELS = {"colour": RESIDUAL, "values": RESIDUAL, "films": STREAMS}
"""Study -> architecture, and what is small of it."""
ODD = "CD4+ T (naïve)"
"""A name that MLflow refuses: of a class, a task and a marker."""

COMMON: dict[str, Any] = {
    "question": "Which?",
    "pixel_size_um": 0.3,
    "group": "acquisition",
    "canvas": 32,
}
STUDIES: dict[str, dict[str, Any]] = {
    "colour": {
        "reader": "table",
        "channels": ["red", "green", "blue"],
        "normalise": "rgb",
        "tasks": {
            ODD: {
                "kind": "classes",
                "rules": [
                    {"name": ODD, "pattern": "^a_"},
                    {"name": "CD8+ T / “memory”", "pattern": "^b_"},
                    {"name": "β-cell, 50 %", "pattern": "^c_"},
                ],
            }
        },
    },
    "values": {
        "reader": "zhu_ifc",
        "channels": ["Ch1"],
        "markers": {ODD: "Ch2"},
        "tasks": {ODD: {"kind": "value", "column": f"marker_{ODD}", "unit": "counts"}},
    },
    "films": {
        "reader": "table",
        "table": {"file": "films.tsv", "image": "film"},
        "channels": ["phase"],
        "frames": 5,
        "tasks": {"muscle": {"kind": "proportion", "parts": ["muscle", "other"], "columns": ["m"]}},
    },
}
METRICS = {"colour": ("macro_f1", True), "values": ("r2", True), "films": ("mae", False)}
"""Study -> metric that versions are compared by, and whether more is better."""


def write_source(source: Path, name: str) -> None:
    """Raw files of 60 cells in 15 samples, as their reader finds them."""
    samples = {f"{kind}_{number}": 4 for number in range(5) for kind in "abc"}
    if name == "colour":
        write_colour(source, samples)
    elif name == "values":
        write_ifc(source, samples)
        for file in source.rglob("*_0_Ch2.ome.tif"):
            file.unlink()
    else:
        write_films(source, samples)
        rows = [
            f"{sample}/cell_{cell}.tif\t{(number % 3) / 2 if cell else ''}"
            for number, sample in enumerate(samples)
            for cell in range(4)
        ]
        (source / "films.tsv").write_text("\n".join(["film\tm", *rows]) + "\n")


def add_study(root: Path, name: str, source: Path) -> None:
    """The study's one section, and a tiny recipe."""
    for file in ("params.yaml", "dvc.yaml"):
        shutil.copy(ROOT / file, root / file)
    params, (model, sizes) = root / "params.yaml", MODELS[name]
    data = {"title": name, "source": str(source), **COMMON, **STUDIES[name]}
    edit(params, "studies", name, value={"data": data})
    for path, value in {
        ("active",): [name],
        ("models",): [model],
        ("architectures", model): sizes,
        ("tune", "executor"): "inline",
        ("recipes", "demo", "tune", "trials"): 1,
        ("recipes", "demo", "tune", "epochs"): 1,
        ("evaluate", "bootstrap"): 100,
        ("compare", "resamples"): 100,
        ("promote", "beats_mean"): False,  # in one epoch nothing is learnt
        ("export", "latency_batches"): [1],
        ("export", "latency_repeats"): 2,
        ("validate", "min_cells_per_class"): 1,
        ("ingest", "workers"): 1,
        ("baselines", "models"): [model],
        ("baselines", "experiments"): [],
        ("baselines", "folds"): [0],
        ("explain", "cells_per_class"): 2,
        ("explain", "examples_per_class"): 1,
        ("explain", "steps"): 3,
        ("uncertainty", "neighbour"): 3,
        ("uncertainty", "unknown_cells"): 4,
    }.items():
        edit(params, *path, value=value)
    train = {"epochs": 1, "patience": 1, "ema_decay": 0.0, "target_weight": 1.0}
    augment = dict.fromkeys(("scale", "gain", "offset", "noise", "blur_px"), 0.0)
    train["augment"] = {"dihedral": True, "shift_px": 0, **augment}
    edit(params, "studies", name, "demo", value={"train": train})


def finish(root: Path, name: str) -> Path:
    """Every stage in order; the folder of their outputs."""
    configure(root)
    registry = fresh_registry(root)
    for stage in STAGES:
        model = MODELS[name][0] if stage_definition(stage).per == "model" else None
        run_stage(stage, name, model, root=root, registry=registry)
    return root / "runs" / name


def along_the_range(runs: Path, column: str) -> dict[str, float]:
    """Lowest, middle and highest known value of the test cells."""
    split = pd.read_parquet(runs / "split" / "split.parquet").set_index("cell_id")["part"]
    table = CellStore.open(runs / "ingest" / "store").table.set_index("cell_id")
    known = table.loc[split.index[split == "test"], column].dropna().sort_values()
    middle = float(known.iloc[round((len(known) - 1) / 2)])
    return {"lowest": float(known.min()), "median": middle, "highest": float(known.max())}


def compared(root: Path, name: str) -> Path:
    """The pages on one replicate, whose network is that of the main job; the folder of outputs."""
    replicate, runs = Replicate(0, 42), root / "runs" / name
    model, _ = MODELS[name]
    trained = runs / "replicates" / "train" / model / replicate.name
    shutil.copytree(runs / "train" / model, trained)
    run_stage("evaluate", name, model, root=root, replicate=replicate)
    for stage in ("explain", "uncertainty"):
        run_stage(stage, name, root=root)
    return runs


def assert_numbers_are_doubted(runs: Path, quantity: str) -> None:
    """Intervals of a number are promised, and what they hold is counted."""
    page = " ".join((runs / "uncertainty" / "uncertainty.html").read_text().split())
    coverage = pd.read_csv(runs / "uncertainty" / "coverage.csv")
    outliers = pd.read_csv(runs / "uncertainty" / "outliers.csv")
    assert set(coverage["quantity"]) == {quantity}
    assert set(outliers["score"]) == {"neighbours"}
    assert f"{quantity}: errors of predicted numbers" in page
    assert "need classes" not in page


def assert_numbers_are_explained(runs: Path, quantity: str) -> None:
    """The maps of a number are measured, shown and said to be of it."""
    page = " ".join((runs / "explain" / "explain.html").read_text().split())
    table = pd.read_csv(runs / "explain" / "explanations.csv")
    value = table.set_index(["model", "measure", "control"])["value"]
    (model,) = set(table["model"])
    assert value[model, "measured", "map"] == 1
    assert value[model, "cam_error", "map"] < 1e-9
    assert value[model, "cam_logit_error", "map"] < 1e-9
    assert f"Grad-CAM of {quantity}" in page
    assert f"{quantity}: lowest third" in page
    assert "predicted class" not in page


def assert_intervals_agree(runs: Path, model: str, task: str, leaderboard: dict[str, Any]) -> None:
    """A number has one interval wherever it is told: of the leaderboard and of the model's card."""
    (first,), metric = leaderboard["entries"], leaderboard["metric"]
    told = read_json(runs / "evaluate" / model / "result.json")["parts"]["test"]["scores"]
    band = told["tasks"][task]["metrics"][metric]
    assert (first["low"], first["high"]) == pytest.approx((band["low"], band["high"]), abs=1e-6)


@pytest.mark.usefixtures("quick_compiler", "quick_exporter")
@pytest.mark.parametrize("name", STUDIES)
def test_from_files_to_a_served_answer(tmp_path: Path, name: str) -> None:
    source = tmp_path / "source"
    write_source(source, name)
    add_study(tmp_path, name, source)
    runs, (model, _) = finish(tmp_path, name), MODELS[name]
    store = CellStore.open(runs / "ingest" / "store")
    predictor = Predictor(runs / "export" / model / "artifact")
    served = predictor.predict(store.images(np.arange(3)))
    names = list(served)
    leaderboard = read_json(runs / "compare" / "leaderboard.json")
    decision = read_json(runs / "promote" / "decision.json")
    first, metrics = leaderboard["entries"][0], read_json(runs / "controls" / "metrics.json")
    (task,) = STUDIES[name]["tasks"]
    scores = metrics[model]["task"][task]
    assert (leaderboard["metric"], leaderboard["higher_is_better"]) == METRICS[name]
    assert first["value"] == pytest.approx(scores[leaderboard["metric"]], abs=1e-6)
    assert_intervals_agree(runs, model, task, leaderboard)
    criteria = {criterion["name"] for criterion in decision["criteria"]}
    assert ("rare class" in criteria) == (name == "colour")
    if name == "colour":
        assert served["probabilities"].shape == served["conformal_set"].shape == (3, 3)
        np.testing.assert_allclose(served["probabilities"].sum(axis=1), 1, atol=1e-5)
    else:
        assert decision["promoted"] is True
        column = STUDIES[name]["tasks"][task].get("column", "m")
        assert np.isnan(store.table[column]).sum() == 15
        page = " ".join((runs / "report" / "report.html").read_text().split())
        assert "Not every truth of the test cells is known" in page
        assert f"{task} is known of {scores['known']:g} test cells and scored on them" in page
        assert f"{metrics['missing'][task]['test']} are left out" in page
        for place, value in along_the_range(runs, column).items():
            assert f"{place}: {value:,.2f}".replace("-", "−") in page
    if name == "values":
        assert names == ["targets", "cam", "embedding", "abstention"]
        assert served["targets"].shape == (3, 1)
    if name == "films":
        assert store.images([0])[0].shape[0] == 5
        found = read_json(runs / "evaluate" / model / "metrics.json")["training"][task]
        assert set(found) == {"cross_entropy", "accuracy", "entropy"}
        shares = served[names[0]]
        assert shares.shape == (3, 2)
        np.testing.assert_allclose(shares.sum(axis=1), 1, atol=1e-5)
        looked_into = compared(tmp_path, name)
        assert_numbers_are_doubted(looked_into, task)
        assert_numbers_are_explained(looked_into, task)
    assert len(store) == 60
    assert isinstance(decision["promoted"], bool)
    deployment = load_deployment(ROOT, "local")
    made = compile_graph("training", deployment, run_arguments(tmp_path, name), tmp_path / "g.yaml")
    assert made.path.stat().st_size > 10_000

"""Explanations of two trained models of a tiny study, and of two that have none to measure."""

from __future__ import annotations

import base64
import json
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from tests.config.test_config import edit
from tests.demo import RECIPE
from tests.replicates import MODELS as TRAINED
from tests.replicates import another, home, replicate
from unstained.config.document import read_document
from unstained.data.canvas import load_canvases
from unstained.data.store.cell_store import CellStore
from unstained.errors import StageInputError
from unstained.files import file_sha256, read_json, write_json
from unstained.models.trained import load_trained
from unstained.pipeline.catalogue import LEARNING
from unstained.pipeline.contract import Replicate, Report
from unstained.pipeline.runner import run_stage
from unstained.stages import explain

pytestmark = pytest.mark.xdist_group("replicates")

MODELS = (*TRAINED, "resnet50_other_split", "resnet50_standardised")
FIRST = Replicate(0, 42)
SETTINGS = {
    "cells_per_class": 4,
    "examples_per_class": 2,
    "steps": 4,
    "pointing_tolerance_px": 2.0,
    "depths": 3,
    "top": 0.2,
}


@dataclass(frozen=True)
class Done:
    """A project with replicates, and what the stage said of them."""

    root: Path
    report: Report

    @property
    def out(self) -> Path:
        return self.root / "runs/nsc/explain"

    @property
    def html(self) -> str:
        return (self.out / "explain.html").read_text(encoding="utf-8")

    def table(self, name: str) -> pd.DataFrame:
        return pd.read_csv(self.out / name)


def variant(root: Path, name: str, **changes: object) -> None:
    """The trained ResNet50 under another name, with another description of what it is."""
    for stage in LEARNING:
        source = home(root, "resnet50", FIRST.fold, stage)
        shutil.copytree(source, home(root, name, FIRST.fold, stage))
    description = home(root, name, FIRST.fold, "train") / "model/model.json"
    content = read_json(description)
    content["spec"]["model"] |= changes
    write_json(description, content)


@pytest.fixture(scope="module")
def done(replicated: Path, tmp_path_factory: pytest.TempPathFactory) -> Done:
    root = another(replicated, tmp_path_factory.mktemp("explain") / "project")
    params = root / "params.yaml"
    edit(params, "baselines", "models", value=list(MODELS))
    experiment = {"question": "Bright?", "usual": "resnet50", "changed": "resnet50_standardised"}
    edit(params, "baselines", "experiments", value=[experiment])
    edit(params, "baselines", "folds", value=[FIRST.fold])
    for name in MODELS[2:]:  # not trained here: `variant` describes them
        edit(params, "variants", name, value={"of": "resnet50"})
    edit(params, *RECIPE, "models", "resnet50", "output_stride", value=32)
    edit(params, *RECIPE, "models", "resnet50", "channels", value=[64, 128, 256, 512])
    edit(params, "evaluate", "bootstrap", value=40)
    for key, value in SETTINGS.items():
        edit(params, "explain", key, value=value)
    replicate(root, "resnet50", FIRST)
    variant(root, "resnet50_other_split", partition="reference")
    seen = {"view": "standardised", "side": 96}
    variant(root, "resnet50_standardised", input=seen, output_stride=8)  # maps of 12 x 12 points
    return Done(root, run_stage("explain", "nsc", root=root))


def svg_text(html: str) -> str:
    """All text inside the plots of a page."""
    found = re.findall(r"data:image/svg\+xml;base64,([A-Za-z0-9+/=]+)", html)
    return " ".join(base64.b64decode(part).decode() for part in found)


def test_every_model_is_in_the_table_measured_or_not(done: Done) -> None:
    table = done.table("explanations.csv")
    assert tuple(table.columns) == (
        "model", "measure", "control", "value", "low", "high", "cells"
    )  # fmt: skip
    measured = table[table["measure"] == "measured"].set_index("model")["value"]
    assert dict(measured) == {
        "resnet50": 1,
        "resnet50_standardised": 1,
        "features_boosting": 0,
        "resnet50_other_split": 0,
    }
    value = table.set_index(["model", "measure", "control"])["value"]
    assert value["resnet50", "cam_error", "map"] < 1e-10
    assert value["resnet50", "cam_logit_error", "map"] < 1e-10
    for measure, sign in (("insertion", 1), ("deletion", -1)):
        own = value["resnet50", measure, "map"]
        assert 0 <= own <= 1
        for control in ("random", "centre", "intensity"):
            gain = sign * (own - value["resnet50", measure, control])
            assert value["resnet50", f"{measure}_gain", control] == pytest.approx(gain, abs=1e-5)
    # Noise has no preference for the cell; contrast lies in it.
    assert value["resnet50", "lift", "random"] == pytest.approx(1, abs=0.1)
    assert value["resnet50", "lift", "intensity"] > 2
    cells = table[table["measure"] == "insertion"]["cells"]
    assert (cells == 12).all()


def test_shown_cells_are_held_out_and_called_as_the_network_does(done: Done) -> None:
    shown = re.findall(r"From top to bottom: ([^.]*)\.", done.html)
    ids = [name for line in shown for name in line.split(", ")]
    split = pd.read_parquet(done.root / "runs/nsc/split/split.parquet").set_index("cell_id")
    assert len(ids) == len(set(ids)) == 6
    assert (split.loc[ids, "part"] == "test").all()
    store = CellStore.open(done.root / "runs/nsc/ingest/store")
    trained = load_trained(home(done.root, "resnet50", FIRST.fold, "train") / "model")
    row = store.columns("cell_id")["cell_id"].tolist().index(ids[0])
    contrast = load_canvases(store, [row], 64).contrast(slice(None), trained.spec.scale)
    numbers = home(done.root, "resnet50", FIRST.fold) / "metrics.json"
    temperature = read_json(numbers)["temperature"]
    with torch.no_grad():
        logits = trained.network(contrast).logits[0].double() / temperature
    chance = float(torch.softmax(logits, 0).max())
    assert f"{100 * chance:.0f} %" in svg_text(done.html)


def test_the_cascade_reaches_the_whole_network(done: Done) -> None:
    table = done.table("cascade.csv")
    assert set(table["model"]) == {"resnet50", "resnet50_standardised"}
    one = table[table["model"] == "resnet50"]
    assert list(one["depth"]) == [1, 2, 3]
    assert list(one["down_to"])[0::2] == ["fc", "conv1"]
    assert one["share"].iloc[-1] == 1
    assert one["layers"].is_monotonic_increasing
    assert one[["spearman", "ssim"]].abs().to_numpy().max() <= 1


def test_the_page_names_what_is_left_out_and_why(done: Done) -> None:
    page = done.html
    for text in (
        "SIMULATED CELLS",
        "features_boosting: it decides by measured features",
        "resnet50_other_split: it learnt under the other split",
        "Experiments, which do not compete: resnet50_standardised",
        "The served activation map is Grad-CAM",
        "of 2 × 2 points",
        "Intervals are rough",
        "fold0-seed42",
    ):
        assert text in page
    assert "http://" not in page.replace("http://www.w3.org", "")
    shown = svg_text(page)
    assert "resnet50" in shown
    assert "resnet50_standardised" not in shown


def test_words_follow_from_the_numbers(done: Done) -> None:
    table = done.table("explanations.csv").query("model == 'resnet50'")
    gains = table[table["measure"].isin(["insertion_gain", "deletion_gain"])]
    clear = (gains["low"] > 0) & (gains["value"] >= 0.005)
    words = {
        "random": "no better than pixels in random order",
        "centre": "no better than a circle around the middle",
        "intensity": "no better than the contrast of the pixels themselves",
    }
    for control, sentence in words.items():
        lost = not clear[gains["control"] == control].all()
        assert (sentence in done.html) == lost
        assert any(sentence in note for note in done.report.notes) == lost
    assert done.report.metrics["beat_every_control"] == int(clear.all())
    assert done.report.metrics["networks"] == 2
    hardest = gains[gains["measure"] == "insertion_gain"]["value"].min()
    assert done.report.metrics["resnet50_insertion_gain"] == pytest.approx(hardest, abs=1e-5)


def test_same_inputs_same_bytes(done: Done) -> None:
    paths = [done.out / output.path for output in explain.STAGE.outputs.values()]
    before = [file_sha256(path) for path in paths]
    run_stage("explain", "nsc", root=done.root)
    assert [file_sha256(path) for path in paths] == before


def test_a_model_of_other_cells_is_refused(done: Done) -> None:
    description = home(done.root, "resnet50", FIRST.fold, "train") / "model/model.json"
    before, page = read_json(description), done.html
    write_json(description, before | {"spec": before["spec"] | {"data_digest": "other"}})
    try:
        with pytest.raises(StageInputError, match="data_digest"):
            run_stage("explain", "nsc", root=done.root)
    finally:
        write_json(description, before)
    assert done.html == page


def test_without_a_network_the_page_says_so(done: Done, tmp_path: Path) -> None:
    shutil.copytree(done.root, tmp_path / "project")
    params = tmp_path / "project/params.yaml"
    content: Any = read_document(params).content
    content["baselines"] |= {"models": ["features_boosting"], "experiments": []}
    params.write_text(json.dumps(content))
    alone = Done(params.parent, run_stage("explain", "nsc", root=params.parent))
    assert "No model here has a map." in alone.html
    assert alone.report.metrics == {"cells": 12, "networks": 0, "beat_every_control": 0}
    assert alone.table("cascade.csv").empty
    assert list(alone.table("explanations.csv")["model"]) == ["features_boosting"]

"""The plan of `make baselines`: operations of studies of movies, and which studies it refuses."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from tests.config.test_config import edit
from tests.conftest import ROOT
from unstained.config.networks import DifferentialCNNParams
from unstained.config.project import load_params
from unstained.errors import ParameterError
from unstained.pipeline.plan import plan, print_plan


def project(root: Path, study: str) -> Path:
    """A directory with params.yaml for a study and two models, before any stage ran."""
    path = root / "params.yaml"
    path.write_text((ROOT / "params.yaml").read_text())
    edit(path, "active", value=[study])
    edit(path, "studies", study, "data", "source", value="simulator")
    edit(path, "baselines", "models", value=["single_stream_half", "motion_boosting"])
    edit(path, "baselines", "experiments", value=[])
    return path


def test_operations_of_a_network_for_movies_are_those_of_its_frames(tmp_path: Path) -> None:
    params = load_params(project(tmp_path, "mixture"))
    assert [share.operations for share in plan(tmp_path, params)] == [None, None]
    split = tmp_path / "runs" / "mixture" / "split" / "split.parquet"
    split.parent.mkdir(parents=True)
    pd.DataFrame({"part": ["train"] * 7 + ["val"] * 3 + ["test"] * 5}).to_parquet(split)
    network, features = plan(tmp_path, params)
    recipe = params.studies["mixture"].recipes["demo"]
    model = recipe.models["single_stream_half"]
    assert isinstance(model, DifferentialCNNParams)
    a, b, c, hidden = (round(k * model.width) for k in (16, 32, 64, 64))
    heads = 1 + 2  # the proportion, order and energy
    layers = 25 * (5 * a * 48**2 + a * b * 24**2 + b * c * 12**2)
    cost = layers + c * 6**2 * hidden + hidden * heads
    epochs = model.training(recipe.train).epochs
    assert network.operations == 6 * cost * (10 * 4 // 5) * epochs
    assert (network.done, network.left) == (0, 3)
    assert features.operations is None
    edit(tmp_path / "params.yaml", "train", "pretraining", value={"epochs": 3})
    more, still = plan(tmp_path, load_params(tmp_path / "params.yaml"))
    assert more.operations == 6 * cost * (10 * 4 // 5) * (epochs + 2 * 3)  # two views of each cell
    assert still.operations is None


def test_a_time_that_nothing_tells_is_not_given_as_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project(tmp_path, "mixture")
    print_plan(tmp_path, 20)
    said = capsys.readouterr().out
    assert "here 6 replicates whose time is known once one of their model is done." in said
    assert "minutes" not in said


def test_a_crossed_partition_is_refused_before_anything_runs(tmp_path: Path) -> None:
    params = load_params(project(tmp_path, "rounding"))
    with pytest.raises(ParameterError, match=r"'rounding' keeps times and places apart") as caught:
        list(plan(tmp_path, params))
    assert "studies.rounding.split.strategy to grouped" in caught.value.remedy
    edit(tmp_path / "params.yaml", "studies", "rounding", "split", "strategy", value="grouped")
    assert len(list(plan(tmp_path, load_params(tmp_path / "params.yaml")))) == 2

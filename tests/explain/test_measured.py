"""Maps of planted patches beat their controls, wrong maps do not, and words say which is which."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from tests.evaluation.planted import SIDE, StripeDetector, planted
from tests.synthetic import asked, tasks
from unstained.config.base import parse
from unstained.config.explain import ExplainParams
from unstained.config.feature_models import BoostingParams
from unstained.config.models import EnsembleParams
from unstained.config.networks import NetworkParams, ViTParams
from unstained.data.canvas import Canvases
from unstained.errors import ParameterError
from unstained.explain.cells import Sample, dealt
from unstained.explain.measure import MAP, NothingToExplainError, measure
from unstained.explain.questions import ask_class
from unstained.explain.results import Asked, Explained
from unstained.explain.saliency import CONTROLS
from unstained.explain.tables import cascade_table, explanations_table
from unstained.imaging.axes import Axes
from unstained.models.networks.resnet import ResNet
from unstained.models.networks.vit import ViT
from unstained.models.outputs import Outputs
from unstained.models.trained import ModelSpec, TrainedModel
from unstained.report.explanation.findings import findings, verdict
from unstained.statistics.intervals import Estimate, resample_groups

PARAMS = ExplainParams(
    cells_per_class=24, examples_per_class=2, steps=12, pointing_tolerance_px=2, depths=3, top=0.1
)
RESNET = NetworkParams(architecture="resnet50", width=0.125, depth=(1, 1, 1, 1), stem_stride=1)
VIT = ViTParams(architecture="vit_b_16", width=0.1, depth=1, patch=8, image=SIDE)


class Mirrored(StripeDetector):
    """Decides like its parent, and shows a map of the opposite side."""

    def forward(self, contrast: torch.Tensor) -> Outputs:
        outputs = super().forward(contrast)
        return outputs._replace(cam=outputs.cam.flip(-1, -2))


class Constant(nn.Module):
    """A network that died in training."""

    def __init__(self) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.tensor([0.3, 0.1]))

    def forward(self, contrast: torch.Tensor) -> Outputs:
        logits = self.bias.expand(len(contrast), 2)
        return Outputs(logits, logits[:, :0], None, logits)


def trained(network: nn.Module, model: object = RESNET) -> TrainedModel:
    spec = ModelSpec(
        model=model,
        canvas=SIDE,
        scale=1.0,
        channels=("Ch1",),
        tasks=tasks(asked(["upright", "level"])),
        has_cam=True,
        seed=0,
        data_digest="none",
    )
    return TrainedModel(network.eval(), spec)


def sample(count: int = 48) -> Sample:
    images, masks, labels = planted(count)
    ends = torch.tensor([0, 0, SIDE, SIDE], dtype=torch.int16)
    canvases = Canvases(images + 1, torch.ones(count, 1), ends.expand(count, 4))
    groups = np.array([f"g{number % 12:02d}" for number in range(count)])
    return Sample(canvases, Axes(("Ch1",)), None, masks, labels, groups, groups)


@pytest.fixture(scope="module")
def found() -> Explained:
    cells = sample()
    networks = {"right": StripeDetector(), "mirrored": Mirrored(), "trial": Mirrored()}
    measured = {
        name: measure(trained(network), cells, ask_class(1.0), PARAMS, 0)
        for name, network in networks.items()
    }
    return Explained(
        measured,
        {"trees": "it has no map"},
        ("right", "mirrored", "trees"),
        cells,
        resample_groups(cells.groups, cells.labels, 200, 0),
        0.95,
        Asked("", ("upright", "level"), "balanced accuracy", 0.5),
        {name: Estimate(0.95, 0.9, 1.0) for name in networks},
        {"right": 0.7, "mirrored": 0.8, "trial": 0.9},
    )


def test_a_map_of_what_the_network_sees_beats_every_control(found: Explained) -> None:
    for measured in ("insertion", "deletion", "lift", "pointing"):
        assert found.beats("right", (measured,))
        assert not found.beats("mirrored", (measured,))
        assert found.best(measured) == "right"
        control, gain = found.hardest("mirrored", measured)
        gains = {name: found.gain("mirrored", measured, name).value for name in CONTROLS}
        assert gain.value == min(gains.values()) == gains[control]
    assert found.favourite() == "mirrored"  # by validation cells, and no experiment


def test_nobody_is_best_where_intervals_overlap(found: Explained) -> None:
    twins = replace(found, measured=dict.fromkeys(("right", "mirrored"), found.measured["right"]))
    assert twins.best("insertion") is None
    alone = replace(found, measured={"right": found.measured["right"]})
    assert alone.best("insertion") is None


def test_warnings_name_the_map_that_is_wrong(found: Explained) -> None:
    answer = verdict(found)
    assert answer is not None
    assert (answer.tone, answer.tiles[0].value) == ("caution", "1 of 2")
    assert answer.answer == "The maps of right beat every control."
    items = {item.title: item.text for item in findings(found)}
    lots = items["The maps of mirrored are no better than pixels in random order"]
    assert lots.startswith("By insertion: mirrored. By deletion: mirrored.")
    assert "Clearly worse in one of them: mirrored." in lots
    past = items["The maps of mirrored are not clearly drawn to the cell"]
    assert "outside for mirrored:" in past
    assert "trees: it has no map" in items["Not every model is measured here"]
    assert not any("trial" in text for text in items.values())
    assert not any("guessing" in title for title in items)


def test_the_hardest_control_is_the_one_that_a_map_beats_by_the_least(
    found: Explained, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where insertion names one and deletion another."""
    gains = {"insertion": ("intensity", -0.01), "deletion": ("centre", 0.02)}

    def hardest(_: Explained, model: str, measured: str) -> tuple[str, Estimate]:
        name, gain = gains[measured]
        return name, Estimate(gain, gain, gain)

    monkeypatch.setattr(Explained, "hardest", hardest)
    answer = verdict(replace(found, measured={"mirrored": found.measured["mirrored"]}))
    assert answer is not None
    assert answer.tiles[2].value == "contrast"
    assert answer.answer == "The network's maps do not beat every control."


def test_a_network_that_guesses_and_rough_intervals_are_told(found: Explained) -> None:
    few = np.array([f"g{number % 4}" for number in range(48)])
    empty = found.sample.masks.copy()
    empty[:3] = False
    other = replace(
        found,
        skill={**found.skill, "right": Estimate(0.55, 0.48, 0.6)},
        resampling=resample_groups(few, found.sample.labels, 50, 0),
        sample=replace(found.sample, masks=empty),
    )
    items = {item.title: item.text for item in findings(other)}
    assert "right 0.55" in items["right: predictions that cannot be told from guessing"]
    assert "4 groups" in items["Intervals are rough"]
    assert "3 of 48 cells have no mask" in items


def test_tables_hold_values_gains_and_what_was_left_out(found: Explained) -> None:
    table = explanations_table(found)
    assert tuple(table.columns) == (
        "model", "measure", "control", "value", "low", "high", "cells"
    )  # fmt: skip
    value = table.set_index(["model", "measure", "control"])["value"]
    assert value["trees", "measured", "map"] == 0
    assert value["right", "measured", "map"] == 1
    for control in CONTROLS:
        for name, sign in (("insertion", 1), ("deletion", -1), ("lift", 1)):
            own, other = (value["right", name, order] for order in (MAP, control))
            assert value["right", f"{name}_gain", control] == pytest.approx(sign * (own - other))
    assert (table["low"].isna() | (table["low"] <= table["value"] + 1e-12)).all()
    assert (table["high"].isna() | (table["high"] >= table["value"] - 1e-12)).all()
    cascade = cascade_table(found)
    first = cascade[cascade["model"] == "right"]
    assert list(first["down_to"]) == ["fc", "conv"]
    assert list(first["share"]) == [0.5, 1.0]
    chance = PARAMS.top / (2 - PARAMS.top)  # of two random tenths: the share in both of either
    assert value["right", "overlap", "random"] == pytest.approx(chance, abs=0.01)


@pytest.mark.parametrize("model", [RESNET, VIT])
def test_maps_come_from_the_head_or_from_a_named_layer(model: NetworkParams | ViTParams) -> None:
    torch.manual_seed(0)
    network = ResNet(model, 2, 0) if isinstance(model, NetworkParams) else ViT(model, 2, 0)
    few = PARAMS.model_copy(update={"steps": 2, "depths": 2})
    one = measure(trained(network, model), sample(6), ask_class(1.0), few, 0)
    assert one.maps.shape == (6, SIDE, SIDE)
    if isinstance(network, ViT):
        assert one.explainer.layer == "trunk.blocks.0.norm1"
        assert one.explainer.grid == (5, 5)
        assert one.agreement is None
    else:
        assert one.explainer.layer is None
        assert one.agreement is not None
        assert one.agreement.grid == one.explainer.grid == (3, 3)
        assert max(one.agreement.gradient, one.agreement.logit) < 1e-10


TREES = BoostingParams(
    architecture="features_boosting",
    iterations=1,
    learning_rate=0.1,
    max_leaf_nodes=2,
    min_samples_leaf=1,
    l2_regularization=0.0,
    max_features=1.0,
)


BOTH = EnsembleParams(
    architecture="ensemble", members=("resnet50", "trees"), models=(RESNET, TREES)
)


@pytest.mark.parametrize(
    ("network", "model", "said"),
    [
        (Constant(), RESNET, "the same of every cell"),
        (StripeDetector(), TREES, "no map"),
        (StripeDetector(), BOTH, "several models answer together"),
        (StripeDetector(), RESNET.model_copy(update={"partition": "reference"}), "other split"),
    ],
)
def test_what_has_no_map_to_measure_is_told(network: nn.Module, model: object, said: str) -> None:
    with pytest.raises(NothingToExplainError, match=said):
        measure(trained(network, model), sample(6), ask_class(1.0), PARAMS, 0)


@given(st.integers(0, 2**31), st.integers(1, 9), st.integers(1, 60))
def test_cells_are_dealt_from_all_groups_alike(seed: int, per_class: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, count)
    groups = np.array([f"g{number}" for number in rng.integers(0, 4, count)])
    drawn = dealt(labels, groups, per_class, seed)
    assert np.array_equal(dealt(labels, groups, per_class, seed), drawn)
    assert len(set(drawn)) == len(drawn)
    assert (np.diff(labels[drawn]) >= 0).all()
    for k in np.unique(labels):
        members = drawn[labels[drawn] == k]
        assert len(members) == min(per_class, (labels == k).sum())
        taken = {g: (groups[members] == g).sum() for g in np.unique(groups[labels == k])}
        for group, number in taken.items():
            left = ((groups == group) & (labels == k)).sum() - number
            assert left == 0 or number >= max(taken.values()) - 1


def test_shown_cells_are_measured_cells() -> None:
    content = PARAMS.model_dump() | {"examples_per_class": 99}
    with pytest.raises(ParameterError, match="must not exceed"):
        parse(ExplainParams, content, "params.yaml")

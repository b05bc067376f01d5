"""Maps of a trained network fall apart with its weights; maps of an equivariant one turn along."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from torch import nn

from tests.evaluation.planted import SIDE, planted
from unstained.config.networks import NetworkParams, ViTParams
from unstained.explain import sanity
from unstained.explain.activation import evidence_lift
from unstained.explain.gradcam import class_maps
from unstained.imaging.evidence import enlarge
from unstained.imaging.symmetry import exchanges
from unstained.models.networks.cg_recnet import CGRecNet
from unstained.models.networks.vit import ViT
from unstained.models.outputs import Outputs
from unstained.statistics.metrics import Floats


class SmallNetwork(nn.Module):
    """Three convolutions, mean over space, linear head."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for before, after, stride in ((1, 12, 2), (12, 16, 1), (16, 16, 1)):
            layers += [nn.Conv2d(before, after, 3, stride, 1), nn.BatchNorm2d(after), nn.ReLU()]
        self.body = nn.Sequential(*layers)
        self.fc = nn.Linear(16, 2)

    def forward(self, contrast: torch.Tensor) -> Outputs:
        maps = self.body(contrast)
        cam = nn.functional.conv2d(maps, self.fc.weight[:, :, None, None])
        embedding = maps.mean(dim=(2, 3))
        return Outputs(self.fc(embedding), embedding[:, :0], cam, embedding)


@pytest.fixture(scope="module")
def trained() -> SmallNetwork:
    torch.manual_seed(0)
    network = SmallNetwork().train()
    optimiser = torch.optim.AdamW(network.parameters(), 1e-2)
    for step in range(80):
        images, _, labels = planted(24, seed=100 + step)
        loss = nn.functional.cross_entropy(network(images).logits, torch.from_numpy(labels))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return network.eval()


def explainer(labels: np.ndarray) -> sanity.Explain:
    return lambda network, images: enlarge(class_maps(network, images, labels), SIDE)


def test_maps_fall_apart_when_the_network_is_randomised(trained: SmallNetwork) -> None:
    images, masks, labels = planted(32)
    with torch.no_grad():
        called = trained(images).logits.argmax(dim=1).numpy()
    assert (called == labels).mean() > 0.95
    assert np.nanmean(evidence_lift(explainer(labels)(trained, images), masks)) > 3
    before = {name: value.clone() for name, value in trained.state_dict().items()}
    runs = [sanity.cascade(trained, images, explainer(labels), stages=7, seed=s) for s in range(4)]
    for found in runs:
        names = [depth.down_to for depth in found]
        assert names == ["fc", "body.7", "body.6", "body.4", "body.3", "body.1", "body.0"]
        assert [depth.layers for depth in found] == [1, 2, 3, 4, 5, 6, 7]
        assert found[0].spearman.shape == found[0].ssim.shape == (32,)
    rank = np.nanmean([[depth.spearman for depth in found] for found in runs], axis=(0, 2))
    structure = np.nanmean([[depth.ssim for depth in found] for found in runs], axis=(0, 2))
    assert np.abs(rank[-3:]).max() < 0.4
    assert structure[-3:].max() < 0.25
    assert all(torch.equal(value, before[name]) for name, value in trained.state_dict().items())


def test_an_explanation_that_ignores_the_model_is_caught(trained: SmallNetwork) -> None:
    """An edge detector looks convincing, and stays the same whatever the weights are."""
    images, _, _ = planted(8)

    def edges(_: nn.Module, images: torch.Tensor) -> Floats:
        return images[:, 0].diff(dim=2, prepend=images[:, 0, :, :1]).abs().double().numpy()

    for depth in sanity.cascade(trained, images, edges, stages=3, seed=0):
        np.testing.assert_allclose(depth.spearman, 1.0)
        np.testing.assert_allclose(depth.ssim, 1.0)


def test_randomising_keeps_the_values_of_each_tensor(trained: SmallNetwork) -> None:
    seen: list[dict[str, torch.Tensor]] = []

    def spy(network: nn.Module, images: torch.Tensor) -> Floats:
        seen.append({name: value.clone() for name, value in network.state_dict().items()})
        return np.random.default_rng(0).random((len(images), 8, 8))

    sanity.cascade(trained, planted(2)[0], spy, stages=3, seed=0)
    intact, *depths = seen
    assert len(depths) == 3
    moved = [{name for name in intact if not torch.equal(intact[name], d[name])} for d in depths]
    assert moved[0] == {"fc.weight", "fc.bias"}
    assert moved[0] < moved[1] < moved[2] == {name for name, _ in trained.named_parameters()}
    for name, value in depths[-1].items():
        assert torch.equal(value.flatten().sort()[0], intact[name].flatten().sort()[0])


def test_seed_decides_alone(trained: SmallNetwork) -> None:
    images, _, labels = planted(4)
    first, again, other = (
        sanity.cascade(trained, images, explainer(labels), stages=2, seed=seed)
        for seed in (0, 0, 1)
    )
    assert np.array_equal(first[-1].spearman, again[-1].spearman)
    assert not np.array_equal(first[-1].spearman, other[-1].spearman)


def test_layers_are_found_in_the_order_in_which_they_run() -> None:
    """Attention and gate are attached after the head, but run before it; targets reach no logit."""
    params = NetworkParams(
        architecture="cg_recnet", width=0.125, depth=(1, 1, 1, 1), stem_stride=1, dropout=0.1
    )
    network = CGRecNet(params, 3, 2, 1, layer_scale=0.5).eval()
    found = sanity.layers_from_head(network, torch.randn(2, 1, 32, 32))
    names = list(found)
    assert names[0] == "fc"
    assert names[-1] == "conv1"
    order = [
        names.index(next(n for n in names if n.startswith(part)))
        for part in ("layer4", "layer3", "gate.", "attention.", "layer2", "layer1", "bn1")
    ]
    assert order == sorted(order)
    logits = {name for name, _ in network.named_parameters() if not name.startswith("fc_targets")}
    assert sorted(name for part in found.values() for name in part) == sorted(logits)
    assert all(parameter.grad is None for parameter in network.parameters())


def test_parameters_outside_layers_belong_to_the_module_around_them() -> None:
    params = ViTParams(architecture="vit_b_16", width=0.1, depth=1, patch=8, image=16)
    network = ViT(params, 3, 0).eval()
    found = sanity.layers_from_head(network, torch.randn(1, 1, 16, 16))
    owner = next(name for name, part in found.items() if "trunk.pos_embed" in part)
    assert list(found).index(owner) > list(found).index("trunk.blocks.0.norm1")


def test_planes_lit_from_the_sides_change_places_as_the_lamps_turn() -> None:
    swaps = exchanges(5, [(0, 1, 2, 3)])
    lit = torch.randn(3, 5, 8, 8)
    found = sanity.stability(lambda cells: cells[:, 4].abs().double().numpy(), lit, swaps=swaps)
    assert (found.iou == 1).all()


def test_an_equivariant_explanation_is_stable_exactly() -> None:
    images = torch.randn(5, 1, 12, 12)
    found = sanity.stability(lambda turned: turned[:, 0].abs().double().numpy(), images)
    assert found.iou.shape == found.pearson.shape == (7, 5)
    assert (found.iou == 1).all()
    np.testing.assert_allclose(found.pearson, 1.0, rtol=1e-12)


def test_an_explanation_fixed_to_the_canvas_is_not_stable() -> None:
    ramp = np.tile(np.arange(10.0), (3, 10, 1))
    found = sanity.stability(lambda _: ramp, torch.randn(3, 1, 10, 10))
    assert found.iou.min() == 0
    np.testing.assert_allclose(found.pearson.min(axis=0), -1.0)
    upright = [i for i in range(7) if found.iou[i, 0] == 1]
    assert len(upright) == 1  # mirrored up and down


def test_maps_turn_with_the_image_only_where_the_network_sees_the_same(
    trained: SmallNetwork,
) -> None:
    """Half a turn keeps the class of stripes, a quarter turn makes it the other one."""
    images, _, labels = planted(16)
    found = sanity.stability(lambda turned: explainer(labels)(trained, turned), images)
    quarter, half, _, mirror, *_ = zip(found.iou, found.pearson, strict=True)
    for overlap, correlation in (half, mirror):
        assert np.nanmean(overlap) > np.nanmean(quarter[0]) + 0.15
        assert np.nanmean(correlation) > 0.7
    assert np.nanmean(quarter[1]) < 0


def test_highest_pixels_by_hand() -> None:
    plateau = np.zeros((1, 3, 3))
    plateau[0, 0] = 1.0
    assert np.array_equal(sanity.highest(plateau, 0.2), plateau > 0)
    assert not sanity.highest(np.ones((1, 3, 3)), 0.2).any()
    steps = np.arange(100.0).reshape(1, 10, 10)
    assert np.array_equal(sanity.highest(steps, 0.2), steps >= 80)
    rectified = np.maximum(steps - 90, 0)
    assert np.array_equal(sanity.highest(rectified, 0.2), rectified > 0)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**31), st.booleans())
def test_correlations_equal_scipy(seed: int, ties: bool) -> None:
    rng = np.random.default_rng(seed)
    first, second = rng.normal(size=(2, 3, 7, 7))
    if ties:
        first, second = first.round(), second.round()
    linear, ranked = sanity.pearson(first, second), sanity.spearman(first, second)
    for cell in range(3):
        a, b = first[cell].ravel(), second[cell].ravel()
        assert linear[cell] == pytest.approx(stats.pearsonr(a, b).statistic, abs=1e-12)
        assert ranked[cell] == pytest.approx(stats.spearmanr(a, b).statistic, abs=1e-12)


def test_constant_maps_have_no_pattern() -> None:
    maps, flat = np.random.default_rng(0).random((2, 8, 8)), np.full((2, 8, 8), 0.1)
    for compare in (sanity.pearson, sanity.spearman, sanity.similarity):
        assert np.isnan(compare(flat, maps)).all()
        assert (compare(maps, flat) == 0).all()
        np.testing.assert_allclose(compare(maps, maps), 1.0)
    found = sanity.stability(lambda images: flat[: len(images)], torch.zeros(2, 1, 8, 8))
    assert np.isnan(found.iou).all()
    assert np.isnan(found.pearson).all()

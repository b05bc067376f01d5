"""The hybrid network against its published counts and equations, and what it is compared with."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from tests.models.sizes import HYBRID, TINY, lively, parse
from unstained.errors import ParameterError
from unstained.models.blocks.branches import Exchange, GatedFusion, ScalarFusion
from unstained.models.blocks.channel_attention import EfficientChannelAttention
from unstained.models.blocks.inception import Inception
from unstained.models.build import bare_model, build_model
from unstained.models.complexity import complexity

PUBLISHED = {
    "architecture": "hybrid_paper",
    "width": 1,
    "depth": 2,
    "patch": 4,
    "image": 28,
    "stem_stride": 1,
    "dropout": 0.4,
}
NATIVE = {"image": 128, "patch": 16, "stem_stride": 2}


def parameters(*modules: nn.Module) -> int:
    return sum(p.numel() for module in modules for p in module.parameters())


def on_meta(classes: int, targets: int, **changes: object) -> nn.Module:
    with torch.device("meta"):
        return bare_model(parse(PUBLISHED, **changes), classes, targets, 4)


def test_parameters_are_the_published_part_by_part() -> None:
    network = on_meta(3, 4)
    assert parameters(network) == 1_816_244
    parts = {
        "attention": 3,
        "texture": 446_568,
        "layout": 411_648,
        "fusion": 82_946,
        "refine": 2 * 132_608,
        "exchange": 526_336,
    }
    found = {name: parameters(network.get_submodule(name)) for name in parts}
    assert found == parts
    assert parameters(network.scores, network.fc) == 41_731
    assert parameters(network.values, network.fc_targets) == 41_796


def test_a_gate_that_sees_the_cell_costs_what_its_layer_costs() -> None:
    assert parameters(on_meta(3, 4, architecture="hybrid_gated")) == 1_816_244 - 2 + 512 * 256 + 256


def test_multiply_accumulates_are_the_published() -> None:
    cost = complexity(parse(PUBLISHED), 3, 4, 4, 28)
    assert cost is not None
    assert cost.multiply_accumulates == pytest.approx(156.6e6, rel=0.001)


@pytest.mark.parametrize("architecture", ["hybrid_paper", "hybrid_gated"])
def test_at_native_size_only_patches_and_positions_change(architecture: str) -> None:
    small = on_meta(3, 4, architecture=architecture)
    native = on_meta(3, 4, architecture=architecture, **NATIVE)
    differ = {
        name
        for name, value in small.state_dict().items()
        if native.state_dict()[name].shape != value.shape
    }
    assert differ == {"layout.embed.weight", "layout.position"}
    assert native.layout.position.shape == (1, 65, 128)
    assert native(torch.empty(2, 4, 128, 128, device="meta")).targets.shape == (2, 4)


def test_patches_may_overlap() -> None:
    network = on_meta(3, 4, patch_step=2)
    assert network.layout.position.shape == (1, 13 * 13 + 1, 128)
    assert network(torch.empty(2, 4, 28, 28, device="meta")).logits.shape == (2, 3)


def test_a_closed_gate_is_the_average_of_equal_weights() -> None:
    torch.manual_seed(0)
    scalar, gated = ScalarFusion(6, 5, 8), GatedFusion(6, 5, 8)
    for name in ("texture", "layout", "norm"):
        gated.get_submodule(name).load_state_dict(scalar.get_submodule(name).state_dict())
    one, other = torch.randn(3, 6), torch.randn(3, 5)
    assert not torch.allclose(gated(one, other), scalar(one, other), atol=1e-3)
    nn.init.zeros_(gated.gate.weight)
    nn.init.zeros_(gated.gate.bias)
    torch.testing.assert_close(gated(one, other), scalar(one, other))


def test_only_the_gated_fusion_mixes_each_cell_by_itself() -> None:
    torch.manual_seed(0)

    def share(fusion: nn.Module) -> torch.Tensor:
        """Slope of what is normalised by the texture's features, of two cells."""
        fusion.norm = nn.Identity()
        fusion.layout.weight.data.zero_()
        fusion.layout.bias.data.zero_()
        cells = torch.randn(2, 6)
        found = fusion(cells, torch.zeros(2, 5)) / fusion.texture(cells)
        return found.detach()

    published, gated = share(ScalarFusion(6, 5, 8)), share(GatedFusion(6, 5, 8))
    torch.testing.assert_close(published[0], published[1])
    assert (gated[0] - gated[1]).abs().max() > 0.01


def test_a_task_exchanges_by_its_equation() -> None:
    torch.manual_seed(0)
    exchange = lively(Exchange(4)).double()
    own, both = torch.randn(3, 4).double(), torch.randn(3, 8).double()
    weights = exchange.state_dict()
    gate = 1 / (1 + torch.exp(-(both @ weights["gate.weight"].T + weights["gate.bias"])))
    mixed = own * gate + (both @ weights["shared.weight"].T + weights["shared.bias"]) * (1 - gate)
    scaled = (mixed - mixed.mean(1, keepdim=True)) / mixed.std(1, correction=0, keepdim=True)
    expected = scaled * weights["norm.weight"] + weights["norm.bias"]
    torch.testing.assert_close(exchange(own, both), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("classes", "targets"), [(3, 0), (0, 2), (3, 2)])
def test_any_set_of_tasks_works_and_tasks_inform_each_other(classes: int, targets: int) -> None:
    torch.manual_seed(0)
    network = lively(build_model(parse(TINY["hybrid_gated"]), classes, targets, 4))
    outputs = network(torch.randn(2, 4, 32, 32))
    assert (outputs.logits.shape, outputs.targets.shape) == ((2, classes), (2, targets))
    assert outputs.embedding.shape == (2, network.embedding_size)
    asked = (outputs.logits if classes else outputs.targets).sum()
    asked.backward()
    names = {name for name, p in network.named_parameters() if p.grad is not None}
    other = {name for name in names if name.startswith("refine.value.")}
    assert bool(other) == bool(targets)


def test_another_size_is_refused() -> None:
    with pytest.raises(ParameterError, match="images of 32 x 32 px, not 40 x 32"):
        build_model(parse({"architecture": "hybrid_paper", **HYBRID}), 3, 1)(
            torch.zeros(1, 1, 40, 32)
        )


def test_channel_attention_is_a_convolution_along_the_channels() -> None:
    layer = EfficientChannelAttention(3)
    maps = torch.randn(2, 4, 5, 6)
    means = nn.functional.pad(maps.mean(dim=(2, 3)), (1, 1))
    taps = layer.mix.weight[0, 0]
    weight = torch.sigmoid(sum(tap * means[:, n : n + 4] for n, tap in enumerate(taps)))
    torch.testing.assert_close(layer(maps), maps * weight[:, :, None, None])


def test_inception_keeps_its_input_where_branches_are_silent() -> None:
    block = Inception(6, 6).eval()
    for branch in (block.point, block.near, block.far[1]):
        nn.init.zeros_(branch[0].weight)
    maps = torch.randn(2, 6, 9, 9)
    torch.testing.assert_close(block(maps), maps)
    perturbed = lively(Inception(6, 8))
    moved = maps.clone()
    moved[:, :, 4, 4] += 1
    changed = (perturbed(moved) - perturbed(maps)).abs().amax(dim=(0, 1)) > 1e-6
    assert changed[2:7, 2:7].all()  # two of 3 x 3 reach two pixels
    assert changed.sum() == 25


@pytest.mark.parametrize(
    ("content", "count"),
    [
        ({"architecture": "plain_cnn", "depth": [2, 2, 2]}, 1_148_679),
        ({"architecture": "attention_cnn", "depth": [2, 2, 2]}, 1_170_981),
        ({"architecture": "inception", "depth": [1, 1, 1]}, 1_209_247),
    ],
)
def test_networks_of_comparison_have_these_parameters(content: dict, count: int) -> None:
    with torch.device("meta"):
        network = bare_model(parse(content, width=1, stem_stride=1), 3, 4, 4)
    assert parameters(network) == count


@pytest.mark.parametrize("name", ["inception", "plain_cnn", "attention_cnn"])
@pytest.mark.parametrize(("side", "stride", "map_side"), [(28, 1, 7), (128, 2, 16)])
def test_networks_of_comparison_see_cells_of_both_sizes(
    name: str, side: int, stride: int, map_side: int
) -> None:
    network = build_model(parse(TINY[name], stem_stride=stride), 3, 4, 4).eval()
    with torch.inference_mode():
        outputs = network(torch.randn(1, 4, side, side))
    assert outputs.cam.shape == (1, 3, map_side, map_side)
    summed = outputs.cam.mean(dim=(2, 3)) + network.evidence()[1]
    torch.testing.assert_close(summed, outputs.logits, rtol=1e-4, atol=1e-5)

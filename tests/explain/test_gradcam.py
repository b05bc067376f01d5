"""Gradient maps: equal to the class activation map where theory says so, and right elsewhere."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from timm.models.vgg import VGG
from timm.models.vision_transformer import VisionTransformer
from torch import nn

from tests.optics import optics
from unstained.config.model_input import InputParams
from unstained.config.networks import NetworkParams
from unstained.explain import gradcam
from unstained.models.networks.cg_recnet import CGRecNet
from unstained.models.networks.resnet import ResNet
from unstained.models.outputs import Outputs

TINY = {"width": 0.125, "depth": (1, 1, 1, 1), "stem_stride": 1}
CLASSES = np.array([2, 0, 1])


def resnet(preset: str = "text") -> ResNet:
    return ResNet(NetworkParams(architecture="resnet50", preset=preset, **TINY), 3, 1)


def cg_recnet(preset: str = "text") -> CGRecNet:
    params = NetworkParams(architecture="cg_recnet", preset=preset, **TINY)
    return CGRecNet(params, 3, 0, 1, layer_scale=0.7)


def pooled(name: str) -> ResNet:
    torch.manual_seed(0)
    architecture, preset = name.split("/")
    built = resnet(preset) if architecture == "resnet50" else cg_recnet(preset)
    network = built.double().eval()
    for module in network.modules():  # as if trained: statistics and biases that are not trivial
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.2, 0.2)
            nn.init.uniform_(module.running_var, 0.5, 2.0)
            nn.init.uniform_(module.bias, -0.2, 0.2)
    return network


def images(side: int = 48, channels: int = 1) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(3, channels, side, side, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize(
    "name", ["resnet50/text", "resnet50/table_swapped", "cg_recnet/text", "cg_recnet/table_printed"]
)
@pytest.mark.parametrize("method", ["grad_cam", "hires_cam"])
def test_gradient_maps_are_the_activation_map(name: str, method: gradcam.Method) -> None:
    network, cells = pooled(name), images()
    with torch.no_grad():
        outputs = network(cells)
    points = outputs.cam.shape[2] * outputs.cam.shape[3]
    assert points == 9
    wanted = outputs.cam.numpy()[np.arange(3), CLASSES]
    layer = gradcam.last_layer(network, cells)
    assert layer == "layer4"
    found = gradcam.gradient_maps(network, cells, CLASSES, layer, method, batch=2)
    np.testing.assert_allclose(found, wanted / points, rtol=1e-11, atol=1e-14)
    np.testing.assert_allclose(
        gradcam.rectified(found), np.maximum(wanted, 0) / points, rtol=1e-11, atol=1e-14
    )
    _, bias = network.evidence()
    logits = outputs.logits.numpy()[np.arange(3), CLASSES]
    complete = (found * points).mean(axis=(1, 2)) + bias.detach().numpy()[CLASSES]
    np.testing.assert_allclose(complete, logits, rtol=1e-12)
    np.testing.assert_allclose(
        gradcam.class_maps(network, cells, CLASSES, batch=2), found, rtol=1e-11, atol=1e-14
    )


def reference(network: nn.Module, module: nn.Module, cells: torch.Tensor) -> list[np.ndarray]:
    """Both maps of one layer of maps, cell by cell, as the definitions are written."""
    found = []
    for cell, label in zip(cells, CLASSES, strict=True):
        kept = []
        handle = module.register_forward_hook(lambda _, __, output, kept=kept: kept.append(output))
        logits = network(cell[None])
        handle.remove()
        (slope,) = torch.autograd.grad(logits[0, label], kept)
        maps, slope = kept[0][0].detach().numpy(), slope[0].numpy()
        grad_cam, hires_cam = np.zeros(maps.shape[1:]), np.zeros(maps.shape[1:])
        for a, g in zip(maps, slope, strict=True):
            grad_cam += g.mean() * a
            hires_cam += g * a
        found.append(np.stack([grad_cam, hires_cam]))
    return found


def test_a_network_with_fully_connected_layers() -> None:
    torch.manual_seed(0)
    layers = [8, "M", 16, "M", 16, "M"]
    network = VGG(layers, num_classes=3, in_chans=1, mlp_ratio=1 / 128).double().eval()
    cells = images(32)
    layer = gradcam.last_layer(network, cells)
    assert layer == "features"
    wanted = reference(network, network.features, cells)
    for number, method in enumerate(("grad_cam", "hires_cam")):
        found = gradcam.gradient_maps(network, cells, CLASSES, layer, method)
        np.testing.assert_allclose(found, [maps[number] for maps in wanted], rtol=1e-9, atol=1e-16)
    assert found.shape == (3, 4, 4)


def test_a_layer_followed_by_one_that_works_in_place() -> None:
    """Its map is what it gave, negative parts included, not what the rectifier left of it."""
    torch.manual_seed(0)
    conv = nn.Conv2d(1, 4, 3, padding=1)
    head = nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(16, 3))
    inplace = nn.Sequential(conv, nn.ReLU(inplace=True), head).double().eval()
    outplace = nn.Sequential(conv, nn.ReLU(), head).double().eval()
    cells = images(8)
    found = gradcam.gradient_maps(inplace, cells, CLASSES, "0")
    wanted = [maps[0] for maps in reference(outplace, conv, cells)]
    np.testing.assert_allclose(found, wanted, rtol=1e-10, atol=1e-16)


def vit(**changes: object) -> VisionTransformer:
    torch.manual_seed(0)
    options = {"img_size": 32, "patch_size": 8, "in_chans": 1, "num_classes": 3}
    options |= {"embed_dim": 32, "depth": 2, "num_heads": 2} | changes
    return VisionTransformer(**options).double().eval()


def test_a_transformer_that_reads_a_class_token() -> None:
    network, cells = vit(), images(32)
    layer = gradcam.last_layer(network, cells)
    assert layer == "blocks.1.norm1"
    found = gradcam.gradient_maps(network, cells, CLASSES, layer)
    assert found.shape == (3, 4, 4)
    kept = []
    handle = network.blocks[1].norm1.register_forward_hook(lambda _, __, out: kept.append(out))
    logits = network(cells)
    handle.remove()
    (slope,) = torch.autograd.grad(logits[torch.arange(3), torch.from_numpy(CLASSES)].sum(), kept)
    tokens, slope = kept[0].detach().numpy(), slope.numpy()
    for cell in range(3):
        alpha = slope[cell, 1:].mean(axis=0)
        for token in range(16):
            value = alpha @ tokens[cell, token + 1]
            assert found[cell, token // 4, token % 4] == pytest.approx(value, rel=1e-9)
    # Through the class token alone nothing is seen of the points.
    assert not gradcam.gradient_maps(network, cells, CLASSES, "blocks.1").any()
    explicit = gradcam.gradient_maps(network, cells, CLASSES, layer, grid=(4, 4))
    assert np.array_equal(explicit, found)


def test_a_transformer_that_reads_the_mean_of_its_tokens() -> None:
    network = vit(class_token=False, global_pool="avg")
    assert gradcam.last_layer(network, images(32)) == "norm"


class TwoHeads(nn.Module):
    """A network of the project's kind without a map, with a branch that no logit depends on."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 4, 3, stride=2, padding=1)
        self.aside = nn.Conv2d(4, 4, 3, padding=1)
        self.fc = nn.Linear(4 * 16, 3)

    def forward(self, contrast: torch.Tensor) -> Outputs:
        maps = torch.relu(self.first(contrast))
        maps = torch.relu(self.first(maps[:, :1])) if contrast.shape[-1] == 16 else maps
        features = nn.functional.adaptive_avg_pool2d(maps, 4).flatten(1)
        return Outputs(self.fc(features), self.aside(maps).mean(dim=(2, 3)), None, features)


def test_outputs_without_a_map_take_the_gradients() -> None:
    torch.manual_seed(0)
    network, cells = TwoHeads().double().eval(), images(24)
    assert gradcam.last_layer(network, cells) == "first"
    found = gradcam.class_maps(network, cells, CLASSES)
    assert np.array_equal(found, gradcam.gradient_maps(network, cells, CLASSES, "first"))


def test_what_cannot_be_explained_is_refused() -> None:
    network, cells = TwoHeads().double().eval(), images(24)
    for layer, words in [
        ("nowhere", "no layer 'nowhere'"),
        ("aside", "do not depend"),
        ("fc", "not a map"),
    ]:
        with pytest.raises(ValueError, match=words):
            gradcam.gradient_maps(network, cells, CLASSES, layer)
    with pytest.raises(ValueError, match="2 times"):
        gradcam.gradient_maps(network, images(16), CLASSES, "first")
    with pytest.raises(ValueError, match="too few"):
        gradcam.gradient_maps(vit(), images(32), CLASSES, "blocks.0", grid=(5, 5))
    with pytest.raises(ValueError, match="training mode"):
        gradcam.gradient_maps(network.train(), cells, CLASSES, "first")
    flat = nn.Sequential(nn.Flatten(), nn.Linear(24 * 24, 3)).double().eval()
    with pytest.raises(ValueError, match="no layer that maps"):
        gradcam.last_layer(flat, cells)


def test_the_network_is_left_as_it_was() -> None:
    network, cells = pooled("cg_recnet/text"), images()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    gradcam.gradient_maps(network, cells, CLASSES, gradcam.last_layer(network, cells))
    assert all(parameter.grad is None for parameter in network.parameters())
    assert all(parameter.requires_grad for parameter in network.parameters())
    assert not any(module._forward_hooks for module in network.modules())
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_points_in_the_middle_of_their_share() -> None:
    maps = np.random.default_rng(0).standard_normal((2, 4, 4))
    wanted = nn.functional.interpolate(
        torch.from_numpy(maps)[:, None], size=(32, 32), mode="bilinear", align_corners=False
    )
    np.testing.assert_allclose(gradcam.spread(maps, 32), wanted[:, 0].numpy(), atol=1e-14)


@pytest.mark.parametrize("name", ["resnet50/table_swapped", "cg_recnet/text"])
def test_agreement_finds_what_is_equal_and_what_is_not(name: str) -> None:
    network, cells = pooled(name), images()
    found = gradcam.agreement(network.float().eval(), cells.float(), CLASSES, batch=2)
    assert found.grid == (3, 3)
    assert 0 < found.gradient < 1e-11
    assert 0 < found.logit < 1e-11
    weight, bias = network.evidence()
    network.evidence = lambda: (weight.double() * 1.1, bias.double())
    other = gradcam.agreement(network, cells, CLASSES)
    assert other.gradient == pytest.approx(1 - 1 / 1.1, rel=1e-5)
    assert other.logit > 1e-3


def test_agreement_of_a_network_that_recovers_phase() -> None:
    torch.manual_seed(0)
    seen = InputParams(view="phase", optics=optics(48))
    params = NetworkParams(architecture="resnet50", preset="table_swapped", input=seen, **TINY)
    network = ResNet(params, 3, 1, channels=4).eval()
    found = gradcam.agreement(network, images(channels=4).float(), CLASSES)
    assert found.gradient < 1e-11
    assert found.logit < 1e-11

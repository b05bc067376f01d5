"""The networks that the paper compares with, against the libraries' own."""

from __future__ import annotations

import pytest
import timm
import torch
import torchvision
from torch import nn

from tests.models.sizes import FULL, TINY, lively, parse
from unstained.errors import ParameterError
from unstained.models.build import bare_model, build_model
from unstained.models.complexity import classifier_parameters

COUNTS = {
    "densenet121": 6_956_931,
    "vgg16": 134_272_835,
    "mobilenet_v2": 2_227_715,
    "efficientnet_lite0": 3_374_851,
    "vit_b_16": 85_800_963,
    "xception": 20_813_099,
}
LIBRARY = {
    "densenet121": lambda: torchvision.models.densenet121(num_classes=3),
    "vgg16": lambda: torchvision.models.vgg16(num_classes=3),
    "mobilenet_v2": lambda: torchvision.models.mobilenet_v2(num_classes=3),
    "efficientnet_lite0": lambda: timm.create_model("tf_efficientnet_lite0", num_classes=3),
    "vit_b_16": lambda: torchvision.models.vit_b_16(num_classes=3),
    "xception": lambda: timm.create_model("legacy_xception", num_classes=3),
}


def parameters(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


@pytest.mark.parametrize("name", COUNTS)
def test_parameter_counts_at_full_size_are_the_libraries(name):
    with torch.device("meta"):
        ours = bare_model(parse(FULL[name]), 3, 0, 3)
        with_targets = bare_model(parse(FULL[name]), 3, 2, 3)
        library = LIBRARY[name]()
    assert parameters(ours) == parameters(library) == COUNTS[name]
    assert classifier_parameters(with_targets) == COUNTS[name]
    assert parameters(with_targets) == COUNTS[name] + 2 * (ours.embedding_size + 1)


def give_weights(target: nn.Module, source: nn.Module) -> None:
    """Copy parameters and buffers in the order in which both define them."""
    one, other = list(target.state_dict().values()), list(source.state_dict().values())
    assert [value.numel() for value in one] == [value.numel() for value in other]
    with torch.no_grad():
        for to, value in zip(one, other, strict=True):
            to.copy_(value.view(to.shape))


@pytest.mark.parametrize("name", ["densenet121", "mobilenet_v2", "efficientnet_lite0", "xception"])
def test_it_computes_what_the_library_computes(name):
    torch.manual_seed(0)
    library = lively(LIBRARY[name]())
    ours = build_model(parse(FULL[name]), 3, 0, 3).eval()
    give_weights(ours, library)
    images = torch.randn(2, 3, 64, 64)
    with torch.inference_mode():
        torch.testing.assert_close(ours(images).logits, library(images), rtol=1e-4, atol=1e-5)


def test_a_vision_transformer_computes_what_torchvisions_computes():
    torch.manual_seed(0)
    library = torchvision.models.VisionTransformer(
        image_size=64,
        patch_size=8,
        num_layers=2,
        num_heads=2,
        hidden_dim=128,
        mlp_dim=512,
        num_classes=3,
    )
    nn.init.normal_(library.heads.head.weight)  # which torchvision starts at zero
    ours = build_model(parse(FULL["vit_b_16"], width=1 / 6, depth=2, patch=8, image=64), 3, 0, 3)
    state = library.state_dict()
    first = ["class_token", "encoder.pos_embedding", "conv_proj.weight", "conv_proj.bias"]
    blocks = [name for name in state if name.startswith("encoder.layers.")]
    last = ["encoder.ln.weight", "encoder.ln.bias", "heads.head.weight", "heads.head.bias"]
    order = nn.Module()
    for number, name in enumerate([*first, *blocks, *last]):
        order.register_buffer(str(number), state[name])
    give_weights(ours, order)
    images = torch.randn(2, 3, 64, 64)
    with torch.inference_mode():
        expected = library.eval()(images)
        torch.testing.assert_close(ours.eval()(images).logits, expected, rtol=1e-4, atol=1e-5)


def test_a_narrow_vgg_computes_convolutions_pooling_and_fully_connected_layers():
    torch.manual_seed(0)
    network = build_model(parse(TINY["vgg16"]), 3, 2).eval()
    maps = images = torch.randn(2, 1, 48, 40)
    for layer in network.trunk.features:
        if isinstance(layer, nn.Conv2d):
            maps = torch.relu(nn.functional.conv2d(maps, layer.weight, layer.bias, padding=1))
        elif isinstance(layer, nn.MaxPool2d):
            maps = nn.functional.max_pool2d(maps, 2)
    features = nn.functional.adaptive_avg_pool2d(maps, (7, 7)).flatten(1)
    for name in ("fc1", "fc2"):
        layer = network.trunk.pre_logits.get_submodule(name)
        features = torch.relu(features @ layer.weight.flatten(1).T + layer.bias)
    outputs = network(images)
    torch.testing.assert_close(outputs.embedding, features, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(outputs.logits, network.fc(features), rtol=1e-4, atol=1e-5)
    assert network.trunk.pre_logits.fc1.out_channels == 8


@pytest.mark.parametrize("width", [0.125, 0.5])
def test_what_passes_an_untrained_vgg_keeps_its_size(width):
    """Published initial weights would let it shrink to a twentieth."""
    torch.manual_seed(0)
    sizes = {"width": width, "depth": [2, 2, 3, 3, 3], "hidden": 64}
    network = build_model(parse(TINY["vgg16"], **sizes), 3, 1).eval()
    with torch.inference_mode():
        embedding = network(torch.randn(4, 1, 64, 64)).embedding
    assert 0.5 < embedding.square().mean().sqrt() < 10


@pytest.mark.parametrize("name", ["densenet121", "mobilenet_v2", "xception"])
def test_map_of_class_evidence_adds_up_to_the_logit_and_is_grad_cam(name):
    torch.manual_seed(0)
    network = build_model(parse(TINY[name]), 3, 1).double().eval()
    images = torch.randn(2, 1, 64, 72, dtype=torch.float64)
    outputs = network(images)
    summed = outputs.cam.mean(dim=(2, 3)) + network.fc.bias
    torch.testing.assert_close(summed, outputs.logits, rtol=0, atol=1e-12)
    maps = network.features(images).detach().requires_grad_()
    (gradient,) = torch.autograd.grad(network.fc(maps.mean(dim=(2, 3)))[:, 2].sum(), maps)
    grad_cam = (gradient.mean(dim=(2, 3), keepdim=True) * maps).sum(dim=1)
    torch.testing.assert_close(outputs.cam[:, 2] / maps[0, 0].numel(), grad_cam)


@pytest.mark.parametrize(("image", "patch", "tokens"), [(64, 8, 64), (64, 16, 16), (224, 16, 196)])
def test_a_vision_transformer_has_one_token_a_patch(image, patch, tokens):
    network = build_model(parse(TINY["vit_b_16"], image=image, patch=patch), 3, 1).eval()
    assert network.trunk.pos_embed.shape == (1, tokens + 1, 64)
    with torch.inference_mode():
        assert network(torch.randn(1, 1, image, image)).logits.shape == (1, 3)


def test_a_vision_transformer_refuses_images_of_another_size():
    network = build_model(parse(TINY["vit_b_16"]), 3, 1)
    with pytest.raises(ParameterError, match="images of 32 x 32 px, not 40 x 32"):
        network(torch.zeros(1, 1, 40, 32))


@pytest.mark.parametrize(("stride", "side"), [(2, 2), (1, 4)])
def test_an_xception_stem_of_stride_one_doubles_the_last_map(stride, side):
    network = build_model(parse(TINY["xception"], stem_stride=stride), 3, 1).eval()
    with torch.inference_mode():
        assert network(torch.zeros(1, 1, 64, 64)).cam.shape == (1, 3, side, side)


@pytest.mark.parametrize("name", sorted(set(COUNTS) - {"efficientnet_lite0"}))
def test_width_and_depth_scale_it(name):
    def size(**changes) -> int:
        with torch.device("meta"):
            return parameters(bare_model(parse(FULL[name], **changes), 3, 0))

    depth = FULL[name]["depth"]
    shallow = [1] * len(depth) if isinstance(depth, list) else 1
    assert size(width=0.5, depth=shallow) < size(depth=shallow) < size()

"""CG-RecNet, ResCMNet and ResGDNet in every preset: counts, identity at the start, any size."""

from __future__ import annotations

import pytest
import torch
import torchvision
from safetensors.torch import save_file

from tests.models.sizes import parse, residual
from unstained.models.architectures import network_class
from unstained.models.build import bare_model, build_model
from unstained.models.imagenet import FOLDER_VARIABLE

RECALIBRATED = ("cg_recnet", "rescmnet", "resgdnet")
PRESETS = ("text", "table_swapped", "table_printed")
SMALL = {"width": 0.25, "depth": [1, 1, 1, 1]}


def parameters(network: torch.nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


@pytest.mark.parametrize(
    ("architecture", "preset", "classes", "count"),
    [
        # The printed table counts a head of 1000 classes; table_swapped has 1000 before its 3.
        ("resnet50", "text", 3, 23_514_179),
        ("resgdnet", "text", 3, 25_640_685),
        ("rescmnet", "text", 3, 25_647_283 + 512),
        ("cg_recnet", "text", 3, 27_773_789 + 512),
        ("resnet50", "table_swapped", 3, 25_560_035),
        ("resgdnet", "table_swapped", 3, 27_686_541),
        ("rescmnet", "table_swapped", 3, 25_889_488),
        ("cg_recnet", "table_swapped", 3, 28_015_994),
        ("resnet50", "table_printed", 1000, 25_557_032),
        ("resgdnet", "table_printed", 1000, 25_889_960),
        ("rescmnet", "table_printed", 1000, 27_690_136),
        ("cg_recnet", "table_printed", 1000, 28_023_064),
    ],
)
def test_parameter_counts(architecture, preset, classes, count):
    with torch.device("meta"):
        network = bare_model(parse(residual(architecture, preset)), classes, 0, 3)
    assert parameters(network) == count


@pytest.mark.parametrize(
    ("architecture", "count"), [("rescmnet", 25_647_283), ("cg_recnet", 27_773_789)]
)
def test_parameter_counts_of_the_text_without_layer_scale(architecture, count):
    with torch.device("meta"):
        network = network_class(architecture)(
            parse(residual(architecture)), 3, 0, 3, layer_scale=None
        )
    assert parameters(network) == count


@pytest.fixture(scope="module")
def reference(tmp_path_factory) -> tuple[torch.nn.Module, str]:
    """torchvision's ResNet50 with random weights and statistics, and where they are saved."""
    torch.manual_seed(0)
    network = torchvision.models.resnet50().eval()
    for name, buffer in network.named_buffers():
        if name.endswith(("running_mean", "running_var")):
            buffer.add_(0.1 * torch.rand_like(buffer))
    folder = tmp_path_factory.mktemp("weights")
    save_file(network.state_dict(), folder / "resnet50.tv_in1k.safetensors")
    return network, str(folder)


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("architecture", ["resnet50", *RECALIBRATED])
def test_pretrained_it_starts_as_torchvisions_resnet50(
    architecture, preset, reference, monkeypatch
):
    network, folder = reference
    monkeypatch.setenv(FOLDER_VARIABLE, folder)
    params = parse(residual(architecture, preset), weights="imagenet", grey_as="three")
    ours = build_model(params, 3, 1).eval()
    grey = torch.randn(2, 1, 64, 64)
    with torch.no_grad():
        outputs = ours(grey)
        logits = network(grey.expand(-1, 3, -1, -1))
        pooled = torch.nn.functional.linear(outputs.embedding, network.fc.weight, network.fc.bias)
    torch.testing.assert_close(pooled, logits, rtol=1e-4, atol=1e-4)
    if preset == "table_swapped":  # whose 1000 outputs are the published classes
        torch.testing.assert_close(outputs.logits, ours.fc(logits), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("architecture", RECALIBRATED)
@pytest.mark.parametrize(("side", "last"), [(64, 8), (72, 9), (96, 12)])
def test_no_map_size_is_fixed(architecture, preset, side, last):
    network = build_model(parse(residual(architecture, preset), **SMALL), 3, 1).eval()
    seen = []
    network.layer2.register_forward_hook(lambda *call: seen.append(call[2].shape[2:]))
    with torch.inference_mode():
        outputs = network(torch.randn(1, 1, side, side))
        network(torch.randn(2, 1, side, 40))
    assert tuple(seen[0]) == (last, last)
    assert all(torch.isfinite(part).all() for part in outputs)


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("architecture", ["resnet50", *RECALIBRATED])
def test_map_of_class_evidence_adds_up_to_the_logit(architecture, preset):
    torch.manual_seed(0)
    network = build_model(parse(residual(architecture, preset), **SMALL), 3, 1).double().eval()
    with torch.inference_mode():
        outputs = network(torch.randn(2, 1, 64, 72, dtype=torch.float64))
        weight, bias = network.evidence()
    summed = outputs.cam.mean(dim=(2, 3)) + bias
    torch.testing.assert_close(summed, outputs.logits, rtol=0, atol=1e-11)
    assert weight.shape == (3, network.embedding_size)


@pytest.mark.parametrize("preset", PRESETS)
def test_map_of_class_evidence_is_grad_cam(preset):
    network = build_model(parse(residual("cg_recnet", preset), **SMALL), 3, 0).double().eval()
    images = torch.randn(2, 1, 64, 64, dtype=torch.float64)
    maps = network.features(images).detach().requires_grad_()
    logit = network.score(maps.mean(dim=(2, 3)))[:, 1].sum()
    (gradient,) = torch.autograd.grad(logit, maps)
    grad_cam = (gradient.mean(dim=(2, 3), keepdim=True) * maps).sum(dim=1)
    pixels = maps.shape[2] * maps.shape[3]
    torch.testing.assert_close(network(images).cam[:, 1] / pixels, grad_cam)


@pytest.mark.parametrize("preset", PRESETS)
def test_bfloat16_stays_near_float32(preset):
    torch.manual_seed(0)
    network = build_model(parse(residual("cg_recnet", preset), **SMALL), 3, 1).eval()
    images = torch.randn(4, 1, 40, 40)
    with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
        cast = network(images).logits.float()
    with torch.inference_mode():
        exact = network(images).logits
    assert (cast - exact).abs().max() < 0.05 * exact.abs().max()


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("width", [0.05, 0.2, 0.375, 0.7])
def test_any_width(preset, width):
    content = {**residual("cg_recnet", preset), **SMALL, "width": width}
    with torch.inference_mode():
        outputs = build_model(parse(content), 3, 1).eval()(torch.zeros(1, 1, 40, 40))
    assert outputs.logits.shape == (1, 3)


def test_options_reach_their_modules():
    params = parse(residual("cg_recnet"), **SMALL, global_scale="mean", gate_activation="sigmoid")
    network = build_model(params, 3, 1)
    assert network.attention.linear_angular.scale == "mean"
    assert network.gate.activation is torch.sigmoid
    for preset in ("table_swapped", "table_printed"):
        params = params.model_copy(update={"preset": preset})
        network = build_model(params, 3, 1)
        assert network.attention.linear_angular.scale == "mean"
        block = network.gate.block if preset == "table_printed" else network.gate
        assert block.activation is torch.sigmoid

"""Last maps that keep more points than the published strides leave."""

from __future__ import annotations

import pytest
import torch
from pydantic import ValidationError
from torch import nn

from tests.models.sizes import FULL, TINY, lively, parse, residual
from unstained.models.build import bare_model, build_model

SIZES = FULL | {name: residual(name) for name in ("resnet50", "cg_recnet", "rescmnet", "resgdnet")}
STRIDED = sorted(SIZES.keys() - {"vit_b_16"})


def parameters(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


@pytest.mark.parametrize("name", STRIDED)
@pytest.mark.parametrize("stride", [8, 16, 32])
def test_a_finer_map_has_the_published_weights(name, stride):
    with torch.device("meta"):
        published = bare_model(parse(SIZES[name]), 3, 0, 3)
        finer = bare_model(parse(SIZES[name], output_stride=stride), 3, 0, 3)
    expected = {key: value.shape for key, value in published.state_dict().items()}
    assert {key: value.shape for key, value in finer.state_dict().items()} == expected


@pytest.mark.parametrize("name", [name for name in STRIDED if name != "vgg16"])
@pytest.mark.parametrize("stride", [8, 16, 32, None])
def test_the_last_map_has_a_point_every_so_many_pixels(name, stride):
    sizes = {**TINY[name], "output_stride": stride}
    if name == "xception":
        sizes["stem_stride"] = 2
    network = build_model(parse(sizes), 3, 1).eval()
    with torch.inference_mode():
        outputs = network(torch.randn(1, 1, 64, 64))
    side = 64 // (stride or 32)
    assert outputs.cam.shape == (1, 3, side, side)
    summed = outputs.cam.mean(dim=(2, 3)) + network.evidence()[1]
    torch.testing.assert_close(summed, outputs.logits, rtol=1e-4, atol=1e-5)


def test_without_a_stride_in_the_stem_the_map_is_finer_still():
    network = build_model(parse(TINY["resnet50"], stem_stride=1, output_stride=4), 3, 1).eval()
    with torch.inference_mode():
        assert network(torch.zeros(1, 1, 40, 40)).cam.shape == (1, 3, 10, 10)


@pytest.mark.parametrize("name", ["resnet50", "cg_recnet", "mobilenet_v2"])
@pytest.mark.parametrize("stride", [8])
def test_every_other_point_of_a_finer_map_is_the_published_map(name, stride):
    """Which is why weights trained with strides fit: kernels skip what the strides left out."""
    torch.manual_seed(0)
    published = lively(build_model(parse(TINY[name]), 3, 1))
    finer = build_model(parse(TINY[name], output_stride=stride), 3, 1).eval()
    finer.load_state_dict(published.state_dict())
    images = torch.randn(2, 1, 64, 64)
    step = 32 // stride
    with torch.inference_mode():
        expected, found = published.features(images), finer.features(images)
    torch.testing.assert_close(found[:, :, ::step, ::step], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["densenet121", "xception", "vgg16"])
def test_where_pools_are_left_out_kernels_see_as_far_as_before(name):
    """Rows of pixels that a row of the last map depends on."""

    def reach(stride: int | None) -> int:
        network = bare_model(parse(TINY[name], output_stride=stride), 3, 0).eval()
        images = torch.randn(1, 1, 320, 32, requires_grad=True)
        trunk = network.trunk.features if name == "vgg16" else network.maps
        maps = trunk(images)
        maps[:, :, maps.shape[2] // 2].sum().backward()
        assert images.grad is not None
        return int((images.grad.abs().sum(dim=(0, 1, 3)) > 0).sum())

    assert reach(8) >= 0.7 * reach(None) > 32


def test_vgg_shows_its_dense_layers_more_than_four_points():
    network = build_model(parse(TINY["vgg16"], output_stride=8), 3, 1).eval()
    assert network.trunk.features(torch.zeros(1, 1, 64, 64)).shape[2:] == (8, 8)


@pytest.mark.parametrize(
    ("name", "changes", "said"),
    [
        ("resnet50", {"output_stride": 4}, "output_stride is from 8 to 32 here, not 4"),
        ("resnet50", {"stem_stride": 1, "output_stride": 32}, "from 4 to 16 here, not 32"),
        ("xception", {"stem_stride": 1, "output_stride": 32}, "from 2 to 16 here, not 32"),
    ],
)
def test_a_stride_that_the_network_cannot_have_is_refused(name, changes, said):
    with pytest.raises(ValidationError, match=said):
        parse(TINY[name], **changes)


@pytest.mark.parametrize(
    ("name", "channels", "count"),
    [
        ("resnet50", (64, 128, 256, 512), 507_894),
        ("resnet50", (64, 128, 128, 192), 110_518),
        ("cg_recnet", (64, 128, 256, 512), 780_348),
        ("cg_recnet", (64, 128, 128, 192), 382_972),
    ],
)
def test_channels_of_late_stages_make_up_for_their_larger_maps(name, channels, count):
    sizes = {"width": 0.25, "output_stride": 8, "channels": channels}
    network = bare_model(parse(TINY[name], **sizes), 3, 3)
    assert parameters(network) == count
    assert network.embedding_size == channels[3]

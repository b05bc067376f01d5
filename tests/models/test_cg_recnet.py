import pytest
import torch

from unstained.config.networks import NetworkParams
from unstained.models.networks.cg_recnet import CGRecNet
from unstained.models.networks.rescmnet import ResCMNet
from unstained.models.networks.resgdnet import ResGDNet
from unstained.models.networks.resnet import ResNet


def params(**changes) -> NetworkParams:
    base = {"architecture": "cg_recnet", "width": 0.25, "depth": (1, 1, 1, 1), "stem_stride": 2}
    return NetworkParams(**{**base, **changes})


def test_attention_and_gate_are_those_of_the_networks_that_have_one_of_them():
    torch.manual_seed(0)
    whole = CGRecNet(params(), 3, 0, layer_scale=1.0).eval()
    attention = ResCMNet(params(architecture="rescmnet"), 3, 0, layer_scale=1.0).eval()
    gate = ResGDNet(params(architecture="resgdnet"), 3, 0).eval()
    attention.load_state_dict(whole.state_dict(), strict=False)
    gate.load_state_dict(whole.state_dict(), strict=False)
    maps = torch.randn(1, 128, 5, 5)
    one_after_the_other = gate.recalibrate(attention.recalibrate(maps))
    torch.testing.assert_close(whole.recalibrate(maps), one_after_the_other)


def test_with_silent_modules_it_is_the_resnet():
    torch.manual_seed(0)
    network = CGRecNet(params(), 3, 1).eval()
    torch.nn.init.zeros_(network.gate.fc2.weight)
    plain = ResNet(params(architecture="resnet50"), 3, 1).eval()
    shared = plain.state_dict().keys()
    plain.load_state_dict({k: v for k, v in network.state_dict().items() if k in shared})
    images = torch.randn(2, 1, 64, 64)
    for one, other in zip(network(images), plain(images), strict=True):
        assert torch.equal(one, other)


def test_attention_comes_before_the_gate():
    network = CGRecNet(params(), 3, 0, layer_scale=1.0).eval()
    maps = torch.randn(1, 128, 5, 5)
    torch.testing.assert_close(network.recalibrate(maps), network.gate(network.attention(maps)))
    assert not torch.allclose(network.recalibrate(maps), network.attention(network.gate(maps)))


@pytest.mark.parametrize("width", [0.05, 0.2, 0.3, 0.375, 0.7])
def test_any_width(width):
    network = CGRecNet(params(width=width), 3, 1).eval()
    with torch.inference_mode():
        assert network(torch.zeros(1, 1, 40, 40)).logits.shape == (1, 3)


@pytest.mark.parametrize(("shape", "stride"), [((64, 64), 1), ((72, 96), 2), ((33, 17), 2)])
def test_any_height_and_width_without_a_fixed_map_size(shape, stride):
    network = CGRecNet(params(stem_stride=stride), 3, 1, layer_scale=1.0).eval()
    with torch.inference_mode():
        outputs = network(torch.randn(1, 1, *shape))
    assert all(torch.isfinite(part).all() for part in outputs)
    summed = outputs.cam.mean(dim=(2, 3)) + network.fc.bias
    torch.testing.assert_close(summed, outputs.logits, rtol=1e-4, atol=1e-5)


def test_bfloat16_stays_near_float32():
    torch.manual_seed(0)
    network = CGRecNet(params(), 3, 1, layer_scale=1.0).eval()
    images = torch.randn(4, 1, 40, 40)
    with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
        cast = network(images).logits.float()
    with torch.inference_mode():
        exact = network(images).logits
    assert (cast - exact).abs().max() < 0.05 * exact.abs().max()


def test_a_few_steps_learn_to_tell_two_textures():
    torch.manual_seed(0)
    network = CGRecNet(params(width=0.125), 2, 0)
    optimiser = torch.optim.AdamW(network.parameters(), lr=3e-3)
    labels = torch.arange(32) % 2
    stripes = torch.sin(torch.arange(24) * 1.5)[None, None, None, :].expand(32, 1, 24, 24)
    flat = torch.sin(torch.arange(24) * 0.4)[None, None, None, :].expand(32, 1, 24, 24)
    images = torch.where(labels[:, None, None, None] == 1, stripes, flat)
    first = None
    for _ in range(12):
        loss = torch.nn.functional.cross_entropy(
            network(images + 0.3 * torch.randn(images.shape)).logits, labels
        )
        first = first or float(loss.detach())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert float(loss.detach()) < 0.5 * first
    assert network.attention.gamma.abs().max() > 0

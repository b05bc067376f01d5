import pytest
import torch

from unstained.models.blocks.fusion import CrossGate, LinAngularXCAFusion


@pytest.fixture
def fusion() -> LinAngularXCAFusion:
    torch.manual_seed(0)
    return LinAngularXCAFusion(32, layer_scale=0.7)


@pytest.mark.parametrize(("layer_scale", "extra"), [(None, 0), (0.0, 512)])
def test_parameter_count_of_the_paper(layer_scale, extra):
    module = LinAngularXCAFusion(512, layer_scale)
    assert sum(p.numel() for p in module.parameters()) == 2_133_104 + extra


def test_gates_hold_one_thirty_second_of_the_channels_and_at_least_four():
    assert sum(p.numel() for p in CrossGate(512).parameters()) == 33_824 // 2
    assert CrossGate(32).down.out_features == 4


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (8, 8), (9, 9), (12, 12), (5, 13)])
def test_any_height_and_width_and_a_batch_of_one(fusion, shape):
    maps = torch.randn(1, 32, *shape)
    assert fusion(maps).shape == maps.shape


def test_starts_as_the_identity():
    maps = torch.randn(2, 32, 6, 7)
    assert torch.equal(LinAngularXCAFusion(32)(maps), maps)


def test_equals_equation_three(fusion):
    maps = torch.randn(2, 32, 4, 5)
    tokens = torch.stack([maps[:, :, i // 5, i % 5] for i in range(20)], dim=1)
    la, xca = fusion.linear_angular(tokens), fusion.cross_covariance(tokens)

    def gate(module, branch):
        pooled = branch.sum(dim=1) / branch.shape[1]
        hidden = (pooled @ module.down.weight.T + module.down.bias).clamp_min(0)
        return 1 / (1 + torch.exp(-(hidden @ module.up.weight.T + module.up.bias)))

    fused = la * gate(fusion.gate_cross_covariance, xca)[:, None]
    fused = fused + xca * gate(fusion.gate_linear_angular, la)[:, None]
    expected = maps + 0.7 * fused.transpose(1, 2).reshape(2, 32, 4, 5)
    torch.testing.assert_close(fusion(maps), expected)


def test_gates_lie_between_zero_and_one_and_are_constant_over_space(fusion):
    gate = fusion.gate_linear_angular(10 * torch.randn(3, 20, 32))
    assert gate.shape == (3, 1, 32)
    assert ((gate > 0) & (gate < 1)).all()


def test_gamma_none_is_gamma_one():
    fixed, scaled = LinAngularXCAFusion(32, None), LinAngularXCAFusion(32, 1.0)
    scaled.load_state_dict(fixed.state_dict(), strict=False)
    maps = torch.randn(1, 32, 5, 5)
    torch.testing.assert_close(fixed(maps), scaled(maps))


def test_images_of_a_batch_do_not_mix(fusion):
    maps = torch.randn(4, 32, 5, 6)
    one_by_one = torch.cat([fusion(image[None]) for image in maps])
    torch.testing.assert_close(fusion(maps), one_by_one, rtol=1e-4, atol=1e-5)


def test_bfloat16_stays_near_float32(fusion):
    maps = torch.randn(2, 32, 10, 10)
    exact = fusion(maps)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        cast = fusion(maps).float()
    assert (cast - exact).abs().max() < 0.03 * exact.abs().max()


def test_gradient_reaches_everything_once_gamma_has_moved(fusion):
    fusion(torch.randn(2, 32, 6, 6)).square().sum().backward()
    silent = [name for name, p in fusion.named_parameters() if not p.grad.abs().sum() > 0]
    assert silent == []


def test_gamma_moves_first():
    module = LinAngularXCAFusion(32)
    module(torch.randn(2, 32, 6, 6)).square().sum().backward()
    assert module.gamma.grad.abs().sum() > 0


def test_zero_map_stays_finite(fusion):
    maps = torch.zeros(1, 32, 6, 6, requires_grad=True)
    fusion(maps).sum().backward()
    assert torch.isfinite(maps.grad).all()


def test_the_weight_of_a_branch_is_the_same_at_every_position(fusion):
    """With the other branch off, the output is a branch times one number a channel."""
    tokens = torch.randn(2, 30, 32)
    for parameter in fusion.cross_covariance.proj.parameters():
        torch.nn.init.zeros_(parameter)
    ratio = fusion.fused(tokens) / fusion.linear_angular(tokens)
    assert ((ratio > 0) & (ratio < 1)).all()
    torch.testing.assert_close(ratio, ratio[:, :1].expand_as(ratio))


@pytest.mark.parametrize("layer_scale", [None, 0.0, 0.7])
def test_silenced_it_is_the_identity_and_still_learns(layer_scale):
    module = LinAngularXCAFusion(32, layer_scale)
    module.silence()
    maps = torch.randn(2, 32, 6, 7)
    assert torch.equal(module(maps), maps)
    module(maps).square().sum().backward()
    assert sum(float(p.grad.abs().sum()) for p in module.parameters()) > 0


def test_the_scale_of_linear_attention_is_passed_on():
    module = LinAngularXCAFusion(32, 1.0, "mean")
    summed = LinAngularXCAFusion(32, 1.0)
    summed.load_state_dict(module.state_dict())
    maps = torch.randn(1, 32, 6, 6)
    assert module.linear_angular.scale == "mean"
    assert not torch.allclose(module(maps), summed(maps))

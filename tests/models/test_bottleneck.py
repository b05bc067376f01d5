import pytest
import torch

from unstained.models.blocks.bottleneck import BottleneckAttention, BottleneckGate

MODULES = (BottleneckAttention, BottleneckGate)


def parameters(module: torch.nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def test_parameter_counts_are_the_tables():
    assert parameters(BottleneckAttention(512)) == 329_453
    assert parameters(BottleneckGate(512)) == 332_928


def test_at_full_width_eight_heads_of_sixteen_channels():
    attention = BottleneckAttention(512)
    assert attention.linear_angular.heads == attention.cross_covariance.heads == 8
    assert attention.inner == 128


@pytest.mark.parametrize("kind", MODULES)
@pytest.mark.parametrize("shape", [(1, 1), (8, 8), (9, 9), (12, 12), (5, 13)])
def test_any_height_and_width_and_a_batch_of_one(kind, shape):
    maps = torch.randn(1, 64, *shape)
    result = kind(64)(maps)
    assert result.shape == maps.shape
    assert torch.isfinite(result).all()


@pytest.mark.parametrize("kind", MODULES)
def test_what_is_added_passes_the_quarter(kind):
    torch.manual_seed(0)
    module, maps = kind(32).double(), torch.randn(2, 32, 4, 5, dtype=torch.float64)
    narrow = torch.einsum("bchw,dc->bdhw", maps, module.down.weight[:, :, 0, 0])
    inside = module.inside(narrow + module.down.bias[:, None, None])
    wide = torch.einsum("bdhw,cd->bchw", inside, module.up.weight[:, :, 0, 0])
    expected = maps + wide + module.up.bias[:, None, None]
    torch.testing.assert_close(module(maps), expected, rtol=0, atol=1e-12)


def test_both_attentions_see_the_same_tokens_and_are_fused():
    torch.manual_seed(0)
    module = BottleneckAttention(32).double()
    maps = torch.randn(2, 8, 3, 4, dtype=torch.float64)
    tokens = torch.stack([maps[:, :, i // 4, i % 4] for i in range(12)], dim=1)
    parts = module.linear_angular(tokens), module.cross_covariance(tokens)
    fused = module.fusion(*parts, 3, 4)
    for i in range(12):
        torch.testing.assert_close(module.inside(maps)[:, :, i // 4, i % 4], fused[:, i])


@pytest.mark.parametrize("kind", MODULES)
def test_silenced_it_is_the_identity_and_still_learns(kind):
    module, maps = kind(32), torch.randn(2, 32, 5, 6)
    assert not torch.equal(module(maps), maps)
    module.silence()
    assert torch.equal(module(maps), maps)
    module(maps).square().sum().backward()
    assert module.up.weight.grad.abs().sum() > 0


@pytest.mark.parametrize("kind", MODULES)
def test_zero_maps_stay_finite_with_finite_gradients(kind):
    maps = torch.zeros(1, 32, 6, 6, requires_grad=True)
    kind(32)(maps).sum().backward()
    assert torch.isfinite(maps.grad).all()


@pytest.mark.parametrize("kind", MODULES)
def test_bfloat16_stays_near_float32(kind):
    torch.manual_seed(0)
    module, maps = kind(64), torch.randn(2, 64, 9, 9)
    exact = module(maps)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        cast = module(maps).float()
    assert (cast - exact).abs().max() < 0.03 * exact.abs().max()


def test_gradient_reaches_everything():
    torch.manual_seed(0)
    module = BottleneckAttention(32)
    module(torch.randn(3, 32, 6, 6)).square().sum().backward()
    silent = [name for name, p in module.named_parameters() if not p.grad.abs().sum() > 0]
    # The softmax over positions takes the last bias away; rounding may leave a trace of it.
    assert set(silent) <= {"fusion.weigh.bias"}


def test_a_pixel_reaches_seven_by_seven_pixels_through_the_gate():
    module, maps = BottleneckGate(32), torch.randn(1, 32, 15, 15)
    changed = maps.clone()
    changed[:, 0, 7, 6] += 1.0
    rows, columns = (module(changed) - module(maps)).abs().amax(dim=(0, 1)).nonzero().unbind(1)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (4, 10, 3, 9)

import pytest
import torch

from unstained.models.blocks.cafm import CrossAttentionFusion


@pytest.fixture
def fusion() -> CrossAttentionFusion:
    torch.manual_seed(0)
    return CrossAttentionFusion(8, 4).double()


def branches(batch=2, height=3, width=5) -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(1)
    return torch.randn(2, batch, height * width, 8, dtype=torch.float64).unbind(0)


@pytest.mark.parametrize(
    ("dim", "hidden", "count"), [(128, 64, 66_333), (512, 64, 264_477), (512, 8, 34_877)]
)
def test_parameter_count_is_that_of_the_published_module(dim, hidden, count):
    assert sum(p.numel() for p in CrossAttentionFusion(dim, hidden).parameters()) == count


def naive(module: CrossAttentionFusion, one, two, height, width):
    """Channels first, an image at a time, written from the equations."""

    def descriptor(part, f):
        mean = part.down_mean(f.mean(dim=1)).clamp_min(0)
        peak = part.down_max(f.max(dim=1).values).clamp_min(0)
        return part.up_mean(mean) + part.up_max(peak)

    out = []
    for f1, f2 in zip(one.transpose(1, 2), two.transpose(1, 2), strict=True):
        affinity = torch.outer(descriptor(module.first, f1), descriptor(module.second, f2))
        total = 0
        for f, scores in ((f1, affinity), (f2, affinity.T)):
            mixed = torch.exp(scores) / torch.exp(scores).sum(dim=1, keepdim=True) @ f
            image = torch.stack([mixed.mean(dim=0), mixed.max(dim=0).values])
            image = module.squeeze(image.view(1, 2, height, width)).clamp_min(0)
            weights = torch.exp(module.weigh(image)).flatten()
            total = total + f * (1 + weights / weights.sum())
        out.append(total.T)
    return torch.stack(out)


def test_equals_the_equations(fusion):
    one, two = branches()
    expected = naive(fusion, one, two, 3, 5)
    torch.testing.assert_close(fusion(one, two, 3, 5), expected, rtol=0, atol=1e-12)


def test_weights_of_positions_add_up_to_one_so_that_it_is_almost_a_sum(fusion):
    one, two = branches(height=28, width=28)
    weights = fusion.spatial(one, 28, 28)
    torch.testing.assert_close(weights.sum(dim=1), torch.ones(2, 1, dtype=torch.float64))
    change = (fusion(one, two, 28, 28) - one - two).abs()
    assert change.max() < 0.02 * (one.abs() + two.abs()).max()
    assert change.max() > 0


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 9), (7, 4)])
def test_any_height_and_width_and_images_do_not_mix(fusion, height, width):
    one, two = branches(3, height, width)
    whole = fusion(one, two, height, width)
    alone = torch.cat(
        [fusion(a[None], b[None], height, width) for a, b in zip(one, two, strict=True)]
    )
    torch.testing.assert_close(whole, alone)


def test_zero_maps_stay_finite(fusion):
    zero = torch.zeros(1, 12, 8, dtype=torch.float64, requires_grad=True)
    fusion(zero, zero, 3, 4).sum().backward()
    assert torch.isfinite(zero.grad).all()


def test_bfloat16_stays_near_float32():
    module = CrossAttentionFusion(8, 4)
    one, two = (part.float() for part in branches(height=9, width=9))
    exact = module(one, two, 9, 9)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        cast = module(one, two, 9, 9).float()
    assert (cast - exact).abs().max() < 0.03 * exact.abs().max()

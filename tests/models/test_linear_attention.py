import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from unstained.models.blocks.linear_attention import (
    LinAngularAttention,
    heads_for,
    merge_heads,
    split_heads,
    unit,
)


@pytest.fixture
def attention() -> LinAngularAttention:
    torch.manual_seed(0)
    return LinAngularAttention(32, 4).double().eval()


def core(q, k, v, **options):
    """Z as the layer computes it; it has no weights of its own."""
    return LinAngularAttention(8, 1, **options).core(q, k, v)


def qkv(tokens=49, heads=4, width=8):
    torch.manual_seed(1)
    return torch.randn(3, 2, heads, tokens, width, dtype=torch.float64).unbind(0)


def test_linear_form_equals_the_explicit_attention_matrix():
    q, k, v = qkv()
    explicit = 0.5 * v + (unit(q, -1) @ unit(k, -1).transpose(-2, -1) / math.pi) @ v
    torch.testing.assert_close(core(q, k, v), explicit, rtol=0, atol=1e-10)


@pytest.mark.parametrize(
    ("cosine", "error"), [(0.25, 0.0009), (0.5, 0.0075), (0.75, 0.0312), (1.0, 0.1817)]
)
def test_two_terms_of_the_angular_kernel_leave_the_known_error(cosine, error):
    # One query, one key, value 1: the core is the truncated kernel itself.
    q = torch.tensor([[[[1.0, 0.0]]]], dtype=torch.float64)
    k = torch.tensor([[[[cosine, math.sqrt(1 - cosine**2)]]]], dtype=torch.float64)
    truncated = float(core(q, k, torch.ones_like(q))[0, 0, 0, 0])
    assert 1 - math.acos(cosine) / math.pi - truncated == pytest.approx(error, abs=6e-5)


@given(st.integers(1, 400))
def test_head_count_divides_and_leaves_64_channels(multiple):
    dim = 8 * multiple
    heads = heads_for(dim)
    assert dim % heads == 0
    assert heads == 1 or dim // heads >= 64
    assert not any(
        dim % more == 0 and dim // more >= 64 for more in range(heads + 1, dim // 64 + 1)
    )


def test_the_paper_has_eight_heads():
    assert heads_for(512) == 8


def test_heads_are_split_and_merged_losslessly():
    q, k, v = qkv()
    packed = torch.cat([merge_heads(part) for part in (q, k, v)], dim=2)
    for part, again in zip((q, k, v), split_heads(packed, 4), strict=True):
        torch.testing.assert_close(part, again)


def test_core_is_equivariant_to_the_order_of_tokens():
    q, k, v = qkv()
    order = torch.randperm(q.shape[2])
    moved = core(q[:, :, order], k[:, :, order], v[:, :, order])
    torch.testing.assert_close(moved, core(q, k, v)[:, :, order])


def test_convolution_reaches_four_tokens_and_breaks_that_equivariance(attention):
    v = qkv()[2]
    changed = v.clone()
    changed[:, :, 20] += 1.0
    difference = (attention.dconv(changed) - attention.dconv(v)).abs().amax(dim=(0, 1, 3))
    assert difference.nonzero().flatten().tolist() == list(range(16, 25))
    tokens = torch.randn(1, 30, 32, dtype=torch.float64)
    order = torch.arange(29, -1, -1).roll(3)
    assert not torch.allclose(attention(tokens[:, order]), attention(tokens)[:, order])


def test_parameter_count_of_the_paper_with_its_layer_norm():
    count = sum(p.numel() for p in LinAngularAttention(512, 8).parameters())
    assert count == 1_049_160 + 1_024


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_zero_tokens_stay_finite_with_finite_gradients(dtype):
    attention = LinAngularAttention(16, 2).to(dtype)
    tokens = torch.zeros(1, 9, 16, dtype=dtype, requires_grad=True)
    result = attention(tokens)
    result.sum().backward()
    assert torch.isfinite(result).all()
    assert torch.isfinite(tokens.grad).all()


@pytest.mark.parametrize("tokens", [1, 3, 784])
def test_any_number_of_tokens(attention, tokens):
    result = attention(torch.randn(1, tokens, 32, dtype=torch.float64))
    assert result.shape == (1, tokens, 32)


def test_core_is_the_numerator_of_kernel_attention_but_for_the_constant_term():
    """Rows of 1/2 + q.k/pi over all pairs, divided by their sum, are attention proper."""
    q, k, v = qkv()
    kernel = 0.5 + unit(q, -1) @ unit(k, -1).transpose(-2, -1) / math.pi
    assert kernel.min() >= 0.5 - 1 / math.pi
    explicit = kernel / kernel.sum(-1, keepdim=True) @ v
    everywhere = 0.5 * v.sum(-2, keepdim=True)
    numerator = core(q, k, v) - 0.5 * v + everywhere
    sums = 0.5 * k.shape[-2] + unit(q, -1) @ unit(k, -1).sum(-2)[..., None] / math.pi
    torch.testing.assert_close(numerator / sums, explicit, rtol=0, atol=1e-13)


def test_the_mean_does_not_depend_on_the_number_of_tokens_and_the_sum_does():
    parts = qkv()
    twice = [torch.cat([part, part], dim=2) for part in parts]
    alike = core(*parts, scale="mean")
    torch.testing.assert_close(core(*twice, scale="mean")[:, :, :49], alike)
    assert not torch.allclose(core(*twice)[:, :, :49], core(*parts))
    q, k, v = parts
    share = (core(q, k, v) - 0.5 * v) / 49
    torch.testing.assert_close(alike, 0.5 * v + share)


def test_l2_norm_makes_unit_vectors_a_token_and_head():
    attention = LinAngularAttention(32, 4, norm="l2").double()
    q, k, v = qkv()
    mixed = attention.normalise(attention.core(q, k, v)).view(2, 49, 4, 8)
    torch.testing.assert_close(mixed.norm(dim=-1), torch.ones(2, 49, 4, dtype=torch.float64))
    assert sum(p.numel() for p in LinAngularAttention(512, 8, "l2").parameters()) == 1_049_160
    assert sum(p.numel() for p in LinAngularAttention(128, 8, "l2").parameters()) == 65_736


@pytest.mark.parametrize("norm", ["layernorm", "l2"])
@pytest.mark.parametrize("scale", ["sum", "mean"])
def test_equals_the_published_steps_token_by_token(norm, scale):
    """Loops over heads and tokens, written from the definition."""
    torch.manual_seed(0)
    attention = LinAngularAttention(16, 2, norm, scale).double()
    tokens = torch.randn(1, 12, 16, dtype=torch.float64)
    q, k, v = (tokens[0] @ part.T for part in attention.qkv.weight.chunk(3))
    mixed, local = torch.zeros(12, 16).double(), torch.zeros(12, 16).double()
    for head in range(2):
        own = slice(8 * head, 8 * head + 8)
        for i in range(12):
            total = 0.5 * v[i, own]
            for j in range(12):
                cosine = (q[i, own] @ k[j, own]) / (q[i, own].norm() * k[j, own].norm())
                total = total + cosine * v[j, own] / math.pi / (12 if scale == "mean" else 1)
            mixed[i, own] = total / total.norm() if norm == "l2" else total
            for tap in range(9):
                if 0 <= i + tap - 4 < 12:
                    weight = attention.dconv.weight[head, 0, tap, 0]
                    local[i, own] += weight * v[i + tap - 4, own]
    if norm == "layernorm":
        mixed = torch.nn.functional.layer_norm(mixed, (16,))
    expected = attention.proj(mixed + local)[None]
    torch.testing.assert_close(attention(tokens), expected, rtol=0, atol=1e-10)


def test_l2_zero_tokens_stay_finite():
    tokens = torch.zeros(1, 9, 16, requires_grad=True)
    LinAngularAttention(16, 2, "l2")(tokens).sum().backward()
    assert torch.isfinite(tokens.grad).all()


@pytest.mark.parametrize("norm", ["layernorm", "l2"])
def test_bfloat16_stays_near_float32(norm):
    torch.manual_seed(0)
    attention = LinAngularAttention(64, 4, norm)
    tokens = torch.randn(2, 100, 64)
    exact = attention(tokens)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        cast = attention(tokens).float()
    assert (cast - exact).abs().max() < 0.03 * exact.abs().max()

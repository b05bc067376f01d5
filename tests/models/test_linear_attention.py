import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from unstained.models.linear_attention import (
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


def qkv(tokens=49, heads=4, width=8):
    torch.manual_seed(1)
    return torch.randn(3, 2, heads, tokens, width, dtype=torch.float64).unbind(0)


def test_linear_form_equals_the_explicit_attention_matrix():
    q, k, v = qkv()
    explicit = 0.5 * v + (unit(q, -1) @ unit(k, -1).transpose(-2, -1) / math.pi) @ v
    torch.testing.assert_close(LinAngularAttention.core(q, k, v), explicit, rtol=0, atol=1e-10)


@pytest.mark.parametrize(
    ("cosine", "error"), [(0.25, 0.0009), (0.5, 0.0075), (0.75, 0.0312), (1.0, 0.1817)]
)
def test_two_terms_of_the_angular_kernel_leave_the_known_error(cosine, error):
    # One query, one key, value 1: the core is the truncated kernel itself.
    q = torch.tensor([[[[1.0, 0.0]]]], dtype=torch.float64)
    k = torch.tensor([[[[cosine, math.sqrt(1 - cosine**2)]]]], dtype=torch.float64)
    truncated = float(LinAngularAttention.core(q, k, torch.ones_like(q))[0, 0, 0, 0])
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
    moved = LinAngularAttention.core(q[:, :, order], k[:, :, order], v[:, :, order])
    torch.testing.assert_close(moved, LinAngularAttention.core(q, k, v)[:, :, order])


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

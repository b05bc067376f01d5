import pytest
import torch
import torch.nn.functional as F

from unstained.models.blocks.linear_attention import merge_heads, split_heads
from unstained.models.blocks.xca import CrossCovarianceAttention


@pytest.fixture
def attention() -> CrossCovarianceAttention:
    torch.manual_seed(0)
    network = CrossCovarianceAttention(32, 4).double()
    torch.nn.init.uniform_(network.temperature, 0.5, 2.0)
    return network


def naive(network: CrossCovarianceAttention, tokens: torch.Tensor) -> torch.Tensor:
    """Loops over images and heads, written from the definition."""
    q, k, v = split_heads(network.qkv(tokens), network.heads)
    out = torch.empty_like(q)
    for image in range(q.shape[0]):
        for head in range(network.heads):
            a, b, c = (part[image, head].T for part in (q, k, v))  # (d, N)
            scores = F.normalize(a, dim=1) @ F.normalize(b, dim=1).T * network.temperature[head]
            out[image, head] = (scores.softmax(dim=1) @ c).T
    return network.proj(merge_heads(out))


def test_equals_the_definition(attention):
    tokens = torch.randn(3, 25, 32, dtype=torch.float64)
    torch.testing.assert_close(attention(tokens), naive(attention, tokens), rtol=0, atol=1e-12)


def test_rows_of_the_attention_add_up_to_one(attention):
    q, k, _ = split_heads(attention.qkv(torch.randn(2, 25, 32, dtype=torch.float64)), 4)
    rows = attention.weights(q, k).sum(dim=-1)
    torch.testing.assert_close(rows, torch.ones_like(rows))


def test_equivariant_to_the_order_of_tokens(attention):
    tokens, order = torch.randn(2, 25, 32, dtype=torch.float64), torch.randperm(25)
    torch.testing.assert_close(attention(tokens[:, order]), attention(tokens)[:, order])


def test_identical_value_channels_come_back_unchanged(attention):
    tokens = torch.randn(1, 25, 32, dtype=torch.float64)
    with torch.no_grad():
        attention.qkv.weight[64:] = attention.qkv.weight[64]
        attention.proj.weight.copy_(torch.eye(32))
        attention.proj.bias.zero_()
    value = tokens @ attention.qkv.weight[64]
    torch.testing.assert_close(attention(tokens), value[:, :, None].expand(1, 25, 32))


def test_gradient_reaches_the_temperature(attention):
    attention(torch.randn(1, 25, 32, dtype=torch.float64)).square().sum().backward()
    assert (attention.temperature.grad.abs() > 0).all()


def test_temperature_starts_at_one_and_sharpens(attention):
    assert CrossCovarianceAttention(32, 4).temperature.tolist() == [1.0] * 4
    q, k, _ = split_heads(attention.qkv(torch.randn(1, 25, 32, dtype=torch.float64)), 4)
    with torch.no_grad():
        attention.temperature.fill_(1.0)
        flat = attention.weights(q, k).amax()
        attention.temperature.fill_(20.0)
        assert attention.weights(q, k).amax() > flat


def test_parameter_count_of_the_paper():
    assert sum(p.numel() for p in CrossCovarianceAttention(512, 8).parameters()) == 1_049_096


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_zero_tokens_stay_finite_with_finite_gradients(dtype):
    attention = CrossCovarianceAttention(16, 2).to(dtype)
    tokens = torch.zeros(1, 9, 16, dtype=dtype, requires_grad=True)
    result = attention(tokens)
    result.sum().backward()
    assert torch.isfinite(result).all()
    assert torch.isfinite(tokens.grad).all()


def test_bfloat16_stays_near_float32():
    torch.manual_seed(0)
    network = CrossCovarianceAttention(64, 4)
    tokens = torch.randn(2, 100, 64)
    exact = network(tokens)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        cast = network(tokens).float()
    assert (cast - exact).abs().max() < 0.03 * exact.abs().max()


@pytest.mark.parametrize("tokens", [1, 3, 784])
def test_any_number_of_tokens_and_a_batch_of_one(attention, tokens):
    result = attention(torch.randn(1, tokens, 32, dtype=torch.float64))
    assert result.shape == (1, tokens, 32)
    assert torch.isfinite(result).all()

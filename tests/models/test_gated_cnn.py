import math

import pytest
import torch

from unstained.models.blocks.gated_cnn import GatedCNNBlock


@pytest.mark.parametrize(
    ("ratio", "count"), [(1.0, 2_126_506), (0.5, 2_113_706), (0.25, 2_107_306)]
)
def test_parameter_count_of_mambaout(ratio, count):
    assert sum(p.numel() for p in GatedCNNBlock(512, ratio).parameters()) == count


def naive(block: GatedCNNBlock, maps: torch.Tensor, activation: str) -> torch.Tensor:
    """Pixel by pixel from the definition."""
    batch, _, height, width = maps.shape
    hidden, plain, convolved = block.splits
    mean, var = maps.mean(1, keepdim=True), maps.var(1, keepdim=True, unbiased=False)
    scale, offset = block.norm.weight[:, None, None], block.norm.bias[:, None, None]
    normed = (maps - mean) / (var + 1e-6).sqrt() * scale + offset
    out = maps.clone()
    wide = torch.einsum("bdyx,hd->bhyx", normed, block.fc1.weight) + block.fc1.bias[:, None, None]
    for b in range(batch):
        for y in range(height):
            for x in range(width):
                gate = wide[b, :hidden, y, x]
                mixed = block.conv.bias.clone()
                for i in range(-3, 4):
                    for j in range(-3, 4):
                        if 0 <= y + i < height and 0 <= x + j < width:
                            source = wide[b, hidden + plain :, y + i, x + j]
                            mixed = mixed + block.conv.weight[:, 0, i + 3, j + 3] * source
                content = torch.cat([wide[b, hidden : hidden + plain, y, x], mixed])
                open_ = 1 / (1 + torch.exp(-gate))
                if activation == "gelu":
                    open_ = gate * 0.5 * (1 + torch.erf(gate / math.sqrt(2)))
                out[b, :, y, x] += block.fc2.weight @ (open_ * content) + block.fc2.bias
    assert convolved == mixed.numel()
    return out


@pytest.mark.parametrize(("ratio", "activation"), [(1.0, "gelu"), (0.5, "gelu"), (1.0, "sigmoid")])
def test_equals_the_definition(ratio, activation):
    torch.manual_seed(0)
    block = GatedCNNBlock(8, ratio, activation=activation).double()
    torch.nn.init.normal_(block.norm.weight)
    torch.nn.init.normal_(block.conv.bias)
    maps = torch.randn(2, 8, 4, 9, dtype=torch.float64)
    with torch.no_grad():
        expected = naive(block, maps, activation)
        torch.testing.assert_close(block(maps), expected, rtol=0, atol=1e-12)


def test_zero_output_layer_is_the_identity():
    block = GatedCNNBlock(16)
    torch.nn.init.zeros_(block.fc2.weight)
    maps = torch.randn(2, 16, 5, 7)
    assert torch.equal(block(maps), maps)


def test_a_pixel_reaches_seven_by_seven_pixels():
    block = GatedCNNBlock(16)
    maps = torch.randn(1, 16, 15, 15)
    changed = maps.clone()
    changed[:, 0, 7, 6] += 1.0  # one channel: LayerNorm removes what all share
    rows, columns = (block(changed) - block(maps)).abs().amax(dim=(0, 1)).nonzero().unbind(1)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (4, 10, 3, 9)


def test_without_convolution_it_is_pointwise():
    block = GatedCNNBlock(16, conv_ratio=0.0)
    maps = torch.randn(1, 16, 5, 5)
    changed = maps.clone()
    changed[:, 0, 2, 2] += 1.0
    assert (block(changed) - block(maps)).abs().amax(dim=(0, 1)).nonzero().tolist() == [[2, 2]]


@pytest.mark.parametrize("shape", [(1, 1), (3, 20)])
def test_any_height_and_width_and_a_batch_of_one(shape):
    maps = torch.zeros(1, 24, *shape)
    result = GatedCNNBlock(24)(maps)
    assert result.shape == maps.shape
    assert torch.isfinite(result).all()


def test_silenced_it_is_the_identity_and_still_learns():
    block = GatedCNNBlock(16)
    torch.nn.init.ones_(block.fc2.bias)
    block.silence()
    maps = torch.randn(2, 16, 5, 7)
    assert torch.equal(block(maps), maps)
    block(maps).square().sum().backward()
    assert block.fc2.weight.grad.abs().sum() > 0


def test_expansion_sets_the_hidden_channels():
    assert GatedCNNBlock(128, 0.5, expansion=4).splits == (512, 448, 64)
    assert GatedCNNBlock(512).splits == (1365, 853, 512)


def test_more_channels_cannot_be_convolved_than_there_are():
    with pytest.raises(ValueError, match="24 of 21 hidden channels"):
        GatedCNNBlock(8, conv_ratio=3.0)


def test_bfloat16_stays_near_float32():
    torch.manual_seed(0)
    block = GatedCNNBlock(64)
    maps = torch.randn(2, 64, 9, 9)
    exact = block(maps) - maps
    with torch.autocast("cpu", dtype=torch.bfloat16):
        cast = block(maps).float() - maps
    assert (cast - exact).abs().max() < 0.03 * exact.abs().max()

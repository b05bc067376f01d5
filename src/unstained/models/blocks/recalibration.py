"""Which attention and which gate a preset of CG-RecNet has.

The paper's text and its table of parameter counts describe different networks. `text` follows the
equations at 512 channels. The other two reproduce the table's counts: `table_swapped` with public
modules at their defaults, which gives the counts with the two modules' names exchanged, and
`table_printed` with the names as printed.
"""

from __future__ import annotations

from unstained.config.networks import NetworkParams
from unstained.models.blocks.bottleneck import BottleneckAttention, BottleneckGate
from unstained.models.blocks.fusion import LinAngularXCAFusion
from unstained.models.blocks.gated_cnn import GatedCNNBlock
from unstained.models.network import scaled
from unstained.models.networks.resnet import EXPANSION


def channels_between(params: NetworkParams) -> int:
    """Channels of the map between layer2 and layer3, where both modules sit: 512 at width 1."""
    return scaled(params.channels[1], params.width) * EXPANSION


def attention_of(
    params: NetworkParams, layer_scale: float | None
) -> LinAngularXCAFusion | BottleneckAttention:
    """The attention module.

    Args:
        params: preset, width and scale of linear attention.
        layer_scale: of preset `text`, see `LinAngularXCAFusion`. The table leaves no room for it.
    """
    dim = channels_between(params)
    match params.preset:
        case "text":
            return LinAngularXCAFusion(dim, layer_scale, params.global_scale)
        case "table_printed":
            return LinAngularXCAFusion(dim, None, params.global_scale)
        case "table_swapped":
            return BottleneckAttention(dim, params.global_scale)


def gate_of(params: NetworkParams) -> GatedCNNBlock | BottleneckGate:
    """The gated module of a preset, width and activation."""
    dim = channels_between(params)
    if params.preset == "table_printed":
        return BottleneckGate(dim, params.gate_activation)
    return GatedCNNBlock(dim, activation=params.gate_activation)

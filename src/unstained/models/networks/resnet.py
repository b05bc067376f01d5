"""Residual network of bottleneck blocks (He et al. 2016, ResNet50) for small single-cell images.

Blocks come from timm. `width` scales every channel count including the stem, `depth` sets the
blocks a stage and a stem of stride 1 keeps the resolution of cells up to 96 px. At width 1 and
depth 3-4-6-3 the parameter names and shapes are those of torchvision's resnet50.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from timm.models.resnet import Bottleneck
from timm.models.resnet import ResNet as TimmResNet
from torch import nn

from unstained.config.networks import NetworkParams
from unstained.models.network import PooledNetwork, scaled

EXPANSION = 4
"""Channels out of a bottleneck block for each of its inner channels."""


class ResNet(PooledNetwork):
    """ResNet50 with a classification head, a regression head and a class activation map.

    Any H and W of at least 1 are accepted. In preset `table_swapped` the classes are read from 1000
    outputs instead of from the embedding, two linear layers with nothing between them: the head
    that the paper's table of parameters fits. They act as one, which `evidence` gives.

    Args:
        params: preset, width, depth, stem stride, dropout and how a grey image enters.
        classes: K.
        targets: M continuous targets, may be 0.
        channels: C of the input.
    """

    pretrained = "resnet50.tv_in1k"
    first_kernel = "conv1.weight"

    bn1: nn.Module
    act1: nn.Module
    maxpool: nn.Module
    layer1: nn.Module
    layer2: nn.Module
    layer3: nn.Module
    layer4: nn.Module

    def __init__(
        self, params: NetworkParams, classes: int, targets: int, channels: int = 1
    ) -> None:
        super().__init__(params, channels)
        planes = tuple(scaled(base, params.width) for base in params.channels)
        # timm fixes its plain stem at 64 channels. Its deep stem passes on twice `stem_width`, so
        # the stages get the width wanted, and the plain convolution takes the deep stem's place.
        trunk = TimmResNet(
            Bottleneck,  # type: ignore[arg-type]  # timm annotates the class as an instance
            layers=params.depth,
            channels=planes,
            in_chans=self.images,
            num_classes=0,
            stem_type="deep",
            stem_width=planes[0] // 2,
            output_stride=(params.output_stride or 16 * params.stem_stride)
            * 2
            // params.stem_stride,
        )
        self.conv1 = nn.Conv2d(self.images, planes[0], 7, params.stem_stride, 3, bias=False)
        nn.init.kaiming_normal_(self.conv1.weight, mode="fan_out", nonlinearity="relu")
        for name in ("bn1", "act1", "maxpool", "layer1", "layer2", "layer3", "layer4"):
            self.add_module(name, trunk.get_submodule(name))
        self.attach_heads(planes[3] * EXPANSION, classes, targets)
        self.fc_hidden: nn.Linear | None = None
        if params.preset == "table_swapped" and classes:
            self.fc_hidden = nn.Linear(self.embedding_size, scaled(1000, params.width))
            self.fc = nn.Linear(self.fc_hidden.out_features, classes)

    def recalibrate(self, maps: torch.Tensor) -> torch.Tensor:
        """What happens between layer2 and layer3, (B, D2, h2, w2) to the same; here nothing."""
        return maps

    def maps(self, images: torch.Tensor) -> torch.Tensor:
        """(B, C, H, W) images to the last feature map (B, D, h, w)."""
        maps = self.maxpool(self.act1(self.bn1(self.conv1(images))))
        maps = self.recalibrate(self.layer2(self.layer1(maps)))
        last: torch.Tensor = self.layer4(self.layer3(maps))
        return last

    def score(self, kept: torch.Tensor) -> torch.Tensor:
        """Logits (B, K) of an embedding after dropout."""
        return super().score(kept if self.fc_hidden is None else self.fc_hidden(kept))

    def evidence(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Weights (K, D) and bias (K,) of the head, its two layers merged where it has two."""
        weight, bias = super().evidence()
        if self.fc_hidden is None:
            return weight, bias
        return weight @ self.fc_hidden.weight, weight @ self.fc_hidden.bias + bias

    def adopt(self, state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Published weights by their own names; the 1000 outputs only where there is a place."""
        trunk = {name: value for name, value in state.items() if not name.startswith("fc.")}
        if self.fc_hidden is not None:
            trunk |= {f"fc_hidden.{name}": state[f"fc.{name}"] for name in ("weight", "bias")}
        return trunk

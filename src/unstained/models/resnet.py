"""Residual network of bottleneck blocks (He et al. 2016, ResNet50) for small single-cell images.

Blocks come from timm. `width` scales every channel count including the stem, `depth` sets the
blocks a stage and a stem of stride 1 keeps the resolution of cells up to 96 px. At width 1 and
depth 3-4-6-3 the parameter names and shapes are those of torchvision's resnet50.
"""

from __future__ import annotations

import torch
from timm.models.resnet import Bottleneck
from timm.models.resnet import ResNet as TimmResNet
from torch import nn

from unstained.models.outputs import Outputs
from unstained.params import NetworkParams

EXPANSION = 4
"""Channels out of a bottleneck block for each of its inner channels."""


def scaled(channels: int, width: float) -> int:
    """`channels` times `width`, rounded to a multiple of 8, at least 8."""
    return max(8, round(channels * width / 8) * 8)


class ResNet(nn.Module):
    """ResNet50 with a classification head, a regression head and a class activation map.

    Any H and W of at least 1 are accepted. The class activation map (Zhou et al. 2016) applies the
    class weights to the last feature map; pooling is global and the head linear, so that its
    spatial mean plus the bias is the logit, and its rectified form equals Grad-CAM up to a factor.

    Args:
        params: width, depth, stem stride and dropout.
        classes: K.
        targets: M continuous targets, may be 0.
        channels: C of the input.
    """

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
        super().__init__()
        planes = tuple(scaled(base, params.width) for base in (64, 128, 256, 512))
        # timm fixes its plain stem at 64 channels. Its deep stem passes on twice `stem_width`, so
        # the stages get the width wanted, and the plain convolution takes the deep stem's place.
        trunk = TimmResNet(
            Bottleneck,  # type: ignore[arg-type]  # timm annotates the class as an instance
            layers=params.depth,
            channels=planes,
            in_chans=channels,
            num_classes=0,
            stem_type="deep",
            stem_width=planes[0] // 2,
        )
        self.conv1 = nn.Conv2d(channels, planes[0], 7, params.stem_stride, 3, bias=False)
        nn.init.kaiming_normal_(self.conv1.weight, mode="fan_out", nonlinearity="relu")
        for name in ("bn1", "act1", "maxpool", "layer1", "layer2", "layer3", "layer4"):
            self.add_module(name, trunk.get_submodule(name))
        self.dropout = nn.Dropout(params.dropout)
        self.embedding_size = planes[3] * EXPANSION
        self.fc = nn.Linear(self.embedding_size, classes)
        self.fc_targets = nn.Linear(self.embedding_size, targets) if targets else None

    def recalibrate(self, maps: torch.Tensor) -> torch.Tensor:
        """What happens between layer2 and layer3, (B, D2, h2, w2) to the same; here nothing."""
        return maps

    def features(self, contrast: torch.Tensor) -> torch.Tensor:
        """(B, C, H, W) contrast to the last feature map (B, D, h, w)."""
        maps = self.maxpool(self.act1(self.bn1(self.conv1(contrast))))
        maps = self.recalibrate(self.layer2(self.layer1(maps)))
        last: torch.Tensor = self.layer4(self.layer3(maps))
        return last

    def forward(self, contrast: torch.Tensor) -> Outputs:
        """(B, C, S, S) contrast to outputs."""
        maps = self.features(contrast)
        pooled = maps.mean(dim=(2, 3))
        kept = self.dropout(pooled)
        return Outputs(
            logits=self.fc(kept),
            targets=pooled[:, :0] if self.fc_targets is None else self.fc_targets(kept),
            cam=nn.functional.conv2d(maps, self.fc.weight[:, :, None, None]),
            embedding=pooled,
        )

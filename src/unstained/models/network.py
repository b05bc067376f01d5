"""What all networks share: how a grey image enters, two linear heads, and the outputs.

`PooledNetwork` is for networks that end in global average pooling and a linear head: only there is
a class activation map (Zhou et al. 2016) exact, and its rectified form Grad-CAM up to a factor.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import nn

from unstained.config.networks import NetworkBase
from unstained.errors import ParameterError
from unstained.models.outputs import Outputs
from unstained.models.view import View


def scaled(channels: int, width: float) -> int:
    """`channels` times `width`, rounded to a multiple of 8, at least 8."""
    return max(8, round(channels * width / 8) * 8)


class Network(nn.Module, ABC):
    """A network from contrast to an embedding, with a head `fc` and a head `fc_targets`.

    `fc` scores classes and proportions, `fc_targets` gives values; a study may need one of them
    alone (unstained/tasks).

    A subclass builds its layers, calls `attach_heads`, and defines `embed`.

    Args:
        params: how a grey image enters, and dropout before the heads.
        channels: C of the input.

    Attributes:
        weights: what it is to start from, see models/imagenet.py.
        images: channels of the first layer: what the view shows of C, or 3 where a grey image is
            copied. Three planes enter as they are.
        pretrained: name of the ImageNet weights (models/imagenet.py).
        first_kernel: state-dict name of the first layer's kernel.
        smallest: the least side of an image in pixels.
        side: the only side of images that it can take, where it is built for one; else None.
        value_parts: beginnings of the names of parameters that are there for values alone.

    Raises:
        ParameterError: `grey_as: three` for images that are neither grey nor have three planes.
    """

    pretrained: ClassVar[str]
    first_kernel: ClassVar[str]
    smallest: ClassVar[int] = 1
    side: int | None = None
    value_parts: ClassVar[tuple[str, ...]] = ("fc_targets.",)

    def __init__(self, params: NetworkBase, channels: int) -> None:
        super().__init__()
        self.view = View(params.input)
        seen = self.view.channels(channels)
        if params.grey_as == "three" and seen not in (1, 3):
            raise ParameterError(
                f"grey_as is three, but the images have {seen} planes",
                "set studies.<study>.models.<model>.grey_as to one; copies are made of "
                "single-channel images only",
            )
        self.weights = params.weights
        self.images = 3 if params.grey_as == "three" else seen
        self.dropout = nn.Dropout(params.dropout)

    def attach_heads(self, size: int, classes: int, targets: int) -> None:
        """Linear heads on an embedding of `size` features."""
        self.embedding_size = size
        self.fc = nn.Linear(size, classes) if classes else None
        self.fc_targets = nn.Linear(size, targets) if targets else None

    def widen(self, contrast: torch.Tensor) -> torch.Tensor:
        """(B, C, H, W) to what the first layer takes: the view (models/view.py), widened.

        Raises:
            ParameterError: the image is too small to survive the network's strides, or of another
                side than the network is built for.
        """
        seen: torch.Tensor = self.view(contrast)
        height, width = seen.shape[2:]
        if self.side is not None and (height, width) != (self.side, self.side):
            raise ParameterError(
                f"{type(self).__name__} is built for images of {self.side} x {self.side} px, not "
                f"{height} x {width}",
                "leave `image` out of this model's section: it follows from the canvas, or from "
                "input.side",
            )
        if min(height, width) < self.smallest:
            raise ParameterError(
                f"{type(self).__name__} needs images of at least {self.smallest} x {self.smallest} "
                f"px, not {height} x {width}",
                "raise studies.<study>.data.canvas (where the model has an input.side, "
                "studies.<study>.models.<model>.input.side), or leave it out of `models`",
            )
        return seen.expand(-1, self.images, -1, -1)

    @property
    def sees_symmetries(self) -> bool:
        """Whether it answers the mean over views of a cell: never while it learns.

        Cells are turned at random then (learning/augment.py), at the cost of one view.
        """
        return not self.training and len(self.view.group) > 1

    def turned(self, contrast: torch.Tensor) -> torch.Tensor:
        """Contrast (B, C, S, S) in all symmetries, (V B, C, S, S); see `View.turned`."""
        return self.view.turned(contrast)

    @abstractmethod
    def embed(self, contrast: torch.Tensor) -> torch.Tensor:
        """(B, C, H, W) contrast to the embedding (B, D)."""

    def score(self, kept: torch.Tensor) -> torch.Tensor:
        """Logits (B, K) of an embedding after dropout."""
        return kept[:, :0] if self.fc is None else self.fc(kept)

    def outputs(self, embedding: torch.Tensor, cam: torch.Tensor | None) -> Outputs:
        """Both heads on an embedding (B, D)."""
        kept = self.dropout(embedding)
        return Outputs(
            logits=self.score(kept),
            targets=embedding[:, :0] if self.fc_targets is None else self.fc_targets(kept),
            cam=cam,
            embedding=embedding,
        )

    def forward(self, contrast: torch.Tensor) -> Outputs:
        """(B, C, S, S) contrast to outputs without a map, their mean over symmetries."""
        if not self.sees_symmetries:
            return self.outputs(self.embed(contrast), None)
        each, mean = self.outputs(self.embed(self.turned(contrast)), None), self.view.mean
        return Outputs(mean(each.logits), mean(each.targets), None, mean(each.embedding))

    def adopt(self, state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Published weights by this network's own names, without those of heads."""
        return {
            f"trunk.{name}": value
            for name, value in state.items()
            if not name.startswith(("classifier.", "head.", "fc."))
        }

    def silence(self) -> None:
        """Let layers between pretrained ones start as the identity; a plain network has none."""


class PooledNetwork(Network):
    """A network whose embedding is the spatial mean of its last feature map.

    A subclass defines `maps` instead of `embed`. The heads are linear, so that of several
    symmetries the mean of all answers is the answer to the mean feature map.
    """

    @abstractmethod
    def maps(self, images: torch.Tensor) -> torch.Tensor:
        """Widened images to the last feature map (B, D, h, w)."""

    def features(self, contrast: torch.Tensor) -> torch.Tensor:
        """(B, C, H, W) contrast to the last feature map (B, D, h, w), its mean over symmetries."""
        if not self.sees_symmetries:
            return self.maps(self.widen(contrast))
        return self.view.upright_mean(self.maps(self.widen(self.turned(contrast))))

    def embed(self, contrast: torch.Tensor) -> torch.Tensor:
        """(B, C, H, W) contrast to the embedding (B, D)."""
        return self.features(contrast).mean(dim=(2, 3))

    def evidence(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Weights (K, D) and bias (K,) that turn an embedding into logits in evaluation mode.

        Of the values, (M, D) and (M,), where nothing is scored.
        """
        head = self.fc_targets if self.fc is None else self.fc
        if head is None:
            raise ValueError("a network without outputs has no evidence")
        return head.weight, head.bias

    def forward(self, contrast: torch.Tensor) -> Outputs:
        """(B, C, S, S) contrast to outputs with the class activation map."""
        maps = self.features(contrast)
        weight, _ = self.evidence()
        cam = nn.functional.conv2d(maps, weight[:, :, None, None])
        return self.outputs(maps.mean(dim=(2, 3)), cam)

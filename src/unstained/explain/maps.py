"""How the maps of one network are made and drawn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from torch import nn

from unstained.explain.activation import seen_side
from unstained.explain.gradcam import class_maps, device_of, gradient_maps, last_layer, spread
from unstained.imaging.evidence import enlarge
from unstained.models.outputs import Outputs
from unstained.models.trained import TrainedModel
from unstained.statistics.metrics import Floats, Labels

PROBES: Final = 8
"""Images on which layer and size of a map are looked up."""


@dataclass(frozen=True)
class Explainer:
    """What is explained of a network: fixed before weights are shuffled or images turned.

    Attributes:
        layer: a module's name; None for the class activation map of the network's last map.
        grid: (h, w) points of its maps.
        seen: side of the image that the network sees.
        even: whether points lie in the middle of their share of the image.
    """

    layer: str | None
    grid: tuple[int, int]
    seen: int
    even: bool

    def maps(self, network: nn.Module, images: torch.Tensor, classes: Labels, batch: int) -> Floats:
        """Signed Grad-CAM on the canvas (N, S, S) of one class a cell.

        Args:
            network: in evaluation mode; this one, or the same with other weights.
            images: (N, C, S, S).
            classes: (N,).
            batch: cells at a time.
        """
        if self.layer is None:
            found = class_maps(network, images, classes, batch=batch)
        else:
            found = gradient_maps(network, images, classes, self.layer, batch=batch)
        side = images.shape[-1]
        return spread(found, side) if self.even else enlarge(found, side, self.seen)


def explainer_of(trained: TrainedModel, network: nn.Module, images: torch.Tensor) -> Explainer:
    """The class activation map where the network has one, else Grad-CAM of `last_layer`.

    Args:
        trained: a model.
        network: it, as it is asked (explain/questions.py).
        images: (N, C, S, S); the first few are tried.

    Raises:
        ValueError: no layer maps the image.
    """
    probes = images[:PROBES].to(device_of(network))
    even, seen = _even(trained.network), seen_side(trained.spec)
    with torch.inference_mode():
        output = network(probes)
    if isinstance(output, Outputs) and output.cam is not None:
        return Explainer(None, (output.cam.shape[2], output.cam.shape[3]), seen, even)
    layer = last_layer(network, probes)
    shape = gradient_maps(network, probes, np.zeros(len(probes), np.int64), layer).shape
    return Explainer(layer, (shape[1], shape[2]), seen, even)


def _even(network: nn.Module) -> bool:
    """Whether a network is of patches or 2 x 2 pools: a point looks at the middle of its share."""
    from unstained.models.networks.densenet import DenseNet
    from unstained.models.networks.vgg import VGG
    from unstained.models.networks.vit import ViT

    return isinstance(network, DenseNet | VGG | ViT)

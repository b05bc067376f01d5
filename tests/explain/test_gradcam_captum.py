"""Grad-CAM against captum's, which knows layers of maps; the house's also knows tokens."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from captum.attr import LayerGradCam
from torch import nn

from tests.models.sizes import TINY, lively, parse
from unstained.explain.gradcam import gradient_maps, last_layer, logits_of
from unstained.models.build import bare_model

CONVOLUTIONAL = sorted(set(TINY) - {"vit_b_16"})
CLASSES = np.array([2, 0, 1, 1])


class Logits(nn.Module):
    """A network that gives its logits alone, as captum wants it."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return logits_of(self.network(images))


@pytest.mark.parametrize("name", CONVOLUTIONAL)
def test_gradient_maps_are_captums(name: str) -> None:
    torch.manual_seed(0)
    network = lively(bare_model(parse(TINY[name]), 3, 0)).double()
    cells = torch.randn(4, 1, 32, 32, dtype=torch.float64)
    layer = last_layer(network, cells)
    theirs = LayerGradCam(Logits(network), dict(network.named_modules())[layer])
    wanted = theirs.attribute(cells, target=torch.from_numpy(CLASSES))
    found = gradient_maps(network, cells, CLASSES, layer, "grad_cam")
    np.testing.assert_allclose(found, wanted[:, 0].detach().numpy(), rtol=1e-10, atol=1e-15)
    assert np.abs(found).max() > 0

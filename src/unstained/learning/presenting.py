"""What a network that learns is shown of cells: made smaller, moved and disturbed at random."""

from __future__ import annotations

import torch
from torch import nn

from unstained.config.learning import AugmentParams
from unstained.config.model_input import InputParams
from unstained.imaging.symmetry import exchanges
from unstained.learning.augment import Draws, augment
from unstained.learning.problem import Problem
from unstained.models.frame_network import FrameNetwork
from unstained.models.network import Network
from unstained.models.view import View


class Presenter:
    """The study's augmentation, as a network's view of cells and its mean image want it.

    Args:
        network: on its device.
        problem: its canvas, scale, light and pixels.
        params: what is done to cells.
    """

    def __init__(self, network: nn.Module, problem: Problem, params: AugmentParams) -> None:
        self.problem, self.params = problem, params
        self.view = network.view if isinstance(network, Network) else View(InputParams())
        self.mean_image = network.mean_image if isinstance(network, FrameNetwork) else None
        self.swaps = exchanges(problem.channels, problem.lit) if problem.lit else None

    def __call__(self, contrast: torch.Tensor, draws: Draws) -> torch.Tensor:
        """Contrast (B, C, S, S) to what the network is given, (B, C, side, side).

        Args:
            contrast: of B cells; not changed.
            draws: of the same cells.
        """
        contrast = self.view.ahead(contrast)
        if self.mean_image is not None:  # it lies where the camera saw it, however cells are turned
            contrast = self.view(contrast) - self.mean_image
        contrast = augment(
            contrast,
            draws,
            self.params,
            self.problem.scale,
            self.swaps,
            self.problem.pixel_um_at(contrast.shape[-1]),
        )
        if self.mean_image is not None:
            contrast = contrast + self.mean_image
        return contrast

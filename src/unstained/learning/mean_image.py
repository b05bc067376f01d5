"""The mean image of the training cells, which networks for frames subtract.

It stays where the camera saw it: training subtracts it before cells are turned and moved, so that
tiles and gradients of illumination go, and not their mean over all turns.
"""

from __future__ import annotations

import numpy as np
import torch

from unstained.learning.problem import Problem
from unstained.learning.scores import BATCH, STEPS_PER_WINDOW
from unstained.learning.source import Streamed
from unstained.models.frame_network import FrameNetwork


@torch.no_grad()
def subtract_mean(network: FrameNetwork, problem: Problem) -> None:
    """Let a network on the CPU subtract the mean contrast of the training cells, pixel by pixel.

    Args:
        network: whose `mean_image` is 0.
        problem: its training cells are read once, window by window.
    """
    source = Streamed(problem, problem.train, torch.device("cpu"))
    order = np.arange(len(problem.train))
    batches = [order[start : start + BATCH] for start in range(0, len(order), BATCH)]
    total = torch.zeros_like(network.mean_image, dtype=torch.float64)
    for contrast in source.contrasts(batches, STEPS_PER_WINDOW):
        total += network.widen(contrast).double().sum(dim=0)
    network.mean_image.copy_(total / len(order))

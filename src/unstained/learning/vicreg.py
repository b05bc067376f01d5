"""VICReg: what two views of the same cells should have in common, without any label.

Variance, invariance, covariance regularisation (Bardes, Ponce and LeCun 2022, arXiv:2105.04906):
the two views of a cell lie at the same place (invariance), every feature differs from cell to cell
(variance, which keeps the network from answering alike for all), and no feature repeats another
(covariance). It needs no negative pairs, no second network and no large batches.

Shapes: B cells, E features of the expander.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import nn

INVARIANCE: Final = 25.0
VARIANCE: Final = 25.0
COVARIANCE: Final = 1.0
"""Weights of the three terms (section 4.2)."""

SPREAD: Final = 1.0
"""Standard deviation that each feature is to have at least (gamma)."""

EPSILON: Final = 1e-4
"""Added to variances under the root."""


def vicreg(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """The loss of two views (B, E) of the same cells, B at least 2: a scalar in their precision.

    As in the authors' code, squares are averaged over features as well as cells, and the hinge of
    the variance over both views; the covariances of both add up (equations 1 to 6).
    """
    invariance = (first - second).square().mean()
    variance = (_narrowness(first) + _narrowness(second)) / 2
    covariance = _redundancy(first) + _redundancy(second)
    return INVARIANCE * invariance + VARIANCE * variance + COVARIANCE * covariance


def _narrowness(features: torch.Tensor) -> torch.Tensor:
    """Mean over features of how much their standard deviation falls short of SPREAD."""
    spread = (features.var(dim=0) + EPSILON).sqrt()
    return (SPREAD - spread).clamp_min(0).mean()


def _redundancy(features: torch.Tensor) -> torch.Tensor:
    """Sum of the squared covariances of different features, over their number."""
    cells, size = features.shape
    centred = features - features.mean(dim=0)
    covariance = centred.T @ centred / (cells - 1)
    return (covariance.square().sum() - covariance.diagonal().square().sum()) / size


def expander(embedding: int, size: int) -> nn.Sequential:
    """Three layers from an embedding (B, D) to features (B, E), of which the loss is taken.

    Linear layers are convolutions of one point, so that data-parallel workers share the statistics
    of their normalisation as they do those of networks (learning/batchnorm.py).

    Args:
        embedding: D.
        size: E.
    """
    return nn.Sequential(
        nn.Unflatten(1, (embedding, 1, 1)),
        nn.Conv2d(embedding, size, 1, bias=False),
        nn.BatchNorm2d(size),
        nn.ReLU(),
        nn.Conv2d(size, size, 1, bias=False),
        nn.BatchNorm2d(size),
        nn.ReLU(),
        nn.Conv2d(size, size, 1, bias=False),
        nn.Flatten(),
    )

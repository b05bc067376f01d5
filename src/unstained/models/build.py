"""From typed parameters to a network."""

from __future__ import annotations

from torch import nn

from unstained.models.cg_recnet import CGRecNet
from unstained.models.feature_boosting import FeatureBoosting
from unstained.models.resnet import ResNet
from unstained.params import BoostingParams, ModelParams


def build_model(params: ModelParams, classes: int, targets: int, channels: int = 1) -> nn.Module:
    """An untrained model whose forward maps contrast (B, C, S, S) to `Outputs`.

    Args:
        params: architecture and its sizes; an unknown architecture is refused when parsed.
        classes: K.
        targets: M continuous targets, may be 0.
        channels: C of the input.

    Returns:
        The model. A feature-boosting model has no trees yet: `fit_boosting` or a state dict brings
        them, and until then every class scores the same.
    """
    if isinstance(params, BoostingParams):
        return FeatureBoosting(classes, targets, channels)
    network: type[ResNet] = {"cg_recnet": CGRecNet, "resnet50": ResNet}[params.architecture]
    return network(params, classes, targets, channels)

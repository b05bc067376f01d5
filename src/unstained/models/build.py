"""From typed parameters to a network."""

from __future__ import annotations

from torch import nn

from unstained.config.models import BoostingParams, ModelParams
from unstained.models.features.feature_boosting import FeatureBoosting
from unstained.models.imagenet import load_imagenet
from unstained.models.network import Network


def build_model(params: ModelParams, classes: int, targets: int, channels: int = 1) -> nn.Module:
    """A model to be trained, whose forward maps contrast (B, C, S, S) to `Outputs`.

    Args:
        params: architecture and its sizes; an unknown architecture is refused when parsed.
        classes: K.
        targets: M continuous targets, may be 0.
        channels: C of the input.

    Returns:
        The model, random or, with `weights: imagenet`, pretrained up to its heads. A
        feature-boosting model has no trees yet: `fit_boosting` or a state dict brings them, and
        until then every class scores the same.

    Raises:
        ParameterError: ImageNet weights are wanted and are not there or do not fit.
    """
    model = bare_model(params, classes, targets, channels)
    if isinstance(model, Network) and model.weights == "imagenet":
        load_imagenet(model)
    return model


def bare_model(params: ModelParams, classes: int, targets: int, channels: int = 1) -> nn.Module:
    """The same model with weights as they are drawn: for a state dict, or for counting."""
    if isinstance(params, BoostingParams):
        return FeatureBoosting(classes, targets, channels)
    from unstained.models.architectures import NETWORKS

    network: Network = NETWORKS[params.architecture](params, classes, targets, channels)
    return network

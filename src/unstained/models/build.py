"""From typed parameters to a network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from torch import nn

from unstained.config.feature_models import FeatureModelBase
from unstained.config.models import EnsembleParams, ModelParams
from unstained.models.architectures import network_class
from unstained.models.ensemble import Ensemble
from unstained.models.features.feature_boosting import FeatureBoosting
from unstained.models.features.feature_linear import FeatureLinear
from unstained.models.features.feature_model import FeatureModel
from unstained.models.imagenet import load_imagenet
from unstained.models.network import Network

FEATURE_MODELS: Final[Mapping[str, type[FeatureModel]]] = {
    "features_boosting": FeatureBoosting,
    "features_linear": FeatureLinear,
}
"""Heads on measured features by architecture; networks stand in models/architectures.py."""


def build_model(params: ModelParams, classes: int, targets: int, channels: int = 1) -> nn.Module:
    """A model to be trained, whose forward maps contrast (B, C, S, S) to `Outputs`.

    Args:
        params: architecture and its sizes; an unknown architecture is refused when parsed.
        classes: K.
        targets: M continuous targets, may be 0.
        channels: C of the input.

    Returns:
        The model, random or, with `weights: imagenet`, pretrained up to its heads. A head on
        measured features has learnt nothing yet: its fit (models/features/fitting.py) or a state
        dict brings that, and until then every class scores the same.

    Raises:
        ParameterError: ImageNet weights are wanted and are not there or do not fit.
    """
    model = bare_model(params, classes, targets, channels)
    if isinstance(model, Network) and model.weights == "imagenet":
        load_imagenet(model)
    return model


def bare_model(params: ModelParams, classes: int, targets: int, channels: int = 1) -> nn.Module:
    """The same model with weights as they are drawn: for a state dict, or for counting."""
    if isinstance(params, EnsembleParams):
        return Ensemble([bare_model(one, classes, targets, channels) for one in params.models])
    if isinstance(params, FeatureModelBase):
        return FEATURE_MODELS[params.architecture](params, classes, targets, channels)
    network: Network = network_class(params.architecture)(params, classes, targets, channels)
    return network

"""From typed parameters to a network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from torch import nn

from unstained.config.models import BoostingParams, ModelParams
from unstained.models.features.feature_boosting import FeatureBoosting
from unstained.models.imagenet import load_imagenet
from unstained.models.network import Network
from unstained.models.networks.attention_cnn import AttentionCNN
from unstained.models.networks.cg_recnet import CGRecNet
from unstained.models.networks.densenet import DenseNet
from unstained.models.networks.hybrid import Hybrid
from unstained.models.networks.inception_net import InceptionNet
from unstained.models.networks.mobilenet import MobileNetV2
from unstained.models.networks.plain_cnn import PlainCNN
from unstained.models.networks.rescmnet import ResCMNet
from unstained.models.networks.resgdnet import ResGDNet
from unstained.models.networks.resnet import ResNet
from unstained.models.networks.vgg import VGG
from unstained.models.networks.vit import ViT
from unstained.models.networks.xception import Xception

NETWORKS: Final[Mapping[str, Any]] = {
    "cg_recnet": CGRecNet,
    "rescmnet": ResCMNet,
    "resgdnet": ResGDNet,
    "resnet50": ResNet,
    "densenet121": DenseNet,
    "vgg16": VGG,
    "mobilenet_v2": MobileNetV2,
    "vit_b_16": ViT,
    "xception": Xception,
    "hybrid_paper": Hybrid,
    "hybrid_gated": Hybrid,
    "inception": InceptionNet,
    "plain_cnn": PlainCNN,
    "attention_cnn": AttentionCNN,
}
"""Classes by architecture; each takes its parameters, classes, targets and channels."""


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
    network: Network = NETWORKS[params.architecture](params, classes, targets, channels)
    return network

"""The class of each network, imported when that network is asked for and not before.

timm, behind most of them, wakes torchvision and torch's compiler, which takes longer than torch
itself: whoever measures features, or trains a network without it, does not wait for that.
"""

from __future__ import annotations

from typing import Any


def network_class(architecture: str) -> Any:
    """The class that takes an architecture's parameters, classes, targets and channels.

    Raises:
        KeyError: no network is called so.
    """
    match architecture:
        case "cg_recnet":
            from unstained.models.networks.cg_recnet import CGRecNet

            return CGRecNet
        case "rescmnet":
            from unstained.models.networks.rescmnet import ResCMNet

            return ResCMNet
        case "resgdnet":
            from unstained.models.networks.resgdnet import ResGDNet

            return ResGDNet
        case "resnet50":
            from unstained.models.networks.resnet import ResNet

            return ResNet
        case "densenet121":
            from unstained.models.networks.densenet import DenseNet

            return DenseNet
        case "vgg16":
            from unstained.models.networks.vgg import VGG

            return VGG
        case "mobilenet_v2":
            from unstained.models.networks.mobilenet import MobileNetV2

            return MobileNetV2
        case "efficientnet_lite0":
            from unstained.models.networks.efficientnet_lite import EfficientNetLite

            return EfficientNetLite
        case "vit_b_16":
            from unstained.models.networks.vit import ViT

            return ViT
        case "xception":
            from unstained.models.networks.xception import Xception

            return Xception
        case "hybrid_paper" | "hybrid_gated":
            from unstained.models.networks.hybrid import Hybrid

            return Hybrid
        case "inception":
            from unstained.models.networks.inception_net import InceptionNet

            return InceptionNet
        case "plain_cnn":
            from unstained.models.networks.plain_cnn import PlainCNN

            return PlainCNN
        case "attention_cnn":
            from unstained.models.networks.attention_cnn import AttentionCNN

            return AttentionCNN
        case "differential_cnn":
            from unstained.models.networks.differential_cnn import DifferentialCNN

            return DifferentialCNN
        case "differential_cnn_pooled":
            from unstained.models.networks.differential_cnn import PooledDifferentialCNN

            return PooledDifferentialCNN
        case "cnn_3d":
            from unstained.models.networks.cnn_3d import CNN3D

            return CNN3D
    raise KeyError(architecture)

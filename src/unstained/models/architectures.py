"""The classes of networks by architecture.

Imported where a network is asked for and not before: timm, behind most of them, wakes torchvision
and torch's compiler, which takes longer than torch itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from unstained.models.networks.attention_cnn import AttentionCNN
from unstained.models.networks.cg_recnet import CGRecNet
from unstained.models.networks.cnn_3d import CNN3D
from unstained.models.networks.densenet import DenseNet
from unstained.models.networks.differential_cnn import DifferentialCNN, PooledDifferentialCNN
from unstained.models.networks.efficientnet_lite import EfficientNetLite
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
    "efficientnet_lite0": EfficientNetLite,
    "vit_b_16": ViT,
    "xception": Xception,
    "hybrid_paper": Hybrid,
    "hybrid_gated": Hybrid,
    "inception": InceptionNet,
    "plain_cnn": PlainCNN,
    "attention_cnn": AttentionCNN,
    "differential_cnn": DifferentialCNN,
    "differential_cnn_pooled": PooledDifferentialCNN,
    "cnn_3d": CNN3D,
}
"""Classes by architecture; each takes its parameters, classes, targets and channels."""

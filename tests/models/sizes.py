"""Sizes of networks: the papers', and so small that a test takes milliseconds."""

from __future__ import annotations

from typing import Any

import torch
from pydantic import TypeAdapter
from torch import nn

from unstained.config.models import ModelParams

RESIDUAL = {"width": 0.125, "depth": [1, 1, 1, 1], "stem_stride": 2}
HYBRID = {
    "width": 0.125,
    "depth": 1,
    "patch": 8,
    "image": 32,
    "stem_stride": 2,
    "branch_dropout": 0.0,
    "refinement_dropout": 0.0,
}
PLAIN = {"width": 0.125, "depth": [1, 1, 1], "stem_stride": 2}
FRAMES = {"width": 0.5, "image": 32}

TINY: dict[str, dict[str, Any]] = {
    "cg_recnet": {"architecture": "cg_recnet", **RESIDUAL},
    "cg_recnet_swapped": {"architecture": "cg_recnet", "preset": "table_swapped", **RESIDUAL},
    "cg_recnet_printed": {"architecture": "cg_recnet", "preset": "table_printed", **RESIDUAL},
    "rescmnet": {"architecture": "rescmnet", **RESIDUAL},
    "resgdnet": {"architecture": "resgdnet", **RESIDUAL},
    "resnet50": {"architecture": "resnet50", **RESIDUAL},
    "densenet121": {"architecture": "densenet121", "width": 0.25, "depth": [1, 2, 1, 1]},
    "vgg16": {"architecture": "vgg16", "width": 0.125, "depth": [1, 1, 1, 1, 1], "hidden": 8},
    "mobilenet_v2": {"architecture": "mobilenet_v2", "width": 0.25, "depth": [1, 1, 2, 1, 1, 1, 1]},
    "efficientnet_lite0": {"architecture": "efficientnet_lite0"},
    "vit_b_16": {"architecture": "vit_b_16", "width": 0.08, "depth": 1, "patch": 8, "image": 32},
    "xception": {"architecture": "xception", "width": 0.05, "depth": 1, "stem_stride": 1},
    "hybrid_paper": {"architecture": "hybrid_paper", **HYBRID},
    "hybrid_gated": {"architecture": "hybrid_gated", "patch_step": 4, **HYBRID},
    "inception": {"architecture": "inception", **PLAIN},
    "plain_cnn": {"architecture": "plain_cnn", **PLAIN},
    "attention_cnn": {"architecture": "attention_cnn", **PLAIN},
    "differential_cnn": {"architecture": "differential_cnn", **FRAMES, "streams": ["raw"]},
    "differential_cnn_pooled": {
        "architecture": "differential_cnn_pooled",
        **FRAMES,
        "streams": ["raw"],
    },
    "cnn_3d": {"architecture": "cnn_3d", **FRAMES},
}
"""For images of 32 px."""

FULL: dict[str, dict[str, Any]] = {
    "densenet121": {"architecture": "densenet121", "width": 1, "depth": [6, 12, 24, 16]},
    "vgg16": {"architecture": "vgg16", "width": 1, "depth": [2, 2, 3, 3, 3], "hidden": 4096},
    "mobilenet_v2": {"architecture": "mobilenet_v2", "width": 1, "depth": [1, 2, 3, 4, 3, 3, 1]},
    "efficientnet_lite0": {"architecture": "efficientnet_lite0"},
    "vit_b_16": {"architecture": "vit_b_16", "width": 1, "depth": 12, "patch": 16, "image": 224},
    "xception": {"architecture": "xception", "width": 1, "depth": 8, "stem_stride": 2},
}


def residual(architecture: str, preset: str = "text") -> dict[str, Any]:
    """A network of the paper at full size."""
    sizes = {"width": 1, "depth": [3, 4, 6, 3], "stem_stride": 2}
    return {"architecture": architecture, "preset": preset, **sizes}


def parse(content: dict[str, Any], **changes: Any) -> ModelParams:
    """Typed parameters."""
    model: ModelParams = TypeAdapter(ModelParams).validate_python({**content, **changes})
    return model


def lively(network: nn.Module) -> nn.Module:
    """Random weights and statistics, so that no part of the network is idle."""
    for name, value in network.state_dict().items():
        if name.endswith("running_var"):
            value.uniform_(0.5, 1.5)
        elif value.is_floating_point() and value.ndim == 1:
            value.add_(0.1 * torch.randn_like(value))
    return network.eval()

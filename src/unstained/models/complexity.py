"""What a network costs: parameters, and multiply-accumulates of one image.

Counted, not typed: torch's own counter runs the network, class activation map included, on tensors
without data. It counts matrix products and convolutions at two operations for each
multiply-accumulate and leaves out additions, normalisations and activations. It sees the products
within attention, which counters of layers miss: ViT-B/16 has 17.6 thousand million at 224 px, of
which such counters show 11.3.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, cast

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from unstained.config.feature_models import FeatureModelBase
from unstained.config.models import EnsembleParams, ModelParams
from unstained.models.build import bare_model
from unstained.models.network import Network

VERSION: Final = torch.__version__.partition("+")[0]
TOOL: Final = f"torch.utils.flop_counter.FlopCounterMode of torch {VERSION}, halved"


@dataclass(frozen=True)
class Complexity:
    """The cost of a network.

    Attributes:
        parameters: learnt numbers, of all heads.
        classifier_parameters: those of the classifier alone, without continuous targets.
        multiply_accumulates: of one image.
        side: of the image in pixels.
        tool: that counted.
    """

    parameters: int
    classifier_parameters: int
    multiply_accumulates: int
    side: int
    tool: str = TOOL


def complexity(
    params: ModelParams, classes: int, targets: int, channels: int, side: int
) -> Complexity | None:
    """Cost of an architecture; no weights are drawn or loaded.

    Args:
        params: architecture and sizes.
        classes: K.
        targets: M continuous targets, may be 0.
        channels: C of the input.
        side: of the square image in pixels.

    Returns:
        The cost, of an ensemble that of its networks together; None for a model on measured
        features, which is no network.

    Raises:
        ParameterError: the architecture does not take such an image.
    """
    if isinstance(params, FeatureModelBase):
        return None
    if isinstance(params, EnsembleParams):
        return _together(
            complexity(model, classes, targets, channels, side) for model in params.models
        )
    with torch.device("meta"):
        network = cast("Network", bare_model(params, classes, targets, channels).eval())
        image = torch.empty(1, channels, side, side)
    counter = FlopCounterMode(display=False)
    with counter, torch.inference_mode(), sdpa_kernel(SDPBackend.MATH):
        network(image)
    return Complexity(
        parameters=sum(parameter.numel() for parameter in network.parameters()),
        classifier_parameters=classifier_parameters(network),
        multiply_accumulates=counter.get_total_flops() // 2,
        side=side,
    )


def _together(costs: Iterable[Complexity | None]) -> Complexity | None:
    """The sum over the networks among some models; None without any."""
    known = [cost for cost in costs if cost is not None]
    if not known:
        return None
    return Complexity(
        parameters=sum(cost.parameters for cost in known),
        classifier_parameters=sum(cost.classifier_parameters for cost in known),
        multiply_accumulates=sum(cost.multiply_accumulates for cost in known),
        side=known[0].side,
    )


def classifier_parameters(network: Network) -> int:
    """Learnt numbers without what is there for continuous targets, as papers count them."""
    return sum(
        parameter.numel()
        for name, parameter in network.named_parameters()
        if not name.startswith(network.value_parts)
    )

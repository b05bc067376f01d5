"""AdamW or Adam, with weight decay only where it regularises, and its state by parameter name."""

from __future__ import annotations

import torch
from torch import nn

from unstained.config.learning import TrainParams


def build_optimiser(network: nn.Module, train: TrainParams) -> torch.optim.Optimizer:
    """The optimiser of `train`, with its state already there, all zero.

    See `decays` for the parameters that weight decay acts on.

    Args:
        network: on its device.
        train: optimiser, learning rate and weight decay. 'adamw' decouples the decay (Loshchilov
            and Hutter 2019), 'adam' adds it to the gradient.
    """
    named = [(name, p) for name, p in network.named_parameters() if p.requires_grad]
    groups = [
        {"params": [p for name, p in named if decays(name, p)], "weight_decay": train.weight_decay},
        {"params": [p for name, p in named if not decays(name, p)], "weight_decay": 0.0},
    ]
    optimiser: torch.optim.Optimizer
    match train.optimiser:
        case "adamw":
            optimiser = torch.optim.AdamW(groups, lr=train.learning_rate, fused=True)
        case "adam":
            optimiser = torch.optim.Adam(groups, lr=train.learning_rate, fused=True)
    for _, parameter in named:
        optimiser.state[parameter] = {
            "step": torch.zeros((), dtype=torch.float32, device=parameter.device),
            "exp_avg": torch.zeros_like(parameter, memory_format=torch.preserve_format),
            "exp_avg_sq": torch.zeros_like(parameter, memory_format=torch.preserve_format),
        }
    return optimiser


def decays(name: str, parameter: torch.Tensor) -> bool:
    """Whether weight decay acts on a parameter: on the weights of products and convolutions alone.

    These are what torch's modules call weight, in two dimensions or more. Everything else is
    exempt, whatever its shape: biases, scales of normalisations, gamma of residual branches,
    temperatures, class tokens and position embeddings set the scale or the place of what follows,
    which decay would pull to zero (Dosovitskiy et al. 2021 is trained so in timm too).

    Args:
        name: within the network.
        parameter: of any shape.
    """
    return parameter.ndim > 1 and name.endswith("weight")


def sum_of_squares(network: nn.Module) -> torch.Tensor:
    """Of the weights that `decays` names: the L2 term of a loss, a scalar with its gradient.

    Times lambda in the loss it is, for plain gradient descent, a weight decay of 2 lambda; Adam
    scales its gradient like any other, and AdamW's decay is no part of the loss.
    """
    squares = [p.square().sum() for name, p in network.named_parameters() if decays(name, p)]
    return torch.stack(squares).sum()


def set_learning_rate(optimiser: torch.optim.Optimizer, rate: float) -> None:
    """Use `rate` from the next step on."""
    for group in optimiser.param_groups:
        group["lr"] = rate


def optimiser_tensors(
    optimiser: torch.optim.Optimizer, network: nn.Module
) -> dict[str, torch.Tensor]:
    """The optimiser's own state tensors by '<quantity>.<parameter>'."""
    return {
        f"{quantity}.{name}": tensor
        for name, parameter in network.named_parameters()
        for quantity, tensor in optimiser.state.get(parameter, {}).items()
    }

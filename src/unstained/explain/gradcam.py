"""Where a network finds a class, by gradients: Grad-CAM and HiResCAM of any layer.

With y_c the logit of class c and A_k the maps of a layer, Z points each:

    Grad-CAM   sum_k alpha_k A_k,  alpha_k = 1/Z sum_ij dy_c/dA_k,ij   (Selvaraju et al. 2017)
    HiResCAM   sum_k dy_c/dA_k * A_k                                   (Draelos & Carin 2011.08891)

both before the rectifier, so that evidence against a class stays visible. In a network that ends in
a mean over space and a linear head, dy_c/dA_k,ij is w_k / Z everywhere: both are then the class
activation map divided by Z, and add up to the logit less its bias. There no gradient is needed.

Shapes: N cells, B batch, C channels, S canvas side, D features, K classes, h w points of a layer.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import torch
from torch import nn
from torch.func import functional_call

from unstained.explain.activation import of_class
from unstained.explain.signed_answer import SignedAnswer
from unstained.models.network import Network, PooledNetwork
from unstained.models.outputs import Outputs
from unstained.statistics.metrics import Floats, Labels, divide

Method = Literal["grad_cam", "hires_cam"]
Grid = tuple[int, int]

PROBES: Final = 8
"""Images on which the last layer is looked for."""


def gradient_maps(
    network: nn.Module,
    images: torch.Tensor,
    classes: Labels,
    layer: str,
    method: Method = "grad_cam",
    *,
    grid: Grid | None = None,
    batch: int = 64,
) -> Floats:
    """Signed maps of one class a cell, by automatic differentiation.

    The network's weights and their gradients are left as they are.

    Args:
        network: in evaluation mode; gives `Outputs`, or logits (B, K) alone.
        images: (N, C, S, S) on any device.
        classes: (N,) class whose logit is explained.
        layer: a module's name as in `named_modules`; its output is (B, D, h, w), or tokens
            (B, P + h w, D) with any number P of leading ones, such as a class token's.
        method: see the head of this module.
        grid: (h, w) of tokens; None takes them as a square, with the fewest leading tokens.
        batch: cells at a time.

    Returns:
        (N, h, w) in logits; of a network that sees each cell in several symmetries, the sum over
        them, turned back.

    Raises:
        ValueError: the network is in training mode, there is no such layer, it gives no map, it
            does not run once a pass, or the logits do not depend on it.
    """
    device = device_of(network)
    parts = []
    for start in range(0, max(len(images), 1), batch):
        some = slice(start, start + batch)
        wanted = torch.from_numpy(np.asarray(classes[some], np.int64)).to(device)
        activation, gradient = _activation(network, images[some].to(device), wanted, layer)
        if gradient is None:
            raise ValueError(f"the logits do not depend on layer {layer!r}")
        maps, slopes = (_as_maps(part, grid, layer) for part in (activation, gradient))
        if method == "grad_cam":
            slopes = slopes.mean(dim=(2, 3), keepdim=True)
        found = _upright_sum(network, (slopes * maps).sum(dim=1))
        parts.append(found.to("cpu", torch.float64).numpy())
    return np.concatenate(parts)


def _upright_sum(network: nn.Module, maps: torch.Tensor) -> torch.Tensor:
    """(B, h, w) of maps (V B, h, w) of all cells in V symmetries, turned back; else as they are."""
    seen = network.network if isinstance(network, SignedAnswer) else network
    if not (isinstance(seen, Network) and seen.sees_symmetries):
        return maps
    return seen.view.upright_mean(maps) * len(seen.view.group)


def class_maps(
    network: nn.Module, images: torch.Tensor, classes: Labels, *, batch: int = 64
) -> Floats:
    """Signed Grad-CAM of one class a cell: the network's own map if it has one, else by gradients.

    Args:
        network: as in `gradient_maps`; without a map of its own, the layer is `last_layer`.
        images: (N, C, S, S).
        classes: (N,).
        batch: cells at a time.

    Returns:
        (N, h, w) in logits; both kinds have the same unit.

    Raises:
        ValueError: as `gradient_maps` and `last_layer`.
    """
    device = device_of(network)
    parts = []
    for start in range(0, max(len(images), 1), batch):
        some = slice(start, start + batch)
        with torch.inference_mode():
            output = network(images[some].to(device))
        if not isinstance(output, Outputs) or output.cam is None:
            layer = last_layer(network, images)
            return gradient_maps(network, images, classes, layer, batch=batch)
        cam = output.cam.to("cpu", torch.float64).numpy()
        parts.append(of_class(cam, classes[some]) / (cam.shape[2] * cam.shape[3]))
    return np.concatenate(parts)


@dataclass(frozen=True)
class Agreement:
    """How far a network's own map is from what theory says of it, in float64.

    Attributes:
        grid: (h, w) points of the map.
        gradient: largest distance of the activation map divided by Z from Grad-CAM of the last
            feature map, as a fraction of the largest value of either.
        logit: largest distance of the map's mean plus the head's bias from the logit, likewise.
    """

    grid: Grid
    gradient: float
    logit: float


def agreement(
    network: PooledNetwork | SignedAnswer, images: torch.Tensor, classes: Labels, *, batch: int = 64
) -> Agreement:
    """Compare a network's class activation map with Grad-CAM, which it must equal.

    Args:
        network: in evaluation mode; a copy of it is used.
        images: (N, C, S, S), N at least 1.
        classes: (N,) class whose logit is explained.
        batch: cells at a time.
    """
    double, device = copy.deepcopy(network).double(), device_of(network)
    apart, size, grid = np.zeros(2), np.zeros(2), (0, 0)
    for start in range(0, len(images), batch):
        some = slice(start, start + batch)
        wanted = torch.from_numpy(np.asarray(classes[some], np.int64)).to(device)
        own, by_gradient, logit = _both(double, images[some].to(device, torch.float64), wanted)
        summed = own.sum(dim=(1, 2)) + double.evidence()[1].detach()[wanted]
        pairs = ((own, by_gradient), (summed, logit))
        far = [float((a - b).abs().max()) for a, b in pairs]
        large = [float(torch.maximum(a.abs().max(), b.abs().max())) for a, b in pairs]
        apart, size = np.maximum(apart, far), np.maximum(size, large)
        grid = (own.shape[1], own.shape[2])
    gradient, rest = divide(apart, size, 0.0)
    return Agreement(grid, float(gradient), float(rest))


def _both(
    network: PooledNetwork | SignedAnswer, images: torch.Tensor, classes: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """(B, h, w) activation maps divided by Z, the same by gradients, and logits (B,)."""
    with torch.no_grad():
        outputs, maps = network(images), network.features(images)
    with torch.enable_grad():
        maps = maps.requires_grad_()
        logits = network.outputs(maps.mean(dim=(2, 3)), None).logits
        (slope,) = torch.autograd.grad(logits.gather(1, classes[:, None]).sum(), maps)
    by_gradient = (slope.mean(dim=(2, 3), keepdim=True) * maps.detach()).sum(dim=1)
    own = outputs.cam[torch.arange(len(classes)), classes]
    scaled = own / (own.shape[1] * own.shape[2])
    return scaled, by_gradient, outputs.logits.gather(1, classes[:, None])[:, 0]


def rectified(maps: Floats) -> Floats:
    """Evidence for the class alone, as Grad-CAM is usually drawn."""
    return np.maximum(maps, 0.0)


def last_layer(network: nn.Module, images: torch.Tensor) -> str:
    """Name of the last layer whose output is a map of the image and matters at its points.

    In a convolutional network that is the last feature map of more than one point. In a vision
    transformer that reads a class token it is the last block's first normalisation: later layers
    reach the logits through the class token alone, and have no gradient elsewhere.

    Args:
        network: in evaluation mode.
        images: (N, C, S, S); the first few are tried.

    Raises:
        ValueError: there is no such layer.
    """
    probes = images[:PROBES].to(device_of(network))
    with torch.no_grad():
        called = logits_of(network(probes)).argmax(dim=1)
    for name in reversed(_candidates(network, probes)):
        _, gradient = _activation(network, probes, called, name)
        if gradient is not None and _as_maps(gradient, None, name).any():
            return name
    raise ValueError(f"{type(network).__name__} has no layer that maps the image")


def spread(maps: Floats, side: int) -> Floats:
    """Maps (N, h, w) to the canvas (N, S, S), each point in the middle of its share of it.

    That is where patches and the outputs of 2 x 2 pools lie (ViT, VGG, DenseNet); where kernels are
    odd and strided use `explanation.enlarge`. Bilinear between points, constant beyond the
    outermost ones.
    """
    rows, columns = (_weights(side, points) for points in maps.shape[1:])
    return np.asarray(rows @ maps @ columns.T)


def _weights(side: int, points: int) -> Floats:
    """(S, points) weight of each point at each pixel."""
    place = np.clip((np.arange(side) + 0.5) * points / side - 0.5, 0, points - 1)
    return np.asarray(np.maximum(0.0, 1.0 - np.abs(place[:, None] - np.arange(points))))


def device_of(network: nn.Module) -> torch.device:
    """Where a network in evaluation mode lies.

    Raises:
        ValueError: it is in training mode, where the images of a batch influence each other.
    """
    if network.training:
        raise ValueError(f"{type(network).__name__} is in training mode; call eval() first")
    weight: torch.Tensor = next(iter(network.state_dict().values()))
    return weight.device


def logits_of(output: object) -> torch.Tensor:
    """Logits (B, K) of what a network gave: `Outputs`, or themselves.

    Raises:
        ValueError: it gave something else.
    """
    found = output.logits if isinstance(output, Outputs) else output
    if not isinstance(found, torch.Tensor):
        raise ValueError(f"a network gives Outputs or logits, not {type(output).__name__}")
    return found


def _activation(
    network: nn.Module, images: torch.Tensor, classes: torch.Tensor, layer: str
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """A layer's output, and each image's class logit differentiated by it if it depends on it."""
    module = dict(network.named_modules()).get(layer)
    if module is None:
        raise ValueError(f"{type(network).__name__} has no layer {layer!r}")
    kept: list[torch.Tensor] = []

    def keep(_: nn.Module, __: object, output: object) -> torch.Tensor:
        if not isinstance(output, torch.Tensor):
            raise ValueError(f"layer {layer!r} gives {type(output).__name__}, not a map")
        kept.append(output.detach().requires_grad_())
        return kept[-1].clone()  # what follows may work in place

    # With detached weights nothing before the layer is recorded, and no gradient is kept for them.
    state = {**dict(network.named_parameters()), **dict(network.named_buffers())}
    handle = module.register_forward_hook(keep)
    try:
        with torch.enable_grad():
            detached = {name: value.detach() for name, value in state.items()}
            logits = logits_of(functional_call(network, detached, (images,)))
            wanted = logits.gather(1, classes[:, None]).sum()
    finally:
        handle.remove()
    if len(kept) != 1:
        raise ValueError(f"layer {layer!r} runs {len(kept)} times a pass, not once")
    gradient = torch.autograd.grad(wanted, kept)[0] if wanted.requires_grad else None
    return kept[0].detach(), gradient


def _as_maps(output: torch.Tensor, grid: Grid | None, layer: str) -> torch.Tensor:
    """Maps (B, D, h, w) of maps, or of tokens (B, P + h w, D).

    Raises:
        ValueError: neither, or fewer tokens than points of the grid.
    """
    if output.ndim == 4:
        return output
    if output.ndim != 3:
        raise ValueError(f"layer {layer!r} gives shape {tuple(output.shape)}, not a map")
    side = math.isqrt(output.shape[1])
    height, width = grid or (side, side)
    leading = output.shape[1] - height * width
    if leading < 0:
        raise ValueError(f"layer {layer!r} has {output.shape[1]} tokens, too few for {grid}")
    return output[:, leading:].transpose(1, 2).reshape(len(output), -1, height, width)


def _candidates(network: nn.Module, images: torch.Tensor) -> list[str]:
    """Layers that run once and whose output is a map of the image or its tokens, in their order."""
    shapes: list[tuple[str, torch.Size]] = []

    def note(name: str, output: object) -> None:
        if isinstance(output, torch.Tensor) and output.ndim in (3, 4):
            shapes.append((name, output.shape))

    handles = [
        module.register_forward_hook(lambda _, __, output, name=name: note(name, output))
        for name, module in network.named_modules()
        if name
    ]
    try:
        with torch.no_grad():
            network(images)
    finally:
        for handle in handles:
            handle.remove()
    names = [name for name, _ in shapes]
    # Queries, hidden layers and other tokens of another width are no state of the network.
    tokens = next((shape for _, shape in reversed(shapes) if len(shape) == 3), None)
    return [
        name
        for name, shape in shapes
        if names.count(name) == 1 and (shape == tokens or _maps_image(shape, images.shape))
    ]


def _maps_image(shape: torch.Size, image: torch.Size) -> bool:
    """Whether (B, D, h, w) has more than one point and the image's proportions."""
    if len(shape) != 4 or shape[2] * shape[3] == 1:
        return False
    (height, width), (rows, columns) = shape[2:], image[2:]
    return abs(height * columns - width * rows) < max(rows, columns)

"""Does a map depend on what the model has learnt, and does it turn with the image?

Cascading randomisation (Adebayo et al. 2018, arXiv:1810.03292): weights are randomised layer by
layer from the head to the stem. A map that stays alike shows the image, not the model. Here the
values of each weight tensor are shuffled, which destroys what was learnt and keeps the scale, so
that maps differ by pattern and not because the signal dies out.

Stability: cells lie at any angle, so the map of a turned or mirrored image should be the map of the
image, turned or mirrored. Measured over the other seven elements of the dihedral group.

Maps are compared cell by cell on the canvas. A map that is constant has no pattern: where the
reference is, a comparison is NaN; where only the other one is, it is 0.

Shapes: N cells, S canvas side.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from scipy import stats
from skimage.metrics import structural_similarity
from torch import nn
from torch.func import functional_call

from unstained.explain.gradcam import device_of, logits_of
from unstained.imaging.symmetry import ELEMENTS, Exchanges, turned, turned_back
from unstained.statistics.metrics import Floats, divide

Explain = Callable[[nn.Module, torch.Tensor], Floats]
"""A network and images (N, C, S, S) to maps (N, S, S) of classes fixed beforehand."""


@dataclass(frozen=True)
class Depth:
    """Maps after randomising down to one layer, against those of the intact network.

    Attributes:
        down_to: name of the randomised layer that is nearest to the stem.
        layers: layers randomised so far.
        spearman: (N,) rank correlation of pixels.
        ssim: (N,) structural similarity.
    """

    down_to: str
    layers: int
    spearman: Floats
    ssim: Floats


def cascade(
    network: nn.Module, images: torch.Tensor, explain: Explain, *, stages: int, seed: int
) -> tuple[Depth, ...]:
    """Randomise a copy of a network from head to stem, and compare its maps on the way.

    Args:
        network: in evaluation mode; it is not changed.
        images: (N, C, S, S), S at least 7.
        explain: gives the maps to compare.
        stages: depths at the most: the head alone, then as many layers each time.
        seed: of the shuffling.

    Returns:
        From the head alone to the whole network.
    """
    intact = explain(network, images)
    layers = layers_from_head(network, images)
    names = list(layers)
    rest = np.array_split(np.array(names[1:], dtype=object), max(1, stages - 1))
    randomised = copy.deepcopy(network)
    parameters = dict(randomised.named_parameters())
    depths: list[Depth] = []
    for group in (names[:1], *(list(part) for part in rest if len(part))):
        for layer in group:
            for name in layers[layer]:
                _shuffle(parameters[name], [seed, *name.encode()])
        maps = explain(randomised, images)
        count = len(group) + (depths[-1].layers if depths else 0)
        depths.append(Depth(group[-1], count, spearman(intact, maps), similarity(intact, maps)))
    return tuple(depths)


def layers_from_head(network: nn.Module, images: torch.Tensor) -> dict[str, tuple[str, ...]]:
    """Layers that the logits depend on, the last to begin first, and their parameters.

    A parameter belongs to the module that holds it or, where that one is never called by itself, to
    the nearest one around it that is.

    Args:
        network: in evaluation mode.
        images: (N, C, S, S); the first is passed through.

    Returns:
        Module name -> parameter names, both as in `named_modules` and `named_parameters`.
    """
    begun: dict[str, int] = {}

    def note(name: str) -> None:
        begun.setdefault(name, len(begun))

    handles = [
        module.register_forward_pre_hook(lambda _, __, name=name: note(name))
        for name, module in network.named_modules()
    ]
    weights = {name: value.detach().requires_grad_() for name, value in network.named_parameters()}
    try:
        with torch.enable_grad():
            output = functional_call(network, weights, (images[:1].to(device_of(network)),))
    finally:
        for handle in handles:
            handle.remove()
    slopes = torch.autograd.grad(
        logits_of(output).square().sum(), list(weights.values()), allow_unused=True
    )
    layers: dict[str, tuple[str, ...]] = {}
    for name, slope in zip(weights, slopes, strict=True):
        if slope is not None:
            owner = name.rpartition(".")[0]
            while owner not in begun:
                owner = owner.rpartition(".")[0]
            layers[owner] = (*layers.get(owner, ()), name)
    return {name: layers[name] for name in sorted(layers, key=lambda layer: -begun[layer])}


@torch.no_grad()
def _shuffle(parameter: nn.Parameter, seed: list[int]) -> None:
    order = np.random.default_rng(seed).permutation(parameter.numel())
    index = torch.from_numpy(order).to(parameter.device)
    parameter.copy_(parameter.flatten()[index].reshape(parameter.shape))


@dataclass(frozen=True)
class Stability:
    """Agreement of maps over the seven turned or mirrored images, (7, N) each.

    Attributes:
        iou: intersection over union of the highest pixels.
        pearson: correlation of all pixels.
    """

    iou: Floats
    pearson: Floats


def stability(
    explain: Callable[[torch.Tensor], Floats],
    images: torch.Tensor,
    *,
    top: float = 0.2,
    swaps: Exchanges | None = None,
) -> Stability:
    """Transform the images, explain them, transform the maps back, and compare.

    Args:
        explain: images (N, C, S, S) to maps (N, S, S) of classes fixed beforehand.
        images: (N, C, S, S).
        top: fraction of pixels that count as highest.
        swaps: how planes that are lit from the sides change places when an image is turned.
    """
    intact = explain(images)
    peaks = highest(intact, top)
    overlaps, correlations = [], []
    for element in range(1, ELEMENTS):
        found = torch.from_numpy(explain(turned(images, element, swaps)))
        maps = np.ascontiguousarray(turned_back(found, element).numpy())
        high = highest(maps, top)
        both, either = ((peaks & high).sum((1, 2)), (peaks | high).sum((1, 2)))
        overlap = divide(both, either, np.nan)
        overlaps.append(np.where(peaks.any(axis=(1, 2)), overlap, np.nan))
        correlations.append(pearson(intact, maps))
    return Stability(np.stack(overlaps), np.stack(correlations))


def highest(maps: Floats, top: float) -> npt.NDArray[np.bool_]:
    """The highest pixels of maps (N, S, S): a fraction `top` of them, less where ties forbid.

    Which of several equal pixels are left out does not depend on where they lie: all are, unless
    none would remain, then none are. A constant map has no highest pixels.
    """
    flat = maps.reshape(len(maps), -1)
    level = np.quantile(flat, 1 - top, axis=1, method="lower", keepdims=True)
    above = flat > level
    plateau = (flat == level) & (flat > flat.min(axis=1, keepdims=True))
    return np.where(above.any(axis=1, keepdims=True), above, plateau).reshape(maps.shape)


def pearson(reference: Floats, other: Floats) -> Floats:
    """Correlation of the pixels of two maps (N, S, S) each, (N,)."""
    first, second = (part.reshape(len(part), -1) for part in (reference, other))
    a, b = (part - part.mean(axis=1, keepdims=True) for part in (first, second))
    size = np.sqrt((a * a).sum(axis=1) * (b * b).sum(axis=1))
    flat = np.ptp(first, axis=1) == 0, np.ptp(second, axis=1) == 0
    value = np.where(flat[1], 0.0, divide((a * b).sum(axis=1), size, 0.0))
    return np.where(flat[0], np.nan, value)


def spearman(reference: Floats, other: Floats) -> Floats:
    """Rank correlation of the pixels of two maps (N, S, S) each, (N,); ties share their rank."""
    first, second = (
        stats.rankdata(part.reshape(len(part), -1), axis=1).reshape(part.shape)
        for part in (reference, other)
    )
    return pearson(first, second)


def similarity(reference: Floats, other: Floats) -> Floats:
    """Structural similarity (Wang et al. 2004) of two maps (N, S, S) each, scaled to 0..1, (N,).

    Over windows of 7 pixels, so S is at least 7.
    """
    values = []
    for a, b in zip(reference, other, strict=True):
        if np.ptp(a) == 0:
            values.append(np.nan)
        elif np.ptp(b) == 0:
            values.append(0.0)
        else:
            a, b = ((part - part.min()) / np.ptp(part) for part in (a, b))
            values.append(float(structural_similarity(a, b, data_range=1.0)))  # type: ignore[no-untyped-call]
    return np.array(values, dtype=np.float64)

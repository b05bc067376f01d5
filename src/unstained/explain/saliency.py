"""How good a map of evidence is, by what the model says when its pixels go or come.

Deletion and insertion (Petsiuk et al. 2018, RISE, arXiv:1806.07421): pixels in the order of their
saliency are replaced by background, or put into an image of background; the area under the
probability of the called class is small, or large, for a good order. Only the order counts, and
the images in between are none that a network has seen (Gomez et al. 2022), so a number means
something beside a control alone. Cells lie in the middle of their images, so a circle around the
middle is a control that must be beaten, not only a random order.

Shapes: N cells, C channels, S canvas side, K classes, T steps.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import torch
from torch import nn

from unstained.explain.gradcam import logits_of
from unstained.statistics.intervals import Estimate, Resampling, estimate
from unstained.statistics.metrics import Floats, Labels, divide

Predict = Callable[[torch.Tensor], torch.Tensor]
"""Images (B, C, S, S) to probabilities (B, K)."""

CONTROLS: Final = ("random", "centre", "intensity")
CENTRE_SPREAD: Final = 0.25
"""Standard deviation of the centred Gaussian as a fraction of the side; matters to energy alone."""


def probabilities(network: nn.Module, temperature: float = 1.0) -> Predict:
    """A network as a function from images to probabilities.

    Args:
        network: in evaluation mode; gives `Outputs`, or logits alone.
        temperature: logits are divided by it.
    """

    @torch.inference_mode()
    def predict(images: torch.Tensor) -> torch.Tensor:
        return torch.softmax(logits_of(network(images)).double() / temperature, dim=1)

    return predict


def ranks(saliency: Floats, seed: int) -> Labels:
    """Place of each pixel when the most salient is 0, (N, S, S); ties in random order.

    Rectified maps are 0 over most of the image: in the order of memory those pixels would be taken
    row by row.

    Args:
        saliency: (N, S, S), finite.
        seed: of the ties; a cell's do not depend on how many cells follow it.

    Raises:
        ValueError: a value is not finite.
    """
    if not np.isfinite(saliency).all():
        raise ValueError("saliency holds values that are not finite")
    flat = saliency.reshape(len(saliency), int(np.prod(saliency.shape[1:])))
    lots = np.random.default_rng([seed, 1]).random(flat.shape)  # not those of a random map
    order = np.lexsort((lots, -flat), axis=1)
    places = np.empty_like(order)
    np.put_along_axis(places, order, np.arange(flat.shape[1])[None], axis=1)
    return places.reshape(saliency.shape)


def perturbation_curves(
    predict: Predict,
    images: torch.Tensor,
    places: Labels,
    classes: Labels,
    baseline: torch.Tensor,
    mode: Literal["deletion", "insertion"],
    *,
    steps: int = 32,
    batch: int = 256,
) -> Floats:
    """Probability of one class a cell while pixels go or come.

    Args:
        predict: the model.
        images: (N, C, S, S) on the model's device.
        places: (N, S, S) from `ranks`.
        classes: (N,) class that is followed.
        baseline: what stands for no cell, broadcastable to the images: contrast 0, or
            `border_level`.
        mode: deletion begins with the image, insertion with the baseline.
        steps: T.
        batch: images at a time.

    Returns:
        (N, T + 1) at fractions 0, 1/T, ..., 1 of the pixels.
    """
    count, pixels = len(images), places[0].size if len(places) else 0
    place = torch.from_numpy(places).to(images.device)[:, None]
    followed = torch.from_numpy(np.asarray(classes, np.int64)).to(images.device)
    taken = torch.from_numpy(np.arange(steps + 1) * pixels // steps).to(images.device)
    background = baseline.to(images).expand_as(images)
    parts = []
    for start in range(0, count * (steps + 1), batch):
        job = torch.arange(start, min(start + batch, count * (steps + 1)), device=images.device)
        cell, step = job // (steps + 1), job % (steps + 1)
        first = place[cell] < taken[step][:, None, None, None]
        shown = ~first if mode == "deletion" else first
        mixed = torch.where(shown, images[cell], background[cell])
        found = predict(mixed).gather(1, followed[cell][:, None])[:, 0]
        parts.append(found.to("cpu", torch.float64).numpy())
    return np.concatenate(parts or [np.empty(0)]).reshape(count, steps + 1)


def area_under(curves: Floats) -> Floats:
    """Area (N,) under curves (N, T + 1) over fractions of the pixels, by the trapezoid rule."""
    return np.asarray((curves[:, 1:] + curves[:, :-1]).mean(axis=1) / 2)


@dataclass(frozen=True)
class Perturbation:
    """Areas under both curves, (N,) each, and the curves' means over cells, (T + 1,) each."""

    deletion: Floats
    insertion: Floats
    deletion_curve: Floats
    insertion_curve: Floats


def perturb(
    predict: Predict,
    images: torch.Tensor,
    saliency: Floats,
    classes: Labels,
    baseline: torch.Tensor,
    *,
    seed: int,
    steps: int = 32,
    batch: int = 256,
) -> Perturbation:
    """Deletion and insertion in the order of a saliency (N, S, S); see `perturbation_curves`."""
    places = ranks(saliency, seed)
    deletion, insertion = (
        perturbation_curves(
            predict, images, places, classes, baseline, mode, steps=steps, batch=batch
        )
        for mode in ("deletion", "insertion")
    )
    return Perturbation(
        area_under(deletion), area_under(insertion), deletion.mean(axis=0), insertion.mean(axis=0)
    )


def border_level(images: torch.Tensor, width: int = 2) -> torch.Tensor:
    """Median of the outermost pixels of (N, C, S, S) images, (N, C, 1, 1): their background."""
    inner = torch.zeros(images.shape[2:], dtype=torch.bool, device=images.device)
    inner[width:-width, width:-width] = True
    return images[:, :, ~inner].median(dim=2).values[:, :, None, None]


def control_saliency(images: torch.Tensor, baseline: torch.Tensor, seed: int) -> dict[str, Floats]:
    """Maps that know nothing of the model, (N, S, S) each, by the names in CONTROLS.

    Args:
        images: (N, C, S, S).
        baseline: as in `perturbation_curves`.
        seed: of the random map.

    Returns:
        random: uniform in 0..1; centre: a Gaussian on the middle of the canvas; intensity: how far
        pixels are from the background, averaged over channels.
    """
    count, _, height, width = images.shape
    y, x = np.arange(height) - (height - 1) / 2, np.arange(width) - (width - 1) / 2
    squared = (y[:, None] ** 2 + x**2) / (CENTRE_SPREAD * min(height, width)) ** 2
    intensity = (images - baseline.to(images)).abs().mean(dim=1)
    return {
        "random": np.random.default_rng([seed, 0]).random((count, height, width)),
        "centre": np.broadcast_to(np.exp(-0.5 * squared), (count, height, width)).copy(),
        "intensity": intensity.to("cpu", torch.float64).numpy(),
    }


def mean_difference(
    own: Floats, control: Floats, resampling: Resampling, confidence: float
) -> Estimate:
    """Mean over cells of own minus control, with a bootstrap interval by group.

    Args:
        own: (N,) a score of the map; cells where either score is NaN are left out.
        control: (N,) the same score of a control on the same cells.
        resampling: from `resample_groups` of the same cells.
        confidence: e.g. 0.95.
    """
    difference = np.asarray(own - control, dtype=np.float64)
    known = ~np.isnan(difference)
    sums = np.stack([np.where(known, difference, 0.0), known], axis=1)
    totals = resampling.unit_totals(sums)
    return estimate(_mean, totals, resampling, confidence)[0]


def differences(
    own: Floats, controls: Mapping[str, Floats], resampling: Resampling, confidence: float
) -> dict[str, Estimate]:
    """`mean_difference` to each control."""
    return {
        name: mean_difference(own, control, resampling, confidence)
        for name, control in controls.items()
    }


def _mean(sums: Floats) -> Floats:
    return divide(sums[..., 0], sums[..., 1], np.nan)

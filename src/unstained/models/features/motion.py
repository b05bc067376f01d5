"""Motion between frames of a cell, or of a piece of a culture, without following anything.

What moves shows in differences of frames: their size and shape of distribution at each lag, at
which scales they lie, how fast the image forgets itself (temporal autocorrelation), and whether
texture and change have a direction (nematic order by the structure tensor, as imaging/alignment.py
has it). All are unchanged by quarter turns, reflections and reversal of time, up to rounding.
"""

from __future__ import annotations

import functools
from typing import Final

import numpy as np
import torch

from unstained.imaging.alignment import RHO, SIGMA
from unstained.models.features.plane import (
    TINY,
    FloatArray,
    Moments,
    constant,
    measured,
    moments,
)
from unstained.models.features.texture import scale_fields, spectrum_features

LAGS: Final = 4
"""Longest lag that is measured, in frames."""


@functools.lru_cache(maxsize=8)
def smoothing(side: int) -> tuple[FloatArray, FloatArray, FloatArray]:
    """(S, S) matrices along an axis: derivative and blur at SIGMA, and blur at RHO.

    Those of scipy's gaussian_filter, mirrored at the border.
    """
    from scipy.ndimage import gaussian_filter1d

    one = np.eye(side)
    return (
        gaussian_filter1d(one, SIGMA, axis=0, order=1),
        gaussian_filter1d(one, SIGMA, axis=0),
        gaussian_filter1d(one, RHO, axis=0),
    )


def order(plane: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Nematic order of texture, weighted by energy, and mean coherency; (B,) each of (B, S, S).

    The order is `nematic_order(image).order` of imaging/alignment.py.
    """
    slope, blur, wide = (constant(one, plane) for one in smoothing(int(plane.shape[-1])))
    dy, dx = slope @ plane @ blur.T, blur @ plane @ slope.T
    products = torch.stack([dx * dx - dy * dy, 2.0 * dx * dy, dx * dx + dy * dy], dim=1)
    difference, cross, energy = (wide @ products @ wide.T).unbind(1)
    swing = (difference * difference + cross * cross).sqrt()
    share = energy / swing.clamp_min(TINY)
    total = energy.sum(dim=(1, 2)).clamp_min(TINY)
    real, imaginary = ((part * share).sum(dim=(1, 2)) for part in (difference, cross))
    coherency = (swing / energy.clamp_min(TINY)).mean(dim=(1, 2))
    return (real * real + imaginary * imaginary).sqrt() / total, coherency


def correlation(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """Pearson's r over pixels of (B, N) and (B, N); (B,)."""
    one, other = (part - part.mean(dim=1, keepdim=True) for part in (one, other))
    scale = ((one * one).sum(dim=1) * (other * other).sum(dim=1)).sqrt()
    return (one * other).sum(dim=1) / scale.clamp_min(TINY)


def motion_features(contrast: torch.Tensor, frames: int) -> dict[str, torch.Tensor]:
    """Named features of contrast (B, T * C, S, S), T of at least 2, of each channel."""
    channels = contrast.shape[1] // frames
    found: dict[str, torch.Tensor] = {}
    for channel, movie in enumerate(
        contrast.reshape(-1, frames, channels, *contrast.shape[2:]).unbind(2)
    ):
        lead = f"channel{channel}_" if channels > 1 else ""
        found |= {f"{lead}motion_{name}": values for name, values in _of_movie(movie).items()}
    return found


def _of_movie(movie: torch.Tensor) -> dict[str, torch.Tensor]:
    """Of one channel, (B, T, S, S)."""
    count = movie.shape[1]
    planes = measured(movie.flatten(0, 1))
    small = planes.reshape(-1, count, *planes.shape[1:])
    found: dict[str, torch.Tensor] = {}
    for lag in range(1, min(LAGS, count - 1) + 1):
        found |= _at_lag(small, lag)
    change = (small[:, 1:] - small[:, :-1]).flatten(0, 1)
    still = small.flatten(0, 1)
    fields = scale_fields(change.abs())
    _, deviation, _, _ = moments(fields, torch.ones_like(fields[:, :1]))
    each = {
        "texture": (deviation.squeeze(2), count - 1),
        "spectrum": (spectrum_features(change)["spectrum"], count - 1),
    }
    for name, planes, number in (("change", change, count - 1), ("frame", still, count)):
        of_texture, coherency = order(planes)
        each[f"{name}_order"] = (of_texture, number)
        each[f"{name}_coherency"] = (coherency, number)
    return found | {name: _over_time(values, planes) for name, (values, planes) in each.items()}


def _at_lag(movie: torch.Tensor, lag: int) -> dict[str, torch.Tensor]:
    """Means over pairs of frames `lag` apart of (B, T, S, S)."""
    later, earlier = (part.flatten(0, 1).flatten(1) for part in (movie[:, lag:], movie[:, :-lag]))
    size = (later - earlier).abs().unsqueeze(1)
    ones = torch.ones_like(size)
    each = {
        f"lag{lag}_{name}": values.flatten()
        for name, values in zip(Moments._fields, moments(size, ones), strict=True)
    }
    each[f"lag{lag}_correlation"] = correlation(later, earlier)
    pairs = movie.shape[1] - lag
    return {name: _over_time(values, pairs) for name, values in each.items()}


def _over_time(values: torch.Tensor, count: int) -> torch.Tensor:
    """Mean over `count` planes of each cell, (B * count, ...) to (B, ...)."""
    return values.reshape(-1, count, *values.shape[1:]).mean(dim=1)

"""Gabor features: energy and mean amplitude of a texture by frequency and orientation.

A complex Gabor filter with a round envelope is a product of one along rows and one along columns,
so each response is two matrix products, and filters at an angle and at its mirror image share them.
Responses are as smooth as their envelope, so they are sampled at steps near its width. Over
orientations, the mean and the size of the harmonics are kept: unchanged by quarter turns and
reflections. The first harmonic tells how far one direction prevails, as alignment does.

Source: Pai 2016 (arXiv:1611.08353) uses energies and mean amplitudes of Gabor filters for pure
populations and prints no bank; ours has octaves from 0.35 cycles a pixel down.
"""

from __future__ import annotations

import functools
import math
from typing import Final

import numpy as np
import torch

from unstained.models.features.plane import FloatArray, constant, measured

FREQUENCIES: Final = (0.35, 0.175, 0.0875, 0.04375)
"""Cycles a pixel."""
STEPS: Final = (2, 4, 8, 8)
"""Pixels between samples of a response of each frequency."""
ORIENTATIONS: Final = 6
"""Of half a turn."""
WIDTH: Final = 0.56
"""Standard deviation of the envelope in wavelengths: a bandwidth of one octave."""
FLOOR: Final = 2.0**-20
"""Energy that is added nowhere and below which logarithms do not go."""


@functools.lru_cache(maxsize=16)
def waves(side: int, frequency: float, step: int) -> FloatArray:
    """(Q, 2, m, S) cosine and sine windows along an axis, at Q frequencies and m samples.

    The Q frequencies are the parts along an axis of waves at 0 to 90 degrees.
    """
    sigma = WIDTH / frequency
    count = max(1, side // step)
    samples = (side - 1) / 2 + (np.arange(count) - (count - 1) / 2) * step
    distance = samples[:, None] - np.arange(side)
    window = np.exp(-0.5 * (distance / sigma) ** 2) / (sigma * math.sqrt(2 * math.pi))
    angles = np.arange(ORIENTATIONS // 2 + 1) * math.pi / ORIENTATIONS
    phase = 2 * math.pi * frequency * np.cos(angles)[:, None, None] * distance
    return np.stack([window * np.cos(phase), window * np.sin(phase)], axis=1)


def responses(plane: torch.Tensor, frequency: float, step: int) -> torch.Tensor:
    """Squared amplitude at each orientation, 0 to 180 degrees, of (B, S, S); (B, n, m, m)."""
    along = constant(waves(int(plane.shape[-1]), frequency, step), plane)
    half = ORIENTATIONS // 2
    across = torch.flip(along, (0,))  # cos of an angle is sin of the rest to 90 degrees
    rows = across.unsqueeze(0) @ plane[:, None, None]  # (B, Q, 2, m, S)
    both = rows.unsqueeze(3) @ along.transpose(2, 3)[:, None]  # (B, Q, 2, 2, m, m)
    (cc, cs), (sc, ss) = (part.unbind(2) for part in both.unbind(2))
    there = (cc - ss) ** 2 + (cs + sc) ** 2
    mirrored = (cc + ss) ** 2 + (cs - sc) ** 2
    # Angles 0 to 90 degrees, then those above 90, the mirror images of what lies between.
    return torch.cat([there, mirrored[:, 1:half].flip(1)], dim=1)


@functools.lru_cache(maxsize=1)
def harmonics() -> FloatArray:
    """(2 H, n) cosine above sine waves of 1 to H periods over half a turn."""
    orders = np.arange(1, ORIENTATIONS // 2 + 1)
    phase = 2 * math.pi * np.outer(orders, np.arange(ORIENTATIONS)) / ORIENTATIONS
    return np.concatenate([np.cos(phase), np.sin(phase)]) / ORIENTATIONS


def over_orientations(values: torch.Tensor) -> torch.Tensor:
    """(B, n) values to (B, 1 + H): logarithm of the mean, sizes of harmonics relative to it."""
    mean = values.mean(dim=1, keepdim=True).clamp_min(FLOOR)
    cosine, sine = (values @ constant(harmonics(), values).T).chunk(2, dim=1)
    size = (cosine * cosine + sine * sine).sqrt()
    return torch.cat([mean.log(), size / mean], dim=1)


def gabor_features(contrast: torch.Tensor, frames: int) -> dict[str, torch.Tensor]:
    """Named features of contrast (B, T * C, S, S), a mean over frames, of each channel."""
    channels = contrast.shape[1] // frames
    plane = measured(contrast.flatten(0, 1))
    found: dict[str, torch.Tensor] = {}
    for number, (frequency, step) in enumerate(zip(FREQUENCIES, STEPS, strict=True)):
        squared = responses(plane, frequency, step).flatten(2)
        for name, values in (("energy", squared), ("amplitude", squared.sqrt())):
            each = over_orientations(values.mean(dim=2))
            each = each.reshape(-1, frames, channels, each.shape[1])
            for channel, mean in enumerate(each.mean(dim=1).unbind(1)):
                lead = f"channel{channel}_" if channels > 1 else ""
                found[f"{lead}gabor{number}_{name}"] = mean
    return found

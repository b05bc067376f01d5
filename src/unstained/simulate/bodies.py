"""From a cell's traits to its bodies: numbers that say where everything lies.

A body is an ellipsoid with a wavy outline, an eccentric nucleus, granules and processes, described
in units of its radius in a frame that is turned and stretched with it. Each trait moves one
property, monotonically. Shapes: K bodies (a doublet has two).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from unstained.simulate.lineages import DROPLETS, GRANULES, MODES, PROCESSES, TRAITS, Cell


@dataclass(frozen=True)
class Bodies:
    """K bodies as arrays; lengths in micrometres where named so, else in units of the radius.

    Attributes:
        owner: (K,) index of the cell that a body belongs to.
        centre_um: (K, 2) as x, y.
        radius_um, tilt, elongation, density: (K,).
        outline: (K, MODES, 2) cosine and sine amplitudes of modes 2, 3, ...
        nucleus: (K, 5) x, y, radius, elongation, density relative to the cytoplasm.
        granules: (K, GRANULES, 4) x, y, sigma_um, weight.
        processes: (K, PROCESSES, 3) angle, length_um beyond the outline, half width_um.
    """

    owner: torch.Tensor
    centre_um: torch.Tensor
    radius_um: torch.Tensor
    tilt: torch.Tensor
    elongation: torch.Tensor
    density: torch.Tensor
    outline: torch.Tensor
    nucleus: torch.Tensor
    granules: torch.Tensor
    processes: torch.Tensor


def bodies_of(cells: Sequence[Cell]) -> Bodies:
    """Bodies of all cells; a doublet's two lie beside each other along the stream.

    Args:
        cells: B of them.

    Returns:
        Float64 arrays of K >= B bodies; `owner` is int64.
    """
    parts: list[dict[str, np.ndarray]] = []
    for owner, cell in enumerate(cells):
        for which in range(2 if cell.kind == "doublet" else 1):
            part = _body(cell, which)
            side = (2 * which - 1) * cell.radius_um if cell.kind == "doublet" else 0.0
            part["centre_um"] = np.array([side, 0.0])
            part["owner"] = np.array(owner)
            parts.append(part)
    return Bodies(
        **{name: torch.from_numpy(np.stack([p[name] for p in parts])) for name in parts[0]}
    )


def _body(cell: Cell, which: int) -> dict[str, np.ndarray]:
    """One body's numbers from its traits: each trait moves one property, monotonically."""
    z = dict(zip(TRAITS, cell.traits[which], strict=True))
    u = cell.uniform[which]
    outline, granules, processes, rest = np.split(
        u, np.cumsum([2 * MODES, 4 * GRANULES, 2 * PROCESSES])
    )
    whole = cell.kind != "debris"
    elongation = np.exp(0.20 + 0.10 * z["elongation"])
    if cell.kind == "doublet":
        elongation = 1.0
    return {
        "radius_um": np.array(cell.radius_um),
        "tilt": np.array((rest[0] - 0.5) * 0.8),
        "elongation": np.array(elongation),
        "density": np.array(cell.density * (1.0 if whole else 1.3)),
        "outline": _outline(outline, z["irregularity"] if whole else 3.0),
        "nucleus": _nucleus_numbers(rest[1:], z, whole),
        "granules": _granule_numbers(granules.reshape(GRANULES, 4), z["granularity"]),
        "processes": _process_numbers(processes.reshape(PROCESSES, 2), z, cell.kind == "cell"),
    }


def _outline(u: np.ndarray, z: float) -> np.ndarray:
    """(MODES, 2) amplitudes; higher modes are weaker."""
    amplitude = 0.028 * np.exp(0.36 * z) * np.arange(2, MODES + 2) ** -0.5
    angle = 2 * np.pi * u[:MODES]
    size = amplitude * (0.5 + u[MODES:])
    return np.stack([size * np.cos(angle), size * np.sin(angle)], axis=1)


def _nucleus_numbers(u: np.ndarray, z: dict[str, float], whole: bool) -> np.ndarray:
    """(5,) x, y, radius, elongation, relative density; debris has no nucleus to speak of."""
    radius = np.clip(0.52 + 0.05 * z["nucleus_size"], 0.3, 0.75)
    offset = min(0.14 * np.exp(0.45 * z["nucleus_offset"]), 0.95 - radius)
    angle = (u[0] - 0.5) * 1.2 + np.pi * (u[1] < 0.5)
    density = max(0.30 + 0.14 * z["nucleus_density"], -0.2)
    x, y = offset * np.cos(angle), offset * np.sin(angle)
    return np.array([x, y, radius, 1.0 + 0.3 * u[2], density if whole else 0.0])


def _granule_numbers(u: np.ndarray, z: float) -> np.ndarray:
    """(GRANULES, 4) x, y, sigma_um, weight; spread evenly over the inner disc.

    Granularity is how many there are, not how strong, and a few strong droplets lie in cells of
    every lineage: the brightest pixel says little about either.
    """
    rho, angle = 0.85 * np.sqrt(u[:, 0]), 2 * np.pi * u[:, 1]
    sigma = 0.18 + 0.20 * u[:, 2]
    count = 9.0 * np.exp(0.45 * z)
    present = np.clip(count + DROPLETS - np.arange(GRANULES), 0, 1)
    weight = 0.22 * present * np.where(u[:, 3] < 0.3, -1.0, 0.5 + u[:, 3])
    weight[:DROPLETS] = np.where(u[:DROPLETS, 3] < 0.5, 0.0, 1.6 * u[:DROPLETS, 3] - 0.3)
    return np.stack([rho * np.cos(angle), rho * np.sin(angle), sigma, weight], axis=1)


def _process_numbers(u: np.ndarray, z: dict[str, float], grown: bool) -> np.ndarray:
    """(PROCESSES, 3): two neurites near the long axis, three stubs at any angle."""
    neurite = 0.9 * (np.array([1.0, 0.1]) + z["neurites"] - np.array([0.0, 0.8]))
    stub = 0.45 * (z["stubs"] + np.array([0.9, 0.2, -0.5]))
    length = np.concatenate([np.clip(neurite, 0, 3.0), np.clip(stub, 0, 1.3)]) * grown
    angle = np.concatenate(
        [np.array([0.0, np.pi]) + 0.7 * (u[:2, 0] - 0.5), 2 * np.pi * (u[2:, 0] + np.arange(3)) / 3]
    )
    width = np.concatenate([0.8 + 0.3 * u[:2, 1], 0.8 + 0.3 * u[2:, 1]])
    return np.stack([angle, length, width], axis=1)

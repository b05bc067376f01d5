"""Three neural-stem-cell lineages as distributions of morphology, with stains that follow it.

A cell is a point in a space of eight traits, each standard normal within a lineage. Lineages differ
in the traits' means alone; `difficulty` shrinks the distances between these means, to nothing at 1.
Size, dry mass and focus come from one distribution for all lineages: a cell's brightness, contrast
and crop size say next to nothing about its lineage, its structure does.

What lineages look like in suspension is a model, not a measurement: astrocytes granular with an
irregular outline, oligodendrocytes round and smooth with short processes, neurons elongated with
one or two neurites and a dense eccentric nucleus.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

TRAITS: Final = (
    "elongation",
    "irregularity",
    "granularity",
    "nucleus_size",
    "nucleus_offset",
    "nucleus_density",
    "neurites",
    "stubs",
)
REAL_IMAGES: Final = "name a directory of real images: `unstained source STUDY PATH`"
"""What to do where the simulator does not serve."""

MARKERS: Final = ("GFAP", "Olig2", "NeuN")

# Trait means in standard deviations at difficulty 0, in the order of TRAITS. Processes carry most
# of the distance: where outline and texture did, features of the whole image told lineages apart
# better than a small network, and contrast alone told more of them.
LINEAGES: Final[dict[str, tuple[float, ...]]] = {
    "astrocyte": (-0.1, 1.6, 1.0, -0.1, -0.2, -0.5, -1.7, -2.3),
    "oligodendrocyte": (-0.9, -1.0, -0.7, -0.3, -0.4, 0.1, -1.7, 5.8),
    "neuron": (1.0, -0.5, -0.2, 0.3, 0.6, 0.5, 4.9, -2.9),
}

# Natural logarithm of a stain's total intensity (counts): background level and what its own lineage
# adds. The stain knows the lineage at any difficulty; the image need not.
_LOG_TOTAL: Final = 9.2
_LOG_OWN: Final = 1.2
_LOG_SPREAD: Final = 0.5
_EXPLAINED: Final = 0.75
"""Fraction of a stain's variance within a lineage that morphology explains."""

# Which traits a stain follows within a lineage, in the order of TRAITS.
_FOLLOWS: Final[dict[str, tuple[float, ...]]] = {
    "GFAP": (0.0, 0.6, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0),
    "Olig2": (0.0, 0.0, 0.0, 1.0, 0.0, 0.5, 0.0, 0.5),
    "NeuN": (1.0, 0.0, 0.0, 0.0, 0.4, 0.0, 0.8, 0.0),
}

MODES: Final = 5
"""Fourier modes 2..6 of an outline."""
GRANULES: Final = 35
DROPLETS: Final = 3
"""Of the granules, those that are strong in every lineage alike."""
PROCESSES: Final = 5
"""Two neurites along the cell's axis, three stubs at any angle."""


@dataclass(frozen=True)
class Cell:
    """What one cell draws, before any image of it exists.

    Attributes:
        kind: 'cell', 'debris' or 'doublet'.
        traits: (2, 8) of the cell and, used by doublets alone, of its partner.
        stain: (3,) total intensity of MARKERS in counts.
        radius_um: of the disc of the same area, before outline and processes.
        density: dry-mass density relative to the mean of all cells.
        scatter_um: depth in the stream relative to its centre.
        flicker: lamp relative to its mean over the acquisition.
        margin_um: of the crop around the cell.
        uniform: (2, K) numbers in [0, 1) that place outline modes, granules and processes.
    """

    kind: str
    traits: np.ndarray
    stain: np.ndarray
    radius_um: float
    density: float
    scatter_um: float
    flicker: float
    margin_um: float
    uniform: np.ndarray


UNIFORMS: Final = 2 * MODES + 4 * GRANULES + 2 * PROCESSES + 4
"""Uniform numbers a body uses."""


def draw_cell(
    lineage: str,
    *,
    difficulty: float,
    debris: float,
    doublets: float,
    generator: np.random.Generator,
) -> Cell:
    """Draw a cell of a lineage.

    Args:
        lineage: a key of LINEAGES.
        difficulty: 0 keeps the lineages' means apart, 1 makes them equal.
        debris: probability of a fragment instead of a cell.
        doublets: probability of two cells in one image.
        generator: the cell's own shape stream.

    Returns:
        The cell. The number of draws is the same for every kind.
    """
    chance = generator.random()
    kind = "debris" if chance < debris else "doublet" if chance < debris + doublets else "cell"
    within = generator.standard_normal((2, len(TRAITS)))
    traits = within + (1 - difficulty) * np.array(LINEAGES[lineage])
    noise = generator.standard_normal((2, len(MARKERS)))
    normal = generator.standard_normal(4)
    margin, *_ = generator.random(1)
    uniform = generator.random((2, UNIFORMS))
    stain = np.stack([_stain(lineage, within[i], noise[i]) for i in range(2)])
    share = {"cell": (1.0, 0.0), "doublet": (1.0, 1.0), "debris": (0.05, 0.0)}[kind]
    return Cell(
        kind=kind,
        traits=traits,
        stain=np.array(share) @ stain,
        radius_um=float(3.9 * np.exp(0.08 * normal[0])) * _RELATIVE_RADIUS[kind],
        density=float(np.exp(0.15 * normal[1])),
        scatter_um=float(0.45 * normal[2]),
        flicker=float(np.exp(0.002 * normal[3])),
        margin_um=float(1.4 + 2.4 * margin),
        uniform=uniform,
    )


_RELATIVE_RADIUS: Final = {"cell": 1.0, "doublet": 0.82, "debris": 0.4}


def _stain(lineage: str, within: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """(3,) log-normal totals that follow the traits' deviations from the lineage's mean."""
    logarithm = np.empty(len(MARKERS))
    for index, marker in enumerate(MARKERS):
        own = _LOG_OWN * (_OWN_MARKER[lineage] == marker)
        weights = np.array(_FOLLOWS[marker])
        follow = float(weights @ within) / float(np.linalg.norm(weights))
        spread = np.sqrt(_EXPLAINED) * follow + np.sqrt(1 - _EXPLAINED) * noise[index]
        logarithm[index] = _LOG_TOTAL + own + _LOG_SPREAD * spread
    return np.asarray(np.exp(logarithm))


_OWN_MARKER: Final = {"astrocyte": "GFAP", "oligodendrocyte": "Olig2", "neuron": "NeuN"}

"""Kinds of blood cells as distributions of shape, and bodies drawn from them.

A cell is a point in a space of five traits, each standard normal within a kind, and each trait
moves one property monotonically. Kinds differ in the numbers below; `difficulty` pulls those of the
white cells towards their mean. Lengths are in micrometres or in units of the cell's radius.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

TRAITS: Final = ("size", "nucleus", "segmentation", "granularity", "ruffling")
LOBES: Final = 5
GRANULES: Final = 60
MODES: Final = 5
"""Fourier modes 2..6 of an outline."""


@dataclass(frozen=True)
class Kind:
    """Means of a kind of cell.

    Attributes:
        radius_um: of the cell.
        nucleus: radius of the nucleus if it were one ball, in units of the cell's.
        arc: angle in radians that the lobes of the nucleus are spread over.
        lobes: how many.
        granules: how many.
        ruffles: amplitude of the outline's second mode.
    """

    radius_um: float
    nucleus: float
    arc: float
    lobes: float
    granules: float
    ruffles: float


WHITE: Final = {
    "lymphocyte": Kind(3.7, 0.76, 0.5, 1.3, 3.0, 0.012),
    "granulocyte": Kind(4.7, 0.56, 4.0, 4.0, 34.0, 0.022),
    "monocyte": Kind(5.4, 0.62, 2.6, 2.6, 10.0, 0.050),
}
KINDS: Final = (*WHITE, "erythrocyte")
RED: Final = Kind(3.7, 0.0, 0.0, 1.0, 0.0, 0.008)


@dataclass(frozen=True)
class BloodCell:
    """What one cell draws, before any image of it exists.

    Attributes:
        kind: one of KINDS.
        traits: (5,) in the order of TRAITS.
        radius_um: of its outline before ruffles.
        tilt: of its long axis, radians.
        elongation: ratio of its axes.
        outline: (MODES, 2) cosine and sine amplitudes of modes 2, 3, ...
        lobes: (LOBES, 3) y, x, radius of the nucleus' balls; radius 0 where there is none.
        granules: (GRANULES, 4) y, x, sigma_um, thickness_um.
        centre_um: (2,) y, x from the middle of its image.
        staining: (7,) standard normal: shared, one a marker, and two for missing values.
    """

    kind: str
    traits: np.ndarray
    radius_um: float
    tilt: float
    elongation: float
    outline: np.ndarray
    lobes: np.ndarray
    granules: np.ndarray
    centre_um: np.ndarray
    staining: np.ndarray


def draw_cell(kind: str, difficulty: float, generator: np.random.Generator) -> BloodCell:
    """Draw a cell of a kind.

    Args:
        kind: one of KINDS.
        difficulty: 0 keeps the white cells' means apart, 1 makes them equal.
        generator: the cell's own shape stream.

    Returns:
        The cell. The number of draws is the same for every kind.
    """
    mean = _mean(kind, difficulty)
    traits = generator.standard_normal(len(TRAITS))
    size, nucleus, segmentation, granularity, ruffling = traits
    outline = generator.random((MODES, 2))
    lobes, granules = generator.random((LOBES, 2)), generator.random((GRANULES, 4))
    rest, staining = generator.random(4), generator.standard_normal(7)
    count = mean.granules * np.exp(0.35 * granularity)
    return BloodCell(
        kind=kind,
        traits=traits,
        radius_um=float(mean.radius_um * np.exp(0.085 * size)),
        tilt=float(2 * np.pi * rest[0]),
        elongation=float(1 + 0.12 * rest[1]),
        outline=_outline(outline, mean.ruffles * np.exp(0.4 * ruffling)),
        lobes=_lobes(lobes, mean, mean.nucleus * np.exp(0.07 * nucleus), segmentation),
        granules=_granules(granules, count),
        centre_um=0.5 * (2 * rest[2:] - 1),
        staining=staining,
    )


def _mean(kind: str, difficulty: float) -> Kind:
    if kind == "erythrocyte":
        return RED
    own = np.array(list(vars(WHITE[kind]).values()))
    middle = np.mean([list(vars(one).values()) for one in WHITE.values()], axis=0)
    return Kind(*(own + difficulty * (middle - own)).tolist())


def _outline(u: np.ndarray, ruffles: float) -> np.ndarray:
    """(MODES, 2) amplitudes; higher modes are weaker."""
    size = ruffles * (np.arange(2, MODES + 2) / 2) ** -1.2 * 2 * (0.5 + u[:, 0])
    angle = 2 * np.pi * u[:, 1]
    return np.stack([size * np.cos(angle), size * np.sin(angle)], axis=1)


def _lobes(u: np.ndarray, mean: Kind, nucleus: float, segmentation: float) -> np.ndarray:
    """(LOBES, 3) balls of one volume along an arc; segmentation makes more of them, further apart.

    A fraction of a lobe is a smaller one. Lobes that overlap are a lobulated or a kidney-shaped
    nucleus.
    """
    present = np.clip(mean.lobes * np.exp(0.18 * segmentation) - np.arange(LOBES), 0, 1)
    if not nucleus:
        return np.zeros((LOBES, 3))
    volume = present / present.sum()
    radius = nucleus * np.cbrt(volume) * (present > 0.05)
    angle = mean.arc * np.exp(0.12 * segmentation) * (np.cumsum(volume) - volume / 2 - 0.5)
    ring = np.clip(0.95 - radius.max() - 0.05, 0, 0.42) * np.minimum(mean.lobes - 1, 1)
    y = ring * np.sin(angle) + 0.06 * (u[:, 0] - 0.5)
    x = ring * np.cos(angle) + 0.06 * (u[:, 1] - 0.5)
    middle = (volume @ y, volume @ x)
    keep = 0.45 if ring > 0 else 1.0
    return np.stack([y - keep * middle[0], x - keep * middle[1], radius], axis=1)


def _granules(u: np.ndarray, count: float) -> np.ndarray:
    """(GRANULES, 4) spread evenly over the inner disc."""
    rho, angle = 0.88 * np.sqrt(u[:, 0]), 2 * np.pi * u[:, 1]
    present = np.clip(count - np.arange(GRANULES), 0, 1)
    sigma = 0.16 + 0.12 * u[:, 2]
    return np.stack(
        [rho * np.sin(angle), rho * np.cos(angle), sigma, (0.25 + 0.4 * u[:, 3]) * present], axis=1
    )

"""How well a texture is aligned, without segmenting it: nematic order and a lattice energy.

Directions of a texture have no head: a turn by 180 degrees changes nothing, so angles are averaged
as exp(2 i angle). Angles are in radians from the column axis (x) towards the row axis (y, down).

- `structure_tensor`: local director and coherency (Bigun & Granlund 1987; as OrientationJ does,
  Rezakhaniha et al. 2012); `nematic_order` of an image is global, from 0 to 1.
- `lattice_energy`: histograms of oriented gradients on a grid as directors that interact with their
  neighbours (Lebwohl & Lasher 1972), from -1 (aligned with neighbours) to 1; it is local, so
  domains that are turned against each other cost at their border alone.

Both depend on the scale that is asked for (smoothing, size of a grid cell): compare like with like.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

SIGMA: Final = 1.0
RHO: Final = 2.0
"""Standard deviations in pixels: of the derivative of the image, and of the tensor's smoothing."""
CELL: Final = 8
BINS: Final = 9
"""Side in pixels of a cell of the grid of histograms, and bins over 180 degrees."""


@dataclass(frozen=True)
class Order:
    """Nematic order of directors.

    Attributes:
        order: S = |mean of exp(2 i angle)|, weighted, 0 to 1.
        director: mean angle, from 0 to pi.
        directors: n, how many independent ones it is a mean of.
    """

    order: float
    director: float
    directors: float

    @property
    def squared(self) -> float:
        """Unbiased S^2 = (n S^2 - 1) / (n - 1), NaN for fewer than two directors.

        The mean of n random directors has E[S^2] = 1 / n, so S falls with n where nothing is
        aligned; this has the mean 0 there, and may be negative, down to -1. Where n is barely 1, as
        in a picture with the corner of one cell, it would have no bound.
        """
        if self.directors < 2:
            return float("nan")
        return (self.directors * self.order**2 - 1) / (self.directors - 1)

    @property
    def unbiased(self) -> float:
        """Root of the unbiased square, negative where that is: comparable between densities."""
        return float(np.sign(self.squared) * np.sqrt(abs(self.squared)))


def order_of(angles: np.ndarray, weights: np.ndarray | None = None) -> Order:
    """Nematic order of independent directors, such as the long axes of cells.

    Args:
        angles: (n,) radians.
        weights: (n,) not negative; None: alike.

    Returns:
        The order; NaN everywhere for no director. Weights count as (sum)^2 / sum of squares
        directors (Kish).
    """
    angles = np.asarray(angles, np.float64)
    each = np.ones(len(angles)) if weights is None else np.asarray(weights, np.float64)
    total = each.sum()
    if not total > 0:
        return Order(float("nan"), float("nan"), 0.0)
    mean = complex((each * np.exp(2j * angles)).sum() / total)
    return Order(abs(mean), _angle(mean), float(total**2 / (each**2).sum()))


def structure_tensor(
    image: np.ndarray, sigma: float = SIGMA, rho: float = RHO
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Local direction of an image's texture.

    Args:
        image: (h, w).
        sigma: of the derivative of the image, pixels.
        rho: of the tensor's smoothing, pixels.

    Returns:
        (h, w) each: angle along the texture; coherency, 0 (no direction) to 1; and energy, the
        trace of the tensor.
    """
    from scipy.ndimage import gaussian_filter

    values = np.asarray(image, np.float64)
    dy, dx = (gaussian_filter(values, sigma, order=order) for order in ((1, 0), (0, 1)))
    yy, xx, xy = (gaussian_filter(a * b, rho) for a, b in ((dy, dy), (dx, dx), (dx, dy)))
    angle = (0.5 * np.arctan2(2 * xy, xx - yy) + np.pi / 2) % np.pi
    energy = xx + yy
    swing = np.hypot(xx - yy, 2 * xy)
    coherency = np.divide(swing, energy, out=np.zeros_like(energy), where=energy > 0)
    return angle, coherency, energy


def nematic_order(image: np.ndarray, sigma: float = SIGMA, rho: float = RHO) -> Order:
    """Nematic order of an image's texture, weighted by the energy of its gradients.

    Args:
        image: (h, w).
        sigma: of the derivative of the image, pixels.
        rho: of the tensor's smoothing, pixels.

    Returns:
        The order. Directors are counted as independent where the smoothing makes them so: one an
        area of 3 pi (sigma^2 + rho^2) pixels, as white noise has within a third. A coarser texture
        has fewer.
    """
    angle, _, energy = structure_tensor(image, sigma, rho)
    found = order_of(angle.ravel(), energy.ravel())
    grain = 3 * np.pi * (sigma**2 + rho**2)
    return Order(found.order, found.director, max(1.0, found.directors / grain))


def lattice_energy(
    image: np.ndarray, cell: int = CELL, bins: int = BINS, *, weighted: bool = False
) -> float:
    """Mean interaction of neighbouring cells of a grid, by their histograms of gradients.

    Args:
        image: (h, w), at least two cells in one direction.
        cell: side of a cell in pixels; what is left over at the far borders is not used.
        bins: over 180 degrees, centred at 0, 180 / bins, ... degrees.
        weighted: whether neighbours count by the geometric mean of their gradients' strengths.
            Unweighted, empty ground counts as much as cells do, and its noise has no direction: the
            energy then rises with the empty share of the image, whatever the cells' alignment.

    Returns:
        -(mean over neighbours j, k of Re(m_j m_k*)), where m is the mean of exp(2 i angle) over a
        cell's histogram: -1 where neighbours are aligned, about 0 where they are not. NaN where no
        two neighbours have gradients.
    """
    values = np.asarray(image, np.float64)
    dy, dx = np.gradient(values)
    strength = np.hypot(dy, dx)
    angle = (np.arctan2(dy, dx) + np.pi / 2) % np.pi
    chosen = np.rint(angle / (np.pi / bins)).astype(np.int64) % bins
    rows, columns = (side // cell for side in values.shape)
    where = np.add.outer(
        np.arange(rows * cell) // cell * columns, np.arange(columns * cell) // cell
    )
    part = (slice(rows * cell), slice(columns * cell))
    histogram = np.bincount(
        (where * bins + chosen[part]).ravel(), strength[part].ravel(), rows * columns * bins
    ).reshape(rows, columns, bins)
    total = histogram.sum(axis=2)
    turned = histogram @ np.exp(2j * np.pi * np.arange(bins) / bins)
    mean = np.divide(turned, total, out=np.full_like(turned, np.nan), where=total > 0)
    pairs = [(mean[1:], mean[:-1]), (mean[:, 1:], mean[:, :-1])]
    products = np.concatenate([(a * b.conj()).real.ravel() for a, b in pairs])
    strengths = [(total[1:], total[:-1]), (total[:, 1:], total[:, :-1])]
    weights = np.concatenate([np.sqrt(a * b).ravel() for a, b in strengths])
    known = ~np.isnan(products)
    if not known.any():
        return float("nan")
    return -float(np.average(products[known], weights=weights[known] if weighted else None))


def _angle(mean: complex) -> float:
    return float(np.angle(mean) / 2 % np.pi)

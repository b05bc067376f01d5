"""Phase of a monolayer: every cell a cloud of points that carry its dry mass, put down on pixels.

A cell's points are fixed in its own frame: u along it and v across it, from -1 to 1 within the
footprint. They move, stretch and bend with it, and what they carry (body, nucleus, granules,
stripes along it) adds up to its mass whatever its shape, so the integral of the phase over the
image is the sum of masses. Points fall on the four pixels around them (cloud in cell).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Final

import numpy as np

from unstained.simulate.monolayers.kinds import Kind
from unstained.simulate.monolayers.motion import Cells, Shapes

SPACING: Final = 1.0
JITTER: Final = 0.2
"""Pixels between points of a cell of the usual size, and how far they are off a grid, which would
beat with that of the pixels, in such steps."""
OUTLINE: Final = 24
"""Points of an outline."""
GRANULES: Final = 12
VARIETIES: Final = 48
"""Insides that the cells of a kind have, by their seeds."""
NUCLEUS: Final = (0.2, 0.55)
"""Half-length and half-width of a nucleus, relative to the cell's; less in a round one."""


class Clouds:
    """Points of all cells.

    Args:
        kinds: of cells.
        pixel_um: side of a pixel.
    """

    def __init__(self, kinds: Sequence[Kind], pixel_um: float) -> None:
        self._kinds, self._pixel_um = tuple(kinds), pixel_um
        self._grids = [_grid(one, pixel_um) for one in kinds]

    def deposit(self, cells: Cells, shapes: Shapes, pixels: int) -> tuple[np.ndarray, np.ndarray]:
        """Put cells down on a torus.

        Args:
            cells: where they are.
            shapes: how large.
            pixels: side of the torus.

        Returns:
            (pixels, pixels) phase in radians; and (kinds, pixels, pixels) area that footprints of
            each kind cover, in pixels, counted as often as they lie above each other.
        """
        phase = np.zeros(pixels * pixels)
        areas = np.zeros((len(self._kinds), pixels * pixels))
        for number, kind in enumerate(self._kinds):
            rows = np.flatnonzero(cells.kind == number)
            if not len(rows):
                continue
            some = cells.take(rows)
            half = shapes.half_length[rows], shapes.half_width[rows]
            y, x = self._places(some, number, *half)
            seeds = some.seed % VARIETIES
            share = np.stack([_inside(kind, self._pixel_um, int(seed)) for seed in seeds])
            mass = share * (shapes.mass[rows, None] / self._pixel_um**2)
            covered = self._grids[number][2] * (half[0] * half[1])[:, None] / self._pixel_um**2
            carried, areas[number] = _put(y, x, pixels, mass, covered)
            phase += carried
        square = (pixels, pixels)
        return phase.reshape(square), areas.reshape(-1, *square)

    def _places(
        self, cells: Cells, number: int, half_length: np.ndarray, half_width: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """(n, points) rows and columns."""
        u, v, _ = self._grids[number]
        y, x = _placed(
            cells, half_length, half_width, u, v * (1 - u**2) ** self._kinds[number].taper
        )
        return y / self._pixel_um, x / self._pixel_um


def outlines(
    cells: Cells, shapes: Shapes, kinds: Sequence[Kind], pixel_um: float, margin: int
) -> np.ndarray:
    """(n, 2 * OUTLINE) float32 x, y, x, y ... of cells' outlines in the movie's pixels, unwrapped.

    Args:
        cells: where they are.
        shapes: how large.
        kinds: of cells.
        pixel_um: side of a pixel.
        margin: pixels around what is seen.
    """
    turn = 2 * np.pi * np.arange(OUTLINE) / OUTLINE
    u, side = np.cos(turn), np.sign(np.sin(turn))
    side[np.abs(np.sin(turn)) < 1e-9] = 0
    taper = np.array([one.taper for one in kinds])[cells.kind][:, None]
    y, x = _placed(cells, shapes.half_length, shapes.half_width, u, side * (1 - u**2) ** taper)
    found = np.stack([x, y], axis=2) / pixel_um - margin
    return np.asarray(found.reshape(len(cells), 2 * OUTLINE), np.float32)


def _placed(
    cells: Cells, half_length: np.ndarray, half_width: np.ndarray, u: np.ndarray, v: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(n, points) y and x in micrometres of points of cells: u along, v across, bent."""
    along = half_length[:, None] * u
    bowed = cells.bend * np.clip(half_length - half_width, 0, None)
    across = half_width[:, None] * v + bowed[:, None] * (u**2 - 1 / 3)
    sine, cosine = np.sin(cells.angle)[:, None], np.cos(cells.angle)[:, None]
    y = cells.y[:, None] + along * sine + across * cosine
    x = cells.x[:, None] + along * cosine - across * sine
    return y, x


@cache
def _grid(kind: Kind, pixel_um: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(points,) u, v, and the area that each stands for, in half-lengths times half-widths."""
    along, across = (
        max(4, round(size / pixel_um / SPACING)) for size in (kind.length_um, kind.width_um)
    )
    u, v = (one.ravel() for one in np.indices((along, across)).astype(float))
    off = np.random.default_rng(along).uniform(-JITTER, JITTER, (2, len(u)))
    u, v = (
        (one + o + 0.5) / many * 2 - 1
        for one, o, many in zip((u, v), off, (along, across), strict=True)
    )
    return u, v, (1 - u**2) ** kind.taper * (4 / along / across)


@cache
def _inside(kind: Kind, pixel_um: float, seed: int) -> np.ndarray:
    """(points,) share of a cell's mass that each of its points carries, adding up to 1."""
    u, v, area = _grid(kind, pixel_um)
    rng = np.random.default_rng(seed)
    body = area * (1 - 0.9 * v**2) * (0.5 + (1 - u**2) ** kind.taper)
    stripes = rng.uniform(2, 5, 3), rng.uniform(0, 2 * np.pi, 3), rng.uniform(-0.8, 0.8, 3)
    for often, phase, slant in zip(*stripes, strict=True):
        body = body * (1 + kind.fibres * np.sin(np.pi * often * v + slant * u + phase))
    ratio = min(1.0, 2.5 * kind.width_um / kind.length_um)
    long, wide = NUCLEUS[0] + (0.5 - NUCLEUS[0]) * ratio**3, NUCLEUS[1]
    middle = 0.12 * rng.standard_normal(2)
    distance = ((u - middle[0]) / long) ** 2 + ((v - middle[1]) / wide) ** 2
    core = np.clip(1 - distance, 0, None) ** 0.6
    for _ in range(2):
        at = middle + 0.45 * np.array([long, wide]) * rng.uniform(-1, 1, 2)
        core += 1.1 * _spot(u - at[0], v - at[1], 0.22 * long, 0.3 * wide)
    around = rng.uniform(-1, 1, (GRANULES, 2)) * [min(0.9, 2.4 * long), 0.8] + middle
    for y, x in around:
        core += 0.7 * _spot(u - y, v - x, 0.1 * long, 0.18 * wide)
    core = core * area
    shared = (1 - kind.nucleus) * body / body.sum() + kind.nucleus * core / core.sum()
    return np.asarray(shared, np.float32)


def _spot(u: np.ndarray, v: np.ndarray, long: float, wide: float) -> np.ndarray:
    return np.exp(-0.5 * ((u / long) ** 2 + (v / wide) ** 2))


def _put(y: np.ndarray, x: np.ndarray, pixels: int, *what: np.ndarray) -> np.ndarray:
    """(len(what), pixels^2) tori of what points carry, each shared by the four pixels around it.

    One product with a sparse matrix (pixels^2, points), whose columns hold the four shares.
    """
    from scipy.sparse import csc_array

    y, x = y.ravel(), x.ravel()
    row, column = np.floor(y), np.floor(x)
    down, right = y - row, x - column
    row, column = (some.astype(np.int32) % pixels for some in (row, column))
    below, beside = ((some + 1) % pixels for some in (row, column))
    share, at = np.empty((len(y), 4)), np.empty((len(y), 4), np.int32)
    corners = ((row, column), (row, beside), (below, column), (below, beside))
    for number, (r, c) in enumerate(corners):
        share[:, number] = down if r is below else 1 - down
        share[:, number] *= right if c is beside else 1 - right
        np.add(r * pixels, c, out=at[:, number])
    starts = np.arange(0, at.size + 1, 4, dtype=np.int32)
    matrix = csc_array((share.ravel(), at.ravel(), starts), shape=(pixels**2, len(y)))
    return np.asarray((matrix @ np.stack([one.ravel() for one in what], axis=1)).T)

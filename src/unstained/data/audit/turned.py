"""What stays of an image when it is turned, mirrored, shifted, cropped or recoloured.

An image is made grey, small and band-passed, which removes illumination, gain and offset. Around
each of its most conspicuous points, which move with the image, lie rings of the same pixels: a turn
shifts them along the rings, a mirror reverses them, and neither changes the size of their Fourier
coefficients along a ring (as in Fourier-Mellin registration, Reddy & Chatterji 1996, IEEE TIP
5:1266). Points are maxima of the blurred distance from the image's median, at two scales.

Shapes: P points, R rings, A angles, h w pixels of the small image.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy import ndimage

SIDE: Final = 96
"""Shorter side of the small images of a store, if its own are not smaller."""

RINGS: Final = 16
ANGLES: Final = 64
ORDERS: Final = 9
"""Fourier coefficients along a ring that are compared: 0 to 8."""

RADIUS: Final = 0.28
"""Of the outermost ring, relative to the side."""

POINTS: Final = 4
"""Conspicuous points at each scale, at the most."""

BLURS: Final = (1 / 24, 1 / 12)
"""Scales of conspicuous points, relative to the side: a nucleus's lobe, and a nucleus."""

BAND: Final = (1 / 120, 1 / 16)
"""Standard deviations of the band pass, relative to the side."""

DETAIL: Final = (0.6, 1.2)
"""Standard deviations in pixels of the small image of the band that holds its finest detail."""

BLACK: Final = 0.06
"""Share of an image's median below which pixels at its border are no light, but filled in."""

SOLID: Final = np.ones((3, 3), np.bool_)
MARGIN: Final = 3
"""Pixels around what was filled in."""

LEVEL: Final = 0.5
"""How much of a ring's mean is taken away: what is alike in all round cells."""


@dataclass(frozen=True)
class View:
    """What is compared of one image.

    Attributes:
        image: (2, h, w) float32, band-passed, and its finest detail; NaN where it was filled in.
        points: (P, 2) row and column.
        rings: (P, R, A) float32, of length 1.
    """

    image: np.ndarray
    points: np.ndarray
    rings: np.ndarray

    @property
    def signature(self) -> np.ndarray:
        """(P, R * ORDERS) float32 of length 1, the same for turned and mirrored images."""
        size = np.abs(np.fft.rfft(self.rings, axis=2))[:, :, :ORDERS]
        values = np.sqrt(size).reshape(len(size), RINGS * ORDERS)
        length = np.linalg.norm(values, axis=1, keepdims=True)
        return np.asarray(values / np.maximum(length, 1e-6), np.float32)


def view(pixels: np.ndarray, scale: float, side: float) -> View:
    """The view of an image.

    Args:
        pixels: (planes, H, W) counts.
        scale: by which all images of a store become smaller, at most 1.
        side: typical shorter side of the small images.
    """
    grey = pixels.astype(np.float32).mean(axis=0)
    empty = filled(grey)
    if empty.any():  # as if it had been filled with the nearest pixels
        nearest = ndimage.distance_transform_edt(empty, return_distances=False, return_indices=True)
        grey = grey[tuple(nearest)]
    if scale < 1:
        grey = ndimage.zoom(ndimage.gaussian_filter(grey, 0.4 / scale), scale, order=1)
    bands = [[share * side for share in BAND], DETAIL]
    image = np.stack(
        [ndimage.gaussian_filter(grey, a) - ndimage.gaussian_filter(grey, b) for a, b in bands]
    )
    points = _points(np.abs(grey - np.median(grey)), side)
    rings = _rings(image[0], points, RADIUS * side)
    if empty.any():
        shares = [small / own for small, own in zip(grey.shape, empty.shape, strict=True)]
        image[:, ndimage.zoom(empty.astype(np.float32), shares, order=1) > 0] = np.nan
    return View(image, points, rings)


def filled(grey: np.ndarray) -> np.ndarray:
    """Where a program left an image black that it turned or shifted: dark, from the border inwards.

    Args:
        grey: (H, W) counts.

    Returns:
        (H, W) bool, with a margin in which such an edge was blurred or compressed.
    """
    dark = grey < BLACK * np.median(grey)
    edge = np.zeros_like(dark)
    edge[[0, -1]], edge[:, [0, -1]] = True, True
    if not (dark & edge).any():
        return np.zeros_like(dark)
    solid = ndimage.binary_erosion(dark, SOLID, border_value=1)  # dark grains are of the picture
    black = ndimage.binary_propagation(solid & edge, mask=solid)
    return np.asarray(ndimage.binary_dilation(black, SOLID, iterations=1 + MARGIN))


def _points(contrast: np.ndarray, side: float) -> np.ndarray:
    found = []
    for share in BLURS:
        blurred = ndimage.gaussian_filter(contrast, share * side, mode="constant")
        width = 2 * max(1, int(share * side)) + 1
        peaks = np.argwhere((blurred == ndimage.maximum_filter(blurred, width)) & (blurred > 0))
        order = np.argsort(-blurred[tuple(peaks.T)], kind="stable")[:POINTS]
        found += [_between(blurred, row, column) for row, column in peaks[order]]
    return np.array(found, np.float32).reshape(-1, 2)


def _between(values: np.ndarray, row: int, column: int) -> tuple[float, float]:
    """A maximum between pixels, by a parabola along each axis."""
    place = []
    for axis, at in enumerate((row, column)):
        line = values[:, column] if axis == 0 else values[row]
        if 0 < at < len(line) - 1:
            place.append(at + _peak(line[at - 1], line[at], line[at + 1]))
        else:
            place.append(float(at))
    return place[0], place[1]


def _peak(before: float, at: float, after: float) -> float:
    """Where a parabola through three neighbours is highest, from the middle one, in -0.5..0.5."""
    bend = 2 * at - before - after
    return float(np.clip((after - before) / 2 / bend, -0.5, 0.5)) if bend > 0 else 0.0


def _rings(image: np.ndarray, points: np.ndarray, radius: float) -> np.ndarray:
    """(P, R, A) of an image around points, weighted by the square root of the radius."""
    share = ((np.arange(RINGS) + 0.5) / RINGS)[:, None]
    angle = np.arange(ANGLES) * (2 * np.pi / ANGLES)
    smooth = ndimage.gaussian_filter(image, 0.6 * radius / RINGS)
    rows = points[:, 0, None, None] + radius * share * np.sin(angle)
    columns = points[:, 1, None, None] + radius * share * np.cos(angle)
    found = ndimage.map_coordinates(smooth, [rows, columns], order=1, mode="constant")
    found = found * np.sqrt(share)
    found = found - LEVEL * found.mean(axis=2, keepdims=True)
    length = np.linalg.norm(found, axis=(1, 2), keepdims=True)
    return np.asarray(found / np.maximum(length, 1e-6), np.float32)


@dataclass(frozen=True)
class Turn:
    """How the rings around a point of one image become those of another one.

    Attributes:
        likeness: correlation of the rings after it, at most 1.
        mirrored: whether the second image is a mirror image.
        angle: in radians.
    """

    likeness: float
    mirrored: bool
    angle: float


def best_turn(first: np.ndarray, second: np.ndarray) -> Turn:
    """The turn, with or without a mirror, that brings rings (R, A) nearest to others."""
    own, best = np.fft.rfft(first, axis=1), Turn(-1.0, False, 0.0)
    for mirrored in (False, True):
        other = np.fft.rfft(second[:, ::-1] if mirrored else second, axis=1)
        found = np.fft.irfft((own * np.conj(other)).sum(axis=0), ANGLES)
        at = int(found.argmax())
        if found[at] > best.likeness:
            steps = at + _peak(found[at - 1], found[at], found[(at + 1) % ANGLES])
            best = Turn(float(found[at]), mirrored, steps * 2 * np.pi / ANGLES)
    return best


DISC: Final = 0.36
"""Radius of what is correlated around a point, relative to the side."""

WORTH: Final = 0.5
"""Correlation from which a better shift is looked for."""

SHIFT: Final = 1 / 32
"""Shift by which points may be off, relative to the side."""


def registered_likeness(
    first: View, second: View, points: tuple[int, int], turn: Turn, side: float
) -> tuple[float, float]:
    """Correlation of two images around a point each, after a turn, at the best small shift.

    Args:
        first: the image that stays.
        second: the image that is brought onto it.
        points: a point's number in either.
        turn: from `best_turn` of their rings.
        side: see `view`.

    Returns:
        Of the band-passed images, and of their finest detail at the same shift, each at most 1; 0
        where less than half of the disc lies in both images.
    """
    radius = DISC * side
    reach = int(np.ceil(radius))
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1].astype(np.float64)
    cosine, sine = np.cos(turn.angle), np.sin(turn.angle)
    right, down = cosine * x + sine * y, cosine * y - sine * x
    if turn.mirrored:  # rings reversed begin one step before angle 0
        step = 2 * np.pi / ANGLES
        right, down = (
            np.cos(step) * right - np.sin(step) * down,
            -np.sin(step) * right - np.cos(step) * down,
        )
    own, other = _around(first, points[0], y, x), _around(second, points[1], down, right)
    own[:, y * y + x * x > radius**2] = np.nan
    ring = np.rint(np.hypot(y, x)).astype(np.int64)
    own[1], other[1] = _uneven(own[1], ring), _uneven(other[1], ring)
    return _shifted(own, other, max(1, round(SHIFT * side)))


def _uneven(values: np.ndarray, ring: np.ndarray) -> np.ndarray:
    """What is not alike all around: all round cells have rings in common."""
    known = ~np.isnan(values)
    count = np.bincount(ring[known], minlength=int(ring.max()) + 1)
    total = np.bincount(ring[known], values[known], minlength=len(count))
    return np.asarray(values - (total / np.maximum(count, 1))[ring])


def _around(one: View, point: int, down: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Both bands (2, ...) at offsets from a point, NaN outside the image."""
    row, column = one.points[point]
    places = [row + down, column + right]
    return np.stack(
        [ndimage.map_coordinates(band, places, order=1, cval=np.nan) for band in one.image]
    )


def _shifted(first: np.ndarray, second: np.ndarray, most: int) -> tuple[float, float]:
    """The largest correlation of the first band near no shift, and that of the second band there.

    From no shift it goes to the best neighbour until none is better, or the shift is too far.
    """
    seen: dict[tuple[int, int], tuple[float, float]] = {}

    def found(shift: tuple[int, int]) -> tuple[float, float]:
        if shift not in seen:
            seen[shift] = _both_bands(first, np.roll(second, shift, (1, 2)))
        return seen[shift]

    at = (0, 0)
    while max(map(abs, at)) < most and found(at)[0] >= WORTH:
        near = [(at[0] + down, at[1] + right) for down in (-1, 0, 1) for right in (-1, 0, 1)]
        best = max(near, key=lambda shift: found(shift)[0])
        if best == at:
            break
        at = best
    return found(at)


def _both_bands(first: np.ndarray, second: np.ndarray) -> tuple[float, float]:
    both = ~np.isnan(first[0]) & ~np.isnan(second[0])
    if both.sum() < 0.5 * np.pi / 4 * both.size:
        return 0.0, 0.0
    one, other = (_correlation(first[band][both], second[band][both]) for band in (0, 1))
    return one, other


def _correlation(first: np.ndarray, second: np.ndarray) -> float:
    a, b = first - first.mean(), second - second.mean()
    size = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / size if size > 0 else 0.0

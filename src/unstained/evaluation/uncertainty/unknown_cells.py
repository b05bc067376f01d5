"""Cells that no class covers, made from cells where no simulator can make them.

A study may hold cells of kinds that no class names (red cells among white ones): they are a kind
as recorded. Each other kind is made from a study's own test cells, in raw counts, on the image's
own background:

- doublet: two cells of one acquisition side by side, half a width left and right of the middle.
- debris: a copy of a cell at 0.4 of its size, as small as fragments are, the rest painted over.
- defocus: a Gaussian blur, with the camera's noise put back, which a blur would take away.
- control: an ordinary cell, painted over around itself. A score that notices these notices how the
  others were made, not what they show.

Painting over takes the counts of pixels drawn at random from the image's own background.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from unstained.data.splits.parts import UNLEARNT
from unstained.imaging.background import levels
from unstained.imaging.masks import cell_masks
from unstained.imaging.placement import centred
from unstained.statistics.metrics import Floats, Labels

ORDINARY: Final = "ordinary"
"""Kind of the study's own test cells."""

CONTROL: Final = "control"
"""Kind of ordinary cells that were made the way strange ones are."""

KIND_WORDS: Final = {
    "debris": "pieces of debris",
    "defocus": "cells out of focus",
    "doublet": "doublets",
    UNLEARNT: "cells of kinds never learnt",
}
"""Kinds that no class covers, in words."""

RECORDED: Final = "as recorded"
"""Origin of cells of kinds that were never learnt."""

DEBRIS: Final = 0.4
"""Size of a piece of debris relative to a cell's."""

ROOM: Final = 3
"""Pixels around a mask that still may show the cell's rim."""


_T = TypeVar("_T", np.float64, np.bool_)


@dataclass(frozen=True)
class UnknownCells:
    """Cells of kinds that no class covers, and controls.

    Attributes:
        images: (C, h, w) raw counts each.
        kinds: (n,) name of each one's kind.
        groups: (n,) acquisition of each.
        origin: how they were made: 'simulated' or 'made from cells'; those of kinds that were never
            learnt are as recorded.
    """

    images: list[np.ndarray]
    kinds: np.ndarray
    groups: np.ndarray
    origin: str

    def origin_of(self, kind: str) -> str:
        """How cells of a kind came about."""
        return RECORDED if kind == UNLEARNT else self.origin

    def with_recorded(self, images: Sequence[np.ndarray], groups: Sequence[str]) -> UnknownCells:
        """The same, and cells of kinds that were never learnt: (C, h, w) counts, acquisitions."""
        kinds = [*self.kinds.tolist(), *[UNLEARNT] * len(images)]
        every = np.array([*self.groups.tolist(), *groups])
        return UnknownCells([*self.images, *images], np.array(kinds), every, self.origin)


def drawn(rows: Labels, count: int, seed: int) -> Labels:
    """At most `count` of some rows, at random, ascending."""
    if len(rows) <= count:
        return rows
    return np.sort(np.random.default_rng(seed).permutation(rows)[:count])


def unknown_cells_from(
    images: Sequence[np.ndarray],
    groups: np.ndarray,
    count: int,
    blur_px: float,
    seed: int,
    white: float | None = None,
    masks: Sequence[np.ndarray] | None = None,
) -> UnknownCells:
    """Strange cells made from ordinary ones.

    Args:
        images: (C, h, w) raw counts of test cells.
        groups: (N,) acquisition of each. Doublets are made within one, under one lamp.
        count: cells of each kind, drawn without replacement while they last.
        blur_px: standard deviation of the blur.
        seed: equal seeds, equal cells.
        white: counts of white, where contrast is relative to it (imaging/background.py).
        masks: (h, w) bool of each cell as its instrument told; None: they are found.
    """
    generator = np.random.default_rng(seed)
    told = [None] * len(images) if masks is None else masks
    found: list[np.ndarray] = []
    kinds: list[str] = []
    origins: list[str] = []
    makers: dict[str, _Maker] = {
        "debris": lambda cell, _: _shrink(cell, generator),
        "defocus": lambda cell, _: _blur(cell, blur_px, generator),
        "doublet": lambda cell, partner: _pair(cell, partner),
        CONTROL: lambda cell, _: _paint(cell, _wide(cell.mask), generator),
    }
    for kind, make in makers.items():
        rounds = -(-count // len(images))
        drawn = np.concatenate([generator.permutation(len(images)) for _ in range(rounds)])[:count]
        for index in np.sort(drawn):
            mates = np.flatnonzero((groups == groups[index]) & (np.arange(len(images)) != index))
            partner = int(generator.choice(mates)) if len(mates) else int(index)
            cell, other = (_segment(images[k], white, told[k]) for k in (index, partner))
            made = make(cell, other)
            found.append(_counts(made, images[index], white))
            kinds.append(kind)
            origins.append(str(groups[index]))
    return UnknownCells(found, np.array(kinds), np.array(origins), "made from cells")


@dataclass(frozen=True)
class _Segmented:
    """A cell's image (C, h, w) relative to its background, and its mask (h, w)."""

    relative: Floats
    mask: np.ndarray

    @property
    def radius(self) -> float:
        """Of the disc of the mask's area; a quarter of the image where no cell was found."""
        if not self.mask.any():
            return float(min(self.mask.shape)) / 4
        return math.sqrt(float(self.mask.sum()) / math.pi)


_Maker = Callable[[_Segmented, _Segmented], Floats]
"""From a cell and its partner to a relative image (C, h, w)."""


def _segment(image: np.ndarray, white: float | None, mask: np.ndarray | None) -> _Segmented:
    relative = image / np.maximum(levels(image, white), 1.0)[:, None, None] - 1.0
    if mask is None:
        mask = cell_masks(relative.mean(axis=0, keepdims=True))[0]
    return _Segmented(relative, mask)


def _counts(relative: Floats, like: np.ndarray, white: float | None) -> np.ndarray:
    """A relative image (C, h, w) in the counts of another image."""
    level = np.maximum(levels(like, white), 1.0)[:, None, None]
    most = np.iinfo(like.dtype).max
    return np.asarray(np.clip(np.rint((relative + 1.0) * level), 0, most), like.dtype)


def _wide(mask: np.ndarray) -> np.ndarray:
    return np.asarray(ndimage.binary_dilation(mask, iterations=ROOM))


def _noise(cell: _Segmented, generator: np.random.Generator) -> Floats:
    """A whole image (C, h, w) of pixels drawn from the background of one."""
    outside = ~_wide(cell.mask)
    if not outside.any():
        outside = np.ones_like(outside)
    pool = cell.relative[:, outside]
    drawn = generator.integers(0, pool.shape[1], cell.mask.shape)
    return np.asarray(pool[:, drawn])


def _paint(cell: _Segmented, keep: np.ndarray, generator: np.random.Generator) -> Floats:
    """Everything but `keep` (h, w) painted over."""
    return np.where(keep, cell.relative, _noise(cell, generator))


def _blur(cell: _Segmented, sigma: float, generator: np.random.Generator) -> Floats:
    soft = ndimage.gaussian_filter(cell.relative, (0, sigma, sigma), mode="nearest")
    noise = _noise(cell, generator)
    return np.asarray(soft + noise - noise.mean(axis=(1, 2), keepdims=True))


def _shrink(cell: _Segmented, generator: np.random.Generator) -> Floats:
    # Blurred first by what the smaller copy cannot show, or every second grain would be lost.
    smooth = ndimage.gaussian_filter(cell.relative, (0, 0.5 / DEBRIS, 0.5 / DEBRIS))
    small = ndimage.zoom(smooth, (1, DEBRIS, DEBRIS), order=1)
    mask = ndimage.zoom(_wide(cell.mask)[None].astype(np.float64), (1, DEBRIS, DEBRIS), order=1)
    share = centred(mask, cell.mask.shape)
    placed = centred(small, cell.mask.shape)
    return np.asarray(share * placed + (1 - share) * _noise(cell, generator))


def _pair(cell: _Segmented, partner: _Segmented) -> Floats:
    """The cell moved left, the partner's pasted right of it."""
    half = round((cell.radius + partner.radius) / 2)
    left = _moved(cell.relative, -half)
    fitted = centred(partner.relative, cell.mask.shape)
    mask = centred(_wide(partner.mask)[None].astype(np.float64), cell.mask.shape) > 0.5
    return np.where(_moved(mask, half), _moved(fitted, half), left)


def _moved(image: npt.NDArray[_T], by: int) -> npt.NDArray[_T]:
    """(C, h, w) moved along the width; what comes in mirrors the border, what goes out is lost."""
    by = int(np.clip(by, -image.shape[2] + 1, image.shape[2] - 1))
    padded = np.pad(image, ((0, 0), (0, 0), (abs(by), abs(by))), mode="symmetric")
    return padded[:, :, abs(by) - by :][:, :, : image.shape[2]]

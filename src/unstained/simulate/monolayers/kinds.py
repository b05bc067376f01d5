"""What the three kinds of cells are: sizes, shapes, dry mass and how they move.

Textbook ranges and the seed's words (smooth muscle cells align more loosely than fibroblasts, which
are more elongated; pluripotent cells are rounder and not aligned), not measurements of one culture.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np


@dataclass(frozen=True)
class Kind:
    """A kind of cell.

    Attributes:
        length_um, width_um: of a cell half way between divisions.
        taper: half-width along the cell is (1 - u^2)^taper for u from -1 to 1; 0.5 is an ellipse.
        phase: mean phase over such a cell, radians.
        nucleus: share of the dry mass in nucleus and granules around it.
        fibres: relative strength of stripes along the cell.
        speed: of crawling, micrometres a minute, where no neighbour is in the way.
        reversals: of the crawling direction, a minute.
        turning: diffusion of the angle, squared radians a minute.
        alignment: rate at which a cell turns along its neighbours, a minute.
        cycle_h: from one division to the next, hours.
        beads: that stand for its body where cells push each other.
    """

    length_um: float
    width_um: float
    taper: float
    phase: float
    nucleus: float
    fibres: float
    speed: float
    reversals: float
    turning: float
    alignment: float
    cycle_h: float
    beads: int

    @property
    def area_um2(self) -> float:
        """Of the footprint: length * width * mean of (1 - u^2)^taper / 1."""
        u = (np.arange(512) + 0.5) / 512
        return float(self.length_um * self.width_um * np.mean((1 - u**2) ** self.taper))


NAMES: Final = ("fibroblast", "muscle", "pluripotent")
"""In the order of their numbers in masks, from 1."""

_OF: Final = {
    "fibroblast": Kind(
        length_um=115, width_um=19, taper=0.85, phase=0.62, nucleus=0.24, fibres=0.10, speed=0.55,
        reversals=1 / 150, turning=0.0015, alignment=0.060, cycle_h=22, beads=9,
    ),
    "muscle": Kind(
        length_um=92, width_um=30, taper=0.65, phase=0.55, nucleus=0.20, fibres=0.28, speed=0.28,
        reversals=1 / 60, turning=0.0040, alignment=0.030, cycle_h=34, beads=7,
    ),
    "pluripotent": Kind(
        length_um=23, width_um=18, taper=0.5, phase=0.80, nucleus=0.34, fibres=0.0, speed=0.12,
        reversals=1 / 30, turning=0.0200, alignment=0.0, cycle_h=18, beads=2,
    ),
}  # fmt: skip

_SHAPE: Final = ("length_um", "width_um", "taper", "phase", "nucleus", "fibres")
"""What difficulty brings together; motion stays as it is."""


def kinds(difficulty: float) -> tuple[Kind, ...]:
    """The kinds in the order of `NAMES`.

    Args:
        difficulty: 0: fibroblasts and muscle look as different as stated, 1: alike, so that motion
            and alignment alone tell them apart.
    """
    fibroblast, muscle, other = (_OF[name] for name in NAMES)
    towards = {name: 0.5 * (getattr(fibroblast, name) + getattr(muscle, name)) for name in _SHAPE}
    mixed = [
        replace(
            one, **{n: (1 - difficulty) * getattr(one, n) + difficulty * towards[n] for n in _SHAPE}
        )
        for one in (fibroblast, muscle)
    ]
    return (*mixed, other)

"""What mirrors and turns do to the planes of a cell that is lit from several sides.

A mirror image of a cell lit from the left is what the mirrored cell shows lit from the right. So
whoever moves the pixels of such a cell exchanges its planes along with them; other planes stay.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from unstained.imaging.illumination import SIDES

if TYPE_CHECKING:
    import torch

Direction = tuple[int, int]

ELEMENTS: Final = 8
"""Of the dihedral group of the square: four quarter turns, of the image and of its mirror image."""

GROUPS: Final[Mapping[int, tuple[int, ...]]] = {
    1: (0,),
    2: (0, 4),
    4: (0, 2, 4, 6),
    8: tuple(range(ELEMENTS)),
}
"""Size -> elements of a group in the one of the next size: as it is; with left and right exchanged;
with the half turn; all."""


class Exchanges(NamedTuple):
    """Orders of the planes: position p of the moved image holds the moved plane order[p].

    Attributes:
        transpose: where rows become columns.
        flip_y: where rows are reversed.
        flip_x: where columns are.
    """

    transpose: tuple[int, ...]
    flip_y: tuple[int, ...]
    flip_x: tuple[int, ...]


def exchanges(planes: int, lit: Sequence[Sequence[int]]) -> Exchanges:
    """The orders of a study's planes.

    Args:
        planes: of an image.
        lit: of each frame, the planes lit from the sides, in the order of SIDES.
    """

    def order(moved: Callable[[Direction], Direction]) -> tuple[int, ...]:
        places, sides = list(range(planes)), list(SIDES.values())
        for frame in lit:
            for plane, side in zip(frame, sides, strict=True):
                places[frame[sides.index(moved(side))]] = plane
        return tuple(places)

    return Exchanges(
        transpose=order(lambda side: (side[1], side[0])),
        flip_y=order(lambda side: (-side[0], side[1])),
        flip_x=order(lambda side: (side[0], -side[1])),
    )


def exchanged(moved: torch.Tensor, swaps: Exchanges | None, move: str) -> torch.Tensor:
    """Moved planes (B, C, S, S) in the order that the move gives them.

    Args:
        moved: images after the move.
        swaps: the orders; None where planes stay.
        move: a field of `Exchanges`.
    """
    return moved if swaps is None else moved[:, list(getattr(swaps, move))]


def turned(images: torch.Tensor, element: int, swaps: Exchanges | None = None) -> torch.Tensor:
    """Images (B, C, S, S) under an element 0..7 of the dihedral group.

    Elements from 4 on exchange left and right first. A quarter turn exchanges rows and columns,
    then reverses the rows.

    Args:
        images: of cells.
        element: its number modulo 4 is that of the quarter turns.
        swaps: how planes that are lit from the sides change places along; None: they stay.
    """
    if element >= ELEMENTS // 2:
        images = exchanged(images.flip(-1), swaps, "flip_x")
    for _ in range(element % 4):
        images = exchanged(images.transpose(-1, -2), swaps, "transpose")
        images = exchanged(images.flip(-2), swaps, "flip_y")
    return images


def turned_back(maps: torch.Tensor, element: int) -> torch.Tensor:
    """Maps (..., h, w) under the inverse of an element; what they hold stays in its place."""
    for _ in range(element % 4):
        maps = maps.flip(-2).transpose(-1, -2)
    return maps.flip(-1) if element >= ELEMENTS // 2 else maps

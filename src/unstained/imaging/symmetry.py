"""What mirrors and turns do to the planes of a cell that is lit from several sides.

A mirror image of a cell lit from the left is what the mirrored cell shows lit from the right. So
whoever moves the pixels of such a cell exchanges its planes along with them; other planes stay.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from unstained.imaging.illumination import SIDES

if TYPE_CHECKING:
    import torch

Direction = tuple[int, int]


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

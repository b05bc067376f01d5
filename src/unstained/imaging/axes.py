"""What the axes of a cell's image are: frames, channels, rows, columns.

A reader yields a cell as (T, C, h, w). Everywhere behind it, in the store, in networks and in the
served graph, frames and channels are folded into P = T * C planes, frame by frame: plane t * C + c
is channel c of frame t. With one frame that is (C, h, w), so a study of one grey channel has one
plane. uint8 and uint16 counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import numpy as np

COLOURS: Final = ("red", "green", "blue")
"""Names of the channels of a colour image, in order; no other names make one."""


@dataclass(frozen=True)
class Axes:
    """Frames and channels of a study's images.

    Attributes:
        channels: C names, in order.
        frames: T.
    """

    channels: tuple[str, ...]
    frames: int = 1

    @property
    def planes(self) -> int:
        """P = T * C."""
        return self.frames * len(self.channels)

    @property
    def colour(self) -> bool:
        """Whether a frame is a colour image."""
        return self.channels == COLOURS

    @property
    def plane_names(self) -> tuple[str, ...]:
        """Names of the planes in order, e.g. 'Ch1', 'frame2' or 'frame2_red'."""
        if self.frames == 1:
            return self.channels
        numbers = [f"frame{t + 1}" for t in range(self.frames)]
        if len(self.channels) == 1:
            return tuple(numbers)
        return tuple(f"{frame}_{channel}" for frame in numbers for channel in self.channels)

    def __str__(self) -> str:
        """In words, e.g. '1 frame of channel Ch1'."""
        frames = "1 frame" if self.frames == 1 else f"{self.frames} frames"
        channels = "channel" if len(self.channels) == 1 else "channels"
        return f"{frames} of {channels} {', '.join(self.channels)}"

    def fold(self, pixels: np.ndarray) -> np.ndarray:
        """(T, C, h, w) to its planes (P, h, w)."""
        return pixels.reshape(self.planes, *pixels.shape[2:])

    def unfold(self, planes: np.ndarray) -> np.ndarray:
        """Planes (..., P, h, w) to (..., T, C, h, w)."""
        shape = (*planes.shape[:-3], self.frames, len(self.channels), *planes.shape[-2:])
        return planes.reshape(shape)

"""Where light comes from in studies by differential phase contrast, and what recovers phase."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

from pydantic import Field, model_validator

from unstained.config.base import Count, Params, Positive
from unstained.imaging.axes import Axes

if TYPE_CHECKING:
    from unstained.imaging.illumination import HalfAnnulus

DIRECTIONS: Final = ("left", "right", "top", "bottom")
"""Keys of the lit half, in the order of imaging/illumination.py's SIDES."""


class IlluminationParams(Params):
    """Channels by the half of the annulus that is lit (imaging/illumination.py), and the optics.

    Augmentation that mirrors or turns a cell exchanges these channels along with it.
    """

    left: str = Field(description="channel lit from the left half; so with the others")
    right: str
    top: str
    bottom: str
    aperture: Positive = Field(description="numerical aperture of the objective")
    inner: Annotated[float, Field(ge=0)] = Field(
        description="numerical aperture of the annulus's inner edge; 0: half-discs"
    )
    outer: Positive = Field(description="that of its outer edge")
    wavelength_um: Positive

    @model_validator(mode="after")
    def _light_passes(self) -> IlluminationParams:
        if not self.inner < self.outer or not self.inner < self.aperture:
            raise ValueError("inner is not below outer and aperture, so no light passes")
        if len(set(self.channels)) < len(DIRECTIONS):
            raise ValueError("a channel is lit from one side; give each side its own")
        return self

    @property
    def channels(self) -> tuple[str, ...]:
        """Names in the order of DIRECTIONS."""
        return (self.left, self.right, self.top, self.bottom)

    @property
    def sources(self) -> tuple[HalfAnnulus, ...]:
        """In the order of DIRECTIONS."""
        from unstained.imaging.illumination import HalfAnnulus  # numpy

        return tuple(
            HalfAnnulus(side.capitalize(), self.inner, self.outer, self.wavelength_um)
            for side in DIRECTIONS
        )

    def planes(self, axes: Axes) -> tuple[tuple[int, ...], ...]:
        """Planes of each frame in the order of DIRECTIONS.

        Raises:
            ValueError: the study has no such channel.
        """
        missing = [name for name in self.channels if name not in axes.channels]
        if missing:
            raise ValueError(f"illumination: the study has no channel {', '.join(missing)}")
        places = [axes.channels.index(name) for name in self.channels]
        return tuple(
            tuple(frame * len(axes.channels) + place for place in places)
            for frame in range(axes.frames)
        )


class OpticsParams(Params):
    """What the study says of its images to a network that is shown their phase; filled in."""

    illumination: IlluminationParams
    channels: tuple[str, ...]
    frames: Count = 1
    pixel_size_um: Positive
    canvas: Count

    @property
    def axes(self) -> Axes:
        """Frames and channels."""
        return Axes(self.channels, self.frames)

"""What BSCCM_global_metadata.json says of the images that models see."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from unstained.config.nearest import suggestion
from unstained.config.study import StudyData
from unstained.errors import ParameterError, SourceError
from unstained.files import read_json

METADATA: Final = "BSCCM_global_metadata.json"
SIZES_AGREE: Final = 0.01
"""Relative difference of pixel sizes that is rounding."""


@dataclass(frozen=True)
class Metadata:
    """Of the LED array's images.

    Attributes:
        channels: names of the planes, in order.
        pixel_size_um: edge of a pixel, None where it does not say.
    """

    channels: tuple[str, ...]
    pixel_size_um: float | None

    def planes(self, data: StudyData) -> tuple[int, ...]:
        """Plane of each of the study's channels.

        Raises:
            ParameterError: there is none, or a pixel is of another size.
        SourceError: there are several.
        """
        for name in data.channels:
            if self.channels.count(name) > 1:
                raise SourceError(
                    f"{METADATA} names the channel {name!r} {self.channels.count(name)} times, so "
                    "that its plane is not known",
                    "unpack the download again",
                )
            if name not in self.channels:
                raise ParameterError(
                    f"{METADATA} names no channel {name!r}; {suggestion(name, self.channels)}",
                    "correct studies.<study>.data.channels",
                )
        size = self.pixel_size_um
        if size is not None and not math.isclose(size, data.pixel_size_um, rel_tol=SIZES_AGREE):
            raise ParameterError(
                f"{METADATA} says that a pixel is {size:g} micrometres, the study says "
                f"{data.pixel_size_um:g}",
                f"set studies.<study>.data.pixel_size_um: {size:g}",
            )
        return tuple(self.channels.index(name) for name in data.channels)


def read_metadata(home: Path) -> Metadata:
    """Read it.

    Raises:
        SourceError: it is missing, damaged or says nothing of the LED array.
    """
    path = home / METADATA
    try:
        about = read_json(path)["led_array"]
        size, names = about.get("pixel_size_um"), about["channel_names"]
        if not isinstance(names, list):
            raise TypeError(f"channel_names is {names!r}")
        if size is not None and not (math.isfinite(float(size)) and float(size) > 0):
            raise ValueError(f"pixel_size_um is {size!r}")
        return Metadata(tuple(map(str, names)), None if size is None else float(size))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise SourceError(
            f"{path} does not tell the channels of the LED array and their pixels ({error!r})",
            "unpack the download again",
        ) from None

"""What a study by differential phase contrast says of its images."""

from __future__ import annotations

from typing import Any

from unstained.config.illumination import OpticsParams

CHANNELS = ("DPC_Left", "DPC_Right", "DPC_Top", "DPC_Bottom")
ILLUMINATION: dict[str, Any] = {
    "left": "DPC_Left",
    "right": "DPC_Right",
    "top": "DPC_Top",
    "bottom": "DPC_Bottom",
    "aperture": 0.5,
    "inner": 0.4,
    "outer": 0.5,
    "wavelength_um": 0.515,
}


def optics(canvas: int, channels: tuple[str, ...] = CHANNELS, frames: int = 1) -> OpticsParams:
    """Of canvases of so many pixels of 0.2 um."""
    return OpticsParams.model_validate(
        {
            "illumination": ILLUMINATION,
            "channels": channels,
            "frames": frames,
            "pixel_size_um": 0.2,
            "canvas": canvas,
        }
    )

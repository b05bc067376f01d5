"""Images of real numbers as counts: everything behind the readers computes with whole numbers.

A study declares by `data.float_range` which values become 0 and 65535, because no file says it. The
step is 1/65535 of the range: half of it is the largest error.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from unstained.data.readers.formats.page import AS_COUNTS, ImageError
from unstained.wording import counted

LARGEST: Final = 65535
DECLARE_RANGE: Final = (
    "declare studies.<study>.data.float_range: [low, high], the values that become 0 and 65535, or "
    "export counts"
)
Range = tuple[float, float]


def as_counts(pixels: np.ndarray, float_range: Range | None) -> np.ndarray:
    """Pixels as uint8 or uint16 counts.

    Args:
        pixels: of any shape, counts or real numbers.
        float_range: the values that become 0 and LARGEST; None: the study has counts.

    Returns:
        Counts as they are; real numbers as uint16, rounded to the nearest step.

    Raises:
        ImageError: the study declares the other kind, or a number is none or out of the range.
    """
    if pixels.dtype.kind != "f":
        if float_range is None and pixels.dtype in (np.uint8, np.uint16):
            return pixels
        wanted = "uint8 or uint16 counts" if float_range is None else "real numbers"
        raise ImageError(
            f"holds {pixels.dtype.name} pixels, not {wanted}",
            "remove studies.<study>.data.float_range, or export images of one kind"
            if float_range
            else AS_COUNTS,
        )
    if float_range is None:
        raise ImageError(f"holds {pixels.dtype.name} pixels, not counts", DECLARE_RANGE)
    if lost := int((~np.isfinite(pixels)).sum()):
        raise ImageError(
            f"holds {counted(lost, 'pixel')} that {'is' if lost == 1 else 'are'} no finite number",
            "export the image again with a number in every pixel, or set ingest.on_error: "
            "quarantine to go on without it",
        )
    low, high = float_range
    smallest, largest = float(pixels.min()), float(pixels.max())
    if not (low <= smallest and largest <= high):
        raise ImageError(
            f"holds values from {smallest:g} to {largest:g}, and float_range is {low:g} to "
            f"{high:g}",
            "widen studies.<study>.data.float_range, or set ingest.on_error: quarantine to go on "
            "without it",
        )
    scaled = (pixels.astype(np.float64) - low) * (LARGEST / (high - low))
    return np.asarray(np.rint(scaled), np.uint16)

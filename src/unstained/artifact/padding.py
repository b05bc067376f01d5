"""How cells of different sizes become one batch, without changing what the model says of them.

The rule, also stated in every model card: a cell is surrounded on all four sides by its own
background (the lower median of its sampled border, at least 1), or white where contrast is relative
to white, with image row h // 2 on row H // 2
and image column w // 2 on column W // 2. The padded image then has exactly the background of the
cell and zero contrast around it, which is what preprocessing assumes beyond an image's edge. Cells
of equal size need no padding. Numpy only: a server needs this and nothing else of artifact/.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from unstained.errors import ExportError
from unstained.imaging.background import levels
from unstained.imaging.placement import centred

_RULE: Final = (
    "Cells of one size: stack them. Cells of different sizes: H = max(h) + 2, W = max(w) + 2; fill "
    "each channel with {fill}, and put image row h // 2 on row H // 2 and "
    "image column w // 2 on column W // 2."
)


def padding_rule(white: float | None) -> str:
    """The rule in words, for a model whose contrast is relative to `white` or to background."""
    border = (
        "max(1, b), b being the cell's background (lower median of 32 evenly spaced pixels of each "
        "of its four sides, rows first)"
    )
    return _RULE.format(fill=border if white is None else f"white, {white:.0f}")


def pad_batch(images: Sequence[np.ndarray], white: float | None = None) -> np.ndarray:
    """Stack cells of any sizes.

    Args:
        images: (C, h, w) raw counts, of one dtype and number of planes.
        white: counts of white, where contrast is relative to it (imaging/background.py).

    Returns:
        (B, C, H, W) of the same dtype; every cell keeps its contrast bit for bit.

    Raises:
        ExportError: no image, or dtypes or numbers of planes differ.
    """
    kinds = {(image.dtype, image.shape[0], image.ndim) for image in images}
    if len(kinds) != 1 or images[0].ndim != 3:
        raise ExportError(
            "a batch needs images of shape (C, h, w) that agree in dtype and number of planes",
            "send cells of one study and one model input",
        )
    if len({image.shape for image in images}) == 1:
        return np.stack(images)
    height = max(image.shape[1] for image in images) + 2
    width = max(image.shape[2] for image in images) + 2
    return np.stack(
        [
            centred(image, (height, width), np.maximum(levels(image, white), 1)[:, None, None])
            for image in images
        ]
    )

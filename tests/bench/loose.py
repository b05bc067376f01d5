"""Loose files as an imaging flow cytometer exports them: what ingest is measured on."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tifffile

HEIGHTS = range(37, 58)
WIDTH = 60
LEVEL, NOISE = 680, 26
"""Brightfield counts and their standard deviation."""

COPIED = 100
"""One cell in so many has the pixels of another one of its sample."""


def write_cells(root: Path, samples: Sequence[str], cells: int) -> Path:
    """Small TIFF files of noise, no two alike but for the copies, over a directory a sample.

    Args:
        root: directory of the source; made where it is missing.
        samples: names of the sub-directories, which get equally many cells, give or take one.
        cells: files in all.

    Returns:
        `root`.
    """
    headers = {height: _header(height) for height in HEIGHTS}
    for number, sample in enumerate(samples):
        rng = np.random.default_rng(number)
        directory = root / sample
        directory.mkdir(parents=True)
        content = b""
        for cell in range(len(range(number, cells, len(samples)))):
            if cell % COPIED != COPIED - 1:
                height = int(rng.integers(HEIGHTS.start, HEIGHTS.stop))
                counts = LEVEL + NOISE * rng.standard_normal(height * WIDTH, np.float32)
                content = headers[height] + counts.astype("<u2").tobytes()
            (directory / f"{sample}_{cell}_Ch1.ome.tif").write_bytes(content)
    return root


def _header(height: int) -> bytes:
    """A TIFF file without its pixels, which come last."""
    stream = io.BytesIO()
    tifffile.imwrite(stream, np.zeros((height, WIDTH), np.uint16), byteorder="<", metadata=None)
    return stream.getvalue()[: -2 * height * WIDTH]

"""Cells centred on square canvases, ready for the device, and their contrast.

Shape suffixes: N cells, B batch, C planes (imaging/axes.py), S canvas side. Placement is
`imaging.placement`, and contrast equals that of `imaging.preprocess.Preprocess` bit for bit.
Canvases keep the raw dtype (a quarter or half of float32), so that a whole study fits in memory or
on the GPU; contrast is computed a batch at a time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from unstained.data.store.blocks import by_size
from unstained.data.store.cell_store import CellStore
from unstained.imaging.background import levels
from unstained.imaging.placement import centred, region
from unstained.imaging.preprocess import to_contrast

STREAM_CELLS = 1024
"""Cells that are decoded at once while canvases or statistics are gathered."""


@dataclass(frozen=True)
class Canvases:
    """Cells on canvases.

    Attributes:
        counts: (N, C, S, S) raw counts in the raw dtype; outside the image the rounded level.
        background: (N, C) float32 counts that contrast is relative to: the image's own background,
            or white.
        extent: (N, 4) int16 top, left, bottom, right of the image's part on the canvas, half-open.
    """

    counts: torch.Tensor
    background: torch.Tensor
    extent: torch.Tensor

    def __len__(self) -> int:
        return int(self.counts.shape[0])

    def to(self, device: torch.device | str) -> Canvases:
        """The same canvases on `device`."""
        return Canvases(self.counts.to(device), self.background.to(device), self.extent.to(device))

    def valid(self, index: torch.Tensor | slice) -> torch.Tensor:
        """(B, 1, S, S) bool: where the canvas lies within the image."""
        side = torch.arange(self.counts.shape[-1], device=self.extent.device, dtype=torch.int16)
        top, left, bottom, right = self.extent[index].unbind(1)
        rows = (side >= top[:, None]) & (side < bottom[:, None])
        columns = (side >= left[:, None]) & (side < right[:, None])
        return (rows[:, :, None] & columns[:, None, :])[:, None]

    def contrast(self, index: torch.Tensor | slice, scale: float) -> torch.Tensor:
        """Contrast of some cells, equal bit for bit to `Preprocess(S, scale)` of the raw images.

        Args:
            index: (B,) positions, or a slice.
            scale: standard deviation of contrast over the training cells.

        Returns:
            (B, C, S, S) float32, 0 outside the image.
        """
        counts = self.counts[index].to(torch.float32)
        unscaled = to_contrast(counts, self.background[index], self.valid(index), 1.0)
        # A tensor divisor: CUDA multiplies by the reciprocal of a Python number, which rounds
        # differently from the graph's division.
        return unscaled / torch.full((), scale, dtype=torch.float32, device=unscaled.device)

    def plain(self, scale: float = 1.0) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
        """What masks are found on: contrast in units of `scale`, the mean over planes.

        Returns:
            (N, S, S) contrast, and (N, S, S) where the canvas lies within the image.
        """
        every = slice(None)
        contrast = self.contrast(every, scale).numpy().astype(np.float64).mean(axis=1)
        return contrast, self.valid(every)[:, 0].numpy()


def place(images: Sequence[np.ndarray], canvas: int, white: float | None = None) -> Canvases:
    """Centre raw images on canvases: cropped or padded, never rescaled.

    Args:
        images: (C, h, w) raw counts, uint8 or uint16, of any sizes.
        canvas: side S in pixels.
        white: counts of white, where images are normalised by it (imaging/background.py).
    """
    count, channels = len(images), images[0].shape[0]
    counts = np.empty((count, channels, canvas, canvas), images[0].dtype)
    background = np.empty((count, channels), np.float32)
    extent = np.empty((count, 4), np.int16)
    for index, stack in by_size(images):
        level = levels(stack, white)
        counts[index] = centred(stack, (canvas, canvas), np.rint(level)[:, :, None, None])
        background[index] = level
        extent[index] = region(stack.shape[-2:], (canvas, canvas)).extent
    return Canvases(
        torch.from_numpy(counts), torch.from_numpy(background), torch.from_numpy(extent)
    )


def iter_canvases(
    store: CellStore, rows: Sequence[int] | np.ndarray, canvas: int, batch: int
) -> Iterator[tuple[np.ndarray, Canvases]]:
    """Stream canvases in the order of `rows`; memory is bounded by a batch and the store's cache.

    Yields:
        Rows (n,) int64 and their canvases, `batch` at a time, the last batch shorter.
    """
    for part, images in store.iter_images(rows, batch):
        yield part, place(images, canvas, store.white)


def load_canvases(store: CellStore, rows: Sequence[int] | np.ndarray, canvas: int) -> Canvases:
    """Canvases of cells in the order of `rows`, all in memory."""
    index = np.asarray(rows, dtype=np.int64)
    channels = store.axes.planes
    counts = np.empty((len(index), channels, canvas, canvas), store.dtype)
    background = np.empty((len(index), channels), np.float32)
    extent = np.empty((len(index), 4), np.int16)
    order = np.argsort(index, kind="stable")
    start = 0
    for part, cells in iter_canvases(store, index[order], canvas, STREAM_CELLS):
        places = order[start : start + len(part)]
        counts[places] = cells.counts.numpy()
        background[places] = cells.background.numpy()
        extent[places] = cells.extent.numpy()
        start += len(part)
    return Canvases(
        torch.from_numpy(counts), torch.from_numpy(background), torch.from_numpy(extent)
    )


def contrast_scale(store: CellStore, rows: Sequence[int] | np.ndarray, canvas: int) -> float:
    """Standard deviation of unscaled contrast over the images' parts on their canvases.

    Streamed in float64; independent of the order of `rows`. Featureless images give 1, so that
    contrast stays finite.
    """
    index = np.sort(np.asarray(rows, dtype=np.int64))
    count, total, squares = 0, 0.0, 0.0
    for _, cells in iter_canvases(store, index, canvas, STREAM_CELLS):
        every = slice(None)
        contrast = cells.contrast(every, 1.0).numpy().astype(np.float64)
        count += int(cells.valid(every).sum()) * contrast.shape[1]
        total += float(contrast.sum())
        squares += float(np.square(contrast).sum())
    variance = squares / max(count, 1) - (total / max(count, 1)) ** 2
    return float(np.sqrt(variance)) if variance > 0 else 1.0

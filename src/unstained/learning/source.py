"""Where batches of contrast come from: canvases held in memory, or streamed through a window.

Both give the same cells in the same order (`learning.order`). Held canvases are indexed on the
device; a streamed window is decoded by a thread while the one before it is trained on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, Literal, Protocol

import numpy as np
import psutil
import torch

from unstained.data.canvas import Canvases, load_canvases
from unstained.learning.problem import Cells, Problem

MEMORY_SHARE: Final = 0.5
"""Part of the free memory that held canvases may take."""


class Source(Protocol):
    """Contrast of a part's cells by position."""

    def contrasts(
        self, batches: Sequence[np.ndarray], steps_per_window: int
    ) -> Iterator[torch.Tensor]:
        """Contrast (B, C, S, S) on the device of each batch of positions, in turn."""
        ...


class Resident:
    """Canvases held in memory, on the device where they fit there.

    Args:
        canvases: of all cells of the part.
        scale: contrast's unit.
        device: where contrast is wanted.
    """

    def __init__(self, canvases: Canvases, scale: float, device: torch.device) -> None:
        self.canvases = canvases
        self.scale = scale
        self.device = device

    def contrasts(
        self, batches: Sequence[np.ndarray], steps_per_window: int
    ) -> Iterator[torch.Tensor]:
        """See `Source`; there are no windows here."""
        for positions in batches:
            index = torch.from_numpy(positions).to(self.canvases.counts.device)
            if self.canvases.counts.device == self.device:
                yield self.canvases.contrast(index, self.scale)
            else:
                yield _take(self.canvases, index).to(self.device).contrast(slice(None), self.scale)


class Streamed:
    """Canvases decoded from the store, window by window.

    Args:
        problem: its store is read.
        cells: of the part.
        device: where contrast is wanted.
    """

    def __init__(self, problem: Problem, cells: Cells, device: torch.device) -> None:
        self.problem = problem
        self.rows = cells.rows
        self.device = device
        self._store = problem.reader()

    def contrasts(
        self, batches: Sequence[np.ndarray], steps_per_window: int
    ) -> Iterator[torch.Tensor]:
        """See `Source`; at most two windows are in memory."""
        if not batches:
            return
        windows = [
            batches[start : start + steps_per_window]
            for start in range(0, len(batches), steps_per_window)
        ]
        with ThreadPoolExecutor(1) as reader:
            ahead = reader.submit(self._read, windows[0])
            for number, window in enumerate(windows):
                canvases = ahead.result()
                if number + 1 < len(windows):
                    ahead = reader.submit(self._read, windows[number + 1])
                start = 0
                for positions in window:
                    part = slice(start, start + len(positions))
                    start += len(positions)
                    yield (
                        _take(canvases, part)
                        .to(self.device)
                        .contrast(slice(None), self.problem.scale)
                    )

    def _read(self, window: Sequence[np.ndarray]) -> Canvases:
        return load_canvases(self._store, self.rows[np.concatenate(window)], self.problem.canvas)


def open_source(
    problem: Problem,
    cells: Cells,
    loading: Literal["auto", "resident", "stream"],
    device: torch.device,
    local_workers: int,
) -> Source:
    """The source of a part's cells.

    Args:
        problem: where the store is.
        cells: of the part.
        loading: 'auto' holds them on the device, else in the host's memory, where they fit into
            MEMORY_SHARE of what is free, and streams them otherwise.
        device: where contrast is wanted.
        local_workers: processes on this machine that each hold the cells.
    """
    needed = len(cells) * problem.cell_bytes
    if loading == "stream" or (
        loading == "auto" and needed * local_workers > MEMORY_SHARE * _free_host_bytes()
    ):
        return Streamed(problem, cells, device)
    canvases = load_canvases(problem.reader(), cells.rows, problem.canvas)
    if device.type == "cuda" and needed <= MEMORY_SHARE * torch.cuda.mem_get_info(device)[0]:
        canvases = canvases.to(device)
    return Resident(canvases, problem.scale, device)


def _free_host_bytes() -> int:
    """Memory that this process may still take, within its control group's limit."""
    free = int(psutil.virtual_memory().available)
    limit, used = Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")
    if limit.exists() and used.exists() and (text := limit.read_text().strip()) != "max":
        free = min(free, int(text) - int(used.read_text()))
    return max(free, 0)


def _take(canvases: Canvases, index: torch.Tensor | slice) -> Canvases:
    return Canvases(canvases.counts[index], canvases.background[index], canvases.extent[index])

"""In which order an epoch visits the training cells.

The order is a pure function of (seed, epoch), and the same whether the cells are in memory or are
streamed from disk. Cells are visited window by window: short runs of neighbours, which cost one
read, are drawn at random from the whole set until a window is full, and the window is shuffled.
A set that is no larger than one window is visited in a plain random permutation.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from unstained.learning.randomness import Purpose, host_generator

RUN: Final = 32
"""Neighbouring cells that enter a window together."""

WINDOW_BYTES: Final = 64 * 2**20
"""Raw bytes of a window's canvases: the shuffle buffer of streaming."""


def window_steps(cell_bytes: int, batch_size: int) -> int:
    """Steps whose cells share a window.

    Args:
        cell_bytes: raw bytes of one canvas.
        batch_size: cells of a global batch.
    """
    return max(1, WINDOW_BYTES // (cell_bytes * batch_size))


def epoch_batches(
    cells: int, batch_size: int, steps_per_window: int, seed: int, epoch: int
) -> list[np.ndarray]:
    """Positions of the cells of every global batch of one epoch.

    Args:
        cells: N training cells, neighbours on disk side by side.
        batch_size: B. All batches are full: the N mod B cells left over, different ones each
            epoch, wait. Where N < B there is one batch of N.
        steps_per_window: see `window_steps`.
        seed: of the run.
        epoch: from 0; the order depends on both.

    Returns:
        max(1, N // B) arrays of B distinct positions.
    """
    random = host_generator(seed, Purpose.ORDER, epoch)
    window = steps_per_window * batch_size
    if cells <= window:
        order = random.permutation(cells)
    else:
        borders = np.arange(random.integers(1, RUN + 1), cells, RUN)
        runs = np.split(np.arange(cells), borders)
        order = np.concatenate([runs[run] for run in random.permutation(len(runs))])
        for start in range(0, cells, window):
            random.shuffle(order[start : start + window])
    steps = max(1, cells // batch_size)
    return [order[step * batch_size : (step + 1) * batch_size] for step in range(steps)]


def balanced_cells(labels: np.ndarray, seed: int, epoch: int) -> np.ndarray:
    """Cells of an epoch in which every class has the same chance, drawn with replacement.

    Statistics of the training cells (means of values, contrast) are those of the cells as they are:
    only the order of an epoch is drawn here.

    Args:
        labels: (N,) class numbers, NaN where unknown; such cells keep their share.
        seed: of the run.
        epoch: from 0.

    Returns:
        (N,) ascending positions, some repeated.
    """
    known = np.isfinite(labels)
    chance = np.ones(len(labels))
    _, number, counts = np.unique(labels[known], return_inverse=True, return_counts=True)
    chance[known] = known.sum() / (len(counts) * counts[number])
    random = host_generator(seed, Purpose.SAMPLE, epoch)
    return np.sort(random.choice(len(labels), len(labels), p=chance / chance.sum()))


def share_of(batch: np.ndarray, rank: int, world: int) -> tuple[int, int]:
    """Start and stop of the part of a global batch that worker `rank` of `world` takes."""
    return len(batch) * rank // world, len(batch) * (rank + 1) // world

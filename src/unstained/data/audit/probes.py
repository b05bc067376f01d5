"""Statistics of cell images that hold no morphology: what a shortcut could be made of.

Numpy only; vectorised over images of one size. What a study has depends on its axes: brightness is
asked channel by channel, colour exists for colour images alone. Of several frames the mean counts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import numpy as np

from unstained.data.store.blocks import by_size
from unstained.data.store.cell_store import CellStore
from unstained.imaging.axes import Axes
from unstained.progress import progress

BACKGROUND_NAMES: Final = ("level", "down", "right", "noise")
BRIGHTNESS_NAMES: Final = ("mean", "std", "minimum", "maximum", "p05", "p50", "p95")
SIZE_NAMES: Final = ("height", "width", "area", "aspect")
COLOUR_NAMES: Final = ("rim_red", "rim_green", "rim_blue", "red", "green", "blue")

CORNER: Final = 5
"""Side in pixels of the corner squares that count as background."""

STREAM_CELLS: Final = 512


def probe_names(axes: Axes) -> tuple[str, ...]:
    """Probes of a study's cells: one channel has 'brightness', several 'brightness_<channel>'."""
    several = len(axes.channels) > 1
    brightness = [f"brightness_{name}" for name in axes.channels] if several else ["brightness"]
    colour = ["colour"] if axes.colour else []
    return ("background", *brightness, *colour, "size")


def in_words(words: Mapping[str, str], probe: str) -> str:
    """What `words` say of a probe's kind, and of which channel it is."""
    kind, _, channel = probe.partition("_")
    return f"{words[kind]} in channel {channel}" if channel else words[kind]


def probe_statistics(stack: np.ndarray, axes: Axes) -> dict[str, np.ndarray]:
    """Statistics of images of one size.

    Args:
        stack: (n, P, h, w) raw counts.
        axes: what the planes are.

    Returns:
        Probe -> (n, F): background of all channels side by side, the others of one each.
    """
    frames = axes.unfold(stack)
    channels = [frames[:, :, c] for c in range(len(axes.channels))]
    brightness = [_over_frames(brightness_statistics, channel) for channel in channels]
    columns = [np.hstack([_over_frames(background_statistics, channel) for channel in channels])]
    columns += brightness
    if axes.colour:
        columns.append(colour_statistics(frames))
    columns.append(size_statistics(stack[:, 0]))
    return dict(zip(probe_names(axes), columns, strict=True))


def _over_frames(statistics: Callable[[np.ndarray], np.ndarray], frames: np.ndarray) -> np.ndarray:
    """Mean over frames of the statistics of (n, T, h, w)."""
    found = [statistics(frames[:, t]) for t in range(frames.shape[1])]
    return np.asarray(np.mean(found, axis=0)) if len(found) > 1 else found[0]


def read_probes(store: CellStore, rows: np.ndarray) -> dict[str, np.ndarray]:
    """Statistics of some cells.

    Args:
        store: the cells.
        rows: (n,) rows, ascending for sequential reading.

    Returns:
        Probe name -> (n, F) float32, see `probe_statistics`.
    """
    values: dict[str, np.ndarray] = {}
    start = 0
    with progress("audit for shortcuts", len(rows), "cells") as advance:
        for part, images in store.iter_images(rows, STREAM_CELLS):
            for index, stack in by_size(images):
                for probe, found in probe_statistics(stack, store.axes).items():
                    table = values.setdefault(
                        probe, np.empty((len(rows), found.shape[1]), np.float32)
                    )
                    table[start + index] = found
            start += len(part)
            advance(len(part))
    return values


def background_statistics(stack: np.ndarray) -> np.ndarray:
    """Level, gradient and noise in the four corners of images.

    Always the same pixels: a mask around the cell would leave fewer pixels beside a large cell, and
    the scatter of statistics over fewer pixels tells size. Corners are farthest from the cell and
    its fringes; one that debris covers counts as one of four.

    Args:
        stack: (n, h, w) raw counts.

    Returns:
        (n, 4): median counts; difference of relative brightness between bottom and top corners and
        between right and left ones; standard deviation of relative noise.
    """
    counts = corners(stack).astype(np.float32)
    level = _middle_mean(counts.reshape(len(stack), -1))
    relative = counts / np.maximum(level, 1.0)[:, None, None, None] - 1.0
    mean = relative.mean(axis=(2, 3))
    down = (mean[:, 2] + mean[:, 3] - mean[:, 0] - mean[:, 1]) / 2
    right = (mean[:, 1] + mean[:, 3] - mean[:, 0] - mean[:, 2]) / 2
    # A Gaussian's mean absolute difference is 2 / sqrt(pi) standard deviations.
    steps = np.abs(np.diff(relative, axis=3)).mean(axis=(2, 3)) * np.sqrt(np.pi) / 2
    return np.column_stack([level, down, right, np.median(steps, axis=1)]).astype(np.float32)


def corners(stack: np.ndarray) -> np.ndarray:
    """(n, 4, s, s) top left, top right, bottom left, bottom right; s is CORNER, or half a side."""
    side = min(CORNER, *(length // 2 for length in stack.shape[1:]))
    near, far = slice(None, side), slice(-side, None)
    places = ((near, near), (near, far), (far, near), (far, far))
    return np.stack([stack[:, y, x] for y, x in places], axis=1)


def _middle_mean(values: np.ndarray) -> np.ndarray:
    """Mean of the middle third of each row: a median that integer counts do not quantise."""
    third = values.shape[1] // 3
    return np.asarray(np.sort(values, axis=1)[:, third : values.shape[1] - third].mean(axis=1))


def brightness_statistics(stack: np.ndarray) -> np.ndarray:
    """(n, 7) mean, standard deviation, extremes and percentiles 5, 50, 95 of raw counts."""
    values = stack.reshape(len(stack), -1).astype(np.float32)
    moments = [values.mean(axis=1), values.std(axis=1), values.min(axis=1), values.max(axis=1)]
    return np.column_stack([*moments, *np.percentile(values, [5, 50, 95], axis=1)])


def colour_statistics(frames: np.ndarray) -> np.ndarray:
    """(n, 6) mean red, green, blue of the corners and of the image, of (n, T, 3, h, w) counts."""
    count, times = frames.shape[:2]
    planes = frames.reshape(-1, *frames.shape[3:])
    rim = corners(planes).mean(axis=(1, 2, 3)).reshape(count, times, 3).mean(axis=1)
    return np.hstack([rim, frames.mean(axis=(1, 3, 4))])


def size_statistics(stack: np.ndarray) -> np.ndarray:
    """(n, 4) height, width, area and width / height of the crop, in pixels."""
    height, width = stack.shape[1:]
    return np.tile(np.array([height, width, height * width, width / height]), (len(stack), 1))

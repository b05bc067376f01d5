"""Statistics of raw cell images for the cell table, vectorised over images of one size.

Numpy only: ingest computes them in its worker processes.
"""

from __future__ import annotations

import hashlib
from typing import Final

import numpy as np

from unstained.imaging.background import border_pixels, lower_median

DETECTOR_BITS: Final = (8, 12, 14, 16)
"""Bit depths of cytometry cameras; ImageStream records 12 bits in 16-bit files."""


def pixel_statistics(stack: np.ndarray) -> dict[str, np.ndarray]:
    """Statistics of images of one size, as `data.store.schema` defines them.

    Args:
        stack: (n, P, h, w) raw counts of all planes, uint8 or uint16.

    Returns:
        Column name -> (n,) float32: of all pixels together; background, its deviation and
        sharpness are means over the planes.
    """
    counts = stack.reshape(len(stack), -1)
    largest = counts.max(axis=1)
    mean, variance = moments(counts.astype(np.float64))
    border = border_pixels(stack).astype(np.float64)
    background = lower_median(border)
    sharpness = laplacian_variance(stack) / np.maximum(background, 1.0) ** 2
    columns = {
        "mean": mean,
        "std": np.sqrt(variance),
        "minimum": counts.min(axis=1),
        "maximum": largest,
        "background": background.mean(axis=1),
        "background_mad": lower_median(np.abs(border - background[..., None])).mean(axis=1),
        "saturated": (counts == full_scale(largest, stack.dtype)[:, None]).mean(axis=1),
        "sharpness": sharpness.mean(axis=1),
    }
    return {name: column.astype(np.float32) for name, column in columns.items()}


def full_scale(largest: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Largest value that the detector can record, judged by each image's largest value.

    A file's dtype says how counts are stored, not how many bits the camera has. The smallest
    usual bit depth that holds the image is taken; only images that reach it are affected.

    Args:
        largest: (n,) largest count of each image.
        dtype: uint8 or uint16.

    Returns:
        (n,) of `dtype`.
    """
    usual = [bits for bits in DETECTOR_BITS if dtype.itemsize == 1 or bits > 8]
    levels = np.array([2**bits - 1 for bits in usual if bits <= 8 * dtype.itemsize], dtype=dtype)
    return np.asarray(levels[np.searchsorted(levels, largest)])


def laplacian_variance(stack: np.ndarray) -> np.ndarray:
    """Variance of the 4-neighbour Laplacian over inner pixels; 0 for images below 3 x 3.

    Args:
        stack: (n, P, h, w) raw counts.

    Returns:
        (n, P) float64, counts squared.
    """
    planes = stack.reshape(-1, *stack.shape[2:])
    if min(planes.shape[1:]) < 3:
        return np.zeros(stack.shape[:2])
    x = planes.astype(np.float32)
    laplacian = -4.0 * x[:, 1:-1, 1:-1]
    laplacian += x[:, :-2, 1:-1]
    laplacian += x[:, 2:, 1:-1]
    laplacian += x[:, 1:-1, :-2]
    laplacian += x[:, 1:-1, 2:]
    values = laplacian.reshape(len(planes), -1).astype(np.float64)
    return moments(values)[1].reshape(stack.shape[:2])


def moments(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance of whole numbers along the last axis.

    Sums of whole numbers and of their squares are exact in float64 here, so the result does not
    depend on the order in which a processor adds.

    Args:
        values: (n, m) float64 whole numbers, squares adding up to less than 2**53.

    Returns:
        (n,) mean and (n,) variance, float64.
    """
    count = values.shape[1]
    total = values.sum(axis=1)
    squares = np.einsum("nm,nm->n", values, values)
    variance = (squares - total * total / count) / count
    return total / count, np.maximum(variance, 0.0)


def pixel_sha256(pixels: np.ndarray) -> str:
    """Sha256 of dtype, shape and raw little-endian pixels: equal images, equal digest.

    Args:
        pixels: (P, h, w) raw counts.
    """
    little = np.ascontiguousarray(pixels, dtype=pixels.dtype.newbyteorder("<"))
    digest = hashlib.sha256(f"{pixels.dtype.name} {pixels.shape}".encode())
    digest.update(little.data)
    return digest.hexdigest()

"""The pixels of a request, exactly as sent or refused.

Numpy would round 3.7 to 3 and count True as 1: counts are never changed here.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence
from functools import cache
from typing import Any, Final

import numpy as np

from unstained.serving.limits import Limits
from unstained.serving.predictor import Tensor
from unstained.serving.refusals import invalid

NAMES: Final = {
    "bool": "BOOL",
    "uint8": "UINT8",
    "uint16": "UINT16",
    "uint32": "UINT32",
    "uint64": "UINT64",
    "int8": "INT8",
    "int16": "INT16",
    "int32": "INT32",
    "int64": "INT64",
    "float16": "FP16",
    "float32": "FP32",
    "float64": "FP64",
}
"""What the protocol calls numpy's types; anything else is BYTES."""

LETTERS: Final = {"uint8": "B", "uint16": "H", "uint32": "I"}
"""The standard library's arrays, which refuse what does not fit."""


@cache
def datatype(dtype: np.dtype[Any]) -> str:
    """The protocol's name of a type."""
    return NAMES.get(dtype.name, "BYTES")


def checked_shape(
    name: object, given: object, shape: object, expected: Tensor, limits: Limits
) -> tuple[int, ...]:
    """Check what a request says of its pixels, before any of them is read.

    Args:
        name: of its tensor.
        given: its datatype.
        shape: its shape, from JSON or a message: anything.
        expected: what the artifact takes.
        limits: of cells and pixels.

    Returns:
        The shape, (B, C, H, W).

    Raises:
        RequestError: another name, datatype or shape (400), or too large (413).
    """
    if name != expected.name:
        raise invalid(f"the one input is {expected.name!r}; given: {name!r}")
    wanted = datatype(np.dtype(expected.dtype))
    if given != wanted:
        raise invalid(
            f"{expected.name}: datatype is {_short(given)}; this model takes raw counts as {wanted}"
        )
    if not isinstance(shape, list) or not _fits(shape, expected):
        raise invalid(
            f"{expected.name}: shape is {_short(shape)}; expected [cells, {expected.shape[1]}, "
            "height, width], each at least 1"
        )
    limits.require_size(shape[0], math.prod(shape))
    return tuple(shape)


def pixels_of_bytes(
    raw: bytes | memoryview, shape: tuple[int, ...], expected: Tensor
) -> np.ndarray:
    """Counts sent as bytes, little-endian, in the order of rows.

    Raises:
        RequestError: another number of bytes than the shape needs (400).
    """
    dtype = np.dtype(expected.dtype)
    needed = math.prod(shape) * dtype.itemsize
    if len(raw) != needed:
        raise invalid(
            f"{expected.name}: {len(raw)} bytes were sent; the shape {list(shape)} needs {needed}"
        )
    values = np.frombuffer(raw, dtype.newbyteorder("<"))
    return values.astype(dtype, copy=False).reshape(shape)


def pixels_of_numbers(data: object, shape: tuple[int, ...], expected: Tensor) -> np.ndarray:
    """Counts sent as numbers, flat or nested as the shape.

    Raises:
        RequestError: they are no whole numbers of the artifact's type, or not as many (400).
    """
    dtype, count = np.dtype(expected.dtype), math.prod(shape)
    flat = _flat(data, shape, expected.name)
    if len(flat) != count:
        raise invalid(
            f"{expected.name}: data of shape [{len(flat)}] were sent for shape {list(shape)}"
        )
    refused = invalid(
        f"{expected.name}: values must be whole numbers from 0 to {np.iinfo(dtype).max}"
    )
    try:
        values = np.frombuffer(array(LETTERS[dtype.name], flat), dtype)
    except (OverflowError, TypeError):
        raise refused from None
    if values.min() <= 1 and bool in set(map(type, flat)):  # True is 1 to an array
        raise refused
    return values.reshape(shape)


def _fits(shape: list[Any], expected: Tensor) -> bool:
    """Whether it has the axes of the input and its channels, of whole numbers above 0."""
    return (
        len(shape) == len(expected.shape)
        and all(type(side) is int and side >= 1 for side in shape)
        and shape[1] == expected.shape[1]
    )


def _flat(data: object, shape: tuple[int, ...], name: str) -> Sequence[Any]:
    """The values in one row; nested lists must be as deep and long as the shape says."""
    if not isinstance(data, list):
        raise invalid(f"{name}: the data are no array of numbers")
    if not data or not isinstance(data[0], list):
        return data
    level: list[Any] = [data]
    for side in shape:
        for part in level:
            if not isinstance(part, list) or len(part) != side:
                raise invalid(
                    f"{name}: data of another shape were sent: no array of numbers, nested as "
                    f"the shape {list(shape)}"
                )
        level = [value for part in level for value in part]
    return level


def _short(value: object) -> str:
    """A value of a request, as much of it as an answer should repeat."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."

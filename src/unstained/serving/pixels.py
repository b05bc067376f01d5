"""The pixels of a request, exactly as sent or refused.

Numpy would round 3.7 to 3 and kserve would pass that on: counts are never changed here.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from kserve import InferInput
from kserve.errors import InvalidInput
from kserve.utils.numpy_codec import from_np_dtype

from unstained.serving.predictor import Tensor


def read_pixels(inputs: list[InferInput], expected: Tensor) -> np.ndarray:
    """The batch of a request.

    Args:
        inputs: the request's tensors.
        expected: what the artifact takes.

    Returns:
        (B, C, H, W) of the artifact's dtype.

    Raises:
        InvalidInput: a wrong name, dtype, shape or number of values, or values that are no counts.
    """
    if [tensor.name for tensor in inputs] != [expected.name]:
        given = ", ".join(repr(tensor.name) for tensor in inputs) or "none"
        raise InvalidInput(f"the one input is {expected.name!r}; given: {given}")
    (tensor,) = inputs
    dtype = np.dtype(expected.dtype)
    if tensor.datatype != from_np_dtype(dtype):
        raise InvalidInput(
            f"{tensor.name}: datatype is {tensor.datatype}; this model takes raw counts as "
            f"{from_np_dtype(dtype)}"
        )
    shape = _checked_shape(tensor, expected)
    return _values(tensor, dtype, math.prod(shape)).reshape(shape)


def _checked_shape(tensor: InferInput, expected: Tensor) -> tuple[int, ...]:
    shape = tensor.shape
    fits = (
        isinstance(shape, list)
        and len(shape) == len(expected.shape)
        and all(type(side) is int and side >= 1 for side in shape)
        and shape[1] == expected.shape[1]
    )
    if not fits:
        raise InvalidInput(
            f"{tensor.name}: shape is {shape}; expected [cells, {expected.shape[1]}, height, "
            "width], each at least 1"
        )
    return tuple(shape)


def _values(tensor: InferInput, dtype: np.dtype[Any], count: int) -> np.ndarray:
    """The flat values, none of them rounded, wrapped or made up."""
    raw = tensor._raw_data  # kserve has no public access to it
    if raw is not None:
        if len(raw) != count * dtype.itemsize:
            raise InvalidInput(
                f"{tensor.name}: {len(raw)} bytes were sent; the shape {tensor.shape} needs "
                f"{count * dtype.itemsize}"
            )
        return np.frombuffer(raw, dtype.newbyteorder("<")).astype(dtype, copy=False)
    try:
        values = np.asarray(tensor.data)
    except (ValueError, OverflowError, TypeError) as error:
        raise InvalidInput(f"{tensor.name}: the data are no array of numbers ({error})") from error
    if values.size != count or (values.ndim > 1 and list(values.shape) != tensor.shape):
        raise InvalidInput(
            f"{tensor.name}: data of shape {list(values.shape)} were sent for shape {tensor.shape}"
        )
    limit = np.iinfo(dtype).max
    if values.dtype.kind not in "iu" or values.min() < 0 or values.max() > limit:
        raise InvalidInput(f"{tensor.name}: values must be whole numbers from 0 to {limit}")
    return values.astype(dtype)

"""Decoders of a .cif's strips, against decoders that take one nibble and one run at a time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tests.data.cif_writer import encode_nibbles, encode_runs
from unstained.data.readers.amnis.strips import (
    NIBBLES,
    RAW,
    RUNS,
    StripError,
    decode_image,
    decode_mask,
)

shapes = hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=9)
any_image = shapes.flatmap(
    lambda shape: st.one_of(
        hnp.arrays(np.int64, shape, elements=st.integers(-(2**15), 2**16 - 1)),
        hnp.arrays(np.int64, shape, elements=st.integers(690, 710)),
    )
)
any_mask = shapes.flatmap(lambda shape: hnp.arrays(np.uint8, shape, elements=st.integers(0, 3)))


def slowly(strip: bytes, rows: int, columns: int) -> list[list[int]]:
    """An image by the words of the format, in whole numbers of any size."""
    nibbles = [half for byte in strip for half in (byte & 15, byte >> 4)]
    numbers, bits, value = [], 0, 0
    for nibble in nibbles:
        value |= (nibble & 7) << bits
        bits += 3
        if not nibble & 8:
            numbers.append(value - (1 << bits) if nibble & 4 else value)
            bits, value = 0, 0
    image = [[0] * columns for _ in range(rows)]
    for at in range(rows * columns):
        y, x = divmod(at, columns)
        left, up = (image[y][x - 1] if x else 0), (image[y - 1][x] if y else 0)
        image[y][x] = numbers[at] + left + up - (image[y - 1][x - 1] if x and y else 0)
    return image


def bytes_of(content: bytes) -> np.ndarray:
    return np.frombuffer(content, np.uint8)


@given(any_image, st.integers(0, 15))
@settings(max_examples=150, deadline=None)
def test_images_come_back_and_as_a_slow_decoder_reads_them(image: np.ndarray, fill: int) -> None:
    strip = encode_nibbles(image, fill)
    found = decode_image(bytes_of(strip), image.shape, NIBBLES, signed=False)
    assert found.tolist() == image.tolist() == slowly(strip, *image.shape)


@given(any_image, st.data())
@settings(max_examples=100, deadline=None)
def test_an_image_that_does_not_close_is_refused(image: np.ndarray, data: st.DataObject) -> None:
    strip = encode_nibbles(image)
    shorter = strip[: data.draw(st.integers(0, len(strip) - 1))]
    longer = strip + bytes(data.draw(st.integers(1, 4)))
    for wrong in (shorter, longer):
        with pytest.raises(StripError, match="does not close"):
            decode_image(bytes_of(wrong), image.shape, NIBBLES, signed=False)


@given(st.binary(max_size=40), shapes)
@settings(max_examples=150, deadline=None)
def test_any_bytes_are_an_image_of_16_bits_or_refused(strip: bytes, shape: tuple[int, int]) -> None:
    try:
        found = decode_image(bytes_of(strip), shape, NIBBLES, signed=False)
    except StripError:
        return
    assert found.tolist() == slowly(strip, *shape)
    assert found.min() >= -(2**15)
    assert found.max() < 2**16


def test_numbers_beyond_16_bits_are_refused() -> None:
    for number in (2**16, -(2**15) - 1):
        with pytest.raises(StripError, match="16 bits"):
            strip = encode_nibbles(np.full((2, 2), number))
            decode_image(bytes_of(strip), (2, 2), NIBBLES, signed=False)
    with pytest.raises(StripError, match="more than 16 bits"):
        decode_image(bytes_of(encode_nibbles(np.full((1, 1), 2**40))), (1, 1), NIBBLES, False)


@given(any_mask)
@settings(max_examples=100, deadline=None)
def test_masks_come_back(mask: np.ndarray) -> None:
    strip = encode_runs(mask)
    slow = [strip[at] for at in range(0, len(strip), 2) for _ in range(strip[at + 1] + 1)]
    found = decode_mask(bytes_of(strip), mask.shape, RUNS)
    assert found.ravel().tolist() == slow == mask.ravel().tolist()
    for wrong in (strip[:-1], strip[:-2], strip + b"\0\0"):
        with pytest.raises(StripError, match="does not close"):
            decode_mask(bytes_of(wrong), mask.shape, RUNS)


def test_a_long_run_and_an_unknown_value_of_a_mask() -> None:
    mask = np.zeros((3, 300), np.uint8)
    assert (decode_mask(bytes_of(encode_runs(mask)), mask.shape, RUNS) == 0).all()
    with pytest.raises(StripError, match="holds the value 4"):
        decode_mask(bytes_of(b"\4\3"), (2, 2), RUNS)


@pytest.mark.parametrize("signed", [False, True])
def test_plain_strips(signed: bool) -> None:
    image = np.array([[1, 65535 if not signed else -1], [32767, 0]])
    strip = image.astype("<i2" if signed else "<u2").tobytes()
    assert decode_image(bytes_of(strip), (2, 2), RAW, signed).tolist() == image.tolist()
    with pytest.raises(StripError, match="does not close"):
        decode_image(bytes_of(strip[:-2]), (2, 2), RAW, signed)
    assert decode_mask(bytes_of(bytes([0, 1, 2, 3])), (2, 2), RAW).tolist() == [[0, 1], [2, 3]]
    for decode in (decode_mask, lambda *a: decode_image(*a, signed)):
        with pytest.raises(StripError, match="compression 5"):
            decode(bytes_of(strip), (2, 2), 5)

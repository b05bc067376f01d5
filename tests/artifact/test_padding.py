from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from unstained.artifact.padding import pad_batch
from unstained.errors import ExportError
from unstained.imaging.preprocess import Preprocess

sides = st.integers(1, 40)
sizes = st.lists(st.tuples(sides, sides), min_size=1, max_size=4)


@settings(max_examples=60, deadline=None)
@given(
    sizes=sizes,
    canvas=st.integers(16, 33),
    dtype=st.sampled_from(["uint8", "uint16"]),
    highest=st.sampled_from([0, 1, 2, 255]),
    seed=st.integers(0, 1000),
)
def test_padded_cells_keep_their_contrast_bit_for_bit(
    sizes: list[tuple[int, int]], canvas: int, dtype: str, highest: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    cells = [rng.integers(0, highest + 1, (2, h, w)).astype(dtype) for h, w in sizes]
    preprocess = Preprocess(canvas, 0.3)
    batch = pad_batch(cells)
    assert batch.dtype == cells[0].dtype
    together = preprocess(torch.from_numpy(batch)).numpy()
    for cell, padded in zip(cells, together, strict=True):
        alone = preprocess(torch.from_numpy(cell[None])).numpy()[0]
        np.testing.assert_array_equal(padded, alone)


def test_equal_sizes_are_stacked_as_they_are() -> None:
    cells = [np.full((1, 5, 6), value, np.uint8) for value in (3, 9)]
    np.testing.assert_array_equal(pad_batch(cells), np.stack(cells))


@pytest.mark.parametrize(
    "cells",
    [
        [],
        [np.zeros((5, 5), np.uint8)],
        [np.zeros((1, 5, 5), np.uint8), np.zeros((1, 5, 5), np.uint16)],
        [np.zeros((1, 5, 5), np.uint8), np.zeros((2, 5, 5), np.uint8)],
    ],
)
def test_what_is_no_batch_is_refused(cells: list[np.ndarray]) -> None:
    with pytest.raises(ExportError, match="batch"):
        pad_batch(cells)

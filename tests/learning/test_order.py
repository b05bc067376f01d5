"""The order of an epoch: every cell at most once, counters alone decide, well mixed."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from unstained.learning.order import RUN, epoch_batches, share_of, window_steps

SIZES = {
    "cells": st.integers(1, 700),
    "batch": st.integers(1, 64),
    "window": st.integers(1, 6),
}

MIXED = 16
"""Cells of a window that never come in the same order twice; fewer may, as runs from disk do."""


@settings(max_examples=100, deadline=None)
@given(**SIZES, seed=st.integers(0, 2**31 - 1), epoch=st.integers(0, 50))
def test_batches_are_full_and_hold_distinct_cells(cells, batch, window, seed, epoch):
    batches = epoch_batches(cells, batch, window, seed, epoch)
    assert len(batches) == max(1, cells // batch)
    assert {len(part) for part in batches} == {min(cells, batch)}
    seen = np.concatenate(batches)
    assert len(np.unique(seen)) == len(seen)
    assert seen.min() >= 0
    assert seen.max() < cells


@settings(max_examples=30, deadline=None)
@given(**SIZES)
def test_the_order_changes_with_seed_and_epoch_and_with_nothing_else(cells, batch, window):
    def order(seed: int, epoch: int) -> list[int]:
        return np.concatenate(epoch_batches(cells, batch, window, seed, epoch)).tolist()

    assert order(1, 2) == order(1, 2)
    if cells > 50 and batch <= cells and window * batch >= MIXED:
        assert order(1, 2) != order(1, 3)
        assert order(1, 2) != order(2, 2)


def test_every_cell_is_visited_within_a_few_epochs():
    visits = np.zeros(1000, int)
    for epoch in range(20):
        np.add.at(visits, np.concatenate(epoch_batches(1000, 96, 3, 0, epoch)), 1)
    assert visits.min() >= 14


def test_windows_mix_cells_from_everywhere_and_neighbours_do_not_stay_together():
    cells, batch = 40_000, 64
    batches = epoch_batches(cells, batch, 64, 3, 1)
    means = np.array([part.mean() for part in batches]) / cells
    spread = np.array([part.std() for part in batches]) / cells
    assert abs(means.mean() - 0.5) < 0.01
    assert np.all(np.abs(means - 0.5) < 0.25)
    assert spread.mean() > 0.27  # 0.289 for a plain permutation
    order = np.concatenate(batches)
    together = np.mean(np.abs(np.diff(order)) < RUN)
    assert together < 0.03  # a run of 32 lies in a window of 4096


@given(count=st.integers(1, 500), world=st.integers(1, 8))
def test_shares_partition_a_batch_evenly(count, world):
    shares = [share_of(np.arange(count), rank, world) for rank in range(world)]
    assert shares[0][0] == 0
    assert shares[-1][1] == count
    assert all(left[1] == right[0] for left, right in pairwise(shares))
    sizes = [stop - start for start, stop in shares]
    assert max(sizes) - min(sizes) <= 1


def test_a_window_has_a_bounded_size():
    assert window_steps(64 * 64 * 2, 64) * 64 * 64 * 64 * 2 <= 64 * 2**20
    assert window_steps(512 * 512 * 2, 1024) == 1

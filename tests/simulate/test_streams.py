"""Counter-based streams: addressed, not ordered."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from unstained.simulate.streams import stream


@given(st.integers(0, 2**31 - 1), st.text(min_size=1, max_size=8), st.integers(0, 10**6))
def test_same_address_same_numbers(seed: int, name: str, cell: int) -> None:
    first = stream(seed, name, "noise", cell).random(4)
    assert np.array_equal(first, stream(seed, name, "noise", cell).random(4))


def test_every_part_of_the_address_counts() -> None:
    addresses = [
        (seed, name, purpose, cell)
        for seed, name, purpose, cell in itertools.product(
            (0, 1), ("a_1d1", "a_1d2"), ("acquisition", "shape", "noise"), (0, 1)
        )
    ]
    draws = np.stack([stream(*address).random(1000) for address in addresses])
    correlation = np.corrcoef(draws) - np.eye(len(draws))
    assert np.abs(correlation).max() < 0.15
    assert len(np.unique(draws)) == draws.size

"""Random numbers as functions of counters."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from unstained.learning.randomness import Purpose, counter_seed, host_generator, seed_torch

COUNTERS = st.tuples(st.integers(0, 2**31 - 1), st.sampled_from(Purpose), st.integers(0, 10**6))


@given(one=COUNTERS, other=COUNTERS)
def test_seeds_are_equal_only_for_equal_counters(one, other):
    assert (counter_seed(*one) == counter_seed(*other)) == (one == other)
    assert 0 <= counter_seed(*one) < 2**63


def test_neighbouring_counters_give_unrelated_numbers():
    columns = [host_generator(1, Purpose.AUGMENT, 0, step).random(2000) for step in range(4)]
    correlation = np.corrcoef(columns) - np.eye(4)
    assert np.abs(correlation).max() < 0.1


def test_torch_is_seeded():
    seed_torch(1, Purpose.DROPOUT, 2, 3)
    one = torch.rand(5)
    seed_torch(1, Purpose.DROPOUT, 2, 4)
    other = torch.rand(5)
    seed_torch(1, Purpose.DROPOUT, 2, 3)
    assert torch.equal(torch.rand(5), one)
    assert not torch.equal(one, other)

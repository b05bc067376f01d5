"""Random numbers as a pure function of (seed, purpose, epoch, step).

Nothing in training draws from a stream whose state would have to be saved: whoever needs numbers
makes a generator from the counters. An interrupted run that resumes at a step, and every worker of
a data-parallel run, therefore draw exactly what a single uninterrupted run draws.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np
import torch


class Purpose(IntEnum):
    """What numbers are for; different purposes never share a stream."""

    WEIGHTS = 0
    ORDER = 1
    AUGMENT = 2
    NOISE = 3
    DROPOUT = 4
    SUBSET = 5
    SAMPLE = 6
    MIX = 7
    FOLDS = 8
    PRETRAINING = 9


def counter_seed(seed: int, purpose: Purpose, *counters: int) -> int:
    """A 63-bit seed from the counters (numpy's SeedSequence: avalanche of all input bits)."""
    words = np.random.SeedSequence([seed, int(purpose), *counters]).generate_state(1, np.uint64)
    return int(words[0] >> np.uint64(1))


def host_generator(seed: int, purpose: Purpose, *counters: int) -> np.random.Generator:
    """A numpy generator for the counters (Philox, Salmon et al. 2011)."""
    return np.random.Generator(np.random.Philox(counter_seed(seed, purpose, *counters)))


def seed_torch(seed: int, purpose: Purpose, *counters: int) -> None:
    """Seed torch's own generators of all devices, e.g. for initial weights and dropout."""
    torch.manual_seed(counter_seed(seed, purpose, *counters))

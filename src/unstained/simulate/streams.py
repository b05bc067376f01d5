"""Counter-based random streams: what a cell draws depends on its address, not on its turn.

Philox (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3") maps a key and a counter
to random bits. The key is the seed and the acquisition's name, the counter starts at the cell and
the purpose, so any order, batch size or number of threads draws the same numbers.
"""

from __future__ import annotations

import hashlib
from typing import Final, Literal

import numpy as np

Purpose = Literal["acquisition", "shape", "noise"]
_PURPOSES: Final[dict[Purpose, int]] = {"acquisition": 0, "shape": 1, "noise": 2}


def stream(seed: int, acquisition: str, purpose: Purpose, cell: int = 0) -> np.random.Generator:
    """The random numbers of one cell of one acquisition for one purpose.

    Args:
        seed: of the whole study.
        acquisition: sample directory's name (or any other name of a group).
        purpose: streams of different purposes are independent.
        cell: running number within the acquisition.

    Returns:
        A generator whose 2^128 draws no other address shares.
    """
    name = int.from_bytes(hashlib.sha256(acquisition.encode()).digest()[:8], "little")
    key = np.array([seed, name], dtype=np.uint64)
    counter = np.array([0, 0, _PURPOSES[purpose], cell], dtype=np.uint64)
    return np.random.Generator(np.random.Philox(key=key, counter=counter))

"""How long a request takes on this machine: one thread, so that numbers compare across machines."""

from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import cycle, islice

import numpy as np
import onnxruntime as ort

from unstained.artifact.inference import run_session
from unstained.artifact.padding import pad_batch

WARM_UP = 3


def measure(
    sessions: Sequence[ort.InferenceSession],
    cells: Sequence[np.ndarray],
    batch: int,
    repeats: int,
) -> np.ndarray:
    """Time batches of one size.

    The sessions take turns, so that a change of clock rate or a busy neighbour meets all of them.

    Args:
        sessions: graphs with the same input.
        cells: (C, h, w) raw counts, repeated to fill a batch.
        batch: cells a request.
        repeats: requests a session, at least 1.

    Returns:
        (sessions, repeats) milliseconds.
    """
    pixels = pad_batch(list(islice(cycle(cells), batch)))
    for session in sessions:
        for _ in range(WARM_UP):
            run_session(session, pixels)
    times = np.empty((len(sessions), repeats))
    for turn in range(repeats):
        for row, session in enumerate(sessions):
            start = time.perf_counter()
            run_session(session, pixels)
            times[row, turn] = (time.perf_counter() - start) * 1e3
    return times


def latencies(
    session: ort.InferenceSession,
    cells: Sequence[np.ndarray],
    batches: Sequence[int],
    repeats: int,
) -> dict[str, float]:
    """Median and 95th percentile a request: latency_ms_batch_1, latency_ms_batch_1_p95, ..."""
    result = {}
    for batch in batches:
        times = measure([session], cells, batch, repeats)[0]
        result[f"latency_ms_batch_{batch}"] = float(np.median(times))
        result[f"latency_ms_batch_{batch}_p95"] = float(np.percentile(times, 95))
    return result

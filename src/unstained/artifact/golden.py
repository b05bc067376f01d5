"""The golden batch: real cells and what the graph says of them, carried by every artifact.

Whoever loads the graph somewhere else runs it first: another processor, runtime version or a broken
build then shows before the first request is answered.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime as ort
from safetensors.numpy import load_file, save_file

from unstained.artifact.artifact import GOLDEN_FILE
from unstained.artifact.inference import INPUT_NAME, answers, decides_alike, run_session
from unstained.artifact.padding import pad_batch
from unstained.errors import IntegrityError


def write_golden(
    folder: Path,
    session: ort.InferenceSession,
    cells: Sequence[np.ndarray],
    white: float | None = None,
) -> dict[str, np.ndarray]:
    """Run the graph on some cells and keep input and outputs.

    Args:
        folder: the artifact.
        session: its graph.
        cells: (C, h, w) raw counts.
        white: see `padding.pad_batch`.

    Returns:
        The batch: `pixels` and every output by name.
    """
    pixels = pad_batch(cells, white)
    arrays = {INPUT_NAME: pixels} | run_session(session, pixels)
    arrays = {name: np.ascontiguousarray(arrays[name]) for name in sorted(arrays)}
    save_file(arrays, folder / GOLDEN_FILE)
    (folder / GOLDEN_FILE).chmod(0o644)  # a server runs as somebody else
    return arrays


def check_golden(folder: Path, session: ort.InferenceSession, tolerance: float) -> float:
    """Run the graph on the golden batch again.

    Args:
        folder: the artifact.
        session: its graph.
        tolerance: largest |difference| of logits and shares, and of values relative to the largest
            where that exceeds 1; the card states it.

    Returns:
        The largest difference.

    Raises:
        IntegrityError: a decision differs, or an answer by more than the tolerance.
    """
    golden = load_file(folder / GOLDEN_FILE)
    found = run_session(session, golden[INPUT_NAME])
    expected = {name: golden[name] for name in found}
    difference = max(_difference(name, expected[name], found[name]) for name in answers(found))
    if not decides_alike(expected, found) or not difference <= tolerance:
        raise IntegrityError(
            f"{folder} answers its golden batch wrongly here: answers differ by up to "
            f"{difference:.2g}, {tolerance:.2g} is allowed",
            "use the onnxruntime of requirements.lock, or export the model on this machine",
        )
    return difference


def _difference(name: str, expected: np.ndarray, found: np.ndarray) -> float:
    largest = float(np.abs(found.astype(np.float64) - expected).max(initial=0.0))
    unit = max(1.0, float(np.abs(expected).max(initial=0.0))) if name == "targets" else 1.0
    return largest / unit

"""An exported graph in ONNX Runtime, as a server runs it: nothing here imports torch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

import numpy as np
import onnxruntime as ort

INPUT_NAME: Final = "pixels"


ANSWERS: Final = ("logits", "proportions", "targets")
"""Beginnings of the names of outputs that say what a cell is: scores, shares, values."""


def answers(outputs: Iterable[str]) -> list[str]:
    """Names of those outputs that are compared when a graph must answer as another one does."""
    return [name for name in outputs if name.startswith(ANSWERS)]


def decides_alike(expected: Mapping[str, np.ndarray], found: Mapping[str, np.ndarray]) -> bool:
    """Whether every cell's most probable class is the same, in every classes task."""
    decided = [name for name in expected if name.startswith(("logits", "probabilities"))]
    return all(
        bool((expected[name].argmax(axis=1) == found[name].argmax(axis=1)).all())
        for name in decided
    )


def open_session(path: Path, threads: int = 1) -> ort.InferenceSession:
    """The graph on the CPU, with `threads` threads an operator, one operator at a time."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def run_session(session: ort.InferenceSession, pixels: np.ndarray) -> dict[str, np.ndarray]:
    """All outputs by name for (B, C, H, W) raw counts."""
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, {INPUT_NAME: pixels}), strict=True))

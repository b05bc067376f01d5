"""An exported graph in ONNX Runtime, as a server runs it: nothing here imports torch."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
import onnxruntime as ort

INPUT_NAME: Final = "pixels"


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

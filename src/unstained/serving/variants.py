"""The INT8 graph of an artifact, where export's gate let one ship."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnxruntime as ort
from safetensors.numpy import load_file

from unstained.artifact.artifact import GOLDEN_FILE
from unstained.artifact.inference import INPUT_NAME, open_session, run_session
from unstained.errors import IntegrityError, UnstainedError

CLEAR: Final = 0.2
"""By how much a class's probability leads where INT8 must find the same one."""

OTHERWISE: Final = 0.1
"""Share of clear golden cells that INT8 may call by another class all the same."""


def open_int8(directory: Path, card: Mapping[str, Any], threads: int) -> ort.InferenceSession:
    """The INT8 graph, which has shown that this processor computes it as the gate saw it.

    The golden batch holds the float32 graph's answers, which INT8 gives only nearly; a processor
    whose 8-bit products overflow is far off.

    Args:
        directory: a verified artifact.
        card: its card.
        threads: of the graph.

    Raises:
        UnstainedError: the artifact has no such graph.
        IntegrityError: it answers the golden batch otherwise here.
    """
    variant = card["variants"]["int8"]
    if not variant["shipped"]:
        raise UnstainedError(
            f"{directory} has no INT8 graph: {variant['reason']}",
            "serve the float32 graph, without --int8; or set export.quantise, and "
            "export.quantise_min_speedup and export.quantise_max_loss to what suffices you",
        )
    session = open_session(directory / variant["file"], threads)
    golden = load_file(directory / GOLDEN_FILE)
    found = run_session(session, golden[INPUT_NAME])
    for name, values in found.items():
        if not np.isfinite(values).all():
            raise IntegrityError(
                f"{directory}: the INT8 graph's {name} of the golden batch are not finite here",
                "serve the float32 graph on this machine",
            )
        if name.startswith("probabilities"):
            other = _otherwise(golden[name], values)
            if other > OTHERWISE:
                raise IntegrityError(
                    f"{directory}: the INT8 graph calls {other:.0%} of the golden cells that the "
                    "float32 graph is clear about by another class",
                    "serve the float32 graph on this machine",
                )
    return session


def _otherwise(exact: np.ndarray, rounded: np.ndarray) -> float:
    """Share of cells of another most probable class, among those that are clear."""
    ordered = np.sort(exact, axis=1)
    clear = ordered[:, -1] - ordered[:, -2] > CLEAR
    differs = exact.argmax(axis=1) != rounded.argmax(axis=1)
    return float(differs[clear].mean()) if clear.any() else 0.0

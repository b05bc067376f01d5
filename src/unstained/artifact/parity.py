"""Does the exported graph say what the trained network says? On real cells, or it is no export."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

from unstained.artifact.inference import answers, decides_alike, open_session, run_session
from unstained.artifact.padding import pad_batch
from unstained.artifact.serving_graph import ServingGraph
from unstained.errors import ExportError

BATCHES: Final = (1, 2, 3, 7, 32)
"""Batch sizes that are compared."""

CELLS: Final = max(BATCHES)

Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Parity:
    """Agreement of the ONNX graph with torch, over all batches.

    Attributes:
        decisions: whether every cell's most probable class is the same, in every classes task.
        max_differences: output -> largest |difference|; of targets in their standard deviations;
            of targets, CAM and embedding relative to the largest value where that exceeds 1.
        alone: largest |difference| of an answer (logits, shares, values) between a cell padded into
            a batch and alone.
        tolerance: what all of these may be at the most.
    """

    decisions: bool
    max_differences: Mapping[str, float]
    alone: float
    tolerance: float

    @property
    def passed(self) -> bool:
        """Whether decisions agree and all differences are within the tolerance."""
        worst = max(*self.max_differences.values(), self.alone)
        return self.decisions and bool(worst <= self.tolerance)  # NaN does not pass


@torch.inference_mode()
def run_graph(graph: ServingGraph, pixels: np.ndarray) -> dict[str, np.ndarray]:
    """All outputs by name, computed by torch."""
    outputs = graph(torch.from_numpy(pixels))
    return {name: part.numpy() for name, part in zip(graph.output_names, outputs, strict=True)}


def compare(
    graph: ServingGraph, path: Path, cells: Sequence[np.ndarray], tolerance: float
) -> Parity:
    """Run the same batches of cells through torch and through the exported file.

    Args:
        graph: what was exported.
        path: the ONNX file.
        cells: (C, h, w) raw counts, at least one; they are repeated to fill the batches.
        tolerance: see `Parity`.

    Raises:
        ExportError: there is no cell.
    """
    if not cells:
        raise ExportError(
            "parity needs test cells, and there are none", "raise the last of split.fractions"
        )
    session, white = open_session(path), graph.preprocess.white
    spread = graph.target_std.numpy()
    worst = dict.fromkeys(graph.output_names, 0.0)
    decisions, rows = True, list(islice(cycle(cells), CELLS))
    for size in BATCHES:
        pixels = pad_batch(rows[-size:], white)
        expected, found = run_graph(graph, pixels), run_session(session, pixels)
        decisions &= decides_alike(expected, found)
        for name, value in _differences(expected, found, spread).items():
            worst[name] = float(np.maximum(worst[name], value))  # keeps NaN
    batch = run_session(session, pad_batch(rows, white))
    each = [run_session(session, cell[None]) for cell in rows]
    alone = {name: np.concatenate([one[name] for one in each]) for name in answers(batch)}
    together = {name: batch[name] for name in alone}
    apart = _differences(together, alone, spread)
    return Parity(
        decisions=decisions and decides_alike(together, alone),
        max_differences=worst,
        alone=max(apart.values()),
        tolerance=tolerance,
    )


def require(parity: Parity, what: str) -> None:
    """Refuse an export that does not reproduce the trained model.

    Raises:
        ExportError: decisions differ, or a difference exceeds the tolerance.
    """
    if parity.passed:
        return
    differences = ", ".join(f"{name} {value:.2g}" for name, value in parity.max_differences.items())
    decisions = "the same" if parity.decisions else "different"
    raise ExportError(
        f"{what} does not reproduce the trained model: decisions are {decisions}; largest "
        f"differences: {differences}; of a cell alone and in a batch {parity.alone:.2g}; allowed "
        f"{parity.tolerance:.2g}",
        "use the locked versions of torch and onnxruntime (`make setup`) or another export.opset; "
        "where decisions are the same and the differences do not matter, raise "
        "export.logit_tolerance",
    )


def _differences(expected: Arrays, found: Arrays, spread: np.ndarray) -> dict[str, float]:
    """Largest difference of each output, in the units of `Parity.max_differences`."""
    result = {}
    for name, truth in expected.items():
        if found[name].shape != truth.shape:
            result[name] = float("inf")
            continue
        unit: Any = spread if name == "targets" else 1.0
        difference: Any = np.abs(found[name].astype(np.float64) - truth) / unit
        if name in ("targets", "cam", "embedding"):
            difference = difference / max(1.0, float(np.abs(truth / unit).max(initial=0.0)))
        result[name] = float(difference.max(initial=0.0))
    return result

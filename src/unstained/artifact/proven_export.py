"""An export counts only once it has reproduced the trained network."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from unstained.artifact.onnx_export import Exported, export_onnx
from unstained.artifact.parity import Parity, compare, require
from unstained.artifact.serving_graph import ServingGraph
from unstained.config.export import ExportParams
from unstained.errors import ExportError


def export_with_parity(
    graph: ServingGraph,
    path: Path,
    cells: Sequence[np.ndarray],
    *,
    dtype: np.dtype[Any],
    channels: int,
    params: ExportParams,
) -> tuple[Exported, Parity, list[str]]:
    """Write the ONNX file with the first of `params.exporters` that passes the comparison.

    Args:
        graph: what is exported.
        path: the file.
        cells: (C, h, w) raw counts to compare on.
        dtype: of the pixels.
        channels: C.
        params: opset, exporters and tolerance.

    Returns:
        How it was made, the comparison, and a sentence for every exporter that failed before.

    Raises:
        ExportError: no exporter reproduces the network; the message is the first one's.
    """
    failures: list[ExportError] = []
    for exporter in params.exporters:
        try:
            exported = export_onnx(
                graph, path, dtype=dtype, channels=channels, opset=params.opset, exporter=exporter
            )
            parity = compare(graph, path, cells, params.logit_tolerance)
            require(parity, f"the {exporter} export")
        except ExportError as error:
            failures.append(error)
        else:
            return exported, parity, [f"fell back to {exporter}: {f.message}" for f in failures]
    path.unlink(missing_ok=True)
    raise failures[0]

"""From a serving graph to one ONNX file: same weights, same bytes.

torch's exporter writes source lines and stack traces of the exporting machine into the graph. They
are removed: they would change with every machine and tell clients where the code lay.
"""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
import onnx_ir
import torch
from onnx_ir.passes import common as passes
from onnxscript import optimizer

from unstained.artifact.inference import INPUT_NAME
from unstained.artifact.serving_graph import ServingGraph
from unstained.config.export import Exporter
from unstained.errors import ExportError
from unstained.files import whole_file
from unstained.temporary import temporary_folder

LOCKED_TORCH: Final = "use the locked version of torch: `make setup`"

EXAMPLE_SHAPE: Final = (3, 61, 47)
"""Batch, height and width that the graph is traced with: unequal, none of them 1."""


@dataclass(frozen=True)
class Exported:
    """How a file was made.

    Attributes:
        exporter: 'dynamo' (torch.export) or 'legacy' (TorchScript tracing).
        opset: of the standard operators.
        torch: version that exported.
    """

    exporter: Exporter
    opset: int
    torch: str


def export_onnx(
    graph: ServingGraph,
    path: Path,
    *,
    dtype: np.dtype[Any],
    channels: int,
    opset: int,
    exporter: Exporter,
) -> Exported:
    """Write `graph` as one ONNX file with dynamic batch, height and width.

    Args:
        graph: on the CPU, in evaluation mode.
        path: the file; replaced whole.
        dtype: of the pixels, uint8 or uint16.
        channels: C.
        opset: of the standard operators.
        exporter: which of torch's exporters.

    Raises:
        ExportError: the exporter cannot translate the graph, or the ONNX checker refuses it.
    """
    batch, height, width = EXAMPLE_SHAPE
    generator = np.random.default_rng(0)
    example = generator.integers(1, 255, (batch, channels, height, width))
    export = _dynamo if exporter == "dynamo" else _legacy
    try:
        with _quiet(), torch.inference_mode():
            model = export(graph, torch.from_numpy(example), np.dtype(dtype), opset)
        canonicalise(model)
        onnx.checker.check_model(model, full_check=True)
    except Exception as error:  # exporters raise whatever the failing operator raises
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise ExportError(
            f"torch's {exporter} exporter cannot write this model as ONNX: {reason[0]}",
            "try another export.opset in params.yaml",
        ) from error
    with whole_file(path) as temporary:
        temporary.write_bytes(model.SerializeToString(deterministic=True))
    return Exported(exporter, opset, torch.__version__)


def canonicalise(model: onnx.ModelProto) -> None:
    """Remove what does not belong to the computation: comments, source lines, stack traces."""
    model.doc_string = ""
    del model.metadata_props[:]
    for function in model.functions:
        function.doc_string = ""
        del function.metadata_props[:]
        _strip_nodes(function.node)
    _strip_graph(model.graph)


def _strip_graph(graph: onnx.GraphProto) -> None:
    graph.doc_string = ""
    del graph.metadata_props[:]
    for value in (*graph.input, *graph.output, *graph.value_info, *graph.initializer):
        value.doc_string = ""
        del value.metadata_props[:]
    _strip_nodes(graph.node)


def _strip_nodes(nodes: Any) -> None:
    for node in nodes:
        node.doc_string = ""
        del node.metadata_props[:]
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                _strip_graph(attribute.g)


def _dynamo(
    graph: ServingGraph, example: torch.Tensor, dtype: np.dtype[Any], opset: int
) -> onnx.ModelProto:
    sizes = {0: "batch", 2: "height", 3: "width"}
    program = torch.onnx.export(
        graph,
        (example.to(getattr(torch, dtype.name)),),
        dynamo=True,
        opset_version=opset,
        input_names=[INPUT_NAME],
        output_names=list(graph.output_names),
        dynamic_shapes=({axis: torch.export.Dim(name) for axis, name in sizes.items()},),
        external_data=False,
        verbose=False,
        optimize=False,
    )
    if program is None:
        raise ExportError("torch.onnx.export returned nothing", LOCKED_TORCH)
    _shrink(program.model)
    program.optimize()  # folds batch norms into convolutions, among many rules
    return program.model_proto


def _shrink(model: onnx_ir.Model) -> None:
    """Fold constants and merge equal nodes.

    The optimiser does it too, but tries all its rules on every node first: on the thousands of
    nodes of the hand-crafted features it takes three times as long without this.
    """
    passes.InlinePass()(model)
    optimizer.fold_constants(model)
    optimizer.remove_unused_nodes(model)
    passes.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)(model)
    passes.DeduplicateInitializersPass()(model)
    passes.CommonSubexpressionEliminationPass()(model)
    optimizer.remove_unused_nodes(model)


def _legacy(
    graph: ServingGraph, example: torch.Tensor, dtype: np.dtype[Any], opset: int
) -> onnx.ModelProto:
    """Trace with 32-bit counts, then declare the native dtype: the first node casts it anyway.

    The tracer knows no uint16.
    """
    sizes = {0: "batch", 2: "height", 3: "width"}
    with temporary_folder() as folder:
        path = folder / "traced.onnx"
        torch.onnx.export(
            graph,
            (example.to(torch.int32),),
            str(path),
            dynamo=False,
            opset_version=opset,
            input_names=[INPUT_NAME],
            output_names=list(graph.output_names),
            dynamic_axes={INPUT_NAME: sizes} | {name: {0: "batch"} for name in graph.output_names},
        )
        model = onnx.load(path)
    for node in model.graph.node:
        if INPUT_NAME in node.input and node.op_type not in ("Cast", "Shape"):
            raise ExportError(
                f"the traced graph uses raw counts in {node.op_type}",
                LOCKED_TORCH,
            )
    model.graph.input[0].type.tensor_type.elem_type = onnx.helper.np_dtype_to_tensor_dtype(dtype)
    return model


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporters' remarks on their own workings off the terminal."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)

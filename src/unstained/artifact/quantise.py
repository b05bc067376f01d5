"""INT8 as an option: static quantisation that ships only where it is faster and as good.

Convolutions and matrix products with constant weights get 8-bit weights (signed, one scale a
channel) and 8-bit activations (unsigned), as QDQ nodes: U8S8, which processors with VNNI multiply
fast. Preprocessing (sorting, gathering, division by the background) and the heads stay float32.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.quant_utils import add_pre_process_metadata

from unstained.artifact.artifact import INT8_FILE, MODEL_FILE
from unstained.artifact.inference import INPUT_NAME, answers, open_session, run_session
from unstained.artifact.latency import measure
from unstained.artifact.onnx_export import canonicalise
from unstained.artifact.padding import pad_batch
from unstained.artifact.variant_loss import losses
from unstained.config.export import ExportParams
from unstained.errors import ExportError
from unstained.files import whole_file
from unstained.tasks.study import Tasks

METHOD: Final = "static QDQ, activations QUInt8, weights QInt8 per channel, heads float32"
QUANTISABLE: Final = ("Conv", "Gemm", "MatMul")
BATCH: Final = 32


@dataclass(frozen=True)
class Int8Verdict:
    """Whether the INT8 variant ships.

    Attributes:
        shipped: whether it does.
        reason: a sentence without measured times, so that the model card stays reproducible.
        losses: what INT8 loses on the scoring cells, see `variant_loss.losses`; {} if not measured.
        speedup: smallest ratio over the latency batches of median float32 to median INT8 time;
            None if not measured.
    """

    shipped: bool
    reason: str
    losses: Mapping[str, float] = field(default_factory=dict)
    speedup: float | None = None

    @property
    def loss(self) -> float | None:
        """The largest of the losses; None if not measured."""
        return max(self.losses.values(), default=None)


@dataclass(frozen=True)
class Known:
    """What is known of scoring cells.

    Attributes:
        tasks: of the study.
        truth: task -> of N cells, see `Tasks.truths`.
    """

    tasks: Tasks
    truth: Mapping[str, np.ndarray]


def make_variant(
    folder: Path,
    calibration: Sequence[np.ndarray],
    cells: Sequence[np.ndarray],
    known: Known,
    params: ExportParams,
    white: float | None = None,
) -> Int8Verdict:
    """Add model.int8.onnx to an artifact if the parameters ask for it and it earns its place.

    Args:
        folder: the artifact; holds model.onnx.
        calibration: cells for the ranges of activations; see `quantise`.
        cells: what it is compared on; see `judge`.
        known: what is known of them.
        params: whether to try, and the limits.
        white: see `padding.pad_batch`.
    """
    if not params.quantise:
        return Int8Verdict(False, "not asked for: export.quantise is false")
    nodes = body_nodes(folder / MODEL_FILE)
    if not nodes:
        return Int8Verdict(False, "the model has no layers that 8-bit arithmetic could replace")
    variant = folder / INT8_FILE
    quantise(folder / MODEL_FILE, variant, calibration, nodes, white)
    verdict = judge(folder / MODEL_FILE, variant, cells, known, params, white)
    if not verdict.shipped:
        variant.unlink()
    return verdict


def quantise(
    model: Path,
    target: Path,
    calibration: Sequence[np.ndarray],
    nodes: Sequence[str],
    white: float | None = None,
) -> None:
    """Write the INT8 variant of an exported graph.

    Args:
        model: the float32 file.
        target: the file to write, whole.
        calibration: (C, h, w) raw counts that the ranges of activations are taken from.
        nodes: which nodes to quantise, see `body_nodes`.
        white: see `padding.pad_batch`.

    Raises:
        ExportError: there is no calibration cell.
    """
    if not calibration:
        raise ExportError(
            "quantisation needs validation cells, and there are none",
            "raise the second of split.fractions",
        )
    source = onnx.load(model)
    # The pre-processing that the quantiser asks for, folding batch norms, the exporter has done.
    add_pre_process_metadata(source)
    with whole_file(target) as temporary:
        quantize_static(
            source,
            str(temporary),
            _Batches(calibration, white),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            nodes_to_quantize=list(nodes),
            calibrate_method=CalibrationMethod.MinMax,
            extra_options={"QDQOpTypePerChannelSupportToAxis": {"MatMul": 1}},
        )
        proto = onnx.load(temporary)
        canonicalise(proto)
        onnx.checker.check_model(proto, full_check=True)
        temporary.write_bytes(proto.SerializeToString(deterministic=True))


def body_nodes(model: Path) -> list[str]:
    """Names of the nodes worth quantising: constant weights, and another such node behind them.

    Those without one behind them are the heads: small, and their rounding would be the output's.
    """
    graph = onnx.load(model).graph
    constants = {
        tensor.name for tensor in graph.initializer if tensor.data_type == onnx.TensorProto.FLOAT
    }
    readers: dict[str, list[onnx.NodeProto]] = {}
    for node in graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    weighted = [
        node for node in graph.node if node.op_type in QUANTISABLE and node.input[1] in constants
    ]
    names = {node.name for node in weighted}
    return [node.name for node in weighted if _behind(node, readers) & names]


def judge(
    model: Path,
    variant: Path,
    cells: Sequence[np.ndarray],
    known: Known,
    params: ExportParams,
    white: float | None = None,
) -> Int8Verdict:
    """Compare the INT8 variant with the float32 graph, in turn and with one thread each.

    Args:
        model: the float32 file.
        variant: the INT8 file.
        cells: (C, h, w) raw counts of the scoring (validation) cells.
        known: what is known of them.
        params: `quantise_min_speedup`, `quantise_max_loss` and the latency batches.
        white: see `padding.pad_batch`.
    """
    sessions = [open_session(path) for path in (model, variant)]
    exact, rounded = (said(session, cells, white) for session in sessions)
    found = losses(known.tasks, known.truth, exact, rounded)
    if not found:
        return Int8Verdict(False, "nothing is known of the validation cells to measure its loss by")
    speedup = min(
        float(np.divide(*np.median(measure(sessions, cells, batch, params.latency_repeats), 1)))
        for batch in params.latency_batches
    )
    worst = max(found, key=lambda name: found[name])
    good, fast = found[worst] <= params.quantise_max_loss, speedup >= params.quantise_min_speedup
    if not good:
        reason = f"it loses more than {params.quantise_max_loss:g} of {worst} on validation cells"
    elif not fast:
        reason = (
            f"it is not {params.quantise_min_speedup:g} times faster than float32 on the exporting "
            "machine, one thread, at every batch size of export.latency_batches"
        )
    else:
        reason = (
            f"at least {params.quantise_min_speedup:g} times faster than float32 on the exporting "
            f"machine, and no more than {params.quantise_max_loss:g} of {' or '.join(found)} lost "
            "on validation cells"
        )
    return Int8Verdict(good and fast, reason, found, speedup)


def said(
    session: Any, cells: Sequence[np.ndarray], white: float | None = None
) -> dict[str, np.ndarray]:
    """The outputs that answer a task, of every cell."""
    parts = [run_session(session, batch) for batch in _batches(cells, white)]
    return {name: np.concatenate([part[name] for part in parts]) for name in answers(parts[0])}


class _Batches(CalibrationDataReader):  # type: ignore[misc]
    """Calibration cells, batch by batch."""

    def __init__(self, cells: Sequence[np.ndarray], white: float | None) -> None:
        self._batches = _batches(cells, white)

    def get_next(self) -> dict[str, np.ndarray] | None:
        batch = next(self._batches, None)
        return None if batch is None else {INPUT_NAME: batch}


def _batches(cells: Sequence[np.ndarray], white: float | None) -> Iterator[np.ndarray]:
    for start in range(0, len(cells), BATCH):
        yield pad_batch(cells[start : start + BATCH], white)


def _behind(node: onnx.NodeProto, readers: dict[str, list[onnx.NodeProto]]) -> set[str]:
    """Names of all nodes that the node's output reaches."""
    seen: set[str] = set()
    waiting = list(node.output)
    while waiting:
        for reader in readers.get(waiting.pop(), []):
            if reader.name not in seen:
                seen.add(reader.name)
                waiting += reader.output
    return seen

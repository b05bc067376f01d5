"""Parameters of the exported graph."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from unstained.config.base import Count, Params, Positive

Exporter = Literal["dynamo", "legacy"]
"""Of torch: 'dynamo' is torch.export, 'legacy' traces by TorchScript, in a tenth of the time."""


def _each_once(exporters: tuple[Exporter, ...]) -> tuple[Exporter, ...]:
    if len(set(exporters)) < len(exporters):
        raise ValueError("an exporter is named twice")
    return exporters


class ExportParams(Params):
    """ONNX export, parity and quantisation."""

    opset: Annotated[int, Field(ge=18, le=23)]
    exporters: Annotated[tuple[Exporter, ...], Field(min_length=1), AfterValidator(_each_once)] = (
        Field(description="of torch, in the order in which they are tried")
    )
    logit_tolerance: Positive
    quantise: bool
    quantise_min_speedup: Positive
    quantise_max_loss: Annotated[float, Field(ge=0)] = Field(
        description="macro F1, R² or mean absolute error of shares that INT8 may lose in any task"
    )
    false_alarms: Annotated[float, Field(gt=0, lt=1)] = Field(
        description="share of cells like the validation cells that the model may refuse to judge"
    )
    latency_batches: tuple[Count, ...]
    latency_repeats: Count

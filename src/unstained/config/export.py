"""Parameters of the exported graph."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from unstained.config.base import Count, Params, Positive


class ExportParams(Params):
    """ONNX export, parity and quantisation."""

    opset: Annotated[int, Field(ge=18, le=23)]
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

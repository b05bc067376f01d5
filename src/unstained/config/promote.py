"""Parameters of the gate."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from unstained.config.base import Fraction, Params, Positive


class PromoteParams(Params):
    """The gate between a challenger and the alias `champion`."""

    mode: Literal["off", "dry-run", "enforce"]
    alpha: Fraction
    max_ece: Fraction
    min_class_recall: Annotated[float, Field(ge=0, le=1)]
    max_latency_ms: Positive = Field(description="median latency of a batch of one")
    beats_mean: bool = Field(
        description="where the primary task is a value or shares: whether a champion must be "
        "better, interval included, than the validation cells' mean given for every cell"
    )

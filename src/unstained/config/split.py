"""Parameters of the partition."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from unstained.config.base import Fraction, Params


class SplitParams(Params):
    """Partition of cells into train, val and test, and folds for cross-validation."""

    strategy: Literal["stratified", "grouped"]
    fractions: tuple[Fraction, Fraction, Fraction]
    folds: Annotated[int, Field(ge=2)]

    @model_validator(mode="after")
    def _sum_to_one(self) -> SplitParams:
        if abs(sum(self.fractions) - 1) > 1e-9:
            raise ValueError("split.fractions must add up to 1 (train, val, test)")
        return self

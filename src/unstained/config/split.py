"""Parameters of the partition."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field, model_validator

from unstained.config.base import Fraction, Params

LEAST_ROTATING: Final = 3
"""Folds of which one is tested, one chooses and one trains."""


class SplitParams(Params):
    """Partition of cells into train, val and test, and folds for cross-validation."""

    strategy: Literal["stratified", "grouped", "crossed"] = Field(
        description="stratified: random; grouped: groups stay together; crossed: movies and "
        "regions are kept apart at once, and what lies between is not used (group: region)"
    )
    fractions: tuple[Fraction, Fraction, Fraction]
    folds: Annotated[int, Field(ge=2)]
    rotate: bool = Field(
        default=False,
        description="of a replicate the test part is its fold, so that folds test every cell once; "
        "false: all folds share the test part of the main job",
    )

    @model_validator(mode="after")
    def _sum_to_one(self) -> SplitParams:
        if abs(sum(self.fractions) - 1) > 1e-9:
            raise ValueError("split.fractions must add up to 1 (train, val, test)")
        if self.rotate and self.strategy == "crossed":
            raise ValueError("split.rotate: a crossed partition has no folds; set it to false")
        if self.rotate and self.folds < LEAST_ROTATING:
            raise ValueError(f"split.folds must be {LEAST_ROTATING} or more where folds rotate")
        return self

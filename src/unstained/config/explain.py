"""Parameters of measured explanations."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from unstained.config.base import Count, Fraction, Params


class ExplainParams(Params):
    """Where the baselines look, measured: maps, controls, randomisation and stability."""

    cells_per_class: Count = Field(description="test cells a class on which maps are measured")
    examples_per_class: Count = Field(description="of them, how many are shown")
    steps: Count = Field(description="steps of deletion and insertion")
    pointing_tolerance_px: Annotated[float, Field(ge=0)] = Field(
        description="distance from the cell within which a map's peak counts as a hit"
    )
    depths: Annotated[int, Field(ge=2)] = Field(
        description="depths of cascading randomisation, from the head alone to the whole network"
    )
    top: Fraction = Field(description="fraction of pixels that are compared when a cell is turned")

    @model_validator(mode="after")
    def _shown_cells_are_measured(self) -> ExplainParams:
        if self.examples_per_class > self.cells_per_class:
            raise ValueError("explain.examples_per_class must not exceed explain.cells_per_class")
        return self

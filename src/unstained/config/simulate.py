"""How blood on slides is simulated (`unstained.simulate.blood`)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from unstained.config.base import Count, Params

Antibody = Literal["CD45", "CD123", "CD19", "CD56", "CD14", "CD16", "HLA-DR", "CD3"]


class SlidesParams(Params):
    """Simulated slides in differential phase contrast, in the layout of BSCCM."""

    slides: Annotated[tuple[Count, ...], Field(min_length=1, max_length=2)] = Field(
        description="slides stained with all antibodies, a number a batch; classes are known in "
        "the first alone"
    )
    fields: Count = Field(description="fields of view of such a slide")
    single_antibodies: tuple[Antibody, ...] = Field(
        default=(), description="antibodies of one further slide each in every batch"
    )
    single_fields: Count = Field(default=1, description="fields of view of such a slide")
    cells_per_field: Count
    erythrocytes: Annotated[float, Field(gt=0, lt=1)] = Field(description="share of red cells")
    difficulty: Annotated[float, Field(ge=0, le=1)] = Field(
        description="0: white cells far apart in morphology, 1: indistinguishable"
    )

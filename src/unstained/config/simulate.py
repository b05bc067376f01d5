"""How blood on slides is simulated (`unstained.simulate.blood`)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator

from unstained.config.base import Count, Params, Positive

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


class MonolayersParams(Params):
    """Simulated movies of monolayers in quantitative phase, for the reader `movies`."""

    proportions: Annotated[int, Field(ge=2)] = Field(
        description="mixtures, evenly from fibroblasts alone to smooth muscle cells alone"
    )
    movies_per_proportion: Count
    pluripotent_movies: Annotated[int, Field(ge=0)] = Field(
        default=0, description="movies of pluripotent cells alone, external: no proportion is known"
    )
    frames: Count = Field(description="of a movie")
    side_px: Annotated[int, Field(ge=32, le=4096)] = Field(description="of a frame, as recorded")
    interval_min: Positive = Field(description="minutes from frame to frame")
    density: tuple[Positive, Positive] = Field(
        description="least and largest area of cells over that of the culture, which movies of a "
        "mixture share out: the first one is the sparsest"
    )
    difficulty: Annotated[float, Field(ge=0, le=1)] = Field(
        description="0: fibroblasts and muscle cells differ in shape as the kinds do, 1: in motion "
        "and alignment alone"
    )
    artefacts: Annotated[float, Field(ge=0)] = Field(
        default=1.0, description="strength of gradients, tiling marks and differences of lamps"
    )

    @field_validator("density")
    @classmethod
    def _rises(cls, density: tuple[float, float]) -> tuple[float, float]:
        if density[0] > density[1]:
            raise ValueError(f"{density[0]:g} is above {density[1]:g}")
        return density

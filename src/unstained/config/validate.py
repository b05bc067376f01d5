"""Parameters of expectations and the audit."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from unstained.config.base import Count, Fraction, Params


class ValidateParams(Params):
    """Expectations and the audit."""

    min_cells_per_class: Count
    near_duplicate_distance: Annotated[int, Field(ge=0, le=64)] = Field(
        description="perceptual-hash bits that may differ between near-duplicates"
    )
    augmented_cells: Count = Field(
        description="cells among which turned, mirrored, shifted, cropped or recoloured copies of "
        "others are looked for, at the most"
    )
    folds: Annotated[int, Field(ge=2)]
    confidence: Fraction
    shortcut_margin: Annotated[float, Field(ge=0, lt=1)] = Field(
        description="balanced accuracy above chance that the interval must exceed for a verdict"
    )
    on_shortcut: Literal["report", "fail"]
    max_cells: Count = Field(description="cells that the shortcut audit reads at the most")

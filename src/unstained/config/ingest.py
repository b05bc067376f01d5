"""Parameters of packing raw cells."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from unstained.config.base import Params


class IngestParams(Params):
    """Packing of a raw layout."""

    on_error: Literal["fail", "quarantine"]
    pixel_tags: Literal["check", "ignore"] = Field(
        default="check", description="what files say of the size of a pixel"
    )
    workers: Annotated[int, Field(ge=0)] = Field(description="processes; 0 means all cores")
    cells_per_block: Annotated[int, Field(ge=64, le=65536)] = Field(
        description="at most; fewer where cells are large"
    )

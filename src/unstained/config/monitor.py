"""Parameters of the watch for drift."""

from __future__ import annotations

from pydantic import Field

from unstained.config.base import Count, Fraction, Params


class MonitorParams(Params):
    """Watch for drift between new cells and the champion's test cells."""

    alpha: Fraction = Field(description="significance over all quantities together")
    least_distance: Fraction = Field(
        description="Kolmogorov-Smirnov distance below which a shift does not matter"
    )
    permutations: Count
    max_cells: Count = Field(description="new cells that are looked at, in whole acquisitions")

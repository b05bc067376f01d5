"""Parameters of a study's pages."""

from __future__ import annotations

from pydantic import Field

from unstained.config.base import Count, Params


class ReportParams(Params):
    """Pages of a study."""

    examples_per_class: Count = Field(description="cells of each class that the report shows")

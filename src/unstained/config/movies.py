"""How movies are cut into snippets (reader `movies`)."""

from __future__ import annotations

from pydantic import Field, field_validator

from unstained.config.base import Count, Params
from unstained.config.names import Words


class MoviesParams(Params):
    """A table with a row a movie. Columns that tasks name are read from it, for all its snippets.

    Beside them tasks may name what the reader measures of a snippet: `alignment`, `energy`,
    `covered`, `share_<kind>`, `cells` and `mean_<column>` (data/readers/movies/measures.py).
    """

    file: str = Field(
        description=".csv (comma, semicolon or tab), .tsv or .parquet in the source, or an "
        "absolute path"
    )
    path: str = Field(
        default="path",
        description="column of the movie, relative to the table's folder (to the source where "
        "`file` is absolute): a TIFF with a page a frame, or a "
        "folder of numbered frames",
    )
    movie: str | None = Field(default=None, description="column of its name; None: by its path")
    first: str | None = Field(
        default=None, description="column of the number of its first frame, of numbered frames"
    )
    last: str | None = Field(default=None, description="column of the number of its last one")
    interval: str | None = Field(
        default=None, description="column of minutes between frames, the same for all movies"
    )
    pixel_um: str | None = Field(
        default=None, description="column of the size of the movie's own pixels in micrometres"
    )
    external: str | None = Field(
        default=None, description="column that is true for external test movies; empty is false"
    )
    masks: str | None = Field(
        default=None,
        description="column of a like TIFF or folder whose pixels tell the kind: 0 no cell, 1 the "
        "first of `kinds` ...; empty: not known",
    )
    kinds: tuple[Words, ...] = Field(default=(), description="what masks number, from 1")
    cells: str | None = Field(
        default=None,
        description="column of a table of the movie's cells: frame (from 0, or by number), y, x in "
        "its pixels, and numbers; empty: not known",
    )
    also: tuple[str, ...] = Field(
        default=(),
        description="numbers that no task asks for and the cell table keeps, by column: measured, "
        "or of the table of movies. With `cells` or `covered`, and `order`, `alignment` or "
        "`energy`, among them or among the tasks, the report sets order against density",
    )
    scale: float = Field(
        default=1.0, description="1: full resolution; 0.5: means over 2 x 2 pixels"
    )
    stride: Count | None = Field(
        default=None,
        description="frames from one snippet's first to the next one's; None: as many as a snippet "
        "has, so that they follow each other",
    )

    @field_validator("scale")
    @classmethod
    def _full_or_half(cls, scale: float) -> float:
        if scale not in (1.0, 0.5):
            raise ValueError("is 1 (full resolution) or 0.5 (half)")
        return scale

    @property
    def step(self) -> int:
        """Pixels of the movie across one pixel of a snippet."""
        return round(1 / self.scale)

"""What a study's data are, and how they are simulated."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from unstained.config.base import Count, Params, Positive
from unstained.config.illumination import IlluminationParams
from unstained.config.movies import MoviesParams
from unstained.config.names import Words, apart, counting
from unstained.config.tasks import (
    ClassesParams,
    ClassRule,
    TargetRule,
    TaskParams,
    ValueParams,
    named_tasks,
)
from unstained.imaging.axes import Axes
from unstained.wording import counted

GROUP_WORDS: Final = {
    "acquisition": ("acquisition", "acquisitions"),
    "block": ("block of tiles", "blocks of tiles"),
    "field": ("field of view", "fields of view"),
    "region": ("region of a movie", "regions of movies"),
}
"""What a group is called in a sentence, and several."""


class CommonParams(Params):
    """What every stage shares."""

    seed: Annotated[int, Field(ge=0, lt=2**31)]


class TableParams(Params):
    """A table with a row a cell, for the reader `table`.

    Columns that tasks name are read from it beside these; an empty field is unknown.
    """

    file: str | None = Field(
        default=None,
        description=".csv (comma, semicolon or tab), .tsv or .parquet below the source; a pattern "
        "such as */metadata.csv names several; or an absolute path. Needed unless the source is "
        "the table itself",
    )
    image: str | Annotated[tuple[str, ...], Field(min_length=1)] = Field(
        description="column of a cell's file, relative to the table's folder (to the source where "
        "`file` is absolute); or a list of columns, one a channel, whose files are grey"
    )
    acquisition: str | None = Field(
        default=None,
        description="column of what was recorded together; None: the folder of the cell's file",
    )
    object: str | None = Field(
        default=None,
        description="column of numbers, unique within an acquisition; None: the row's, from 0",
    )
    external: str | None = Field(
        default=None, description="column that is true for external test cells; empty is false"
    )

    @property
    def images(self) -> tuple[str, ...]:
        """Columns of files: one, or one a channel."""
        return (self.image,) if isinstance(self.image, str) else self.image


class CifParams(Params):
    """What only the reader `cif` asks."""

    populations: dict[str, str] = Field(
        default_factory=dict,
        description="class -> regular expression on the names of its IDEAS populations; a class "
        "without one is told by the population of its very name",
    )


class BsccmParams(Params):
    """What only the reader `bsccm` asks."""

    antibodies: tuple[str, ...] = Field(
        default=(), description="antibody conditions whose cells are read, e.g. [all]; none: every"
    )
    gates: dict[str, tuple[str, ...]] = Field(
        default_factory=dict,
        description="class -> its gates, without 'selection_gated_'; lymphocyte, granulocyte and "
        "monocyte have those of the bsccm package",
    )
    erythrocytes: Literal["external", "unlabelled"] = Field(
        default="external",
        description="what cells in the gate of red cells are: external, so never trained on, or "
        "cells without a class",
    )


class StudyData(Params):
    """What a study's data are and what is asked of them."""

    title: str
    question: str
    reader: Literal[
        "zhu_ifc", "jurkat_montage", "table", "cif", "arrays", "bccd", "bsccm", "movies"
    ]
    source: str | None = Field(
        default=None, description="'simulator', or the path of the real download"
    )
    table: TableParams | None = Field(
        default=None, description="of the reader `table`; without it a folder tells the class"
    )
    pixel_size_um: Positive
    channels: Annotated[tuple[str, ...], Field(min_length=1)] = Field(
        description="channels that the models see, in order, e.g. [Ch1]; [red, green, blue] is a "
        "colour image"
    )
    cif: CifParams | None = None
    bsccm: BsccmParams | None = None
    movies: MoviesParams | None = None
    frames: Count = Field(default=1, description="images of a cell, one after the other")
    float_range: tuple[float, float] | None = Field(
        default=None,
        description="of images that hold real numbers: the values that become 0 and 65535 counts",
    )
    normalise: Literal["background", "rgb", "phase"] = Field(
        default="background",
        description="what counts are divided by (imaging/background.py): each channel's own "
        "background at the image's border; white, for stained cells in transmitted light; or the "
        "middle of the pixel type, for phase about a constant zero",
    )
    illumination: IlluminationParams | None = Field(
        default=None, description="of channels that differ in where light comes from"
    )
    markers: dict[Words, str] = Field(
        default_factory=dict, description="marker name -> fluorescence channel"
    )
    tasks: Annotated[tuple[TaskParams, ...], BeforeValidator(named_tasks), Field(min_length=1)] = (
        Field(description="what is asked of a cell, by name and in order (config/tasks.py)")
    )
    primary: str | None = Field(
        default=None, description="task that models are chosen and promoted by; None: the first"
    )
    external: tuple[str, ...] = Field(
        default=(),
        description="regular expressions on an acquisition's whole path: external test cells, "
        "beside those of a rule or of a table's column that says so",
    )
    group: Literal["acquisition", "block", "field", "region"] = Field(
        description="what must not be spread over parts: what was recorded together, a block of "
        "consecutive objects, a field of view (bsccm), or a region of a movie at all times (movies)"
    )
    block_size: Count = Field(default=30, description="tiles a block, where group is 'block'")
    canvas: Annotated[int, Field(ge=16, le=512)] = Field(
        description="side in pixels of the square that a cell is centred on, never rescaled"
    )
    expected: dict[str, int] | None = Field(
        default=None, description="cells a class in the complete source; counts must match"
    )

    @field_validator("tasks")
    @classmethod
    def _tasks_differ(cls, tasks: tuple[TaskParams, ...]) -> tuple[TaskParams, ...]:
        classes = [task.column for task in tasks if isinstance(task, ClassesParams)]
        for what, names in (("task", [task.name for task in tasks]), ("column", classes)):
            if len(set(names)) < len(names):
                raise ValueError(f"a {what} is named twice: {', '.join(names)}")
        apart(tuple(task.name for task in tasks))
        return tasks

    @model_validator(mode="after")
    def _primary_is_a_task(self) -> StudyData:
        if self.primary is not None and self.primary not in [task.name for task in self.tasks]:
            names = ", ".join(task.name for task in self.tasks)
            raise ValueError(f"primary: there is no task {self.primary!r} (known: {names})")
        return self

    @model_validator(mode="after")
    def _lit_channels_are_there(self) -> StudyData:
        if self.illumination is not None:
            self.illumination.planes(self.axes)
        return self

    @model_validator(mode="after")
    def _group_is_told(self) -> StudyData:
        for group, reader in (("field", "bsccm"), ("region", "movies")):
            if self.group == group and self.reader != reader:
                raise ValueError(
                    f"group: reader {self.reader} tells no {GROUP_WORDS[group][1]}; use acquisition"
                )
        if self.group == "block" and self.reader == "movies":
            raise ValueError("group: movies have no blocks of tiles; use acquisition or region")
        return self

    @model_validator(mode="after")
    def _movies_are_cut_apart(self) -> StudyData:
        if self.reader != "movies":
            return self
        if self.movies is None:
            raise ValueError("movies: name at least the table of movies, `movies: {file: ...}`")
        if self.movies.stride is not None and self.movies.stride < self.frames:
            raise ValueError(
                f"movies.stride: {self.movies.stride} is less than the {self.frames} frames of a "
                "snippet, so that snippets would share frames"
            )
        return self

    def place(self, root: Path) -> Path | None:
        """Where the raw images lie, a relative path from `root`; None for 'simulator' and none."""
        if self.source in (None, "simulator"):
            return None
        return root / Path(self.source).expanduser()

    @property
    def recorded_pixel_um(self) -> float:
        """Size of a pixel as it was recorded, before movies are scaled."""
        return self.pixel_size_um * (self.movies.scale if self.movies else 1.0)

    @property
    def transmitted(self) -> bool:
        """Whether images are of light from all around that passed the cells, and no phase."""
        return self.illumination is None and self.normalise != "phase"

    @property
    def primary_task(self) -> TaskParams:
        """The task that models are chosen and promoted by."""
        return next(t for t in self.tasks if self.primary in (None, t.name))

    def with_rules(self, rules: tuple[ClassRule, ...]) -> StudyData:
        """The same study, its first classes task told by other rules."""
        first = next(task for task in self.tasks if isinstance(task, ClassesParams))
        changed = first.model_copy(update={"rules": rules, "names": ()})
        tasks = tuple(changed if task is first else task for task in self.tasks)
        return self.model_copy(update={"tasks": tasks})

    @property
    def group_words(self) -> tuple[str, str]:
        """What a group is called in a sentence, and several."""
        if self.group == "acquisition" and self.reader == "movies":
            return ("movie", "movies")
        return GROUP_WORDS[self.group]

    def counted_groups(self, number: int) -> str:
        """'1 acquisition', '2 acquisitions'."""
        return counted(number, *self.group_words)

    @property
    def classes(self) -> tuple[ClassRule, ...]:
        """Rules on directory names of the first classes task."""
        return next((t.rules for t in self.tasks if isinstance(t, ClassesParams)), ())

    @property
    def axes(self) -> Axes:
        """Frames and channels of a cell's image."""
        return Axes(self.channels, self.frames)

    @field_validator("float_range")
    @classmethod
    def _range_rises(cls, found: tuple[float, float] | None) -> tuple[float, float] | None:
        if found is not None and not found[0] < found[1]:
            raise ValueError(f"{found[0]:g} is not below {found[1]:g}")
        return found

    @field_validator("markers")
    @classmethod
    def _markers_in_order(cls, markers: dict[str, str]) -> dict[str, str]:
        """By channel: what comes from Kubeflow has lost the order of params.yaml."""
        apart(tuple(markers))
        return dict(sorted(markers.items(), key=lambda item: (counting(item[1]), item[0])))

    @field_validator("channels")
    @classmethod
    def _names_differ(cls, channels: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(channels)) < len(channels):
            raise ValueError(f"a channel is named twice: {', '.join(channels)}")
        return channels

    @property
    def class_names(self) -> tuple[str, ...]:
        """Classes of the first classes task in label order; none without such a task."""
        return next((t.class_names for t in self.tasks if isinstance(t, ClassesParams)), ())

    @property
    def targets(self) -> tuple[TargetRule, ...]:
        """Values in output order."""
        return tuple(task.rule for task in self.tasks if isinstance(task, ValueParams))

    @property
    def target_names(self) -> tuple[str, ...]:
        """Names of the values in output order."""
        return tuple(rule.name for rule in self.targets)


class SimulateParams(Params):
    """Simulated imaging flow cytometry (`simulate/`)."""

    acquisitions_per_class: Count
    cells_per_acquisition: Count
    confound: Annotated[float, Field(ge=0, le=1)] = Field(
        description="strength of a planted brightness shortcut between class and acquisition"
    )
    debris: Annotated[float, Field(ge=0, lt=1)]
    doublets: Annotated[float, Field(ge=0, lt=1)]
    focus_drift_um: Annotated[float, Field(ge=0)]
    difficulty: Annotated[float, Field(ge=0, le=1)] = Field(
        description="0: lineages far apart in morphology, 1: indistinguishable"
    )

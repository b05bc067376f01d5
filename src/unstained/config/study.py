"""What a study's data are, and how they are simulated."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator

from unstained.config.base import Count, Params, Positive
from unstained.imaging.axes import Axes


class CommonParams(Params):
    """What every stage shares."""

    seed: Annotated[int, Field(ge=0, lt=2**31)]


class ClassRule(Params):
    """One class and the directories that hold its cells."""

    name: str
    pattern: str = Field(description="regular expression on the sample directory's name")
    external: bool = Field(
        default=False, description="external test cells: never trained on, reported apart"
    )


class TargetRule(Params):
    """One continuous target, predicted from the label-free image."""

    name: str
    column: str = Field(description="column of the cell table that holds its value")
    transform: Literal["none", "log"] = "none"
    unit: str = ""


class StudyData(Params):
    """What a study's data are and what is asked of them."""

    title: str
    question: str
    reader: Literal["zhu_ifc", "jurkat_montage"]
    source: str | None = Field(
        default=None, description="'simulator', or the path of the real download"
    )
    source_revision: str = Field(
        default="1", description="raise it to ingest again after the files at `source` changed"
    )
    pixel_size_um: Positive
    channels: Annotated[tuple[str, ...], Field(min_length=1)] = Field(
        description="channels that the models see, in order, e.g. [Ch1]; [red, green, blue] is a "
        "colour image"
    )
    frames: Count = Field(default=1, description="images of a cell, one after the other")
    normalise: Literal["background", "rgb"] = Field(
        default="background",
        description="what counts are divided by (imaging/background.py): each channel's own "
        "background at the image's border, or white, for stained cells in transmitted light",
    )
    markers: dict[str, str] = Field(
        default_factory=dict, description="marker name -> fluorescence channel"
    )
    classes: tuple[ClassRule, ...]
    targets: tuple[TargetRule, ...] = ()
    group: Literal["acquisition", "block"]
    block_size: Count = Field(default=30, description="tiles a block, where group is 'block'")
    canvas: Annotated[int, Field(ge=16, le=512)] = Field(
        description="side in pixels of the square that a cell is centred on, never rescaled"
    )
    expected: dict[str, int] | None = Field(
        default=None, description="cells a class in the complete source; counts must match"
    )

    @property
    def axes(self) -> Axes:
        """Frames and channels of a cell's image."""
        return Axes(self.channels, self.frames)

    @field_validator("channels")
    @classmethod
    def _names_differ(cls, channels: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(channels)) < len(channels):
            raise ValueError(f"a channel is named twice: {', '.join(channels)}")
        return channels

    @property
    def class_names(self) -> tuple[str, ...]:
        """Class names in label order; several rules may share a name."""
        return tuple(dict.fromkeys(rule.name for rule in self.classes))

    @property
    def target_names(self) -> tuple[str, ...]:
        """Continuous targets in output order."""
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

"""Parameters of the study of uncertainty over all baselines."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from unstained.config.base import Count, Fraction, Params, Positive


class UncertaintyParams(Params):
    """When models should not answer, what they miss, and which labels they doubt."""

    target_risk: Fraction = Field(
        description="error rate among answered cells that the threshold is chosen for"
    )
    precision: Fraction = Field(description="precision that each class's threshold is chosen for")
    mixtures: Count = Field(description="test mixtures of known composition")
    mixture_cells: Annotated[int, Field(ge=30)] = Field(description="cells of one, at the most")
    neighbour: Count = Field(
        description="which nearest training cell the distance is taken to; more than there may be "
        "strange cells of one kind among them"
    )
    index_cells: Count = Field(description="training cells that distances are taken to, at most")
    false_alarms: Fraction = Field(description="ordinary cells that may be flagged as strange")
    unknown_cells: Count = Field(description="cells of each kind that no class covers")
    defocus_um: Positive = Field(description="simulated cells out of focus: distance, either way")
    blur_px: Positive = Field(description="real cells out of focus: SD of a Gaussian blur")
    suspects: Count = Field(description="doubted labels that are listed")
    gates: dict[str, str] = Field(
        default_factory=dict, description="marker -> the class that a positive cell is of"
    )

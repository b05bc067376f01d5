"""What of a cell a network is shown."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field, model_validator

from unstained.config.base import Params, Positive
from unstained.config.illumination import OpticsParams

PHASE_VIEWS: Final = ("phase", "phase_alone")
"""Views that show recovered phase."""


class InputParams(Params):
    """What of a cell's contrast a network is shown (models/view.py)."""

    view: Literal["contrast", "standardised", "background", "phase", "phase_alone"] = Field(
        default="contrast",
        description="contrast as it is; each cell's divided by its own spread, which takes its "
        "brightness away; only what lies around a disc that hides the cell, a control; contrast "
        "and the phase recovered from studies.<study>.data.illumination; or that phase alone",
    )
    phase_regularisation: Positive = Field(
        default=0.03, description="Tikhonov term of the phase (imaging/weak_object.py)"
    )
    optics: OpticsParams | None = Field(
        default=None,
        description="of views of phase, and of symmetries of cells lit from the sides: filled in "
        "from the study's data",
    )
    hidden_px: Positive | None = Field(
        default=None, description="radius in pixels of that disc, for the view 'background'"
    )
    side: Annotated[int, Field(ge=16, le=512)] | None = Field(
        default=None, description="side in pixels that the canvas is resized to; null: as it is"
    )
    symmetries: Literal[1, 2, 4, 8] = Field(
        default=1,
        description="views of a cell whose answers a trained network gives the mean of, at as many "
        "times the cost: as it is; and mirrored; and turned by half; and by quarters",
    )

    @model_validator(mode="after")
    def _disc_belongs_to_background(self) -> InputParams:
        if (self.view == "background") != (self.hidden_px is not None):
            raise ValueError("input.hidden_px is needed for the view 'background', and only there")
        return self

    @model_validator(mode="after")
    def _phase_has_optics(self) -> InputParams:
        phase, told = self.view in PHASE_VIEWS, self.optics is not None
        if (phase and not told) or (told and not phase and self.symmetries == 1):
            raise ValueError(
                "the views of phase need studies.<study>.data.illumination (which channel is lit "
                "from where), and input.optics is of those views and of symmetries alone"
            )
        return self

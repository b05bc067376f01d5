"""Models that are a head on hand-crafted features: fitted at once, not by gradient descent."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator

from unstained.config.base import Count, Positive
from unstained.config.learning import TrainParams
from unstained.config.model_base import ModelBase

Measure = Literal["cell", "gabor", "motion"]


class FeatureModelBase(ModelBase):
    """What every model on measured features has, whatever its head."""

    measures: tuple[Measure, ...] = Field(
        default=("cell",),
        min_length=1,
        description="what is measured (models/features/extract.py): a cell's size, shape and "
        "texture in each plane; Gabor energies, a mean over frames; motion between frames",
    )
    frames: Count = Field(default=1, description="images of a cell: studies.<study>.data.frames")

    @field_validator("measures")
    @classmethod
    def _named_once(cls, measures: tuple[Measure, ...]) -> tuple[Measure, ...]:
        if len(set(measures)) < len(measures):
            raise ValueError(f"measures are {', '.join(measures)}; name each once")
        return measures

    @property
    def learns_by_gradient(self) -> bool:
        """Whether a GPU makes its training faster."""
        return False

    def training(self, common: TrainParams) -> TrainParams:
        """The recipe's training as it is."""
        return common


class BoostingParams(FeatureModelBase):
    """Gradient boosting on hand-crafted features."""

    architecture: Literal["features_boosting"]
    iterations: Count
    learning_rate: Positive
    max_leaf_nodes: Annotated[int, Field(ge=2)]
    min_samples_leaf: Count
    l2_regularization: Annotated[float, Field(ge=0)]
    max_features: Annotated[float, Field(gt=0, le=1)]


class LinearParams(FeatureModelBase):
    """A linear model on standardised features."""

    architecture: Literal["features_linear"]
    loss: Literal["hinge", "likelihood"] = Field(
        description="hinge: support vectors, one class against the rest, and support vector "
        "regression; likelihood: logistic regression, also of shares, and ridge regression"
    )
    cost: Positive = Field(
        description="C: of the loss, summed over cells, beside half the sum of squared weights"
    )

"""Architectures: what can be built, and what can be set of it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from unstained.params.base import Count, Params, Positive


class NetworkParams(Params):
    """A convolutional network."""

    architecture: Literal["cg_recnet", "resnet50"]
    preset: Literal["text"] = "text"
    width: Positive = Field(description="multiplies every channel count; 1 is the paper's")
    depth: tuple[Count, Count, Count, Count] = Field(description="residual blocks a stage")
    stem_stride: Literal[1, 2] = Field(description="1 keeps resolution for cells up to 96 px")
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0


class BoostingParams(Params):
    """Gradient boosting on hand-crafted features."""

    architecture: Literal["features_boosting"]
    iterations: Count
    learning_rate: Positive
    max_leaf_nodes: Annotated[int, Field(ge=2)]
    min_samples_leaf: Count
    l2_regularization: Annotated[float, Field(ge=0)]
    max_features: Annotated[float, Field(gt=0, le=1)]


ModelParams = Annotated[NetworkParams | BoostingParams, Field(discriminator="architecture")]

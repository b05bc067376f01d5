"""Architectures: what can be built, and what can be set of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final, Literal, get_args

from pydantic import Field, model_validator

from unstained.config.feature_models import BoostingParams, LinearParams
from unstained.config.learning import TrainParams
from unstained.config.model_base import ModelBase
from unstained.config.networks import (
    CNN3DParams,
    DenseNetParams,
    DifferentialCNNParams,
    EfficientNetLiteParams,
    HybridParams,
    InceptionParams,
    MobileNetParams,
    NetworkParams,
    PlainCNNParams,
    VGGParams,
    ViTParams,
    XceptionParams,
)

AnyNetworkParams = (
    NetworkParams
    | DenseNetParams
    | VGGParams
    | MobileNetParams
    | EfficientNetLiteParams
    | ViTParams
    | XceptionParams
    | HybridParams
    | PlainCNNParams
    | InceptionParams
    | DifferentialCNNParams
    | CNN3DParams
)
"""Models that gradient descent trains."""

AnyFeatureParams = BoostingParams | LinearParams
"""Models on measured features."""

MemberParams = Annotated[AnyNetworkParams | AnyFeatureParams, Field(discriminator="architecture")]


class EnsembleParams(ModelBase):
    """Models that answer together: the mean of their scores and values (models/ensemble.py)."""

    architecture: Literal["ensemble"]
    members: tuple[str, ...] = Field(
        min_length=2,
        description="models of params.yaml, trained one by one; one that is named twice, with two "
        "seeds",
    )
    inner_folds: Annotated[int, Field(ge=2)] | None = Field(
        default=None,
        description="each member is named so often, and leaves another of so many folds of the "
        "training cells out, by which it is chosen; null: all learn from all training cells, and "
        "validation cells choose",
    )
    models: tuple[MemberParams, ...] = Field(
        default=(), description="their parameters: filled in from what params.yaml says of them"
    )

    @property
    def learns_by_gradient(self) -> bool:
        """Whether there is a network among them."""
        return any(model.learns_by_gradient for model in self.models)

    @model_validator(mode="after")
    def _a_member_a_fold(self) -> EnsembleParams:
        for name in dict.fromkeys(self.members if self.inner_folds else ()):
            if self.members.count(name) != self.inner_folds:
                raise ValueError(
                    f"inner_folds is {self.inner_folds}, so members names {name} as often, not "
                    f"{self.members.count(name)} times"
                )
        return self

    @model_validator(mode="after")
    def _members_learn_from_the_same_cells(self) -> EnsembleParams:
        if len(self.models) != len(self.members):
            raise ValueError("models are the parameters of members, one each, and are filled in")
        for name, model in zip(self.members, self.models, strict=True):
            if model.partition != self.partition:
                raise ValueError(
                    f"{name} learns from the partition {model.partition!r}, the ensemble from "
                    f"{self.partition!r}: its members learn from the same cells"
                )
        return self

    def training(self, common: TrainParams) -> TrainParams:
        """The recipe's training as it is; each member has what it wants otherwise."""
        return common


AnyModelParams = AnyNetworkParams | AnyFeatureParams | EnsembleParams

ModelParams = Annotated[AnyModelParams, Field(discriminator="architecture")]

KINDS: Final[Mapping[str, type[AnyModelParams]]] = {
    architecture: kind
    for kind in get_args(AnyModelParams)
    for architecture in get_args(kind.model_fields["architecture"].annotation)
}
"""Architecture -> class of its parameters."""

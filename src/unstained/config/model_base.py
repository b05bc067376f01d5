"""What every model has, network or not."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from unstained.config.base import Params


class ModelBase(Params):
    """What a model of a recipe says beside its architecture."""

    partition: Literal["study", "reference"] = Field(
        default="study",
        description="replicates only: 'reference' trains and tests on the partition of the "
        "strategy that the study did not choose (random where it is grouped)",
    )

"""Parameters of registration."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from unstained.config.base import Params
from unstained.config.names import Words

Name = Annotated[Words, Field(pattern=r"^[^/:\\]+$")]
"""A name in MLflow, which refuses '/' and ':' in it."""


class RegisterParams(Params):
    """Registration in MLflow."""

    experiment: Name
    registered_model: Name = Field(description="name in the registry; '{study}' is replaced")

    def name_of(self, study: str) -> str:
        """Name of a study's registered model."""
        return self.registered_model.replace("{study}", study)

"""Parameters of registration."""

from __future__ import annotations

from pydantic import Field

from unstained.config.base import Params


class RegisterParams(Params):
    """Registration in MLflow."""

    experiment: str
    registered_model: str = Field(description="name in the registry; '{study}' is replaced")

    def name_of(self, study: str) -> str:
        """Name of a study's registered model."""
        return self.registered_model.replace("{study}", study)

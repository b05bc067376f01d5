"""What every section of parameters is: frozen, and strict about unknown keys."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from unstained.errors import ParameterError

Fraction = Annotated[float, Field(gt=0, lt=1)]
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]


class Params(BaseModel):
    """A frozen section of params.yaml; an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def digest(self) -> str:
        """Sha256 of the canonical JSON form: equal parameters, equal digest."""
        text = json.dumps(self.model_dump(mode="json"), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True)
class Partial:
    """Marks a field that holds what differs from another section, by that section's keys."""

    of: type[Params]


P = TypeVar("P", bound=Params)


def parse(kind: type[P], content: Any, where: str) -> P:
    """`content` as `kind`.

    Raises:
        ParameterError: unknown keys, wrong types or values out of range, each by its full path.
    """
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        lines = []
        for item in error.errors():
            key = ".".join(str(part) for part in item["loc"]) or "(top level)"
            text = "unknown key" if item["type"] == "extra_forbidden" else item["msg"]
            lines.append(f"{key}: {text}")
        raise ParameterError(
            f"{where}: " + "; ".join(lines), "correct these keys and run again"
        ) from None

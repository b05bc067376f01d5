"""What every section of parameters is: frozen, and strict about unknown keys."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
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


P = TypeVar("P", bound=Params)


def read_yaml(path: Path) -> Any:
    """The plain content of a YAML file.

    Raises:
        ParameterError: the file is missing or no YAML.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        return YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ParameterError(
            f"{path} does not exist", "run from the project's root, or name it with --params"
        ) from None
    except YAMLError as error:
        raise ParameterError(f"{path} is no valid YAML: {error}", "correct the line") from None


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

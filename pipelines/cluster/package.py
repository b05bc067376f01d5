"""A compiled pipeline: what it holds, and whether arguments fit its parameters."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from google.protobuf import json_format
from kfp.pipeline_spec.pipeline_spec_pb2 import PipelineSpec, PlatformSpec

from unstained.errors import ParameterError

COMPILE = "write it with `unstained pipeline compile`"
# The API carries numbers as doubles: larger integers would arrive as others.
LARGEST_INTEGER = 2**53

TYPES: dict[str, tuple[type, ...]] = {
    "STRING": (str,),
    "NUMBER_INTEGER": (int,),
    "NUMBER_DOUBLE": (int, float),
    "BOOLEAN": (bool,),
    "LIST": (list,),
    "STRUCT": (dict,),
}


@dataclass(frozen=True)
class Package:
    """A compiled pipeline on disk.

    Attributes:
        path: the file, uploaded as it is.
        pipeline: its first document.
        platform: its second document; empty where there is none.
    """

    path: Path
    pipeline: Any
    platform: Any

    @classmethod
    def read(cls, path: Path) -> Package:
        """Parse a package strictly.

        Raises:
            ParameterError: it is missing or no compiled pipeline.
        """
        if path.suffix not in (".yaml", ".yml"):
            raise ParameterError(f"{path} is no YAML package", COMPILE)
        try:
            documents = list(yaml.safe_load_all(path.read_text(encoding="utf-8")))
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            first = str(error).splitlines()[0]
            raise ParameterError(f"cannot read the package {path}: {first}", COMPILE) from error
        if not documents or len(documents) > 2 or not all(isinstance(d, dict) for d in documents):
            raise ParameterError(f"{path} is no compiled pipeline", COMPILE)
        try:
            return cls(path, *_parsed(documents[0], documents[1] if documents[1:] else {}))
        except json_format.ParseError as error:
            raise ParameterError(f"{path} is no compiled pipeline: {error}", COMPILE) from error

    def same_as(self, stored: Mapping[str, Any] | None) -> bool:
        """Whether the server's copy of a version is this package.

        Args:
            stored: `pipeline_spec` of a version: the first document alone, or both under the keys
                pipeline_spec and platform_spec.
        """
        stored = stored or {}
        pipeline, platform = stored, {}
        if "pipeline_spec" in stored:
            pipeline, platform = stored["pipeline_spec"], stored.get("platform_spec", {})
        try:
            parsed = _parsed(pipeline, platform)
        except json_format.ParseError:
            return False
        return parsed == (self.pipeline, self.platform)

    def fitted(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Arguments as they go to the server.

        Args:
            arguments: values by parameter name.

        Returns:
            Plain JSON values.

        Raises:
            ParameterError: a name is unknown, a required one is missing, a value does not fit its
                type or cannot be carried as JSON.
        """
        declared = self.pipeline.root.input_definitions.parameters
        unknown = sorted(set(arguments) - set(declared))
        missing = sorted(
            name
            for name, parameter in declared.items()
            if name not in arguments
            and not parameter.is_optional
            and not parameter.HasField("default_value")
        )
        if unknown or missing:
            wrong = [f"has no parameter {name!r}" for name in unknown]
            wrong += [f"needs the parameter {name!r}" for name in missing]
            raise ParameterError(
                f"the pipeline in {self.path} {' and '.join(wrong)}",
                f"its parameters are {', '.join(sorted(declared)) or 'none'}",
            )
        return {name: _fitted(name, declared[name], arguments[name]) for name in sorted(arguments)}


def _parsed(pipeline: Mapping[str, Any], platform: Mapping[str, Any]) -> tuple[Any, Any]:
    return (
        json_format.ParseDict(pipeline, PipelineSpec()),
        json_format.ParseDict(platform, PlatformSpec()),
    )


def _fitted(name: str, parameter: Any, value: Any) -> Any:
    kind = (
        type(parameter)
        .DESCRIPTOR.fields_by_name["parameter_type"]
        .enum_type.values_by_number[parameter.parameter_type]
        .name
    )
    try:
        plain = json.loads(json.dumps(value, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise ParameterError(
            f"the value of parameter {name!r} is not JSON: {error}", "pass plain finite values"
        ) from error
    allowed = TYPES.get(kind)
    fits = allowed is not None and isinstance(plain, allowed)
    if not fits or (isinstance(plain, bool) and kind != "BOOLEAN"):
        raise ParameterError(
            f"parameter {name!r} takes {kind}, not {type(value).__name__}: {str(value)[:80]}",
            "pass a value of that type",
        )
    large = next((n for n in _integers(plain) if abs(n) > LARGEST_INTEGER), None)
    if large is not None:
        raise ParameterError(
            f"parameter {name!r} holds {large}, which the API cannot carry exactly",
            f"keep integers within +-2^53 ({LARGEST_INTEGER})",
        )
    return plain


def _integers(value: Any) -> list[int]:
    if isinstance(value, dict):
        return [n for item in value.values() for n in _integers(item)]
    if isinstance(value, list):
        return [n for item in value for n in _integers(item)]
    return [value] if isinstance(value, int) else []

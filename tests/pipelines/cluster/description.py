"""The published description of the v2beta1 API as a judge of requests and answers."""

from __future__ import annotations

import json
import re
from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from jsonschema import Draft7Validator, FormatChecker

FILE = "kfp_api_single_file.swagger.json"
FORMATS = FormatChecker(formats=["date-time"])


@FORMATS.checks("int64", raises=ValueError)
def is_int64(value: object) -> bool:
    """The description carries 64-bit integers as strings."""
    return not isinstance(value, str) or -(2**63) <= int(value) < 2**63


class Violation(Exception):  # noqa: N818  it is what the tests look for
    """A request or an answer that the description does not allow."""


@dataclass(frozen=True)
class Operation:
    """One method of one path, with the values of the path's parameters."""

    name: str
    definition: dict[str, Any]
    path: dict[str, str]

    def parameters(self, place: str) -> dict[str, dict[str, Any]]:
        """Parameters in a place (query, body, formData), by name."""
        declared = self.definition.get("parameters", [])
        return {entry["name"]: entry for entry in declared if entry["in"] == place}


class Description:
    """The description, made strict: properties that it does not name are refused."""

    def __init__(self, folder: Path) -> None:
        document = json.loads((folder / FILE).read_text(encoding="utf-8"))
        self.definitions = {
            name: _closed(schema) for name, schema in document["definitions"].items()
        }
        self.paths = document["paths"]

    def operation(self, method: str, path: str) -> Operation:
        """The operation of a request; literal paths before those with parameters."""
        for template in sorted(self.paths, key=lambda text: text.count("{")):
            definition = self.paths[template].get(method.lower())
            match = re.fullmatch(_pattern(template), path)
            if definition is not None and match:
                names = re.findall(r"\{([^}]+)\}", template)
                values = (unquote(value) for value in match.groups())
                return Operation(
                    definition["operationId"], definition, dict(zip(names, values, strict=True))
                )
        raise Violation(f"{method} {path} is not described")

    def check_query(self, operation: Operation, query: list[tuple[str, str]]) -> dict[str, str]:
        """Names, types and presence of the query's parameters."""
        declared = operation.parameters("query")
        values = dict(query)
        if len(values) != len(query):
            raise Violation(f"{operation.name}: a query parameter is repeated")
        for name, value in query:
            if name not in declared:
                raise Violation(f"{operation.name}: query parameter {name!r} is not described")
            kind = declared[name].get("type")
            if kind == "integer" and not re.fullmatch(r"-?\d+", value):
                raise Violation(f"{operation.name}: {name} is no integer: {value!r}")
            if value not in declared[name].get("enum", [value]):
                raise Violation(f"{operation.name}: {name} is none of the values: {value!r}")
        absent = [n for n, entry in declared.items() if entry.get("required") and n not in values]
        if absent:
            raise Violation(f"{operation.name}: query parameters {absent} are missing")
        if "filter" in values:
            values["filter"] = unquote(values["filter"].replace("+", " "))
            self.check("v2beta1Filter", json.loads(values["filter"]), operation.name)
        return values

    def check_body(self, operation: Operation, body: bytes, content_type: str) -> Any:
        """The JSON body against its schema; fields that only the server fills are refused."""
        declared = list(operation.parameters("body").values())
        if not declared:
            if body:
                raise Violation(f"{operation.name} takes no body, but got {body[:80]!r}")
            return None
        if content_type != "application/json":
            raise Violation(f"{operation.name}: the body is {content_type!r}")
        try:
            content = json.loads(body)
        except ValueError as error:
            raise Violation(f"{operation.name}: the body is no JSON") from error
        name = declared[0]["schema"]["$ref"].rpartition("/")[2]
        self.check(name, content, operation.name)
        for key, schema in self.definitions[name]["properties"].items():
            says = schema.get("description", "")
            if key in content and says.startswith("Output"):
                raise Violation(f"{operation.name}: {key} is for the server to fill")
            if key not in content and says.startswith("Required input"):
                raise Violation(f"{operation.name}: {key} is required")
        return content

    def check_answer(self, operation: Operation, status: int, content: Any) -> None:
        """An answer against the schema of its status."""
        responses = operation.definition["responses"]
        schema = responses.get(str(status), responses["default"])["schema"]
        reference = schema.get("$ref")
        if reference:
            self.check(reference.rpartition("/")[2], content, f"answer of {operation.name}")
        elif content != {}:
            raise Violation(f"answer of {operation.name}: {content} where {{}} is described")

    def check(self, name: str, content: Any, where: str) -> None:
        """A value against a definition."""
        first = next(self._validator(name).iter_errors(content), None)
        if first is not None:
            place = "/".join(str(step) for step in first.absolute_path)
            raise Violation(f"{where}: {name}/{place}: {first.message}")

    @cache  # noqa: B019  one description lives as long as the tests
    def _validator(self, name: str) -> Draft7Validator:
        schema = {"definitions": self.definitions, "allOf": [{"$ref": f"#/definitions/{name}"}]}
        return Draft7Validator(schema, format_checker=FORMATS)


def _pattern(template: str) -> str:
    literal = re.split(r"\{[^}]+\}", template)
    return "([^/:]+)".join(re.escape(part) for part in literal)


def _closed(schema: Any) -> Any:
    """A copy in which objects with named properties take no others."""
    schema = deepcopy(schema)
    if isinstance(schema, dict):
        if "properties" in schema and "additionalProperties" not in schema:
            schema["additionalProperties"] = False
        return {key: _closed(value) for key, value in schema.items()}
    return [_closed(value) for value in schema] if isinstance(schema, list) else schema

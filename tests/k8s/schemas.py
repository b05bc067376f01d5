"""Validation against schemas: Kubernetes' own, and those of custom resources.

The schemas of KubeRay, KServe and Kubeflow lie in the folder that UNSTAINED_SCHEMAS names, as
crds/GROUP/kind_version.json. Those of the Prometheus operator are written here, from its
documentation, as far as the manifests go.
"""

from __future__ import annotations

import json
import os
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from tests.k8s.manifests import Object

VERSIONS = ("1.34", "1.36")
BUILT_IN = ("apps", "autoscaling", "batch", "networking.k8s.io", "policy", "v1")
BUILT_IN_RBAC = "rbac.authorization.k8s.io"

_TEXT = {"type": "string"}
_LABELS = {"type": "object", "additionalProperties": _TEXT}
_EXPRESSION = {
    "type": "object",
    "required": ["key", "operator"],
    "properties": {
        "key": _TEXT,
        "operator": {"enum": ["In", "NotIn", "Exists", "DoesNotExist"]},
        "values": {"type": "array", "items": _TEXT},
    },
}
_SELECTOR = {
    "type": "object",
    "properties": {
        "matchLabels": _LABELS,
        "matchExpressions": {"type": "array", "items": _EXPRESSION},
    },
}
_DURATION = {"type": "string", "pattern": "^([0-9]+(ms|[smhd]))+$"}
_ENDPOINT = {
    "type": "object",
    "required": ["port"],
    "properties": {
        "port": _TEXT,
        "path": _TEXT,
        "scheme": {"enum": ["http", "https"]},
        "interval": _DURATION,
        "scrapeTimeout": _DURATION,
        "authorization": {
            "type": "object",
            "properties": {
                "type": _TEXT,
                "credentials": {
                    "type": "object",
                    "required": ["name", "key"],
                    "properties": {"name": _TEXT, "key": _TEXT},
                },
            },
        },
    },
}


_RULE = {
    "type": "object",
    "required": ["alert", "expr"],
    "properties": {
        "alert": {"type": "string", "pattern": "^[A-Z][A-Za-z]+$"},
        "expr": _TEXT,
        "for": _DURATION,
        "labels": _LABELS,
        "annotations": _LABELS,
    },
}
_RULES = {
    "type": "object",
    "required": ["name", "rules"],
    "properties": {"name": _TEXT, "rules": {"type": "array", "items": _RULE}},
}


def _monitor(endpoints: str, **more: Any) -> Object:
    spec = {
        "type": "object",
        "required": ["selector", endpoints],
        "properties": {
            "selector": _SELECTOR,
            endpoints: {"type": "array", "items": _ENDPOINT},
            "podTargetLabels": {"type": "array", "items": _TEXT},
            **more,
        },
    }
    return _object(spec)


def _object(spec: Object) -> Object:
    return {
        "type": "object",
        "required": ["spec"],
        "properties": {
            "apiVersion": _TEXT,
            "kind": _TEXT,
            "metadata": {"type": "object"},
            "spec": spec,
        },
    }


MONITORING = {
    "ServiceMonitor": _monitor("endpoints", targetLabels={"type": "array", "items": _TEXT}),
    "PodMonitor": _monitor("podMetricsEndpoints"),
    "PrometheusRule": _object(
        {
            "type": "object",
            "required": ["groups"],
            "properties": {"groups": {"type": "array", "items": _RULES}},
        }
    ),
}


def strict(schema: Any) -> Any:
    """The same schema, refusing every property that is not declared.

    Left open are mappings without declared properties, and what the schema itself leaves open.
    """
    if isinstance(schema, list):
        return [strict(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {
        key: {name: strict(part) for name, part in value.items()}
        if key == "properties"
        else strict(value)
        for key, value in schema.items()
    }
    declared = isinstance(schema.get("properties"), dict)
    is_open = schema.get("x-kubernetes-preserve-unknown-fields")
    if declared and "additionalProperties" not in schema and not is_open:
        closed["additionalProperties"] = False
    return closed


def is_built_in(item: Object) -> bool:
    """Is the kind one of Kubernetes' own?"""
    group = item["apiVersion"].partition("/")[0]
    return group in BUILT_IN or group == BUILT_IN_RBAC


def built_in_faults(item: Object, version: str) -> list[str]:
    """What Kubernetes of this version would not accept."""
    import kubernetes_validate

    try:
        kubernetes_validate.validate(item, version, strict=True)
    except kubernetes_validate.ValidationError as error:
        return [f"{'.'.join(map(str, error.path))}: {error.message}"]
    return []


def custom_faults(item: Object) -> list[str]:
    """What the schema of a custom resource does not accept, property by property.

    Skips the test where the schema is not on this machine.
    """
    group, _, version = item["apiVersion"].partition("/")
    if group == "monitoring.coreos.com":
        schema = strict(MONITORING[item["kind"]])
    else:
        schema = _from_folder(group, item["kind"], version)
    errors = Draft202012Validator(schema).iter_errors(item)
    return [f"{'.'.join(map(str, error.absolute_path))}: {error.message[:300]}" for error in errors]


@cache
def _from_folder(group: str, kind: str, version: str) -> Any:
    folder = os.environ.get("UNSTAINED_SCHEMAS")
    if not folder:
        pytest.skip(
            f"UNSTAINED_SCHEMAS is not set: it names the folder whose crds/GROUP/kind_version.json "
            f"{kind} is checked against"
        )
    path = Path(folder) / "crds" / group / f"{kind.lower()}_{version}.json"
    assert path.is_file(), f"UNSTAINED_SCHEMAS has no schema of {group}/{version} {kind}: {path}"
    return strict(json.loads(path.read_text(encoding="utf-8")))

"""Rendered manifests, and the pods and containers inside of any kind of object."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
OVERLAYS = ("local", "gpu", "prod")
JOBS = (
    "tune/cpu",
    "tune/gpu",
    "train/cpu",
    "train/gpu",
    "restore",
    "backups",
    "rollback",
    "deployment",
    "sign",
)
OFFERED = [
    (name, job) for name in OVERLAYS for job in JOBS if name != "local" or not job.endswith("/gpu")
]
"""Overlays, and the jobs that are offered on each: all, but no GPUs where there are none."""

EXTERNAL = {
    "Secret": {
        "unstained-s3": {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"},
        "unstained-serving-s3": {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"},
        "unstained-backup-s3": {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"},
        "unstained-mlflow-db": {"username", "password", "uri"},
        "unstained-mlflow-tokens": {"reader", "writer", "promoter"},
        "unstained-signing": {"signing-key.pem"},
    },
    "ConfigMap": {
        "unstained-restore": {"backup"},
        "unstained-champion": {"study", "reason"},
        "unstained-project": {"params.yaml"},
        "unstained-trust": {"verify-key.pem"},
    },
}
"""Objects that an operator creates by hand, with their keys: k8s/RUNBOOK.md says how."""

OTHERS = {"Secret": {"mysql-secret": {"username", "password"}}}
"""Objects of Kubeflow Pipelines."""

Object = dict[str, Any]


@dataclass(frozen=True)
class Pod:
    """A pod's specification inside an object.

    Attributes:
        where: kind, name and path, for messages.
        labels: the template's labels.
        spec: the specification.
        owner: the object.
    """

    where: str
    labels: dict[str, str]
    spec: Object
    owner: Object

    def containers(self) -> Iterator[Object]:
        """Init containers and containers."""
        for key in ("initContainers", "containers"):
            yield from self.spec.get(key) or ()


@cache
def _rendered(folder: str) -> str:
    if not shutil.which("kubectl"):
        pytest.skip("no kubectl: it renders the manifests (kubectl kustomize)")
    done = subprocess.run(
        ["kubectl", "kustomize", str(ROOT / "k8s" / folder)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def overlay(name: str) -> list[Object]:
    """The objects of an overlay."""
    return list(yaml.load_all(_rendered(f"overlays/{name}"), Loader=yaml.CSafeLoader))


def job(name: str) -> list[Object]:
    """The objects of a job that is started by hand."""
    return list(yaml.load_all(_rendered(f"jobs/{name}"), Loader=yaml.CSafeLoader))


def title(item: Object) -> str:
    """Kind and name."""
    return f"{item['kind']}/{item['metadata']['name']}"


def pods(item: Object) -> Iterator[Pod]:
    """Every pod specification in an object, however deep."""

    def walk(node: Any, path: str, metadata: Object) -> Iterator[Pod]:
        if isinstance(node, list):
            for index, child in enumerate(node):
                yield from walk(child, f"{path}[{index}]", {})
        elif isinstance(node, dict):
            if isinstance(node.get("containers"), list):
                labels = dict(metadata.get("labels") or {})
                yield Pod(f"{title(item)}{path}", labels, node, item)
                return
            for key, child in node.items():
                yield from walk(child, f"{path}.{key}", node.get("metadata") or {})

    yield from walk(item.get("spec") or {}, ".spec", {})

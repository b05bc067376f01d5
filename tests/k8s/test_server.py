"""A real API server takes every overlay, with server-side validation; nothing is stored there."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from pipelines.arguments import run_arguments
from pipelines.compiler import GRAPHS, compile_resources
from pipelines.deployment import load_deployment
from tests.k8s.manifests import JOBS, OVERLAYS, ROOT, Object, job, overlay, title
from unstained.registry.deployment import inference_service

DIGEST = "ab" * 32


def kubectl(*words: str, text: str | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["kubectl", "--request-timeout=60s", *words], input=text, capture_output=True, text=True
    )


@pytest.fixture(scope="module")
def served() -> set[str]:
    """API groups that the server knows."""
    if not os.environ.get("KUBECONFIG"):
        pytest.skip("KUBECONFIG is not set: no API server to ask")
    if not shutil.which("kubectl"):
        pytest.skip("no kubectl")
    answer = kubectl("api-versions")
    if answer.returncode:
        pytest.skip(f"no API server answers at KUBECONFIG: {answer.stderr.strip()[-200:]}")
    return {line.rpartition("/")[0] for line in answer.stdout.split()}


def elsewhere(item: Object) -> Object:
    """The object in the namespace default: a dry run creates none of its own."""
    text = yaml.safe_dump(item).replace("namespace: unstained\n", "namespace: default\n")
    moved: Object = yaml.safe_load(text)
    return moved


def accepted(items: list[Object], served: set[str]) -> None:
    known = [item for item in items if item["apiVersion"].rpartition("/")[0] in served]
    unknown = {title(item) for item in items if item not in known}
    optional = ("ServiceMonitor/", "PodMonitor/", "PrometheusRule/")
    assert all(name.startswith(optional) for name in unknown), f"no CRDs for {unknown}"
    answer = kubectl(
        *("apply", "--server-side", "--dry-run=server", "--validate=strict", "-f", "-"),
        text=yaml.safe_dump_all(map(elsewhere, known)),
    )
    assert answer.returncode == 0, answer.stderr
    assert "Warning" not in answer.stderr, answer.stderr


@pytest.mark.parametrize("name", OVERLAYS)
def test_overlays_are_accepted(name: str, served: set[str]) -> None:
    accepted(overlay(name), served)


@pytest.mark.parametrize("name", JOBS)
def test_jobs_are_accepted(name: str, served: set[str]) -> None:
    accepted(job(name), served)


def test_compiled_pipelines_are_accepted(served: set[str], tmp_path: Path) -> None:
    given, deployment = run_arguments(ROOT, "nsc"), load_deployment(ROOT, "gpu")
    for name in GRAPHS:
        made = compile_resources(name, deployment, given, tmp_path / f"{name}.yaml")
        accepted(list(yaml.safe_load_all(made.path.read_text())), served)


def test_a_rendered_inference_service_is_accepted(served: set[str]) -> None:
    address = f"s3://unstained-models/nsc/{DIGEST}"
    accepted([inference_service("nsc", address, DIGEST, version="3", model="xca")], served)

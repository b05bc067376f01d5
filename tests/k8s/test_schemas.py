"""Every object of every overlay is one that a real server's schemas accept."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import yaml

from tests.k8s.manifests import JOBS, OVERLAYS, Object, job, overlay, title
from tests.k8s.schemas import VERSIONS, built_in_faults, custom_faults, is_built_in
from unstained.registry.deployment import render_inference_service

DIGEST = "ab" * 32
RENDERED = [*((overlay, name) for name in OVERLAYS), *((job, name) for name in JOBS)]


def everything(part: Any) -> list[Object]:
    load, name = part
    return load(name)


def named(part: Any) -> str:
    return f"{part[0].__name__}-{part[1]}"


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("part", RENDERED, ids=named)
def test_kubernetes_accepts_its_own_kinds(part: Any, version: str) -> None:
    faults = {
        title(item): found
        for item in everything(part)
        if is_built_in(item) and (found := built_in_faults(item, version))
    }
    assert not faults


@pytest.mark.parametrize("part", RENDERED, ids=named)
def test_operators_accept_custom_resources(part: Any) -> None:
    custom = [item for item in everything(part) if not is_built_in(item)]
    faults = {title(item): found for item in custom if (found := custom_faults(item))}
    assert not faults


def test_kserve_accepts_the_rendered_inference_service() -> None:
    address = f"s3://unstained-models/nsc/{DIGEST}"
    text = render_inference_service("nsc", address, DIGEST, version="3", model="cg_recnet")
    assert custom_faults(yaml.safe_load(text)) == []


def first(items: list[Object], kind: str) -> Object:
    return copy.deepcopy(next(item for item in items if item["kind"] == kind))


@pytest.mark.parametrize(
    ("kind", "path", "value"),
    [
        ("RayCluster", ["spec", "headGroupSpec", "template", "spec", "containerz"], []),
        ("RayCluster", ["spec", "autoscalerOptions", "version"], "v3"),
        ("ServingRuntime", ["spec", "protocolVersion"], "v2"),
        ("ServiceMonitor", ["spec", "endpoint"], []),
        ("PodMonitor", ["spec", "podMetricsEndpoints", 0, "interval"], "soon"),
    ],
)
def test_a_custom_resource_with_a_fault_is_refused(kind: str, path: list[Any], value: Any) -> None:
    item = first(overlay("prod"), kind)
    node: Any = item
    for step in path[:-1]:
        node = node[step]
    node[path[-1]] = value
    assert custom_faults(item)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_built_in_kind_with_a_fault_is_refused(version: str) -> None:
    item = first(overlay("prod"), "Deployment")
    item["spec"]["template"]["spec"]["enableServiceLink"] = False
    assert built_in_faults(item, version)

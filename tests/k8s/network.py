"""Who has to reach whom, read from the manifests, and whether the network policies let them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from tests.k8s.manifests import Object, Pod, pods, title

ADDRESS = re.compile(r"^(?:[\w+]+://)?(?:[^@/]+@)?([a-z0-9.-]+)(?::(\d+))?(?:/\S*)?$")
PORTS = {"http": 80, "https": 443, "postgresql+psycopg2": 5432}
HEAD, MEETING_POINT = 8265, 29500
"""Ports of a Ray head's dashboard, and of torchrun as Kubeflow Trainer starts it."""


class Flow(NamedTuple):
    """A pod that has to reach a port.

    Attributes:
        source: the pod.
        target: labels of the pods that listen; None for an address outside of the namespace.
        port: theirs.
        why: for messages.
    """

    source: Pod
    target: dict[str, str] | None
    port: int
    why: str


def labels_of(pod: Pod) -> dict[str, str]:
    """A pod's labels with those that its operator adds."""
    name = pod.owner["metadata"]["name"]
    if pod.owner["kind"] in ("RayCluster", "RayJob") and ".submitterPodTemplate" not in pod.where:
        return {**pod.labels, "ray.io/cluster": name}
    if pod.owner["kind"] == "ServingRuntime":
        return {**pod.labels, "serving.kserve.io/inferenceservice": name}
    return pod.labels


def flows(objects: Sequence[Object]) -> Iterator[Flow]:
    """What the manifests say that pods talk to."""
    services = {
        item["metadata"]["name"]: item["spec"]["selector"]
        for item in objects
        if item["kind"] == "Service"
    }
    data = {
        item["metadata"]["name"]: item.get("data") or {}
        for item in objects
        if item["kind"] == "ConfigMap"
    }
    for item in objects:
        yield from _jobs(item)
        for pod in pods(item):
            for name, value in variables(pod, data):
                yield from _addressed(pod, name, value, services)


def _jobs(item: Object) -> Iterator[Flow]:
    """Nodes of a Ray cluster or of a training among each other, and a job's submitter."""
    found = {pod.where.removeprefix(title(item)): pod for pod in pods(item)}
    if item["kind"] in ("RayCluster", "RayJob"):
        nodes = [pod for where, pod in found.items() if "submitter" not in where]
        for pod in nodes:
            yield Flow(pod, labels_of(nodes[0]), 6379, "nodes of a cluster")
        for where, pod in found.items():
            if "submitter" in where:
                yield Flow(pod, labels_of(nodes[0]), HEAD, "it submits the job")
    if item["kind"] == "TrainingRuntime":
        for pod in found.values():
            yield Flow(pod, labels_of(pod), MEETING_POINT, "processes of a training")


def variables(pod: Pod, data: dict[str, dict[str, str]]) -> Iterator[tuple[str, str]]:
    """Name and value of every environment variable that is no secret."""
    for container in pod.containers():
        for source in container.get("envFrom") or ():
            yield from data.get(source.get("configMapRef", {}).get("name"), {}).items()
        for variable in container.get("env") or ():
            reference = variable.get("valueFrom", {}).get("configMapKeyRef")
            if "value" in variable:
                yield variable["name"], variable["value"]
            elif reference and reference["key"] in data.get(reference["name"], {}):
                yield variable["name"], data[reference["name"]][reference["key"]]


def _addressed(
    pod: Pod, name: str, value: str, services: dict[str, dict[str, str]]
) -> Iterator[Flow]:
    scheme, separator, _ = value.partition("://")
    match = ADDRESS.match(value)
    if not match or (not separator and name not in ("PGHOST", "MYSQL_HOST")):
        return
    standard = {"PGHOST": 5432, "MYSQL_HOST": 3306}.get(name) or PORTS.get(scheme)
    if standard is None:
        return
    host, port = match[1].partition(".")[0], int(match[2] or standard)
    selector = services.get(host)
    if selector is None and separator:
        yield Flow(pod, None, port, f"{name} is {value}")
    elif selector is not None and not selector.items() <= pod.labels.items():
        yield Flow(pod, selector, port, f"{name} is {value}")


def blocked(flow: Flow, objects: Sequence[Object]) -> bool:
    """Do the policies keep a pod from what it has to reach?"""
    source = labels_of(flow.source)
    if flow.target is None:
        return not leaves(objects, source, flow.port)
    return not reaches(objects, source, flow.target, flow.port)


def reaches(
    objects: Sequence[Object], labels: dict[str, str], target: dict[str, str], port: int
) -> bool:
    """Do the policies let a pod of the namespace reach another one's port?"""
    for item in objects:
        if item["kind"] != "NetworkPolicy" or not selected(item["spec"]["podSelector"], target):
            continue
        for rule in item["spec"].get("ingress", []):
            peers = [p for p in rule["from"] if "podSelector" in p and "namespaceSelector" not in p]
            ports = {entry["port"] for entry in rule.get("ports", [])}
            if any(selected(p["podSelector"], labels) for p in peers) and port in (ports or {port}):
                return True
    return False


def lets_in(objects: Sequence[Object], peer: Object, target: dict[str, str]) -> set[int]:
    """Ports of a pod that a policy opens for a peer as it stands there."""
    return {
        entry["port"]
        for item in objects
        if item["kind"] == "NetworkPolicy" and selected(item["spec"]["podSelector"], target)
        for rule in item["spec"].get("ingress", [])
        if peer in rule["from"]
        for entry in rule["ports"]
    }


def leaves(objects: Sequence[Object], labels: dict[str, str], port: int) -> bool:
    """Do the policies let a pod reach a port outside of the cluster?"""
    return any(
        port in {entry["port"] for entry in rule.get("ports", [])}
        for item in objects
        if item["kind"] == "NetworkPolicy" and selected(item["spec"]["podSelector"], labels)
        for rule in item["spec"].get("egress", [])
        if any("ipBlock" in peer for peer in rule["to"])
    )


def selected(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    """Does a selector choose a pod with these labels?"""
    if not selector.get("matchLabels", {}).items() <= labels.items():
        return False
    for test in selector.get("matchExpressions", []):
        value, names = labels.get(test["key"]), test.get("values", [])
        truth = {
            "Exists": value is not None,
            "In": value in names,
            "NotIn": value not in names,
        }[test["operator"]]
        if not truth:
            return False
    return True

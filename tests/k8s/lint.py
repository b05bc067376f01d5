"""What a schema lets pass and a real server, or a running pod, does not.

Each rule takes all objects that are applied together and yields (rule, where, what is wrong).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

from tests.k8s.capacity import most
from tests.k8s.cron import fault
from tests.k8s.manifests import Object, title
from tests.k8s.network import blocked, flows
from tests.k8s.quantities import quantity
from tests.k8s.references import files, ports, references, selectors, variables
from tests.k8s.world import World, every_pod, nodes

IMAGE = re.compile(r"[^\s@]+@sha256:[0-9a-f]{64}")


class Finding(NamedTuple):
    """Something to correct."""

    rule: str
    where: str
    message: str


def lint(world: World) -> list[Finding]:
    """All findings of all rules."""
    return [Finding(name, *found) for name, rule in RULES.items() for found in rule(world)]


def _resources(world: World) -> Iterator[tuple[str, Object]]:
    """Every `resources` of a container, however deep."""
    for item in world.objects:
        for path, node in nodes(item.get("spec"), f"{title(item)}.spec"):
            found = node.get("resources")
            if isinstance(found, dict) and ("requests" in found or "limits" in found):
                yield f"{path}.resources", found


def _selector(world: World) -> Iterator[tuple[str, str]]:
    labels = [pod.labels for pod in every_pod(world)]
    for item in world.objects:
        spec = item.get("spec") or {}
        if item["kind"] in ("Deployment", "StatefulSet", "DaemonSet"):
            wanted = spec["selector"].get("matchLabels", {})
            own = spec["template"]["metadata"].get("labels", {})
            if not wanted.items() <= own.items():
                yield title(item), f"the selector {wanted} does not match the labels {own}"
        if item["kind"] == "Service" and spec.get("selector"):
            wanted = spec["selector"]
            if not any(wanted.items() <= own.items() for own in labels):
                yield title(item), f"no pod has the labels {wanted}"


def _restart_policy(world: World) -> Iterator[tuple[str, str]]:
    for pod in every_pod(world):
        policy = pod.spec.get("restartPolicy")
        if pod.owner["kind"] in ("Job", "CronJob") and policy not in ("Never", "OnFailure"):
            yield pod.where, f"a Job's restartPolicy is Never or OnFailure, not {policy}"


def _cron(world: World) -> Iterator[tuple[str, str]]:
    for item in world.objects:
        if item["kind"] == "CronJob" and (problem := fault(item["spec"]["schedule"])):
            yield title(item), problem


def _volumes(world: World) -> Iterator[tuple[str, str]]:
    for pod in every_pod(world):
        spec = pod.owner["spec"]
        named = {volume["name"] for volume in pod.spec.get("volumes") or ()}
        named |= {claim["metadata"]["name"] for claim in spec.get("volumeClaimTemplates") or ()}
        users = list(pod.containers())
        if ".headGroupSpec." in pod.where:
            cluster = spec.get("rayClusterSpec", spec)
            users.append({"name": "autoscaler", **cluster.get("autoscalerOptions", {})})
        for container in users:
            for mount in container.get("volumeMounts") or ():
                if mount["name"] not in named:
                    yield pod.where, f"{container['name']} mounts {mount['name']}, no volume here"


def _over_limit(world: World) -> Iterator[tuple[str, str]]:
    for where, resources in _resources(world):
        limits = resources.get("limits") or {}
        for name, text in (resources.get("requests") or {}).items():
            asked, most = quantity(text), quantity(limits.get(name))
            if asked is not None and most is not None and asked > most:
                yield where, f"the request for {name}, {text}, is over the limit {limits[name]}"


def _quantities(world: World) -> Iterator[tuple[str, str]]:
    keys = ("requests", "limits", "hard", "default", "defaultRequest", "max", "min")
    for item in world.objects:
        for path, node in nodes(item.get("spec"), f"{title(item)}.spec"):
            given = {"sizeLimit": node["sizeLimit"]} if "sizeLimit" in node else {}
            for key in keys:
                if isinstance(node.get(key), dict):
                    given |= {f"{key}.{name}": text for name, text in node[key].items()}
            for name, text in given.items():
                if quantity(text) is None:
                    yield path, f"{name} is {text!r}, no quantity"


def _whole_gpus(world: World) -> Iterator[tuple[str, str]]:
    for where, resources in _resources(world):
        for kind in ("requests", "limits"):
            for name, text in (resources.get(kind) or {}).items():
                number = quantity(text)
                if _extended(name) and number is not None and number != int(number):
                    yield where, f"{name} is {text}: only whole ones are handed out"


def _gpu_limits(world: World) -> Iterator[tuple[str, str]]:
    for where, resources in _resources(world):
        requests, limits = resources.get("requests") or {}, resources.get("limits") or {}
        for name in sorted(filter(_extended, {*requests, *limits})):
            if quantity(requests.get(name)) != quantity(limits.get(name)):
                yield where, f"{name}: the limit must equal the request"


def _extended(name: str) -> bool:
    return "/" in name and not name.startswith(("requests.", "limits.", "kubernetes.io/"))


def _tolerations(world: World) -> Iterator[tuple[str, str]]:
    for pod in every_pod(world):
        for toleration in pod.spec.get("tolerations") or ():
            if toleration.get("operator") == "Exists" and toleration.get("value"):
                yield pod.where, f"{toleration['key']} tolerates Exists, and has a value"


def _ray_version(world: World) -> Iterator[tuple[str, str]]:
    for item in world.objects:
        if not item["apiVersion"].startswith("ray.io/"):
            continue
        spec = item["spec"].get("rayClusterSpec", item["spec"])
        version = spec.get("rayVersion")
        if version != world.ray:
            yield title(item), f"rayVersion is {version}, the image has Ray {world.ray}"


def _images(world: World) -> Iterator[tuple[str, str, str]]:
    for item in world.objects:
        for path, node in nodes(item.get("spec"), title(item)):
            image = node.get("image")
            if isinstance(image, str):
                yield path, image, image.partition("@")[0]


def _latest(world: World) -> Iterator[tuple[str, str]]:
    for where, image, name in _images(world):
        if name.endswith(":latest"):
            yield where, f"{image} is another image tomorrow"


def _digest(world: World) -> Iterator[tuple[str, str]]:
    for where, image, _ in _images(world):
        if not IMAGE.fullmatch(image):
            yield where, f"{image} is not named by its digest"


def _secret_words(world: World) -> Iterator[tuple[str, str]]:
    """A process's command line is read by everybody on its node, its environment is not."""
    for pod in every_pod(world):
        for container in pod.containers():
            words = " ".join((*container.get("command", ()), *container.get("args", ())))
            for variable in container.get("env") or ():
                secret = "secretKeyRef" in variable.get("valueFrom", {})
                if secret and f"$({variable['name']})" in words:
                    yield pod.where, f"{container['name']} says {variable['name']} on its command"


def _unowned(world: World) -> Iterator[tuple[str, str]]:
    """A fresh volume is root's: without fsGroup a pod cannot write to it."""
    for pod in every_pod(world):
        templates = pod.owner["spec"].get("volumeClaimTemplates") or ()
        claims = {claim["metadata"]["name"] for claim in templates}
        claims |= {v["name"] for v in pod.spec.get("volumes") or () if "persistentVolumeClaim" in v}
        if claims and "fsGroup" not in pod.spec.get("securityContext", {}):
            yield pod.where, f"mounts {', '.join(sorted(claims))} and names no fsGroup"


def _unreachable(world: World) -> Iterator[tuple[str, str]]:
    for flow in flows(world.objects):
        if blocked(flow, world.objects):
            target = "the outside" if flow.target is None else flow.target
            why = f"port {flow.port} of {target} ({flow.why})"
            yield flow.source.where, f"no network policy lets it reach {why}"


def _quota(world: World) -> Iterator[tuple[str, str]]:
    asked = most(world.objects)
    for item in world.objects:
        if item["kind"] == "ResourceQuota":
            for name, text in item["spec"]["hard"].items():
                if asked[name] > (quantity(text) or 0):
                    yield title(item), f"{name}: {asked[name]} may be asked for, {text} are allowed"


def _autoscaled(world: World) -> Iterator[tuple[str, str]]:
    scaled = {
        (i["spec"]["scaleTargetRef"]["kind"], i["spec"]["scaleTargetRef"]["name"])
        for i in world.objects
        if i["kind"] == "HorizontalPodAutoscaler"
    }
    for item in world.objects:
        spec = item.get("spec") or {}
        if (item["kind"], item["metadata"]["name"]) in scaled and "replicas" in spec:
            yield title(item), "replicas are its autoscaler's: each apply would reset them"
        cluster = spec.get("rayClusterSpec", spec)
        if cluster.get("enableInTreeAutoscaling"):
            for group in cluster["workerGroupSpecs"]:
                if "replicas" in group:
                    name = group["groupName"]
                    yield title(item), f"replicas of {name} are Ray's: each apply would reset them"


def _immutable(world: World) -> Iterator[tuple[str, str]]:
    for item in world.objects:
        if item["kind"] in ("Job", "RayJob", "TrainJob") and title(item) not in world.once:
            yield title(item), "its template cannot be changed: the next apply would be refused"


RULES: dict[str, Callable[[World], Iterator[tuple[str, str]]]] = {
    "selector": _selector,
    "restart-policy": _restart_policy,
    "cron": _cron,
    "volume": _volumes,
    "request-over-limit": _over_limit,
    "quantity": _quantities,
    "whole-gpus": _whole_gpus,
    "gpu-limits": _gpu_limits,
    "toleration": _tolerations,
    "ray-version": _ray_version,
    "latest": _latest,
    "digest": _digest,
    "reference": references,
    "port": ports,
    "file": files,
    "variable": variables,
    "protected": selectors,
    "secret-words": _secret_words,
    "fs-group": _unowned,
    "unreachable": _unreachable,
    "quota": _quota,
    "autoscaled": _autoscaled,
    "immutable": _immutable,
}

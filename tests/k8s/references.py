"""Names in manifests that nothing has: a server takes them; a pod then waits, or a rule rests."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tests.k8s.manifests import Object, Pod, title
from tests.k8s.network import labels_of, selected
from tests.k8s.world import World, every_pod, nodes

VARIABLE = re.compile(r"(?<!\$)\$\((\w+)\)")


def references(world: World) -> Iterator[tuple[str, str]]:
    """Objects, and keys of config maps and secrets."""
    known = _known(world)
    for item in world.objects:
        for path, node in nodes({k: v for k, v in item.items() if k != "metadata"}, title(item)):
            for kind, name, key in _named(node):
                keys = known.get((kind, name))
                if keys is None:
                    yield path, f"there is no {kind} {name}"
                elif key is not None and key not in keys:
                    yield path, f"{kind} {name} has no key {key}"


def _known(world: World) -> dict[tuple[str, str], set[str]]:
    """Kind and name -> keys."""
    known = {
        (item["kind"], item["metadata"]["name"]): set(item.get("data") or ())
        for item in world.objects
    }
    for kind, named in world.external.items():
        known |= {(kind, name): set(keys) for name, keys in named.items()}
    return known


def _named(node: Object) -> Iterator[tuple[str, str, str | None]]:
    """Kind, name and key of what a mapping refers to."""
    for field, kind in (("configMap", "ConfigMap"), ("secret", "Secret")):
        for suffix in ("KeyRef", "Ref"):
            reference = node.get(f"{field}{suffix}")
            if isinstance(reference, dict):
                yield kind, reference["name"], reference.get("key")
        name = "secretName" if field == "secret" else "name"
        if isinstance(volume := node.get(field), dict) and name in volume:
            yield kind, volume[name], None
            for entry in volume.get("items") or ():
                yield kind, volume[name], entry["key"]
    if isinstance(volume := node.get("persistentVolumeClaim"), dict):
        yield "PersistentVolumeClaim", volume["claimName"], None
    for field, kind in (("serviceAccountName", "ServiceAccount"), ("serviceName", "Service")):
        if isinstance(name := node.get(field), str):
            yield kind, name, None
    for field in ("scaleTargetRef", "roleRef", "runtimeRef"):
        if isinstance(target := node.get(field), dict):
            yield target["kind"], target["name"], None
    for subject in node.get("subjects") or ():
        yield subject["kind"], subject["name"], None


def ports(world: World) -> Iterator[tuple[str, str]]:
    """Named ports: of probes in their container, of Services in the pods that they choose."""
    for pod in every_pod(world):
        for container in pod.containers():
            own = _port_names(container)
            for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
                port = container.get(probe, {}).get("httpGet", {}).get("port")
                if isinstance(port, str) and port not in own:
                    yield pod.where, f"{probe} of {container['name']} asks port {port}, none here"
    for item in world.objects:
        if item["kind"] == "Service":
            for port in item["spec"]["ports"]:
                target = port.get("targetPort", port["port"])
                if target not in _listening(world, {"matchLabels": item["spec"]["selector"]}):
                    yield title(item), f"no pod that it chooses has the port {target}"
        if item["kind"] == "PodMonitor":
            for end in item["spec"]["podMetricsEndpoints"]:
                if end["port"] not in _listening(world, item["spec"]["selector"]):
                    yield title(item), f"no pod that it chooses has the port {end['port']}"


def _port_names(container: Object) -> set[str | int]:
    entries = container.get("ports") or ()
    return {entry[key] for entry in entries for key in ("name", "containerPort") if key in entry}


def _listening(world: World, selector: Object) -> set[str | int]:
    """Names and numbers of ports of the pods that a selector chooses."""
    chosen = [pod for pod in every_pod(world) if selected(selector, labels_of(pod))]
    return {name for pod in chosen for c in pod.containers() for name in _port_names(c)}


def files(world: World) -> Iterator[tuple[str, str]]:
    """Scripts on command lines, in the config map that is mounted there."""
    known = _known(world)
    for pod in every_pod(world):
        for container in pod.containers():
            for word in (*container.get("command", ()), *container.get("args", ())):
                folder, _, file = word.rpartition("/")
                keys = _mounted(pod, container, folder, known)
                if folder == "/scripts" and file not in (keys or ()):
                    yield pod.where, f"{container['name']} runs {word}, which nothing mounts"


def _mounted(
    pod: Pod, container: Object, folder: str, known: dict[tuple[str, str], set[str]]
) -> set[str] | None:
    """Files of the config map that is mounted at a folder."""
    mounts = {m["mountPath"]: m["name"] for m in container.get("volumeMounts") or ()}
    for volume in pod.spec.get("volumes") or ():
        if volume["name"] == mounts.get(folder) and "configMap" in volume:
            return known.get(("ConfigMap", volume["configMap"]["name"]))
    return None


def variables(world: World) -> Iterator[tuple[str, str]]:
    """Variables on command lines, which stay as they are written where nobody sets them."""
    for pod in every_pod(world):
        for container in pod.containers():
            own = {variable["name"] for variable in container.get("env") or ()}
            for word in (*container.get("command", ()), *container.get("args", ())):
                for name in VARIABLE.findall(word):
                    if name not in own and pod.owner["kind"] != "TrainingRuntime":
                        yield pod.where, f"{container['name']} says $({name}), which is not set"


def selectors(world: World) -> Iterator[tuple[str, str]]:
    """What protects or watches pods or Services, and chooses none."""
    chosen_from = {
        "PodDisruptionBudget": [labels_of(pod) for pod in every_pod(world)],
        "PodMonitor": [labels_of(pod) for pod in every_pod(world)],
        "ServiceMonitor": [
            item["metadata"].get("labels") or {}
            for item in world.objects
            if item["kind"] == "Service"
        ],
    }
    for item in world.objects:
        if item["kind"] in chosen_from:
            selector = item["spec"]["selector"]
            if not any(selected(selector, labels) for labels in chosen_from[item["kind"]]):
                yield title(item), f"nothing has the labels {selector}"

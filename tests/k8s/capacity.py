"""What objects ask for at the most, in the units of a ResourceQuota."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

from tests.k8s.manifests import Object, Pod, pods
from tests.k8s.quantities import quantity

Amounts = Counter[str]


def most(objects: Sequence[Object]) -> Amounts:
    """Sum over all pods and volumes, with every autoscaler at its maximum."""
    total: Amounts = Counter()
    scaled = _maxima(objects)
    for item in objects:
        for count, pod in (*_counted(item, scaled), *_trained(item, objects)):
            for name, amount in {**_pod(pod, item), "pods": Decimal(1)}.items():
                total[name] += count * amount  # type: ignore[assignment]
        for claim in _claims(item):
            total["persistentvolumeclaims"] += 1
            total["requests.storage"] += _number(claim["spec"]["resources"]["requests"]["storage"])
    return total


def _maxima(objects: Sequence[Object]) -> dict[tuple[str, str], int]:
    """Kind and name -> most replicas that a HorizontalPodAutoscaler makes."""
    return {
        (s["scaleTargetRef"]["kind"], s["scaleTargetRef"]["name"]): s["maxReplicas"]
        for s in (i["spec"] for i in objects if i["kind"] == "HorizontalPodAutoscaler")
    }


def _counted(item: Object, scaled: dict[tuple[str, str], int]) -> Iterator[tuple[int, Pod]]:
    """How many of each pod there may be at once."""
    kind, spec = item["kind"], item.get("spec", {})
    for pod in pods(item):
        count = 1
        if kind in ("Deployment", "StatefulSet"):
            count = scaled.get((kind, item["metadata"]["name"]), spec.get("replicas", 1))
            count += spec.get("strategy", {}).get("rollingUpdate", {}).get("maxSurge", 0)
        elif ".workerGroupSpecs[" in pod.where:
            number = int(pod.where.partition(".workerGroupSpecs[")[2].partition("]")[0])
            count = spec.get("rayClusterSpec", spec)["workerGroupSpecs"][number]["maxReplicas"]
        elif kind in ("ServingRuntime", "TrainingRuntime"):
            continue  # an InferenceService makes the one's pods, a TrainJob the other's
        yield count, pod


def _trained(item: Object, objects: Sequence[Object]) -> Iterator[tuple[int, Pod]]:
    """Pods of a TrainJob: its runtime's, with its own number and resources."""
    if item["kind"] == "TrainJob":
        named, trainer = item["spec"]["runtimeRef"], item["spec"]["trainer"]
        for runtime in objects:
            if (runtime["kind"], runtime["metadata"]["name"]) == (named["kind"], named["name"]):
                for pod in pods(runtime):
                    (node,) = pod.spec["containers"]
                    sized = [{**node, "resources": trainer["resourcesPerNode"]}]
                    yield trainer["numNodes"], replace(pod, spec={**pod.spec, "containers": sized})


def _pod(pod: Pod, item: Object) -> dict[str, Decimal]:
    """requests.* and limits.* of a pod: all containers together, or an init container's."""
    containers = [c.get("resources", {}) for c in pod.spec["containers"]]
    if ".headGroupSpec." in pod.where:
        cluster = item["spec"].get("rayClusterSpec", item["spec"])
        containers.append(cluster["autoscalerOptions"]["resources"])
    before = [c.get("resources", {}) for c in pod.spec.get("initContainers") or ()]
    amounts: dict[str, Decimal] = {}
    for kind in ("requests", "limits"):
        names = {name for r in (*containers, *before) for name in r.get(kind, {})}
        for name in names:
            together = sum(_number(r.get(kind, {}).get(name, 0)) for r in containers)
            first = max((_number(r.get(kind, {}).get(name, 0)) for r in before), default=Decimal(0))
            amounts[f"{kind}.{name}"] = max(Decimal(together), first)
    return amounts


def _claims(item: Object) -> Iterator[Object]:
    if item["kind"] == "PersistentVolumeClaim":
        yield item
    yield from (item.get("spec") or {}).get("volumeClaimTemplates") or ()


def _number(text: Any) -> Decimal:
    return quantity(text) or Decimal(0)  # what is none is told by the linter

"""The overlays have none of the faults that schemas miss, and the linter finds each of them."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from typing import Any

import pytest

from tests.k8s.cron import fault
from tests.k8s.lint import RULES, lint
from tests.k8s.manifests import (
    EXTERNAL,
    OFFERED,
    OTHERS,
    OVERLAYS,
    ROOT,
    Object,
    job,
    overlay,
    title,
)
from tests.k8s.quantities import quantity
from tests.k8s.world import World

Break = Callable[[dict[str, Object]], None]


def ray_version() -> str:
    """Ray in the lock file, which the image is made from."""
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    found = re.search(r"^ray(?:\[[\w,-]+\])?==([\w.]+)", lock, re.MULTILINE)
    assert found
    return found[1]


def world(objects: list[Object], once: list[Object]) -> World:
    there = {kind: {**named, **OTHERS.get(kind, {})} for kind, named in EXTERNAL.items()}
    return World([*objects, *once], there, ray_version(), frozenset(map(title, once)))


def findings(objects: list[Object], once: list[Object]) -> list[Any]:
    return lint(world(objects, once))


@pytest.mark.parametrize("name", OVERLAYS)
def test_overlays_are_clean(name: str) -> None:
    assert findings(overlay(name), []) == []


@pytest.mark.parametrize(("base", "name"), OFFERED)
def test_jobs_are_clean_beside_each_overlay(base: str, name: str) -> None:
    """References, policies and quota too: a job's pods reach what they need, and all fit."""
    assert findings(overlay(base), job(name)) == []


def pod(item: Object) -> Object:
    spec = item["spec"]
    spec = spec.get("jobTemplate", {}).get("spec", spec)
    return spec["template"]["spec"]


def container(item: Object) -> Object:
    return pod(item)["containers"][0]


def selector(o: dict[str, Object]) -> None:
    o["Deployment/unstained-mlflow"]["spec"]["selector"]["matchLabels"] = {"app": "other"}


def service(o: dict[str, Object]) -> None:
    o["Service/unstained-mlflow"]["spec"]["selector"] = {"app": "other"}


def restart(o: dict[str, Object]) -> None:
    del pod(o["CronJob/unstained-backup"])["restartPolicy"]


def cron(o: dict[str, Object]) -> None:
    o["CronJob/unstained-backup"]["spec"]["schedule"] = "0 0 31 2 *"


def mount(o: dict[str, Object]) -> None:
    container(o["Deployment/unstained-mlflow"])["volumeMounts"][0]["name"] = "tmq"


def autoscaler_mount(o: dict[str, Object]) -> None:
    o["RayCluster/unstained-ray"]["spec"]["autoscalerOptions"]["volumeMounts"][0]["name"] = "tmq"


def over_limit(o: dict[str, Object]) -> None:
    container(o["Deployment/unstained-mlflow"])["resources"]["requests"]["memory"] = "64Gi"


def space(o: dict[str, Object]) -> None:
    container(o["Deployment/unstained-mlflow"])["resources"]["limits"]["memory"] = "16 GB"


def size(o: dict[str, Object]) -> None:
    pod(o["Deployment/unstained-mlflow"])["volumes"][-1]["emptyDir"]["sizeLimit"] = "ten"


def gpu_worker(o: dict[str, Object]) -> Object:
    return o["RayCluster/unstained-ray"]["spec"]["workerGroupSpecs"][1]["template"]["spec"]


def half_gpu(o: dict[str, Object]) -> None:
    for kind in ("requests", "limits"):
        gpu_worker(o)["containers"][0]["resources"][kind]["nvidia.com/gpu"] = "500m"


def gpu_without_limit(o: dict[str, Object]) -> None:
    del gpu_worker(o)["containers"][0]["resources"]["limits"]["nvidia.com/gpu"]


def toleration(o: dict[str, Object]) -> None:
    gpu_worker(o)["tolerations"][0]["value"] = "present"


def old_ray(o: dict[str, Object]) -> None:
    o["RayCluster/unstained-ray"]["spec"]["rayVersion"] = "2.41.0"


def old_ray_in_job(o: dict[str, Object]) -> None:
    o["RayJob/unstained-tune"]["spec"]["rayClusterSpec"]["rayVersion"] = "2.41.0"


def latest(o: dict[str, Object]) -> None:
    container(o["Deployment/unstained-mlflow"])["image"] = "example.org/mlflow:latest"


def tag(o: dict[str, Object]) -> None:
    o["ServingRuntime/unstained-onnx"]["spec"]["containers"][0]["image"] = "example.org/serve:1.0"


def secret(o: dict[str, Object]) -> None:
    variable = container(o["StatefulSet/unstained-postgres"])["env"][1]
    variable["valueFrom"]["secretKeyRef"]["name"] = "unstained-mlflow-bd"


def secret_key(o: dict[str, Object]) -> None:
    variable = container(o["StatefulSet/unstained-postgres"])["env"][1]
    variable["valueFrom"]["secretKeyRef"]["key"] = "user"


def config_map(o: dict[str, Object]) -> None:
    container(o["Deployment/unstained-mlflow"])["envFrom"][0]["configMapRef"]["name"] = "other"


def claim(o: dict[str, Object]) -> None:
    del o["PersistentVolumeClaim/unstained-ledger"]


def account(o: dict[str, Object]) -> None:
    pod(o["Deployment/unstained-mlflow"])["serviceAccountName"] = "mlflow"


def scaled(o: dict[str, Object]) -> None:
    o["HorizontalPodAutoscaler/unstained-mlflow"]["spec"]["scaleTargetRef"]["name"] = "mlflow"


def submitter(o: dict[str, Object]) -> None:
    template = o["RayJob/unstained-tune"]["spec"]["submitterPodTemplate"]
    template["metadata"]["labels"]["app.kubernetes.io/name"] = "unstained-train"


def lonely_training(o: dict[str, Object]) -> None:
    del o["NetworkPolicy/training"]


def database(o: dict[str, Object]) -> None:
    rule = o["NetworkPolicy/postgres"]["spec"]["ingress"][0]
    rule["from"][0]["podSelector"]["matchExpressions"][0]["values"].remove("unstained-backup")


def blocked_store(o: dict[str, Object]) -> None:
    o["ConfigMap/unstained-platform"]["data"]["AWS_ENDPOINT_URL"] = "http://s3.lab:9000"


def ninth_gpu(o: dict[str, Object]) -> None:
    o["RayCluster/unstained-ray"]["spec"]["workerGroupSpecs"][1]["maxReplicas"] = 5


def many_nodes(o: dict[str, Object]) -> None:
    o["TrainJob/unstained-train"]["spec"]["trainer"]["numNodes"] = 9


def replicas(o: dict[str, Object]) -> None:
    o["Deployment/unstained-mlflow"]["spec"]["replicas"] = 2


def ray_replicas(o: dict[str, Object]) -> None:
    o["RayCluster/unstained-ray"]["spec"]["workerGroupSpecs"][0]["replicas"] = 0


def applied_job(o: dict[str, Object]) -> None:
    backup = o["CronJob/unstained-backup"]["spec"]["jobTemplate"]
    o["Job/x"] = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "x"}, **backup}


def binding(o: dict[str, Object]) -> None:
    o["RoleBinding/unstained-pipeline"]["subjects"][0]["name"] = "unstained-pipelines"


def role(o: dict[str, Object]) -> None:
    o["RoleBinding/unstained-pipeline"]["roleRef"]["name"] = "pipeline-runner"


def governing_service(o: dict[str, Object]) -> None:
    o["StatefulSet/unstained-postgres"]["spec"]["serviceName"] = "postgres"


def runtime(o: dict[str, Object]) -> None:
    o["TrainJob/unstained-train"]["spec"]["runtimeRef"]["name"] = "torch-distributed"


def mounted_key(o: dict[str, Object]) -> None:
    volume = pod(o["Deployment/unstained-mlflow"])["volumes"][0]
    volume["configMap"]["items"][0]["key"] = "guard.py"


def target_port(o: dict[str, Object]) -> None:
    o["Service/unstained-mlflow"]["spec"]["ports"][0]["targetPort"] = "htp"


def probe(o: dict[str, Object]) -> None:
    container(o["Deployment/unstained-mlflow"])["livenessProbe"]["httpGet"]["port"] = "web"


def monitored_port(o: dict[str, Object]) -> None:
    o["PodMonitor/unstained-ray"]["spec"]["podMetricsEndpoints"][0]["port"] = "metric"


def script(o: dict[str, Object]) -> None:
    pod(o["CronJob/unstained-backup"])["initContainers"][0]["command"][1] = "/scripts/dumps.sh"


def variable(o: dict[str, Object]) -> None:
    container(o["CronJob/unstained-backup"])["args"] = ["$(WORKS)"]


def budget(o: dict[str, Object]) -> None:
    spec = o["PodDisruptionBudget/unstained-mlflow"]["spec"]
    spec["selector"]["matchLabels"] = {"app.kubernetes.io/name": "mlflow"}


def service_monitor(o: dict[str, Object]) -> None:
    spec = o["ServiceMonitor/unstained-mlflow"]["spec"]
    spec["selector"]["matchLabels"] = {"app.kubernetes.io/name": "mlflow"}


def password(o: dict[str, Object]) -> None:
    pod(o["Deployment/unstained-mlflow"])["initContainers"][0]["args"] = [
        "$(MLFLOW_BACKEND_STORE_URI)"
    ]


def volume_of_root(o: dict[str, Object]) -> None:
    del pod(o["CronJob/unstained-backup"])["securityContext"]["fsGroup"]


def template_of_root(o: dict[str, Object]) -> None:
    del pod(o["StatefulSet/unstained-postgres"])["securityContext"]["fsGroup"]


BROKEN: list[tuple[str, Break]] = [
    ("selector", selector),
    ("selector", service),
    ("restart-policy", restart),
    ("cron", cron),
    ("volume", mount),
    ("volume", autoscaler_mount),
    ("request-over-limit", over_limit),
    ("quantity", space),
    ("quantity", size),
    ("whole-gpus", half_gpu),
    ("gpu-limits", gpu_without_limit),
    ("toleration", toleration),
    ("ray-version", old_ray),
    ("ray-version", old_ray_in_job),
    ("latest", latest),
    ("digest", tag),
    ("reference", secret),
    ("reference", secret_key),
    ("reference", config_map),
    ("reference", claim),
    ("reference", account),
    ("reference", scaled),
    ("reference", binding),
    ("reference", role),
    ("reference", governing_service),
    ("reference", runtime),
    ("reference", mounted_key),
    ("port", target_port),
    ("port", probe),
    ("port", monitored_port),
    ("file", script),
    ("variable", variable),
    ("protected", budget),
    ("protected", service_monitor),
    ("secret-words", password),
    ("fs-group", volume_of_root),
    ("fs-group", template_of_root),
    ("unreachable", submitter),
    ("unreachable", lonely_training),
    ("unreachable", database),
    ("unreachable", blocked_store),
    ("quota", ninth_gpu),
    ("quota", many_nodes),
    ("autoscaled", replicas),
    ("autoscaled", ray_replicas),
    ("immutable", applied_job),
]


@pytest.mark.parametrize(("rule", "damage"), BROKEN, ids=lambda v: getattr(v, "__name__", v))
def test_each_fault_is_found_by_its_rule(rule: str, damage: Break) -> None:
    jobs = [*job("tune/gpu"), *job("train/gpu")]
    objects = {title(item): item for item in copy.deepcopy([*overlay("prod"), *jobs])}
    damage(objects)
    applied = [item for name, item in objects.items() if name not in map(title, jobs)]
    created = [objects[name] for name in map(title, jobs)]
    assert list(RULES[rule](world(applied, created)))


def test_every_rule_is_tried() -> None:
    assert {rule for rule, _ in BROKEN} == RULES.keys()


@pytest.mark.parametrize(
    ("text", "value"),
    [("500m", 0.5), ("1", 1), ("16Gi", 16 * 2**30), ("2e3", 2000), (".5", 0.5), ("1k", 1000)],
)
def test_quantities_are_read(text: str, value: float) -> None:
    assert quantity(text) == value


@pytest.mark.parametrize("text", ["16 GB", "16GB", "1,5", "", "Gi", "1 Gi", None])
def test_what_is_no_quantity_is_refused(text: Any) -> None:
    assert quantity(text) is None


@pytest.mark.parametrize(
    "text",
    ["17 2 * * *", "*/15 * * * *", "0 9-17/2 * * mon-fri", "0 0 29 feb *", "5/20 0,12 1 1 *"],
)
def test_possible_schedules_pass(text: str) -> None:
    assert fault(text) == ""


@pytest.mark.parametrize(
    "text",
    [
        "60 * * * *",
        "* 24 * * *",
        "0 0 31 4,6 *",
        "0 0 30 2 *",
        "* * * *",
        "*/0 * * * *",
        "x * * * *",
    ],
)
def test_impossible_schedules_are_told(text: str) -> None:
    assert fault(text)

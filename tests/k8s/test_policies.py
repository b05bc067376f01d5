"""What every overlay keeps to: no root, no privilege, limits, digests, denied networks."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.k8s.manifests import (
    EXTERNAL,
    JOBS,
    OTHERS,
    OVERLAYS,
    Object,
    Pod,
    job,
    overlay,
    pods,
)
from tests.k8s.network import lets_in, reaches

SECRET_NAMES = re.compile(
    r"SECRET|PASSWORD|PWD|TOKEN$|ACCESS_KEY|SIGNING_KEY|BACKEND_STORE_URI|PGUSER|POSTGRES_USER"
)
TALKS_TO_THE_API = re.compile(r"Ray(Cluster|Job)/[\w-]+\.spec(\.rayClusterSpec)?\.headGroupSpec")

Part = list[Object]


@pytest.fixture(params=[*OVERLAYS, *(f"job {name}" for name in JOBS)])
def part(request: pytest.FixtureRequest) -> Part:
    word = request.param
    return job(word.removeprefix("job ")) if word.startswith("job ") else overlay(word)


@pytest.fixture(params=OVERLAYS)
def whole(request: pytest.FixtureRequest) -> Part:
    return overlay(request.param)


def all_pods(part: Part) -> list[Pod]:
    found = [pod for item in part for pod in pods(item)]
    assert found
    return found


def containers(part: Part) -> Iterator[tuple[Pod, Object, Object]]:
    """Pod, container, and the security context that results from both."""
    for pod in all_pods(part):
        for container in pod.containers():
            context = {**pod.spec.get("securityContext", {}), **container["securityContext"]}
            yield pod, container, context


def test_nobody_is_root_or_can_become_it(part: Part) -> None:
    for pod, container, context in containers(part):
        where = f"{pod.where} {container['name']}"
        assert context["runAsNonRoot"] is True, where
        assert context["runAsUser"] > 0, where
        assert context["allowPrivilegeEscalation"] is False, where
        assert context["capabilities"] == {"drop": ["ALL"]}, where
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}, where
        assert not context.get("privileged"), where


def test_root_file_systems_are_read_only(part: Part) -> None:
    for pod, container, context in containers(part):
        assert context["readOnlyRootFilesystem"] is True, f"{pod.where} {container['name']}"


def test_ray_autoscaler_is_held_as_tightly(whole: Part) -> None:
    cluster = next(item for item in whole if item["kind"] == "RayCluster")
    context = cluster["spec"]["autoscalerOptions"]["securityContext"]
    head = cluster["spec"]["headGroupSpec"]["template"]["spec"]
    assert context == head["containers"][0]["securityContext"]


def test_no_pod_shares_the_host(part: Part) -> None:
    for pod in all_pods(part):
        assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.spec.keys(), pod.where
        for volume in pod.spec.get("volumes") or ():
            assert "hostPath" not in volume, pod.where


def test_everything_has_requests_and_limits(part: Part) -> None:
    for pod, container, _ in containers(part):
        for kind in ("requests", "limits"):
            named = container["resources"][kind].keys()
            assert {"cpu", "memory"} <= named, f"{pod.where} {container['name']}"


def test_writable_memory_and_disk_are_bounded(part: Part) -> None:
    for pod in all_pods(part):
        for volume in pod.spec.get("volumes") or ():
            if "emptyDir" in volume:
                assert "sizeLimit" in volume["emptyDir"], f"{pod.where} {volume['name']}"


def test_only_who_talks_to_the_api_gets_a_token(part: Part) -> None:
    for pod in all_pods(part):
        if pod.owner["kind"] == "ServingRuntime":
            continue  # the InferenceService says it, see test_deployment
        wanted = bool(TALKS_TO_THE_API.match(pod.where))
        assert pod.spec["automountServiceAccountToken"] is wanted, pod.where
        assert pod.spec["serviceAccountName"] != "default", pod.where


def test_secrets_are_only_referred_to(part: Part) -> None:
    assert not [item for item in part if item["kind"] == "Secret"]
    for pod, container, _ in containers(part):
        assert not any("secretRef" in source for source in container.get("envFrom") or ())
        for variable in container.get("env") or ():
            if SECRET_NAMES.search(variable["name"]):
                reference = variable.get("valueFrom", {}).get("secretKeyRef")
                where = f"{pod.where} {container['name']} {variable['name']}"
                assert reference, where
                known = {**EXTERNAL["Secret"], **OTHERS["Secret"]}
                assert reference["key"] in known[reference["name"]], where


def test_who_decides_where_keys_are_trusted_has_one_to_sign_with(part: Part) -> None:
    """A ledger's entry that says who is champion is refused there without a signature."""
    for pod, container, _ in containers(part):
        names = {variable["name"] for variable in container.get("env") or ()}
        if {"UNSTAINED_LEDGER", "UNSTAINED_VERIFY_KEY"} <= names:
            assert "UNSTAINED_SIGNING_KEY" in names, f"{pod.where} {container['name']}"


def test_config_maps_hold_no_credentials(part: Part) -> None:
    for item in part:
        for key, value in (item.get("data") or {}).items():
            if item["kind"] == "ConfigMap" and not key.endswith((".py", ".sh")):
                assert not SECRET_NAMES.search(key), key
                assert not re.search(r"://[^/\s]+:[^/\s]+@", value), key


def test_servers_are_probed(whole: Part) -> None:
    for pod in all_pods(whole):
        if pod.owner["kind"] in ("Job", "CronJob"):
            continue
        for container in pod.spec["containers"]:
            assert {"readinessProbe", "livenessProbe"} <= container.keys(), pod.where


def test_the_namespace_enforces_the_restricted_standard(whole: Part) -> None:
    labels = next(item for item in whole if item["kind"] == "Namespace")["metadata"]["labels"]
    for mode in ("enforce", "audit", "warn"):
        assert labels[f"pod-security.kubernetes.io/{mode}"] == "restricted"
        assert re.fullmatch(r"v1\.\d+", labels[f"pod-security.kubernetes.io/{mode}-version"])


LEAVING = (53, 5353, 443)
"""Ports that pods may reach outside of the namespace, beside those of the settings."""


def settings_ports(whole: Part) -> set[int]:
    found = next(i["data"] for i in whole if i["metadata"]["name"] == "unstained-settings")
    return {int(value) for key, value in found.items() if key.endswith("_PORT")}


def test_networks_are_denied_first(whole: Part) -> None:
    policies = {
        item["metadata"]["name"]: item["spec"] for item in whole if item["kind"] == "NetworkPolicy"
    }
    denied = {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    assert policies["default-deny"] == denied
    for name, spec in policies.items():
        for rule in spec.get("ingress", []):
            assert rule.get("from"), f"{name} lets everybody in"
            assert {"ipBlock": {"cidr": "0.0.0.0/0"}} not in rule["from"], name
        for rule in spec.get("egress", []):
            outside = any("ipBlock" in peer for peer in rule["to"])
            ports = {port["port"] for port in rule.get("ports", [])}
            assert not outside or (ports and ports <= {*LEAVING, *settings_ports(whole)}), name


NAME = "app.kubernetes.io/name"
TASK = {"workflows.argoproj.io/workflow": "run-1"}
RAY = {"ray.io/cluster": "unstained-ray"}
MODEL = {"serving.kserve.io/inferenceservice": "unstained-nsc", NAME: "unstained-nsc"}
KFP = {"application-crd-id": "kubeflow-pipelines", "app": "ml-pipeline"}
KFP_STORE = {"application-crd-id": "kubeflow-pipelines", "app": "seaweedfs"}
KFP_METADATA = {"application-crd-id": "kubeflow-pipelines", "component": "metadata-grpc-server"}
KFP_DATABASE = {"application-crd-id": "kubeflow-pipelines", "app": "mysql"}
TRAINING = {NAME: "unstained-train"}
POSTGRES, MLFLOW = {NAME: "unstained-postgres"}, {NAME: "unstained-mlflow"}


@pytest.mark.parametrize(
    ("source", "target", "port", "allowed"),
    [
        (MLFLOW, POSTGRES, 5432, True),
        ({NAME: "unstained-backup"}, POSTGRES, 5432, True),
        (TASK, POSTGRES, 5432, False),
        (MODEL, POSTGRES, 5432, False),
        (TASK, MLFLOW, 5000, True),
        (RAY, MLFLOW, 5000, True),
        (MODEL, MLFLOW, 5000, False),
        (RAY, RAY, 6379, True),
        ({NAME: "unstained-tune"}, RAY, 8265, True),
        ({NAME: "unstained-tune"}, RAY, 6379, False),
        (TASK, RAY, 8265, False),
        (TRAINING, TRAINING, 29500, True),
        (TRAINING, TRAINING, 41234, True),
        (TASK, TRAINING, 29500, False),
        (TRAINING, RAY, 8265, False),
        (MODEL, RAY, 8265, False),
        (TASK, MODEL, 8080, False),
        (TASK, KFP, 8887, True),
        (TASK, KFP, 8888, True),
        (TASK, KFP_METADATA, 8080, True),
        (TASK, KFP_STORE, 8333, True),
        (TASK, KFP_STORE, 8888, False),  # its filer, which asks for no key
        (TASK, KFP_STORE, 9333, False),
        (TASK, KFP_DATABASE, 3306, False),
        (RAY, KFP, 8888, False),
        (MLFLOW, KFP_DATABASE, 3306, False),
        (KFP, KFP_DATABASE, 3306, True),
        ({NAME: "unstained-backup"}, KFP_DATABASE, 3306, True),
        ({NAME: "unstained-backup"}, KFP_STORE, 8333, False),
    ],
)
def test_who_reaches_whom(
    whole: Part, source: dict[str, str], target: dict[str, str], port: int, allowed: bool
) -> None:
    assert reaches(whole, source, target, port) is allowed


@pytest.mark.parametrize(
    ("target", "ports"),
    [
        (MLFLOW, {5000}),
        (MODEL, {8080}),
        (RAY, {8080}),
        (TASK, set()),
        (TRAINING, set()),
        (POSTGRES, set()),
        (KFP, set()),
        (KFP_METADATA, set()),
    ],
)
def test_prometheus_reaches_what_it_measures_and_nothing_else(
    target: dict[str, str], ports: set[int]
) -> None:
    prometheus = {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}},
        "podSelector": {"matchLabels": {NAME: "prometheus"}},
    }
    assert lets_in(overlay("prod"), prometheus, target) == ports


def test_the_ingress_is_let_through_to_what_it_names() -> None:
    objects = {f"{item['kind']}/{item['metadata']['name']}": item for item in overlay("prod")}
    (rule,) = objects["Ingress/unstained-mlflow"]["spec"]["rules"]
    (tls,) = objects["Ingress/unstained-mlflow"]["spec"]["tls"]
    assert tls["hosts"] == [rule["host"]], "tokens are sent"
    named = rule["http"]["paths"][0]["backend"]["service"]
    service = objects[f"Service/{named['name']}"]["spec"]
    assert [port["name"] for port in service["ports"]] == [named["port"]["name"]]
    policy = objects["NetworkPolicy/mlflow-ingress"]["spec"]
    assert policy["podSelector"]["matchLabels"] == service["selector"]
    (let_in,) = policy["ingress"]
    assert [port["port"] for port in let_in["ports"]] == [service["ports"][0]["port"]]
    namespace = objects["ConfigMap/unstained-settings"]["data"]["INGRESS_NAMESPACE"]
    label = {"kubernetes.io/metadata.name": namespace}
    assert let_in["from"] == [{"namespaceSelector": {"matchLabels": label}}]


@pytest.mark.parametrize(("name", "mode"), [("local", "Once"), ("gpu", "Many"), ("prod", "Many")])
def test_volumes_are_mounted_by_as_many_nodes_as_there_are(name: str, mode: str) -> None:
    claims = [i["spec"] for i in overlay(name) if i["kind"] == "PersistentVolumeClaim"]
    assert [claim["accessModes"] for claim in claims] == [[f"ReadWrite{mode}"]] * 2


RIGHTS = {
    ("argoproj.io", "workflowtaskresults", None): {"create", "patch"},
    ("", "configmaps", "kfp-launcher"): {"get"},
    ("", "secrets", "mlpipeline-minio-artifact"): {"get"},
    ("", "pods", None): {"get"},
}
"""All that the account of pipeline tasks may do: group, resource, name."""


def test_tasks_have_the_rights_that_they_need_and_no_others(whole: Part) -> None:
    (role,) = [item for item in whole if item["kind"] == "Role"]
    assert role["metadata"]["name"] == "unstained-pipeline"
    given = {
        (group, resource, name): set(rule["verbs"])
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for name in rule.get("resourceNames", [None])
    }
    assert given == RIGHTS


def test_roles_name_what_they_allow(whole: Part) -> None:
    for item in whole:
        assert item["kind"] not in ("ClusterRole", "ClusterRoleBinding")
        for rule in item.get("rules", []):
            assert "*" not in {*rule["verbs"], *rule["resources"], *rule["apiGroups"]}
            if "secrets" in rule["resources"]:
                assert rule["verbs"] == ["get"]
                assert rule["resourceNames"]


def test_gpus_only_where_there_are_some() -> None:
    for name, some in (("local", False), ("gpu", True), ("prod", True)):
        objects = overlay(name)
        quota = next(item for item in objects if item["kind"] == "ResourceQuota")
        cluster = next(item for item in objects if item["kind"] == "RayCluster")
        groups = {group["groupName"]: group for group in cluster["spec"]["workerGroupSpecs"]}
        assert (int(quota["spec"]["hard"]["requests.nvidia.com/gpu"]) > 0) is some
        assert ("gpu" in groups) is some
        assert all(group["minReplicas"] == 0 for group in groups.values())
        assert cluster["spec"]["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"


@pytest.mark.parametrize(("name", "like"), [("tune/cpu", "local"), ("tune/gpu", "gpu")])
def test_searches_run_on_the_standing_clusters_description(name: str, like: str) -> None:
    cluster = next(item for item in overlay(like) if item["kind"] == "RayCluster")
    (found,) = job(name)
    assert found["kind"] == "RayJob"
    assert "unstained run tune " in found["spec"]["entrypoint"]
    assert found["spec"]["rayClusterSpec"] == cluster["spec"]

"""`unstained cluster check`: what nobody filled in is refused; what is filled in arrives."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from pipelines.manifests import check_overlay, render
from pipelines.overlay import read_settings
from tests.k8s.manifests import OVERLAYS, ROOT, Object, pods
from tests.k8s.network import variables
from unstained.errors import ParameterError

FILLED = {
    "change-me-": "lab-",
    "=change-me": "=fast",
    "https://s3.example.org": "http://s3.lab.net:9000",
    "S3_PORT=443": "S3_PORT=9000",
    "backup.example.org": "backup.elsewhere.net",
    "mlflow.example.org": "mlflow.lab.net",
    "API_SERVER_PORT=6443": "API_SERVER_PORT=16443",
    "kube-system": "openshift-dns",
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of k8s/ with every image chosen."""
    if not shutil.which("kubectl"):
        pytest.skip("no kubectl: it renders the manifests")
    shutil.copytree(ROOT / "k8s", tmp_path / "k8s")
    edit(tmp_path / "k8s/images/kustomization.yaml", {"0" * 64: "5e" * 32, "example": "lab"})
    return tmp_path


def edit(path: Path, changes: dict[str, str]) -> None:
    text = path.read_text()
    for old, new in changes.items():
        text = text.replace(old, new)
    path.write_text(text)


def fill(project: Path, overlay: str, **more: str) -> Path:
    path = project / "k8s/overlays" / overlay / "settings/cluster.env"
    edit(path, FILLED)
    for key, value in more.items():
        path.write_text(re.sub(rf"(?m)^{key}=.*$", f"{key}={value}", path.read_text()))
    return path.parents[1]


def refusal(root: Path, overlay: str) -> str:
    with pytest.raises(ParameterError) as caught:
        check_overlay(root, overlay)
    return str(caught.value)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_repository_is_not_filled_in(overlay: str) -> None:
    if not shutil.which("kubectl"):
        pytest.skip("no kubectl: it renders the manifests")
    said = refusal(ROOT, overlay)
    assert "no digest was chosen for the image ghcr.io/mlflow/mlflow" in said
    assert ("S3_ENDPOINT is still https://s3.example.org" in said) is (overlay != "local")
    assert f"edit settings/cluster.env and pipeline.yaml in k8s/overlays/{overlay}" in said


def test_one_that_is_filled_in_is_told_object_by_object(project: Path) -> None:
    fill(project, "prod")
    found = check_overlay(project, "prod")
    assert "Deployment unstained-mlflow" in found.objects
    assert "Ingress unstained-mlflow" in found.objects
    assert f"ghcr.io/mlflow/mlflow@sha256:{'5e' * 32}" in found.images
    assert "S3_PORT=9000" in found.settings
    assert found.notes == ()
    assert "protect" in check_overlay(project, "local").notes[0]


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("S3_PORT", "443", "S3_PORT is 443, and S3_ENDPOINT is http://s3.lab.net:9000"),
        ("BACKUP_PORT", "9000", "BACKUP_PORT is 9000"),
        ("BACKUP_BUCKET", "lab-mlflow", "BACKUP_BUCKET lab-mlflow is a bucket that it is to"),
        ("API_SERVER_PORT", "65536", "api_server_port"),
        ("S3_ENDPOINT", "s3.lab.net", "s3_endpoint"),
        ("S3_ENDPOINT", "http://s3.lab.net:99999", "S3_PORT is 9000, and S3_ENDPOINT is"),
        ("S3_ENDPOINT", "http://s3.lab.net:port", "s3.lab.net:port is no endpoint"),
        ("S3_ENDPOINT", "http://[::1", "http://[::1 is no endpoint"),
        ("S3_ENDPOINT", '"http://s3.lab.net:9000"', "is no endpoint"),
        ("S3_ENDPOINT", "http://s3.lab.net:9000?x=1", "is no endpoint"),
        ("S3_ENDPOINT", "http://localhost:9000", "would be each pod itself"),
        ("BACKUP_ENDPOINT", "https://127.0.0.1", "would be each pod itself"),
        ("S3_ENDPOINT", "http://10.evil.example:9000", "S3_ENDPOINT is still"),
        ("BACKUP_ENDPOINT", "https://example.com", "BACKUP_ENDPOINT is still"),
        ("DATA_REMOTE", "lab-data", "data_remote"),
        ("MODEL_STORE", "s3://Lab-Models", "s3://Lab-Models is no place"),
        ("MLFLOW_ARTIFACTS", "s3://lab_mlflow", "s3://lab_mlflow is no place"),
        ("BACKUP_BUCKET", "Lab-Backup", "Lab-Backup is no bucket's name"),
        ("BACKUP_BUCKET", "s3://lab-backup", "without s3://"),
        ("S3_PORT", "09000", "s3_port"),
        ("API_SERVER_PORT", "06443", "api_server_port"),
        ("STORAGE_CLASS", "", "storage_class"),
        ("STORAGE_CLASS", '"fast"', '"fast" is no name of a class'),
        ("DNS_NAMESPACE", "kube.system", "kube.system is no namespace"),
        ("S3_REGION", "$(id)", "$(id) is no region"),
    ],
)
def test_what_cannot_be_right_is_refused(project: Path, key: str, value: str, said: str) -> None:
    fill(project, "gpu", **{key: value})
    assert said in refusal(project, "gpu")


@pytest.mark.parametrize(
    "host",
    ["https://mlflow.lab.net", "10.1.2.3", "10.*", "*.lab.net", "a.lab.net,b.lab.net", "Ml.net"],
)
def test_only_a_name_is_a_host_that_mlflow_answers(project: Path, host: str) -> None:
    fill(project, "prod", MLFLOW_HOST=host)
    assert f"{host} is no host's name" in refusal(project, "prod")


def test_settings_that_nothing_listens_to_are_refused(project: Path) -> None:
    path = fill(project, "gpu") / "settings/cluster.env"
    path.write_text(path.read_text() + "MLFLOW_HOST=mlflow.lab.net\n")
    assert "MLFLOW_HOST does nothing in this overlay" in refusal(project, "gpu")
    path = fill(project, "prod") / "settings/cluster.env"
    path.write_text(re.sub(r"(?m)^(MLFLOW_HOST|INGRESS_CLASS)=.*\n", "", path.read_text()))
    assert f"{path} lacks INGRESS_CLASS, MLFLOW_HOST" in refusal(project, "prod")
    fill(project, "local", S3_ENDPOINT="http://unstained-store:9000", S3_PORT="9000")
    assert "unstained-store listens on 8333" in refusal(project, "local")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("count: 1", "count: 9", "asks for 9 nvidia.com/gpu, and the quota allows 8"),
        ("memory: 48Gi", "memory: 2Ti", "a heavy task asks for 2Ti memory"),
        ('cpu: "8"', 'cpu: "400"', "a heavy task asks for 400 cpu, and the quota allows 256"),
        (
            "memory: 16Gi",
            "memory: 16 GB",
            "memory of a light task in pipeline.yaml, is no quantity",
        ),
        ("work_space: ", "workspace: ", "workspace: unknown key"),
    ],
)
def test_tasks_that_could_never_start_are_refused(
    project: Path, old: str, new: str, said: str
) -> None:
    edit(fill(project, "gpu") / "pipeline.yaml", {old: new})
    assert said in refusal(project, "gpu")


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("docker.io/library/postgres:17", "postgres:17 is not named by its digest"),
        ("docker.io/library/postgres", "postgres is not named by its digest"),
        ("lab/postgres@sha256:" + "5e" * 31, "is not named by its digest"),
        ("registry.example.com/postgres@sha256:" + "5e" * 32, "a registry that does not exist"),
    ],
)
def test_an_image_that_can_move_is_refused(project: Path, written: str, said: str) -> None:
    fill(project, "gpu")
    edit(project / "k8s/base/postgres.yaml", {"image: postgres": f"image: {written}"})
    assert said in refusal(project, "gpu")


def test_a_line_that_is_no_setting_is_named(project: Path) -> None:
    path = fill(project, "gpu") / "settings/cluster.env"
    text = path.read_text()
    for line in ("STORAGE CLASS fast", "storage_class=fast", "export S3_PORT=1", "\r", "A=b\r"):
        path.write_text(f"{line}\n{text}", newline="")
        assert "line 1 of" in refusal(project, "gpu"), line
    path.write_bytes(b"# \xe9\n" + text.encode())
    assert "is not UTF-8" in refusal(project, "gpu")
    assert "use one of: gpu, local, prod" in refusal(project, "gpus")


def test_settings_arrive_where_they_belong(project: Path) -> None:
    found = {f"{i['kind']}/{i['metadata']['name']}": i for i in render(fill(project, "prod"))}
    assert found["ConfigMap/unstained-platform"]["data"]["AWS_ENDPOINT_URL"].endswith(":9000")
    assert found["ConfigMap/unstained-backup"]["data"]["BACKUP_BUCKET"] == "lab-backup"
    assert found["PersistentVolumeClaim/unstained-ledger"]["spec"]["storageClassName"] == "fast"
    (claim,) = found["StatefulSet/unstained-postgres"]["spec"]["volumeClaimTemplates"]
    assert claim["spec"]["storageClassName"] == "fast"
    for name in ("egress-s3", "pipeline", "ray", "serving"):
        assert 9000 in ports(found[f"NetworkPolicy/{name}"]), name
    for name in ("pipeline", "ray", "kubeflow"):
        assert 16443 in ports(found[f"NetworkPolicy/{name}"]), name
    dns = found["NetworkPolicy/egress-dns-and-namespace"]["spec"]["egress"][0]
    namespace = {"matchLabels": {"kubernetes.io/metadata.name": "openshift-dns"}}
    assert {"namespaceSelector": namespace} in dns["to"]
    assert found["Ingress/unstained-mlflow"]["spec"]["tls"][0]["hosts"] == ["mlflow.lab.net"]
    (hosts,) = [
        item["data"]["MLFLOW_SERVER_ALLOWED_HOSTS"]
        for item in found.values()
        if item["kind"] == "ConfigMap" and "MLFLOW_SERVER_ALLOWED_HOSTS" in item["data"]
    ]
    assert "mlflow.lab.net" in hosts.split(",")
    everything = str(list(found.values()))
    assert "change-me" not in everything
    assert "example.org" not in everything


def tokens(project: Path, overlay: str) -> dict[str, str]:
    """Every setting replaced by a value that comes nowhere else; key -> value."""
    path = project / "k8s/overlays" / overlay / "settings/cluster.env"
    made = {}
    for number, (key, value) in enumerate(read_settings(path).items()):
        scheme = "".join(re.findall("^(?:s3|https?)://", value))
        made[key] = str(20000 + number) if key.endswith("_PORT") else f"{scheme}token{number}x"
    path.write_text("".join(f"{key}={value}\n" for key, value in made.items()))
    return made


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_no_setting_is_without_effect(project: Path, overlay: str) -> None:
    made = tokens(project, overlay)
    objects = render(project / "k8s/overlays" / overlay)
    rest = str([i for i in objects if i["metadata"]["name"] != "unstained-settings"])
    assert [key for key, value in made.items() if value not in rest] == []


def test_the_local_stores_buckets_and_rights_are_those_of_the_settings(project: Path) -> None:
    made = tokens(project, "local")
    objects = render(project / "k8s/overlays/local")
    data = {i["metadata"]["name"]: i["data"] for i in objects if i["kind"] == "ConfigMap"}
    found = {c["name"]: (pod, c) for i in objects for pod in pods(i) for c in pod.containers()}
    pod, container = found["buckets"]
    given = dict(variables(pod, data))
    places = {re.sub(r"\$\((\w+)\)", lambda m: given[m[1]], arg) for arg in container["args"]}
    named = {made[key] for key in ("DATA_REMOTE", "MODEL_STORE", "MLFLOW_ARTIFACTS")}
    assert places == {*named, f"s3://{made['BACKUP_BUCKET']}"}
    assert dict(variables(found["identities"][0], data))["MODELS"] == made["MODEL_STORE"]


def ports(policy: Object) -> set[int]:
    return {p["port"] for rule in policy["spec"]["egress"] for p in rule["ports"]}


def test_every_account_pulls_images_with_the_registrys_secret(project: Path) -> None:
    accounts = [i for i in render(fill(project, "local")) if i["kind"] == "ServiceAccount"]
    assert len(accounts) > 5
    for account in accounts:
        assert account["imagePullSecrets"] == [{"name": "unstained-registry"}]

"""`unstained cluster check`: what nobody filled in is refused; what is filled in arrives."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from pipelines.manifests import check_overlay, render
from tests.k8s.manifests import OVERLAYS, ROOT, Object
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
    assert f"edit k8s/overlays/{overlay}/settings/cluster.env" in said


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
        ("DATA_REMOTE", "lab-data", "data_remote"),
        ("STORAGE_CLASS", "", "storage_class"),
    ],
)
def test_what_cannot_be_right_is_refused(project: Path, key: str, value: str, said: str) -> None:
    fill(project, "gpu", **{key: value})
    assert said in refusal(project, "gpu")


def test_a_line_that_is_no_setting_is_named(project: Path) -> None:
    path = fill(project, "gpu") / "settings/cluster.env"
    path.write_text("STORAGE CLASS fast\n" + path.read_text())
    assert "line 1 of" in refusal(project, "gpu")
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


def ports(policy: Object) -> set[int]:
    return {p["port"] for rule in policy["spec"]["egress"] for p in rule["ports"]}


def test_every_account_pulls_images_with_the_registrys_secret(project: Path) -> None:
    accounts = [i for i in render(fill(project, "local")) if i["kind"] == "ServiceAccount"]
    assert len(accounts) > 5
    for account in accounts:
        assert account["imagePullSecrets"] == [{"name": "unstained-registry"}]

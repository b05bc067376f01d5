"""Our patches of Kubeflow Pipelines' manifests take, on stand-ins of the objects they touch."""

from __future__ import annotations

import base64
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipelines.cluster.settings import SERVICE_ACCOUNT
from tests.k8s.manifests import ROOT, Object
from tests.k8s.network import reaches

UPSTREAM = Path("upstream/manifests/kustomize/env/platform-agnostic")
STAND_INS = """
apiVersion: v1
kind: Secret
metadata: {name: mlpipeline-minio-artifact}
stringData: {accesskey: minio, secretkey: minio123}
---
apiVersion: v1
kind: Secret
metadata: {name: mysql-secret}
stringData: {username: root, password: ""}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: workflow-controller-configmap}
data:
  executor: "imagePullPolicy: IfNotPresent"
  artifactRepository: |
    s3:
      endpoint: "seaweedfs.kubeflow.svc:9000"
---
apiVersion: v1
kind: ConfigMap
metadata: {name: pipeline-install-config}
data: {bucketName: mlpipeline}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: ml-pipeline, labels: {app: ml-pipeline}}
spec:
  selector: {matchLabels: {app: ml-pipeline}}
  template:
    metadata: {labels: {app: ml-pipeline}}
    spec:
      containers:
        - name: ml-pipeline-api-server
          image: api
          env:
            - {name: OBJECTSTORECONFIG_HOST, value: seaweedfs.kubeflow}
            - {name: LOG_LEVEL, value: info}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: mysql, labels: {app: mysql}}
spec:
  selector: {matchLabels: {app: mysql}}
  template:
    metadata: {labels: {app: mysql}}
    spec:
      containers:
        - name: mysql
          image: mysql
          env: [{name: MYSQL_ALLOW_EMPTY_PASSWORD, value: "true"}]
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: seaweedfs}
spec:
  podSelector: {matchExpressions: [{key: app, operator: In, values: [seaweedfs]}]}
  policyTypes: [Ingress]
  ingress: [{from: [{podSelector: {}}], ports: [{port: 8333}]}]
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: default-allow-same-namespace}
spec:
  podSelector: {}
  policyTypes: [Ingress]
  ingress: [{from: [{podSelector: {}}]}]
"""
KUSTOMIZATION = """
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
namespace: kubeflow
resources: [all.yaml]
labels:
  - {includeSelectors: true, pairs: {application-crd-id: kubeflow-pipelines}}
"""


@pytest.fixture(scope="module")
def patched(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Object]:
    """Objects by kind and name."""
    if not shutil.which("kubectl"):
        pytest.skip("no kubectl: it renders the manifests")
    home = tmp_path_factory.mktemp("kubeflow")
    shutil.copy(ROOT / "k8s/kubeflow/kustomization.yaml", home)
    (home / UPSTREAM).mkdir(parents=True)
    (home / UPSTREAM / "all.yaml").write_text(STAND_INS)
    (home / UPSTREAM / "kustomization.yaml").write_text(KUSTOMIZATION)
    (home / "store.env").write_text("accesskey=ours\nsecretkey=0123abcd\n")
    (home / "database.env").write_text("username=root\npassword=4567ef\n")
    done = subprocess.run(["kubectl", "kustomize", str(home)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return {
        f"{item['kind']}/{item['metadata']['name']}": item
        for item in yaml.safe_load_all(done.stdout)
    }


def secret(item: Object) -> dict[str, str]:
    plain: dict[str, str] = dict(item.get("stringData") or {})
    return plain | {k: base64.b64decode(v).decode() for k, v in (item.get("data") or {}).items()}


def test_public_credentials_are_replaced(patched: dict[str, Object]) -> None:
    found = secret(patched["Secret/mlpipeline-minio-artifact"])
    assert found == {"accesskey": "ours", "secretkey": "0123abcd"}
    assert secret(patched["Secret/mysql-secret"]) == {"username": "root", "password": "4567ef"}
    (variable,) = patched["Deployment/mysql"]["spec"]["template"]["spec"]["containers"][0]["env"]
    assert variable["name"] == "MYSQL_ROOT_PASSWORD"
    assert variable["valueFrom"]["secretKeyRef"] == {"name": "mysql-secret", "key": "password"}
    assert all(item["metadata"]["namespace"] == "unstained" for item in patched.values())


def test_nobody_is_let_in_but_by_our_policies(patched: dict[str, Object]) -> None:
    target = {"app": "seaweedfs", "application-crd-id": "kubeflow-pipelines"}
    assert not reaches(list(patched.values()), {"ray.io/cluster": "unstained-ray"}, target, 8333)
    assert not [name for name in patched if name.startswith("NetworkPolicy/")]


def test_runs_have_few_rights_and_find_the_store_of_the_namespace(
    patched: dict[str, Object],
) -> None:
    (server,) = patched["Deployment/ml-pipeline"]["spec"]["template"]["spec"]["containers"]
    given = {variable["name"]: variable["value"] for variable in server["env"]}
    assert given == {
        "DEFAULTPIPELINERUNNERSERVICEACCOUNT": SERVICE_ACCOUNT,
        "OBJECTSTORECONFIG_HOST": "seaweedfs.unstained",
        "LOG_LEVEL": "info",
    }
    data = patched["ConfigMap/workflow-controller-configmap"]["data"]
    assert 'endpoint: "seaweedfs.unstained.svc:9000"' in data["artifactRepository"]


def test_tasks_get_volumes_of_their_group(patched: dict[str, Object]) -> None:
    from pipelines.placement import UID

    data = patched["ConfigMap/workflow-controller-configmap"]["data"]
    defaults: Any = yaml.safe_load(data["workflowDefaults"])
    assert defaults["spec"]["securityContext"]["fsGroup"] == UID
    assert "executor" in data

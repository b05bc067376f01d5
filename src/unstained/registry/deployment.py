"""The KServe InferenceService of a promoted artifact.

It names one artifact for good: the address must contain a digest, so that what is served later is
what was promoted, and the server checks the artifact's digest again before it loads anything.
"""

from __future__ import annotations

import re
from io import StringIO
from typing import Any, Final

from unstained.config.names import LABEL
from unstained.errors import ParameterError

RUNTIME: Final = "unstained-onnx"
"""Name of the ServingRuntime in k8s/base/serving.yaml."""

SERVICE_ACCOUNT: Final = "unstained-serving"
UID: Final = 10001

REPLICAS: Final = (2, 8)
"""Fewest, so that a node can be drained, and most."""

CPU_TARGET: Final = 70
"""Per cent of the requested CPU at which another replica is started."""

DIGEST: Final = re.compile(r"[0-9a-f]{64}")
NAME: Final = re.compile(r"[a-z]([a-z0-9-]*[a-z0-9])?")
S3: Final = re.compile(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]/[^?#\s]+")
OCI: Final = re.compile(r"oci://[^/?#\s@]+/[^?#\s@]+@sha256:[0-9a-f]{64}")

LONGEST_NAME: Final = 63 - len("-predictor")
"""KServe names a Service after it, and a Service's name is a DNS label."""


def inference_service(
    study: str, storage_uri: str, digest: str, *, version: str, model: str
) -> dict[str, Any]:
    """The InferenceService of one artifact, as plain data.

    Args:
        study: key of params.yaml `studies`; the service is called unstained-<study>.
        storage_uri: where the artifact lies: s3://bucket/.../<digest>[/...], with the artifact's
            digest as a part of the path, or oci://host/name@sha256:<digest of the image>.
        digest: the artifact's digest, see `artifact.artifact.artifact_digest`.
        version: registered version, e.g. '3'.
        model: name of the model in params.yaml.

    Raises:
        ParameterError: the address can change its content, or a name cannot be used in Kubernetes.
    """
    name = _service_name(study)
    _require_digest(digest)
    _require_immutable(storage_uri, digest)
    labels = {
        "app.kubernetes.io/name": name,
        "app.kubernetes.io/part-of": "unstained",
        "unstained/study": _label(study, "study"),
        "unstained/model": _label(model, "model"),
        "unstained/version": _label(version, "version"),
    }
    annotations = {
        "serving.kserve.io/deploymentMode": "Standard",
        "unstained/artifact-digest": f"sha256:{digest}",
    }
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {
            "name": name,
            "namespace": "unstained",
            "labels": labels,
            "annotations": annotations,
        },
        "spec": {"predictor": _predictor(name, storage_uri, digest)},
    }


def render_inference_service(
    study: str, storage_uri: str, digest: str, *, version: str, model: str
) -> str:
    """`inference_service` as YAML: the same arguments give the same bytes.

    Raises:
        ParameterError: see `inference_service`.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.scalarstring import DoubleQuotedScalarString

    yaml = YAML()
    yaml.width = 4096
    service = inference_service(study, storage_uri, digest, version=version, model=model)
    labels = service["metadata"]["labels"]
    # Kubernetes reads YAML 1.1, where a study called `no` would be false, and no label.
    service["metadata"]["labels"] = {k: DoubleQuotedScalarString(v) for k, v in labels.items()}
    text = StringIO()
    yaml.dump(service, text)
    return text.getvalue()


def _predictor(name: str, storage_uri: str, digest: str) -> dict[str, Any]:
    """Pods: who they are, how many, and what they serve. Their container is the runtime's."""
    fewest, most = REPLICAS
    return {
        "serviceAccountName": SERVICE_ACCOUNT,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        # Longer than the server drains and answers what it has taken.
        "terminationGracePeriodSeconds": 60,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": UID,
            "runAsGroup": UID,
            "fsGroup": UID,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "minReplicas": fewest,
        "maxReplicas": most,
        "scaleMetric": "cpu",
        "scaleTarget": CPU_TARGET,
        "deploymentStrategy": {
            "type": "RollingUpdate",
            "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0},
        },
        "topologySpreadConstraints": [
            {
                "maxSkew": 1,
                "topologyKey": "kubernetes.io/hostname",
                "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": {"matchLabels": {"serving.kserve.io/inferenceservice": name}},
            }
        ],
        "model": {
            "modelFormat": {"name": "onnx", "version": "1"},
            "runtime": RUNTIME,
            "protocolVersion": "v2",
            "storageUri": storage_uri,
            # The server refuses an artifact with another digest.
            "env": [{"name": "UNSTAINED_ARTIFACT_DIGEST", "value": digest}],
        },
    }


def _service_name(study: str) -> str:
    name = f"unstained-{study}"
    if not NAME.fullmatch(name) or len(name) > LONGEST_NAME:
        raise ParameterError(
            f"study {study!r} cannot be served: {name!r} is no name that KServe accepts",
            f"name the study in lower-case letters, digits and hyphens, so that {name!r} has "
            f"{LONGEST_NAME} characters at most",
        )
    return name


def _label(value: str, what: str) -> str:
    if not LABEL.fullmatch(value):
        raise ParameterError(
            f"{what} {value!r} cannot be a label in Kubernetes",
            "use at most 63 letters, digits, '-', '_' and '.', and begin and end with a letter or "
            "a digit",
        )
    return value


def _require_digest(digest: str) -> None:
    if not DIGEST.fullmatch(digest):
        raise ParameterError(
            f"{digest!r} is no artifact digest",
            "give the sha256 that the artifact was sealed with: 64 lower-case hexadecimal digits",
        )


def _require_immutable(storage_uri: str, digest: str) -> None:
    """An address whose content cannot change without the address changing."""
    if OCI.fullmatch(storage_uri):
        return
    parts = re.split(r"[/:=-]", storage_uri)
    if S3.fullmatch(storage_uri) and digest in parts and ".." not in parts:
        return
    raise ParameterError(
        f"the address {storage_uri!r} could hold another artifact tomorrow",
        f"serve from s3://BUCKET/.../{digest} (the artifact's digest in the path) or from "
        "oci://HOST/NAME@sha256:DIGEST",
    )

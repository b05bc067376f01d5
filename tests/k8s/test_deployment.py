"""The InferenceService names one artifact for good, and says so in every place."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from tests.k8s.manifests import overlay
from unstained.errors import ParameterError
from unstained.registry.deployment import inference_service, render_inference_service

DIGEST = "0123456789abcdef" * 4
OTHER = "f" * 64
S3 = f"s3://unstained-models/nsc/{DIGEST}"


def rendered(**changes: Any) -> dict[str, Any]:
    given = {"study": "nsc", "storage_uri": S3, "digest": DIGEST, "version": "3", "model": "xca"}
    return inference_service(**{**given, **changes})


def test_it_names_the_artifact_the_version_and_the_mode() -> None:
    service = rendered()
    metadata, predictor = service["metadata"], service["spec"]["predictor"]
    assert metadata["name"] == "unstained-nsc"
    assert metadata["labels"]["unstained/version"] == "3"
    assert metadata["labels"]["unstained/model"] == "xca"
    assert metadata["annotations"]["serving.kserve.io/deploymentMode"] == "Standard"
    assert metadata["annotations"]["unstained/artifact-digest"] == f"sha256:{DIGEST}"
    assert predictor["model"]["storageUri"] == S3
    assert {"name": "UNSTAINED_ARTIFACT_DIGEST", "value": DIGEST} in predictor["model"]["env"]


def test_the_server_reads_the_digest_that_is_handed_on() -> None:
    from unstained.serving.predictor import expected_digest

    handed_on = {e["name"]: e["value"] for e in rendered()["spec"]["predictor"]["model"]["env"]}
    assert expected_digest(handed_on) == DIGEST


def test_it_fits_the_runtime_and_the_account_of_the_overlays() -> None:
    objects = overlay("prod")
    predictor = rendered()["spec"]["predictor"]
    runtime = next(item for item in objects if item["kind"] == "ServingRuntime")
    formats = {entry["name"] for entry in runtime["spec"]["supportedModelFormats"]}
    accounts = {i["metadata"]["name"] for i in objects if i["kind"] == "ServiceAccount"}
    assert predictor["model"]["runtime"] == runtime["metadata"]["name"]
    assert predictor["model"]["modelFormat"]["name"] in formats
    assert predictor["model"]["protocolVersion"] in runtime["spec"]["protocolVersions"]
    assert predictor["serviceAccountName"] in accounts
    assert predictor["automountServiceAccountToken"] is False
    assert predictor["securityContext"]["runAsNonRoot"] is True


def test_the_same_arguments_give_the_same_bytes_and_yaml_that_says_the_same() -> None:
    texts = [
        render_inference_service("nsc", S3, DIGEST, version="3", model="xca") for _ in range(2)
    ]
    assert texts[0] == texts[1]
    assert yaml.safe_load(texts[0]) == rendered()
    assert texts[0].startswith("apiVersion: serving.kserve.io/v1beta1\n")


@pytest.mark.parametrize("name", ["no", "on", "y", "null"])
def test_labels_are_text_in_yaml_1_1_too(name: str) -> None:
    """`study: no` would be false to Kubernetes, which refuses labels that are no text."""
    text = render_inference_service(name, S3, DIGEST, version="3", model=name)
    assert f'unstained/study: "{name}"\n' in text
    assert f'unstained/model: "{name}"\n' in text
    assert 'unstained/version: "3"\n' in text


@pytest.mark.parametrize(
    "address",
    [
        S3,
        f"s3://unstained-models/nsc/{DIGEST}/artifact",
        f"s3://unstained-models/sha256-{DIGEST}/",
        f"oci://registry.example.org/unstained/nsc@sha256:{OTHER}",
    ],
)
def test_immutable_addresses_are_accepted(address: str) -> None:
    assert rendered(storage_uri=address)["spec"]["predictor"]["model"]["storageUri"] == address


@pytest.mark.parametrize(
    "address",
    [
        "s3://unstained-models/nsc/champion",
        f"s3://unstained-models/nsc/{OTHER}",
        f"s3://unstained-models/nsc/{DIGEST}/../champion",
        f"s3://unstained-models/nsc/champion?digest={DIGEST}",
        f"s3://unstained-models/nsc/champion#{DIGEST}",
        f"s3://unstained-models/nsc/{DIGEST}0",
        f"s3://{DIGEST}",
        "oci://registry.example.org/unstained/nsc:v3",
        f"oci://registry.example.org/unstained/nsc@sha256:{OTHER[:-1]}",
        f"mlflow://models/nsc/{DIGEST}",
        f"https://example.org/{DIGEST}",
        f"pvc://models/{DIGEST}",
        "",
    ],
)
def test_an_address_that_can_change_its_content_is_refused(address: str) -> None:
    with pytest.raises(ParameterError, match="could hold another artifact tomorrow") as caught:
        rendered(storage_uri=address)
    assert DIGEST in caught.value.remedy


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"digest": DIGEST.upper()}, "no artifact digest"),
        ({"digest": f"sha256:{DIGEST}"}, "no artifact digest"),
        ({"study": "blood_cells"}, "cannot be served"),
        ({"study": "n" * 60}, "cannot be served"),
        ({"study": "nsc-"}, "cannot be served"),
        ({"version": "3 (new)"}, "version '3 .new.' cannot be a label"),
        ({"model": ""}, "model '' cannot be a label"),
    ],
)
def test_names_that_kubernetes_refuses_are_told_first(changes: Any, message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        rendered(**changes)

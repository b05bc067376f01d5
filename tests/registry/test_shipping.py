"""A champion's artifact at an immutable address of a real S3 server, and its InferenceService."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tests.registered import STUDY, fresh_registry, make_artifact, register
from tests.servers.ceph import S3Server
from unstained.artifact.artifact import artifact_digest
from unstained.errors import IntegrityError, ParameterError, StoreError
from unstained.registry.shipping import model_store, ship
from unstained.stages.promote import deployment

pytest_plugins = ["tests.servers.fixtures"]
pytestmark = pytest.mark.xdist_group("stores")


@pytest.fixture
def bucket(s3_environment: S3Server) -> str:
    return s3_environment.new_bucket()


def test_what_is_shipped_is_the_artifact(
    tmp_path: Path, s3_environment: S3Server, bucket: str
) -> None:
    artifact = make_artifact(tmp_path / "artifact")
    address = ship(artifact, f"s3://{bucket}/models", STUDY)
    assert address == f"s3://{bucket}/models/{STUDY}/{artifact_digest(artifact)}"
    prefix = address.removeprefix(f"s3://{bucket}/")
    for path in artifact.iterdir():
        held = s3_environment.client().get_object(Bucket=bucket, Key=f"{prefix}/{path.name}")
        assert held["Body"].read() == path.read_bytes()


def test_a_complete_artifact_is_left_alone_and_an_interrupted_one_completed(
    tmp_path: Path, s3_environment: S3Server, bucket: str
) -> None:
    artifact = make_artifact(tmp_path / "artifact")
    store, client = f"s3://{bucket}/models", s3_environment.client()
    prefix = ship(artifact, store, STUDY).removeprefix(f"s3://{bucket}/")
    client.put_object(Bucket=bucket, Key=f"{prefix}/model.onnx", Body=b"left alone")
    ship(artifact, store, STUDY)
    held = client.get_object(Bucket=bucket, Key=f"{prefix}/model.onnx")["Body"].read()
    assert held == b"left alone"
    client.delete_object(Bucket=bucket, Key=f"{prefix}/digest.json")
    ship(artifact, store, STUDY)
    held = client.get_object(Bucket=bucket, Key=f"{prefix}/model.onnx")["Body"].read()
    assert held == (artifact / "model.onnx").read_bytes()


def test_a_changed_artifact_is_not_shipped(
    tmp_path: Path, s3_environment: S3Server, bucket: str
) -> None:
    artifact = make_artifact(tmp_path / "artifact")
    (artifact / "model.onnx").write_bytes(b"other")
    with pytest.raises(IntegrityError, match="was changed"):
        ship(artifact, f"s3://{bucket}/models", STUDY)
    assert s3_environment.names(bucket) == []


def test_a_missing_bucket_is_told(tmp_path: Path, s3_environment: S3Server) -> None:
    with pytest.raises(StoreError, match="no bucket 'nobodys'"):
        ship(make_artifact(tmp_path / "artifact"), "s3://nobodys/models", STUDY)


def test_the_manifest_names_the_champion_for_good(
    tmp_path: Path, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = fresh_registry(tmp_path)
    champion = register(registry, tmp_path / "in", 1.0)
    monkeypatch.delenv("UNSTAINED_MODEL_STORE", raising=False)
    assert deployment(registry, STUDY, None) == "# there is no champion to deploy\n"
    assert deployment(registry, STUDY, champion).startswith("# set UNSTAINED_MODEL")
    monkeypatch.setenv("UNSTAINED_MODEL_STORE", f"s3://{bucket}/models/")
    text = deployment(registry, STUDY, champion)
    content = yaml.safe_load(text)
    assert content["kind"] == "InferenceService"
    address = content["spec"]["predictor"]["model"]["storageUri"]
    assert address == f"s3://{bucket}/models/{STUDY}/{champion.digest}"
    assert text == deployment(registry, STUDY, champion)


@pytest.mark.parametrize(
    "address", ["/models", "s3:///models", "s3://bucket/my models", "s3://Bucket/m", "s3://b/m?v=1"]
)
def test_a_place_whose_address_no_manifest_could_name_is_refused(
    monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    """Before anything is promoted, not when the manifest is written."""
    monkeypatch.setenv("UNSTAINED_MODEL_STORE", address)
    with pytest.raises(ParameterError, match="s3://bucket/prefix"):
        model_store()

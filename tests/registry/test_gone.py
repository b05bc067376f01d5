"""What was deleted in MLflow for good is named, and what the message says brings it back."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from mlflow.exceptions import MlflowException
from sqlalchemy.exc import OperationalError

from tests.registered import NAME, fresh_registry, register
from unstained.errors import RegistryError
from unstained.registry.connection import explained
from unstained.registry.registry import Registry
from unstained.registry.submission import RegisteredVersion


def delete_run_for_good(registry: Registry, version: RegisteredVersion) -> None:
    """As `mlflow gc` does, in three seconds less."""
    with closing(sqlite3.connect(registry.root / "mlflow.db")) as database:
        database.execute("delete from runs where run_uuid = ?", [version.run_id])
        database.commit()


def delete_files_of_run(registry: Registry, version: RegisteredVersion) -> None:
    run = registry.client.get_run(version.run_id)
    shutil.rmtree(urlsplit(run.info.artifact_uri).path)


def delete_files_of_model(registry: Registry, version: RegisteredVersion) -> None:
    client = registry.client
    place = client.get_model_version_download_uri(version.name, str(version.version))
    shutil.rmtree(urlsplit(place).path)


@pytest.mark.parametrize(
    ("delete", "said"),
    [
        (delete_run_for_good, "Run with id=.* not found"),
        (delete_files_of_run, "from path 'predictions.parquet'"),
        (delete_files_of_model, "No such artifact: 'artifacts'"),
    ],
)
def test_what_is_gone_is_named_and_comes_back(
    tmp_path: Path, delete: Callable[[Registry, RegisteredVersion], None], said: str
) -> None:
    registry = fresh_registry(tmp_path)
    version = register(registry, tmp_path / "in", 0.0)

    def asked(version: RegisteredVersion) -> Path:
        registry.predictions(version)
        return registry.download(version, tmp_path / "artifact")

    delete(registry, version)
    with pytest.raises(RegistryError, match=said) as error:
        asked(version)
    assert error.value.remedy.startswith(f"delete version 1 of {NAME} in MLflow; `dvc repro`")
    assert registry.restore(version) == ()
    registry.client.delete_model_version(NAME, "1")
    again = register(registry, tmp_path / "in", 0.0)
    assert asked(again).is_dir()
    assert (again.version, again.digest) == (2, version.digest)


@pytest.mark.parametrize(
    "text",
    [
        "table _alembic_tmp_experiments already exists",
        "duplicate column name: outputs",
        "table secrets already exists",
    ],
)
def test_a_database_that_a_killed_server_of_mlflow_left_half_made_is_told(text: str) -> None:
    """These are what `mlflow server` left at three moments."""
    with pytest.raises(RegistryError) as error, explained("sqlite:////lab/mlflow.db"):
        raise OperationalError("create table", {}, Exception(text))
    assert "`mv /lab/mlflow.db /lab/mlflow.db.old`" in error.value.remedy


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("Run '12a403bf' cannot be read", "check that MLFLOW_TRACKING_URI names"),
        ("request failed with error code 403", "check MLFLOW_TRACKING_USERNAME"),
    ],
)
def test_a_number_within_a_run_s_is_no_refusal(text: str, remedy: str) -> None:
    with pytest.raises(RegistryError) as error, explained("http://lab"):
        raise MlflowException(text)
    assert error.value.remedy.startswith(remedy)

"""The same registry through a real MLflow server over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from unittest.mock import Mock

import pandas as pd
import pytest

from tests.registered import (
    NAME,
    REPLICATE,
    fresh_registry,
    make_predictions,
    register,
    submission,
)
from tests.servers.mlflow_server import mlflow_server
from tests.servers.process import free_port
from unstained.artifact.artifact import artifact_digest
from unstained.errors import RegistryError
from unstained.predictions import predictions_table
from unstained.registry.gate import Decision
from unstained.registry.ledger import Ledger
from unstained.registry.promotion import promote, rollback
from unstained.registry.registry import Registry


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a server with an empty database of its own."""
    home = tmp_path_factory.mktemp("server")
    fresh_registry(home)
    with mlflow_server(home, f"sqlite:///{home / 'mlflow.db'}", str(home / "artifacts")) as address:
        yield address


def test_register_promote_and_roll_back_over_http(server: str, tmp_path: Path) -> None:
    registry = Registry(server, tmp_path)
    assert registry.versions(NAME) == []
    first = register(registry, tmp_path / "in", 0.0)
    again, created = registry.register(submission(tmp_path / "in", bias=0.0))
    assert (again.version, created) == (first.version, False)
    second = register(registry, tmp_path / "in", 1.0)
    assert [version.version for version in registry.versions(NAME)] == [1, 2]
    registry.download(second, tmp_path / "out")
    held = predictions_table(registry.predictions(second))
    pd.testing.assert_frame_equal(held, make_predictions())

    ledger = Ledger(tmp_path / "ledger.jsonl")
    promote(registry, ledger, "toy", NAME, Decision(1, "m", None, (), "first"), "enforce")
    promote(registry, ledger, "toy", NAME, Decision(2, "m", 1, (), "better"), "enforce")
    assert registry.aliases(NAME) == {"champion": 2, "previous": 1}
    assert rollback(registry, ledger, "toy", NAME, "why").startswith("v1 ")
    assert registry.aliases(NAME) == {"champion": 1}
    assert not (tmp_path / "mlflow.db").exists()


def test_files_of_an_interrupted_registration_go_over_http(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry, given = Registry(server, tmp_path), submission(tmp_path / "in", bias=9.0)
    with monkeypatch.context() as patch:
        patch.setattr(registry.client, "create_model_version", Mock(side_effect=OSError))
        with pytest.raises(OSError):
            registry.register(given)
    query = f"tags.artifact_digest = '{artifact_digest(given.artifact)}'"
    experiment = registry.client.get_experiment_by_name(given.experiment)
    assert experiment is not None
    (killed,) = registry.client.search_runs([experiment.experiment_id], query)
    assert registry.client.list_artifacts(killed.info.run_id) != []
    version, created = registry.register(given)
    assert created
    assert registry.client.list_artifacts(killed.info.run_id) == []
    assert registry.client.list_artifacts(version.run_id) != []


def test_trials_over_http(server: str, tmp_path: Path) -> None:
    registry = Registry(server, tmp_path)
    record = {"trial": 0, "state": "completed", "value": 0.5, "epochs": 1, "params": {"lr": 0.1}}
    for _ in range(2):
        registry.log_trials("nsc", "m", [record | {"history": [[1, 0.5]]}], "s")
    experiment = registry.client.get_experiment_by_name("unstained-trials")
    assert experiment is not None
    assert len(registry.client.search_runs([experiment.experiment_id])) == 2


def test_replicates_stand_side_by_side_over_http(server: str, tmp_path: Path) -> None:
    """Runs that MLflow's comparison names, groups and shows the same columns of."""
    registry = Registry(server, tmp_path)
    for number, fold in enumerate("01"):
        tags = REPLICATE | {"fold": fold}
        params = {"model": "m", "fold": fold}
        given = submission(
            tmp_path / "in",
            bias=5.0 + number,
            name="unstained-grid",
            experiment="grid",
            tags=tags,
            params=params,
        )
        version, created = registry.register(given)
        assert (version.version, version.is_replicate, created) == (number + 1, True, True)
        assert registry.register(given) == (version, False)
    experiment = registry.client.get_experiment_by_name("grid")
    assert experiment is not None
    query = "tags.role = 'replicate' and tags.study = 'toy' and metrics.test_macro_f1 > 0.5"
    found = registry.client.search_runs([experiment.experiment_id], query, order_by=["params.fold"])
    names = [run.info.run_name for run in found]
    assert names == ["cg_recnet fold0 seed42", "cg_recnet fold1 seed42"]
    assert len({frozenset(run.data.metrics) for run in found}) == 1


def test_a_server_that_goes_away_is_named(tmp_path: Path) -> None:
    address = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(RegistryError, match=address):
        Registry(address, tmp_path).alias(NAME, "champion")

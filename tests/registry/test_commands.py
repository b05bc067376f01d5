"""Every command that speaks of the champion goes by the ledger, and says what hands changed."""

from __future__ import annotations

import errno
import os
import shutil
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock

from tests.conftest import ROOT
from tests.registered import NAME, STUDY
from tests.registry.homes import Home
from tests.stages.studies import add_toy_study, compare_params
from unstained.errors import ParameterError, RegistryError
from unstained.operations import deployment_study, history_of
from unstained.registry.registry import Registry
from unstained.registry.settling import look
from unstained.registry.standings import find_entry
from unstained.stages.compare import make_leaderboard


@pytest.fixture
def project(promoted: Home) -> Home:
    """A project in which v2 is champion in place of v1."""
    shutil.copy(ROOT / "params.yaml", promoted.root)
    add_toy_study(promoted.root / "params.yaml")
    return promoted


def move_alias(registry: Registry) -> None:
    registry.set_alias(NAME, "champion", 4)


def delete_version(registry: Registry) -> None:
    registry.client.delete_model_version(NAME, "2")


def delete_run(registry: Registry) -> None:
    registry.client.delete_run(registry.version(NAME, 2).run_id)


def delete_experiment(registry: Registry) -> None:
    experiment = registry.client.get_experiment_by_name("unstained")
    assert experiment is not None
    registry.client.delete_experiment(experiment.experiment_id)


def delete_model(registry: Registry) -> None:
    registry.client.delete_registered_model(NAME)


DEEDS = [
    (move_alias, "champion was v4); set back to v2", "v2 (cg_recnet)"),
    (delete_version, "the version was deleted", "nobody"),
    (delete_run, "the run of v2 (cg_recnet) was deleted in MLflow; restored", "v2 (cg_recnet)"),
    (delete_experiment, "the experiment of v2 (cg_recnet) was deleted", "v2 (cg_recnet)"),
    (delete_model, "the version was deleted", "nobody"),
]


@pytest.mark.parametrize(("deed", "said", "champion"), DEEDS)
def test_history_says_what_was_changed_by_hand(
    project: Home, deed: Callable[[Registry], None], said: str, champion: str
) -> None:
    deed(project.registry)
    entries, notes, broken = history_of(project.root, STUDY, project.registry)
    assert broken is None
    assert [(e.action, e.version) for e in entries][:2] == [("promote", 1), ("promote", 2)]
    assert notes[0] == "no entry of the ledger is signed"
    assert said in notes[1]
    assert notes[-1] == f"champion of toy now: {champion}"
    assert entries == project.ledger.entries()


def test_history_without_a_registry_is_the_ledger_and_a_note(project: Home) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        away = Registry(f"http://127.0.0.1:{probe.getsockname()[1]}", project.root)
    entries, notes, broken = history_of(project.root, STUDY, away)
    assert len(entries) == 2
    assert f"MLflow at {away.uri}" in notes[1]
    assert broken is None
    with pytest.raises(ParameterError, match="no study 'nope'"):
        history_of(project.root, "nope", away)
    project.ledger.path.unlink()
    assert f"MLflow at {away.uri}" in history_of(project.root, STUDY, away).notes[0]


def test_history_on_a_disk_that_is_read_only_is_the_ledger_and_a_note(
    project: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = f"{project.ledger.path}.lock"

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), lock)

    monkeypatch.setattr(FileLock, "acquire", refuse)
    entries, notes, broken = history_of(project.root, STUDY, project.registry)
    assert (len(entries), broken) == (2, None)
    assert f"{lock} is on a file system that is mounted read-only" in notes[1]


def test_history_of_a_fresh_project_makes_no_database(project: Home, tmp_path: Path) -> None:
    fresh = tmp_path / "fresh"
    fresh.mkdir()
    shutil.copy(project.root / "params.yaml", fresh)
    assert history_of(fresh, STUDY, Registry(None, fresh)) == (
        [],
        ["nothing was decided about toy yet: `dvc repro` compares and promotes"],
        None,
    )
    assert [path.name for path in fresh.iterdir()] == ["params.yaml"]


def test_a_deployment_is_of_the_champion_by_the_ledger(project: Home) -> None:
    move_alias(project.registry)
    assert "champion was v4); set back to v2" in deployment_study(
        project.root, STUDY, project.registry
    )
    delete_version(project.registry)
    with pytest.raises(RegistryError, match="the version was deleted"):
        deployment_study(project.root, STUDY, project.registry)


def test_a_leaderboard_shows_the_aliases_of_the_ledger(project: Home) -> None:
    move_alias(project.registry)
    settled = look(project.registry, project.ledger, STUDY, NAME)
    table = make_leaderboard(project.registry, settled, compare_params(), STUDY, ())
    aliases = {entry["version"]: entry["aliases"] for entry in table["entries"]}
    assert aliases == {1: ["previous"], 2: ["champion"], 3: [], 4: []}
    assert table["champion"] == 2
    assert find_entry(table, 2) is not None

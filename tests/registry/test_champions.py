"""What a server that follows a study is told: whom the ledger knows, fetched and accounted for."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.registered import NAME, STUDY
from tests.registry.homes import Home
from tests.stages.studies import add_toy_study
from unstained import answering
from unstained.answering import Champions
from unstained.artifact.artifact import artifact_digest
from unstained.errors import RegistryError


@pytest.fixture
def champions(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Champions:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setattr(answering, "elsewhere", lambda function, *given: function(*given))
    shutil.copy(ROOT / "params.yaml", home.root)
    add_toy_study(home.root / "params.yaml")
    folder = tmp_path / "fetched"
    folder.mkdir()
    return Champions(home.root, STUDY, None, folder)


def test_promotion_and_rollback_change_what_is_asked_for(home: Home, champions: Champions) -> None:
    digests = {number: home.registry.version(NAME, number).digest for number in (1, 3)}
    assert champions.digest() == ""
    home.promote(1, None)
    assert champions.digest() == digests[1]
    first = champions.fetch()
    assert (first.version, first.digest) == ("1", digests[1])
    assert artifact_digest(first.artifact) == digests[1]
    assert first.promotion is not None
    assert (first.promotion.action, first.promotion.replaced) == ("promote", None)
    assert first.promotion.gate[0]["sentence"] == "yes"
    home.promote(3, 1)
    assert champions.digest() == digests[3]
    second = champions.fetch()
    assert (second.version, second.promotion.replaced) == ("3", 1)
    home.rollback("it saw ghosts")
    assert champions.digest() == digests[1]
    back = champions.fetch()
    assert (back.promotion.action, back.promotion.reason) == ("rollback", "it saw ghosts")
    assert first.artifact.exists()
    champions.forget(first.artifact)
    assert [one.artifact.exists() for one in (first, second, back)] == [False, True, True]
    assert len([*champions.folder.iterdir()]) == 2
    with pytest.raises(ValueError, match="subpath"):
        champions.forget(home.root)


def test_a_fetch_that_fails_leaves_nothing(home: Home, champions: Champions) -> None:
    with pytest.raises(RegistryError):
        champions.fetch()
    assert [*champions.folder.iterdir()] == []


def test_a_version_that_was_never_promoted_has_no_promotion(
    home: Home, champions: Champions
) -> None:
    home.promote(1, None)
    champions.which = "4"
    found = champions.fetch()
    assert (found.version, found.promotion) == ("4", None)

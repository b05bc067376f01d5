"""One ledger for all projects on a registry: races, kills between the two places, what is taken."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from datetime import datetime, tzinfo
from pathlib import Path
from typing import Any

import pytest
from mlflow.store.model_registry.dbmodels.models import (
    SqlModelVersionTag,
    SqlRegisteredModelAlias,
    SqlRegisteredModelTag,
)
from sqlalchemy import event

from tests.registered import NAME, STUDY
from tests.registry.homes import Home
from tests.registry.races import race_in_processes, race_in_threads
from unstained.errors import IntegrityError, OvertakenError, RegistryError
from unstained.registry import entries, promotion, settling
from unstained.registry.agreement import agreed, pull
from unstained.registry.entries import Entry
from unstained.registry.ledger import Ledger
from unstained.registry.promotion import settled_champion
from unstained.registry.records import ENTRY, SUFFIX, Records
from unstained.registry.registry import Registry
from unstained.registry.settling import HEAD_TAG


class KilledError(Exception):
    """The process dies."""


def clone(home: Home, folder: Path) -> Home:
    """Another project on the same registry, with the ledger as it is now."""
    other = Home(folder, home.registry)
    if home.ledger.path.exists():
        other.ledger.path.parent.mkdir(parents=True)
        shutil.copy(home.ledger.path, other.ledger.path)
    return other


def recorded(home: Home) -> list[tuple[str, int]]:
    return [(entry.action, entry.version) for entry in Records(home.registry, NAME).entries()]


def test_the_registry_records_every_entry(home: Home) -> None:
    home.promote(1, None)
    home.refuse(2, 1)
    home.promote(3, 1)
    home.rollback()
    assert Records(home.registry, NAME).entries() == home.ledger.entries()
    assert not list(home.ledger.path.parent.glob(".*.next*")), "nothing waits"


def test_of_projects_that_promote_at_once_one_wins(home: Home, tmp_path: Path) -> None:
    race_in_threads(home.registry, [tmp_path / "one", tmp_path / "two"], rounds=6)


@pytest.mark.minutes
@pytest.mark.parametrize("projects", [2, 3])
def test_races_of_processes_on_sqlite(home: Home, tmp_path: Path, projects: int) -> None:
    race_in_processes(home.registry, [tmp_path / str(i) for i in range(projects)], rounds=50)


def test_the_loser_is_told_who_won_and_takes_it_over(home: Home, tmp_path: Path) -> None:
    """Both decided against v1; the other was faster after this one had looked."""
    home.promote(1, None)
    other = clone(home, tmp_path / "other")
    before = other.ledger.path.read_bytes()
    with overtaking(lambda: home.promote(2, 1)), pytest.raises(OvertakenError) as error:
        other.promote(3, 1)
    won = home.ledger.entries()[-1]
    assert f"promote v2 by {won.actor} at {won.time}, entry 2 of the ledger" in error.value.message
    assert other.ledger.path.read_bytes() == before
    assert home.aliases == {"champion": 2, "previous": 1}
    with pytest.raises(IntegrityError, match="lacks entry 2, which the registry recorded"):
        other.promote(3, 2)
    assert "`unstained history toy --pull`" in error.value.remedy
    assert pull(other.registry, other.ledger, NAME) == (won,)
    assert other.promote(3, 2).promoted
    assert pull(home.registry, home.ledger, NAME) == (other.ledger.entries()[-1],)
    assert home.ledger.path.read_bytes() == other.ledger.path.read_bytes()
    assert pull(home.registry, home.ledger, NAME) == ()


def test_of_two_who_decide_the_same_in_the_same_second_one_is_told_it_lost(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(entries, "datetime", StoppedClock)
    other = clone(home, tmp_path / "other")
    with overtaking(lambda: home.promote(1, None)), pytest.raises(OvertakenError) as error:
        other.promote(1, None)
    (won,) = home.ledger.entries()
    assert (won.time, won.told() in error.value.message) == ("2026-01-31T12:00:00+00:00", True)
    assert not other.ledger.path.exists()
    assert recorded(home) == [("promote", 1)]


class StoppedClock(datetime):
    """It is always the same second."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> StoppedClock:
        return cls(2026, 1, 31, 12, tzinfo=tz)


SETTERS: dict[type[Any], Callable[[Registry, str], None]] = {
    SqlModelVersionTag: lambda registry, value: registry.tag_version(NAME, 1, {"k": value}),
    SqlRegisteredModelTag: lambda registry, value: registry.set_model_tag(NAME, "k", value),
    SqlRegisteredModelAlias: lambda registry, value: registry.set_alias(NAME, "k", int(value)),
}


@pytest.mark.parametrize("table", SETTERS)
def test_a_tag_or_alias_that_two_set_at_once_is_of_the_last(home: Home, table: type[Any]) -> None:
    """MLflow looks whether it is there before it adds it: somebody else is faster in between."""
    put, faster = SETTERS[table], iter(["1"])

    def before(*_: Any) -> None:
        for value in faster:
            put(Registry(None, home.root), value)

    event.listen(table, "before_insert", before)
    try:
        put(home.registry, "2")
    finally:
        event.remove(table, "before_insert", before)
    assert next(faster, None) is None
    found = home.registry.version(NAME, 1).tags.get("k"), home.registry.model_tag(NAME, "k")
    assert "2" in (*found, str(home.aliases.get("k")))


class overtaking:  # noqa: N801  (a context manager)
    """Somebody else acts just before the next entry is recorded."""

    def __init__(self, act: Callable[[], object]) -> None:
        self.act, self.claim = act, Records.claim

    def __enter__(self) -> None:
        def claim(records: Records, entry: Entry) -> None:
            Records.claim = self.claim  # type: ignore[method-assign]
            self.act()
            self.claim(records, entry)

        Records.claim = claim  # type: ignore[method-assign]

    def __exit__(self, *_: object) -> None:
        Records.claim = self.claim  # type: ignore[method-assign]


def killed(*_: Any) -> None:
    raise KilledError


def test_killed_before_the_record_it_is_undone(
    promoted: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch, pytest.raises(KilledError):
        patch.setattr(Records, "_add", killed)
        promoted.promote(3, 2)
    assert promoted.ledger.waiting() is not None
    found = settled_champion(promoted.registry, promoted.ledger, STUDY, NAME)
    assert (found.number, found.notes) == (2, ())
    assert promoted.ledger.waiting() is None
    assert promoted.promote(4, 2).promoted
    assert recorded(promoted) == promoted.actions


def test_killed_while_what_waits_is_written_it_leaves_nothing(promoted: Home) -> None:
    """SIGKILL lets no process remove its unfinished file."""
    folder = promoted.ledger.path.parent
    (folder / "..toy.jsonl.next.4711.partial").write_text('{"action": "pro')
    settled_champion(promoted.registry, promoted.ledger, STUDY, NAME)
    assert not list(folder.glob("*.partial"))


def test_killed_after_the_record_it_is_finished(
    promoted: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch, pytest.raises(KilledError):
        patch.setattr(Ledger, "add", killed)
        promoted.promote(3, 2)
    assert promoted.actions[-1] == ("promote", 2)
    found = settled_champion(promoted.registry, promoted.ledger, STUDY, NAME)
    assert found.number == 3
    assert found.notes == ("an interrupted promote of v3 was completed",)
    assert promoted.actions[-1] == ("promote", 3)
    assert promoted.aliases == {"champion": 3, "previous": 2}


@pytest.mark.parametrize("step", ["enact", "add"])
def test_a_rollback_that_was_killed_and_is_asked_for_again_happens_once(
    promoted: Home, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    promoted.promote(3, 2)
    with monkeypatch.context() as patch, pytest.raises(KilledError):
        patch.setattr(*{"enact": (promotion, "enact"), "add": (Ledger, "add")}[step], killed)
        promoted.rollback("too many alarms")
    done, said = promoted.rollback("too many alarms").splitlines()
    assert done == "an interrupted rollback of v2 was completed"
    assert said == "v2 (cg_recnet) is champion of toy again in place of v3: too many alarms"
    assert promoted.aliases == {"champion": 2, "previous": 1}
    promoted.rollback()
    assert promoted.actions[-2:] == [("rollback", 2), ("rollback", 1)]


def test_an_answer_that_is_lost_does_no_harm(
    promoted: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server made the version, and the connection broke."""
    add = Records._add

    def lost(records: Records, entry: Entry) -> None:
        add(records, entry)
        raise RegistryError("the connection broke", "try again")

    monkeypatch.setattr(Records, "_add", lost)
    assert promoted.promote(3, 2).promoted
    assert recorded(promoted) == promoted.actions


def test_a_registry_that_fails_leaves_nothing(
    promoted: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: Any) -> None:
        raise RegistryError("the server is away", "wait")

    with monkeypatch.context() as patch, pytest.raises(RegistryError, match="is away"):
        patch.setattr(Records, "_add", away)
        promoted.promote(3, 2)
    assert promoted.actions[-1] == ("promote", 2)
    assert settled_champion(promoted.registry, promoted.ledger, STUDY, NAME).number == 2


def test_records_of_an_entry_that_is_there_count_once(promoted: Home) -> None:
    records = Records(promoted.registry, NAME)
    for entry in promoted.ledger.entries():
        records._add(entry)
    assert records.entries() == promoted.ledger.entries()


@pytest.mark.parametrize("version", ["1", "2", "all"])
def test_records_that_were_deleted_are_made_again(promoted: Home, version: str) -> None:
    client = promoted.registry.client
    if version == "all":
        client.delete_registered_model(NAME + SUFFIX)
    else:
        client.delete_model_version(NAME + SUFFIX, version)
    number = {"1": "2 entries", "2": "1 entry", "all": "2 entries"}[version]
    found = settled_champion(promoted.registry, promoted.ledger, STUDY, NAME)
    assert found.number == 2
    assert f"held no record of {number} of {promoted.ledger.path}: recorded" in found.notes[0]
    assert recorded(promoted) == promoted.actions
    assert settled_champion(promoted.registry, promoted.ledger, STUDY, NAME).notes == ()


def test_a_rewritten_record_is_refused(promoted: Home) -> None:
    """With a seal of its own, so that the chain in the registry is whole."""
    last = promoted.ledger.entries()[-1]
    content = json.loads(last.line) | {"version": 4}
    forged = Entry(**content).sealed()
    promoted.registry.tag_version(NAME + SUFFIX, 2, {ENTRY: forged.line})
    with pytest.raises(IntegrityError, match=r"entry 2 .* promote v2 by .* recorded promote v4"):
        agreed(promoted.registry, promoted.ledger, STUDY, NAME)
    with pytest.raises(IntegrityError, match="was rewritten") as error:
        pull(promoted.registry, promoted.ledger, NAME)
    assert f"delete the registered model {NAME}.ledger in MLflow" in error.value.remedy
    promoted.registry.client.delete_registered_model(NAME + SUFFIX)
    assert settled_champion(promoted.registry, promoted.ledger, STUDY, NAME).number == 2


def test_aliases_follow_who_decided_while_they_were_set(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slow project sets the aliases of its promotion after a faster one had set its own."""
    home.promote(1, None)
    other = clone(home, tmp_path / "other")
    point = settling._point

    def slow(*arguments: Any) -> None:
        monkeypatch.setattr(settling, "_point", point)
        pull(other.registry, other.ledger, NAME)
        assert other.promote(3, 2).promoted
        point(*arguments)

    monkeypatch.setattr(settling, "_point", slow)
    assert home.promote(2, 1).promoted
    assert home.aliases == {"champion": 3, "previous": 2}
    assert home.registry.model_tag(NAME, HEAD_TAG) == other.ledger.entries()[-1].sha256


def test_who_decides_during_a_look_is_no_foreign_ledger(
    promoted: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another project promotes just before the tag is read."""
    other = clone(promoted, tmp_path / "other")
    read = Registry.model_tag

    def slow(*arguments: Any) -> str | None:
        monkeypatch.setattr(Registry, "model_tag", read)
        assert other.promote(3, 2).promoted
        return read(*arguments)

    monkeypatch.setattr(Registry, "model_tag", slow)
    with pytest.raises(IntegrityError, match=r"lacks entry 3, .* such as promote v3"):
        settled_champion(promoted.registry, promoted.ledger, STUDY, NAME)


def test_a_project_that_looked_too_early_sets_no_alias_back(
    promoted: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another one promotes between its look and its repair."""
    other = clone(promoted, tmp_path / "other")
    restore = settling._restore_runs

    def slow(*arguments: Any) -> tuple[str, ...]:
        monkeypatch.setattr(settling, "_restore_runs", restore)
        assert other.promote(3, 2).promoted
        return restore(*arguments)

    monkeypatch.setattr(settling, "_restore_runs", slow)
    with pytest.raises(IntegrityError, match=r"lacks entry 3, .* such as promote v3"):
        settled_champion(promoted.registry, promoted.ledger, STUDY, NAME)
    assert promoted.aliases == {"champion": 3, "previous": 2}

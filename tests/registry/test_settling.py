"""What people do by hand in MLflow is settled against the ledger, and said."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from tests.registered import NAME, STUDY, fresh_registry, register
from tests.registry.homes import Home
from unstained.errors import IntegrityError, RegistryError
from unstained.registry.agreement import pull
from unstained.registry.promotion import settled_champion
from unstained.registry.records import ENTRY, SUFFIX
from unstained.registry.settling import HEAD_TAG, Settled, look


def settled(home: Home) -> Settled:
    return settled_champion(home.registry, home.ledger, STUDY, NAME)


def test_an_alias_moved_by_hand_is_no_champion(promoted: Home) -> None:
    promoted.registry.set_alias(NAME, "champion", 4)
    seen = look(promoted.registry, promoted.ledger, STUDY, NAME)
    assert seen.number == 2, "whoever only reads is told by the ledger"
    assert promoted.aliases["champion"] == 4
    found = settled(promoted)
    assert found.number == 2
    assert "champion was v4); set back to v2" in found.notes[0]
    assert settled(promoted).notes == ()


def test_a_foreign_version_with_the_alias_is_no_champion(promoted: Home) -> None:
    made = promoted.registry.client.create_model_version(NAME, "/elsewhere/model")
    promoted.registry.set_alias(NAME, "champion", int(made.version))
    assert settled(promoted).number == 2
    assert promoted.aliases == {"champion": 2, "previous": 1}


def test_a_foreign_version_is_not_adopted(home: Home) -> None:
    made = home.registry.client.create_model_version(NAME, "/elsewhere/model")
    home.registry.set_alias(NAME, "champion", int(made.version))
    with pytest.raises(RegistryError, match="was not registered by this project"):
        settled(home)
    assert home.actions == []


@pytest.mark.parametrize("alias_stays", [False, True])
def test_a_deleted_champion_is_said_and_rolled_back_or_replaced(
    promoted: Home, alias_stays: bool
) -> None:
    """Over REST the alias of a deleted version stays."""
    promoted.registry.client.delete_model_version(NAME, "2")
    if alias_stays:
        database = sqlite3.connect(promoted.root / "mlflow.db")
        names = [row[1] for row in database.execute("pragma table_info(registered_model_aliases)")]
        values = {"workspace": "default", "name": NAME, "alias": "champion", "version": 2}
        database.execute(
            f"insert into registered_model_aliases ({', '.join(names)}) values "
            f"({', '.join('?' for _ in names)})",
            [values[name] for name in names],
        )
        database.commit()
    found = settled(promoted)
    assert found.number is None
    assert "champion" not in promoted.aliases
    assert "the version was deleted" in found.notes[0]
    with pytest.raises(RegistryError, match="the version was deleted") as error:
        found.require_champion()
    assert "`unstained rollback toy` goes back to v1 (cg_recnet)" in error.value.remedy
    promoted.promote(3, None)
    assert promoted.aliases == {"champion": 3}


def test_rollback_from_a_deleted_champion(promoted: Home) -> None:
    promoted.registry.client.delete_model_version(NAME, "2")
    said = promoted.rollback("v2 is gone")
    assert "the version was deleted" in said.splitlines()[0]
    assert "v1 (cg_recnet) is champion of toy again" in said.splitlines()[-1]
    assert promoted.aliases == {"champion": 1}


def test_the_same_artifact_registered_again_is_champion_again(home: Home, template: Path) -> None:
    home.promote(1, None)
    home.promote(2, 1)
    home.registry.client.delete_model_version(NAME, "2")
    again = register(home.registry, template / "in", 1.0)
    assert again.version == 5
    found = settled(home)
    assert found.number == 5
    assert "v5 (cg_recnet) has the same artifact and is champion" in found.notes[0]
    assert home.aliases == {"champion": 5, "previous": 1}
    assert home.actions[-1] == ("restore", 5)
    assert settled(home).notes == ()
    home.rollback()
    assert home.aliases == {"champion": 1}
    assert settled(home).withdrawn == {5: "why"}, "the artifact was rolled back, not its number"


def test_a_lost_registry_that_was_filled_again_goes_on(
    promoted: Home, template: Path, tmp_path: Path
) -> None:
    """The versions come in another order, so that their numbers are others."""
    (tmp_path / "new").mkdir()
    new = Home(promoted.root, fresh_registry(tmp_path / "new"))
    with pytest.raises(RegistryError, match="it is another registry than before") as error:
        settled(new).require_champion()
    assert f"mv {promoted.ledger.path} {promoted.ledger.path}.old" in error.value.remedy
    with pytest.raises(RegistryError, match="it is another registry than before"):
        new.rollback()
    for bias in (2.0, 1.0, 0.0):
        register(new.registry, template / "in", bias)
    found = settled(new)
    assert found.number == 2
    assert found.previous is not None
    assert found.previous.version == 3
    assert new.aliases == {"champion": 2, "previous": 3}
    new.rollback()
    assert new.aliases == {"champion": 3}


def test_the_remedy_of_a_lost_registry_helps(promoted: Home, tmp_path: Path) -> None:
    """Begin anew: move the ledger away, and promote."""
    (tmp_path / "new").mkdir()
    new = Home(promoted.root, fresh_registry(tmp_path / "new"))
    register(new.registry, tmp_path / "in", 9.0)
    with pytest.raises(RegistryError, match="another registry"):
        new.promote(1, None)
    promoted.ledger.path.rename(promoted.ledger.path.with_suffix(".old"))
    assert new.promote(1, None).promoted


def test_the_remedy_of_a_lost_ledger_helps(promoted: Home) -> None:
    lines = promoted.ledger.path.read_text()
    promoted.ledger.path.unlink()
    with pytest.raises(IntegrityError, match="lacks entries 1 to 2") as error:
        settled(promoted)
    assert "`unstained history toy --pull` takes it into the ledger" in error.value.remedy
    assert [entry.version for entry in pull(promoted.registry, promoted.ledger, NAME)] == [1, 2]
    assert promoted.ledger.path.read_text() == lines
    assert settled(promoted).number == 2


def test_the_remedy_of_a_ledger_that_was_cut_helps(promoted: Home) -> None:
    whole = promoted.ledger.path.read_text()
    promoted.ledger.path.write_text(whole[:-40])
    with pytest.raises(IntegrityError, match="is torn") as error:
        settled(promoted)
    assert "delete that last, unfinished line; then `unstained history toy --pull`" in (
        error.value.remedy
    )
    promoted.ledger.path.write_text(whole[: whole.index("\n") + 1])
    pull(promoted.registry, promoted.ledger, NAME)
    assert promoted.ledger.path.read_text() == whole
    assert settled(promoted).number == 2


def test_the_remedy_of_an_entry_that_somebody_forged_in_the_registry_helps(promoted: Home) -> None:
    last = promoted.ledger.entries()[-1]
    forged = replace(last, version=4, sequence=3, previous_sha256=last.sha256).sealed()
    tags = {ENTRY: forged.line}
    made = promoted.registry.client.create_model_version(NAME + SUFFIX, "x:/y", tags=tags)
    with pytest.raises(IntegrityError, match=r"lacks entry 3, .* such as promote v4") as error:
        settled(promoted)
    assert f"delete the version of {NAME}.ledger in MLflow that holds it" in error.value.remedy
    promoted.registry.client.delete_model_version(NAME + SUFFIX, made.version)
    assert settled(promoted).number == 2
    assert promoted.promote(3, 2).promoted


def test_the_remedy_of_a_lost_ledger_that_was_never_recorded_helps(promoted: Home) -> None:
    """As versions before the record left it."""
    promoted.registry.client.delete_registered_model(NAME + SUFFIX)
    promoted.ledger.path.unlink()
    with pytest.raises(RegistryError, match="a ledger that is not") as error:
        settled(promoted)
    assert f"delete the tag {HEAD_TAG} of the registered model {NAME}" in error.value.remedy
    promoted.registry.client.delete_registered_model_tag(NAME, HEAD_TAG)
    assert settled(promoted).number == 2
    assert promoted.actions == [("adopt", 2)]


@pytest.mark.parametrize("what", ["run", "experiment"])
def test_a_deleted_run_or_experiment_is_restored(promoted: Home, what: str) -> None:
    client = promoted.registry.client
    run = client.get_run(promoted.registry.version(NAME, 2).run_id).info
    if what == "run":
        client.delete_run(run.run_id)
    else:
        client.delete_experiment(run.experiment_id)
    notes = settled(promoted).notes
    assert f"the {what} of v2 (cg_recnet) was deleted in MLflow; restored" in notes
    assert client.get_run(run.run_id).info.lifecycle_stage == "active"
    assert client.get_experiment(run.experiment_id).lifecycle_stage == "active"
    assert settled(promoted).notes == ()


def test_an_alias_of_nothing_before_the_ledger_is_taken_away(home: Home) -> None:
    home.registry.set_alias(NAME, "champion", 3)
    home.registry.client.delete_model_version(NAME, "3")
    assert settled(home).number is None
    assert home.promote(1, None).promoted

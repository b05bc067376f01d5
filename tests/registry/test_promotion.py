"""Promotion and rollback on a real registry: aliases, ledger, races, crashes, tampering."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.registered import NAME, fresh_registry, register
from tests.registry.homes import Home
from unstained.errors import IntegrityError, RegistryError
from unstained.registry.promotion import Outcome
from unstained.registry.registry import Registry
from unstained.registry.settling import HEAD_TAG


def test_promotions_move_the_aliases_and_are_recorded(home: Home) -> None:
    unsigned = "v1 (cg_recnet) is not signed: UNSTAINED_SIGNING_KEY names no key"
    assert home.promote(1, None) == Outcome(True, 1, "v1", (unsigned,))
    assert home.aliases == {"champion": 1}
    assert home.promote(3, 1).promoted
    assert home.aliases == {"champion": 3, "previous": 1}
    assert home.actions == [("promote", 1), ("promote", 3)]
    entry = home.ledger.entries()[1]
    assert entry.replaced == 1
    assert entry.digests["artifact"] == home.registry.version(NAME, 3).digest
    assert entry.digests["data"] == "d" * 64
    assert entry.gate[0]["name"] == "better"
    tags = home.registry.version(NAME, 3).tags
    assert tags["replaced_version"] == "1"
    assert tags["gate"] == "passed"
    assert tags["promoted_at"] == entry.time
    assert tags["promoted_by"] == entry.actor
    assert len(tags["gate_report_sha256"]) == 64


def test_a_refused_challenger_is_marked_and_recorded(home: Home) -> None:
    home.promote(1, None)
    outcome = home.refuse(2, 1)
    assert (outcome.promoted, outcome.champion) == (False, 1)
    assert home.aliases == {"champion": 1, "challenger": 2}
    assert home.registry.version(NAME, 2).tags["gate"] == "refused: better"
    assert home.actions[-1] == ("refuse", 2)
    home.promote(2, 1)
    assert home.aliases == {"champion": 2, "previous": 1}


def test_dry_run_records_but_changes_nothing(home: Home) -> None:
    outcome = home.promote(1, None, "dry-run")
    assert not outcome.promoted
    assert "would be: v1" in outcome.sentence
    assert home.aliases == {}
    assert home.actions == [("dry-run", 1)]


def test_champion_that_stays_leaves_no_trace(home: Home) -> None:
    home.promote(1, None)
    assert home.promote(1, 1).champion == 1
    assert home.actions == [("promote", 1)]


def test_decision_against_an_older_champion_loses(home: Home) -> None:
    home.promote(1, None)
    home.promote(3, 1)
    with pytest.raises(RegistryError, match="champion changed from v1 to v3 meanwhile"):
        home.promote(4, 1)
    with pytest.raises(RegistryError, match="from none to v3"):
        home.promote(4, None)
    assert home.aliases == {"champion": 3, "previous": 1}
    assert len(home.actions) == 2


RACER = """
import sys, time
from pathlib import Path
from tests.registry.homes import STUDY, Home, passed
from tests.registered import NAME
from unstained.errors import RegistryError
from unstained.registry.registry import Registry
root, version, go = Path(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
home = Home(root, Registry(None, root))
home.aliases
(root / f"ready-{version}").touch()
while not go.exists():
    time.sleep(0.01)
try:
    home.promote(version, 1)
except RegistryError as error:
    print("lost", error.message)
else:
    print("won")
"""


@pytest.mark.minutes
def test_two_processes_at_once_cannot_both_win(home: Home) -> None:
    home.promote(1, None)
    go = home.root / "go"
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", RACER, str(home.root), str(version), str(go)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for version in (2, 3)
    ]
    while not all((home.root / f"ready-{version}").exists() for version in (2, 3)):
        assert all(racer.poll() is None for racer in racers)
        time.sleep(0.05)
    go.touch()
    outputs = [racer.communicate(timeout=60)[0].strip() for racer in racers]
    winner = 2 + outputs.index("won")
    assert sorted(outputs) == [f"lost champion changed from v1 to v{winner} meanwhile", "won"]
    assert home.aliases == {"champion": winner, "previous": 1}
    assert home.actions == [("promote", 1), ("promote", winner)]


def test_rollback_walks_back_and_stops_at_the_first(home: Home) -> None:
    home.promote(1, None)
    home.promote(2, 1)
    home.promote(4, 2)
    assert home.rollback("bad day").startswith("v2 (cg_recnet) is champion of toy again in place")
    assert home.aliases == {"champion": 2, "previous": 1}
    assert home.ledger.entries()[-1].reason == "bad day"
    home.rollback()
    assert home.aliases == {"champion": 1}
    with pytest.raises(RegistryError, match=r"no previous champion .* \(champion: v1\)"):
        home.rollback()
    assert home.actions[-2:] == [("rollback", 2), ("rollback", 1)]


def test_rollback_without_any_promotion_is_refused(home: Home) -> None:
    with pytest.raises(RegistryError, match="champion: none"):
        home.rollback()


@pytest.fixture
def own_files(tmp_path: Path) -> Home:
    """Two versions whose artifacts this test may damage."""
    home = Home(tmp_path, fresh_registry(tmp_path))
    for bias in (0.0, 1.0):
        register(home.registry, tmp_path / "in", bias)
    return home


def damage(home: Home, bias: float) -> None:
    for path in (home.root / "mlartifacts").rglob("card.json"):
        if f'"bias": {bias}' in path.read_text():
            path.write_text("{}")


def test_rollback_to_a_damaged_artifact_is_refused(own_files: Home) -> None:
    own_files.promote(1, None)
    own_files.promote(2, 1)
    damage(own_files, 0.0)
    with pytest.raises(IntegrityError, match=r"card\.json was changed"):
        own_files.rollback()
    assert own_files.aliases == {"champion": 2, "previous": 1}
    assert own_files.actions == [("promote", 1), ("promote", 2)]


def test_promotion_of_a_damaged_artifact_is_refused(own_files: Home) -> None:
    own_files.promote(1, None)
    damage(own_files, 1.0)
    with pytest.raises(IntegrityError):
        own_files.promote(2, 1)
    assert own_files.aliases == {"champion": 1}
    assert own_files.actions == [("promote", 1)]


class KilledError(Exception):
    """The process dies."""


class Mortal(Registry):
    """Dies before its n-th change of the registry."""

    def __init__(self, root: Path, steps: int) -> None:
        super().__init__(None, root)
        self.left = steps

    def _step(self) -> None:
        if self.left == 0:
            raise KilledError
        self.left -= 1

    def set_alias(self, *arguments: Any) -> None:
        self._step()
        super().set_alias(*arguments)

    def tag_version(self, *arguments: Any) -> None:
        self._step()
        super().tag_version(*arguments)

    def set_model_tag(self, *arguments: Any) -> None:
        self._step()
        super().set_model_tag(*arguments)


def crash_at(home: Home, step: int, act: Callable[[Home], object]) -> bool:
    """Act on a registry that dies before its change number `step`; whether it died."""
    mortal = Home(home.root, Mortal(home.root, step))
    try:
        act(mortal)
    except KilledError:
        return True
    return False


@pytest.mark.parametrize("step", range(6))
def test_promotion_killed_between_any_two_steps_is_completed(home: Home, step: int) -> None:
    home.promote(1, None)
    home.promote(2, 1)
    died = crash_at(home, step, lambda mortal: mortal.promote(3, 2))
    assert died is (step < 5)
    recorded = ("promote", 3) in home.actions
    assert recorded is (step > 0)
    home.refuse(4, 3 if recorded else 2)  # the next command repairs first
    if recorded:
        assert home.aliases == {"champion": 3, "previous": 2, "challenger": 4}
        assert home.registry.version(NAME, 3).tags["replaced_version"] == "2"
    else:
        assert home.aliases == {"champion": 2, "previous": 1, "challenger": 4}
    head = home.ledger.standing().head
    assert head is not None
    assert home.registry.model_tag(NAME, HEAD_TAG) == head.sha256


@pytest.mark.parametrize("step", range(4))
def test_rollback_killed_between_any_two_steps_is_completed(home: Home, step: int) -> None:
    home.promote(1, None)
    home.promote(2, 1)
    home.promote(3, 2)
    assert crash_at(home, step, lambda mortal: mortal.rollback())
    notes = home.promote(4, 2, "dry-run").notes
    assert notes == ("an interrupted rollback of v2 was completed",)
    assert home.aliases == {"champion": 2, "previous": 1}


def test_alias_moved_by_hand_is_set_back_and_recorded(home: Home) -> None:
    home.promote(1, None)
    home.promote(2, 1)
    home.registry.set_alias(NAME, "champion", 4)
    outcome = home.refuse(3, 2)
    assert "changed outside of the ledger (champion was v4); set back to v2" in outcome.notes[0]
    assert home.aliases == {"champion": 2, "previous": 1, "challenger": 3}
    assert home.actions[2:] == [("repair", 2), ("refuse", 3)]
    assert home.refuse(3, 2).notes == ()


def test_champion_from_before_the_ledger_is_adopted(home: Home) -> None:
    home.registry.set_alias(NAME, "champion", 1)
    home.promote(2, 1)
    assert home.actions == [("adopt", 1), ("promote", 2)]
    home.rollback()
    assert home.aliases == {"champion": 1}


def test_deleted_previous_version_does_not_block_promotion(home: Home) -> None:
    home.promote(1, None)
    home.promote(2, 1)
    home.registry.client.delete_model_version(NAME, "1")
    (unsigned,) = home.promote(3, 2).notes
    assert "is not signed" in unsigned
    home.promote(4, 3)
    home.rollback()
    assert home.aliases == {"champion": 3, "previous": 2}


def test_a_cut_or_foreign_ledger_is_refused(home: Home) -> None:
    """Lines removed at the end keep the chain whole; the registry's record tells."""
    home.promote(1, None)
    one = home.ledger.path.read_text()
    home.promote(2, 1)
    home.ledger.path.write_text(one)
    for act in (lambda: home.promote(3, 2), home.rollback):
        with pytest.raises(IntegrityError, match=r"lacks entry 2, .* such as promote v2 by"):
            act()
    home.ledger.path.unlink()
    with pytest.raises(IntegrityError, match=r"lacks entries 1 to 2, .* such as promote v2 by"):
        home.promote(3, 2)
    assert home.aliases == {"champion": 2, "previous": 1}


def test_another_registry_is_refused(home: Home, tmp_path: Path) -> None:
    home.promote(1, None)
    (tmp_path / "other").mkdir()
    other = Home(home.root, fresh_registry(tmp_path / "other"))
    register(other.registry, tmp_path / "other" / "in", 9.0)
    with pytest.raises(RegistryError, match="it is another registry than before"):
        other.promote(1, None)

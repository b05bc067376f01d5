"""Entries are signed where there is a key, and who trusts one accepts no champion without it."""

from __future__ import annotations

import json
import shlex
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.conftest import ROOT
from tests.k8s.manifests import job, pods
from tests.registered import NAME, STUDY
from tests.registry.homes import Home
from tests.signatures import deployment_keys
from tests.stages.studies import add_toy_study
from unstained.artifact.keys import SIGN, VERIFY, make_keys
from unstained.artifact.signing import REQUIRE, trust_of
from unstained.cli import app
from unstained.errors import IntegrityError, UnstainedError
from unstained.operations import history_of, sign_ledger
from unstained.registry.agreement import out_of_order, pull, trusted, vouch
from unstained.registry.entries import Entry, Event
from unstained.registry.ledger import Ledger
from unstained.registry.promotion import settled_champion
from unstained.registry.records import SUFFIX
from unstained.registry.registry import Registry
from unstained.registry.settling import Settled


@pytest.fixture
def keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    return deployment_keys(tmp_path / "keys", monkeypatch)


def settled(home: Home) -> Settled:
    return settled_champion(home.registry, home.ledger, STUDY, NAME)


def write_anew(home: Home, entries: list[Entry]) -> None:
    """Whoever may write file and registry makes a whole new chain in both."""
    made: list[Entry] = []
    for entry in entries:
        before = {"previous_sha256": made[-1].sha256} if made else {}
        made.append(replace(entry, sequence=len(made) + 1, **before).sealed())
    home.ledger.path.write_text("".join(f"{entry.line}\n" for entry in made))
    home.registry.client.delete_registered_model(NAME + SUFFIX)
    home.registry.client.delete_registered_model_tag(NAME, "ledger_head")


def test_every_entry_is_signed_and_a_changed_one_is_found_out(
    home: Home, keys: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    home.promote(1, None)
    home.promote(2, 1)
    entries = home.ledger.entries()
    assert all(entry.signature for entry in entries)
    assert trusted(entries, trust_of()) == "the ledger is signed to entry 2 of 2"
    write_anew(home, [entries[0], replace(entries[1], version=4)])
    with pytest.raises(IntegrityError, match=r"entry 2 .*promote v4.* was not made by"):
        settled(home)
    monkeypatch.delenv(VERIFY)
    assert "was not verified: UNSTAINED_VERIFY_KEY names no" in trusted(entries, trust_of())


def test_an_unsigned_champion_after_signed_ones_is_refused(
    home: Home, keys: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    home.promote(1, None)
    home.promote(2, 1)
    entries = home.ledger.entries()
    forged = replace(entries[1], version=4, digests=home.registry.version(NAME, 4).digests)
    write_anew(home, [entries[0], replace(forged, signature="")])
    with pytest.raises(
        IntegrityError, match=r"entry 2 of the ledger \(promote v4 .* is not signed"
    ):
        settled(home)
    monkeypatch.setenv(REQUIRE, "0")
    assert settled(home).number == 4


def test_a_ledger_that_was_taken_away_is_not_begun_anew_by_an_alias(
    home: Home, keys: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The key's own holder would sign it: back to a champion whose signature holds."""
    home.promote(1, None)
    home.promote(2, 1)
    write_anew(home, [])
    home.ledger.path.unlink()
    home.registry.set_alias(NAME, "champion", 1)
    with pytest.raises(IntegrityError, match=r"v1 .* has the alias champion, and there is no"):
        settled(home)
    assert home.actions == []
    home.registry.set_alias(NAME, "champion", None)
    assert settled(home).number is None
    home.registry.set_alias(NAME, "champion", 1)
    monkeypatch.setenv(REQUIRE, "0")
    assert settled(home).number == 1


def test_who_has_no_key_changes_no_champion(
    home: Home, keys: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    home.promote(1, None)
    home.promote(2, 1)
    monkeypatch.delenv(SIGN)
    with pytest.raises(IntegrityError, match="says rollback must be signed here"):
        home.rollback()
    assert home.aliases == {"champion": 2, "previous": 1}
    home.registry.set_alias(NAME, "champion", 4)
    assert settled(home).number == 2, "an alias is set back without a key"
    assert home.actions[-1] == ("repair", 2)
    assert trusted(home.ledger.entries(), trust_of()) == "the ledger is signed to entry 2 of 3"
    assert settled(home).notes == ()


def test_stripped_signatures_are_refused(home: Home, keys: tuple[Path, Path]) -> None:
    """Whoever may write file and registry makes all of it anew, with a champion of theirs."""
    home.promote(1, None)
    home.promote(2, 1)
    first, second = (replace(entry, signature="") for entry in home.ledger.entries())
    write_anew(home, [first, replace(second, version=4)])
    with pytest.raises(IntegrityError, match=r"entry 1 .*promote v1.* is not signed, and signa"):
        settled(home)
    with pytest.raises(IntegrityError, match="is not signed"):
        home.promote(3, 4)


@pytest.fixture
def project(promoted: Home) -> Home:
    """v2 is champion, by a ledger that nobody signed."""
    shutil.copy(ROOT / "params.yaml", promoted.root)
    add_toy_study(promoted.root / "params.yaml")
    return promoted


def test_a_ledger_from_before_there_were_keys_is_signed_by_hand(
    project: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UnstainedError, match="names no key to sign with"):
        sign_ledger(project.root, STUDY, project.registry)
    deployment_keys(tmp_path / "keys", monkeypatch)
    for registry in (project.registry, Registry("http://127.0.0.1:9", project.root)):
        history = history_of(project.root, STUDY, registry)
        assert len(history.entries) == 2, "it can be looked at before it is signed"
        assert history.broken is not None
        assert "`unstained history toy --sign` signs it" in history.broken.remedy
    assert sign_ledger(project.root, STUDY, project.registry) == (
        f"{project.ledger.path} is signed to entry 3"
    )
    assert (settled(project).number, settled(project).notes) == (2, ())
    assert trusted(project.ledger.entries(), trust_of()) == "the ledger is signed to entry 3 of 3"
    assert project.actions == [("promote", 1), ("promote", 2), ("vouch", 2)]
    assert project.promote(3, 2).promoted


def test_an_unsigned_ledger_is_taken_where_no_signature_is_required(
    promoted: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deployment_keys(tmp_path / "keys", monkeypatch)
    monkeypatch.setenv(REQUIRE, "0")
    found = settled(promoted)
    assert (found.number, found.notes) == (2, ("no entry of the ledger is signed",))
    promoted.promote(3, 2)
    monkeypatch.delenv(REQUIRE)
    assert settled(promoted).notes == ()
    assert trusted(promoted.ledger.entries(), trust_of()) == "the ledger is signed to entry 3 of 3"


def test_a_ledger_is_signed_by_a_trusted_key_only(
    project: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deployment_keys(tmp_path / "keys", monkeypatch)
    private, _ = make_keys(tmp_path / "other", tmp_path / "project")
    monkeypatch.setenv(SIGN, str(private))
    with pytest.raises(IntegrityError, match="is none that UNSTAINED_VERIFY_KEY names"):
        sign_ledger(project.root, STUDY, project.registry)
    assert project.actions == [("promote", 1), ("promote", 2)]


def test_there_is_nothing_to_sign_in_a_new_ledger(home: Home, keys: tuple[Path, Path]) -> None:
    assert vouch(home.registry, home.ledger, STUDY, NAME) is None
    assert home.actions == []


def test_only_what_a_trusted_key_signed_is_taken_over(
    promoted: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = promoted.ledger.path.read_bytes()
    promoted.ledger.path.unlink()
    private, _ = deployment_keys(tmp_path / "keys", monkeypatch)
    with pytest.raises(
        IntegrityError, match=r"entry 1 of the ledger \(promote v1 .* is not signed"
    ):
        pull(promoted.registry, promoted.ledger, NAME)
    assert not promoted.ledger.path.exists()
    promoted.ledger.path.write_bytes(lines)
    vouch(promoted.registry, promoted.ledger, STUDY, NAME)
    promoted.ledger.path.unlink()
    assert len(pull(promoted.registry, promoted.ledger, NAME)) == 3
    promoted.ledger.path.unlink()
    _, other = make_keys(tmp_path / "other", tmp_path / "project")
    monkeypatch.setenv(VERIFY, str(other))
    with pytest.raises(IntegrityError, match="was not made by a key that is trusted here"):
        pull(promoted.registry, promoted.ledger, NAME)
    assert private.exists()


def test_keys_are_exchanged(
    home: Home, keys: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The new key's signature vouches for what the old one signed."""
    home.promote(1, None)
    private, public = make_keys(tmp_path / "new", tmp_path / "project")
    monkeypatch.setenv(SIGN, str(private))
    monkeypatch.setenv(VERIFY, keys[1].read_text() + public.read_text())
    home.promote(2, 1)
    monkeypatch.setenv(VERIFY, str(public))
    assert settled(home).number == 2


def test_the_clusters_job_signs_all_that_new_keys_have_to_vouch_for(
    project: Home, keys: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """k8s/jobs/sign, while servers trust both keys; then the old one is trusted no more."""
    sign_ledger(project.root, STUDY, project.registry)
    project.promote(3, 2)
    private, public = make_keys(tmp_path / "new", tmp_path / "project")
    monkeypatch.setenv(SIGN, str(private))
    monkeypatch.setenv(VERIFY, keys[1].read_text() + public.read_text())
    monkeypatch.setenv("MLFLOW_TRACKING_URI", project.registry.uri)
    monkeypatch.chdir(project.root)
    (pod,) = pods(job("sign")[0])
    (container,) = pod.spec["initContainers"]
    for line in container["args"][0].splitlines():
        words = shlex.split(line.partition("||")[0].replace("$STUDY", STUDY))
        done = CliRunner().invoke(app, words[1:])
        assert done.exit_code == 0, (line, done.output, done.exception)
    monkeypatch.setenv(VERIFY, str(public))
    assert settled(project).number == 3
    project.rollback()
    assert settled(project).number == 2


OLD = (
    '{"action": "promote", "actor": "ada@lab", "digests": {"artifact": "' + "a" * 64 + '"}, '
    '"gate": [{"name": "better", "passed": true}], "name": "unstained-toy", "previous_sha256": "'
    + "0"
    * 64
    + '", "reason": "first", "replaced": null, "sequence": 1, "sha256": '
    '"2ffcf2711fd96f1fbfbc3fbb2f74512e280ae32e0cba7845d088d093eb17f4c7", "study": "toy", '
    '"time": "2026-11-30T03:15:13+00:00", "version": 1}\n'
)
"""A line as it was written before entries were signed."""


def test_entries_that_were_written_before_signatures_are_read(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "toy.jsonl")
    ledger.path.write_text(OLD)
    (entry,) = ledger.entries()
    assert (entry.version, entry.signature) == (1, "")
    assert entry.line + "\n" == OLD
    assert trusted([entry], trust_of({})) == "no entry of the ledger is signed"


def test_entries_out_of_time_order_are_told(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "toy.jsonl")
    for version in (1, 2, 3):
        event = Event("promote", STUDY, NAME, version, None, "r", {"artifact": "a"})
        ledger.append(event)
    first, second, third = ledger.entries()
    assert out_of_order([first, second, third]) == ()
    early = replace(second, time="2001-01-01T00:00:00+00:00")
    (said,) = out_of_order([first, early, third])
    assert said.startswith("entry 2 of the ledger is dated 2001-01-01T00:00:00+00:00, before the")


@pytest.mark.parametrize("action", ["rollback", "restore"])
def test_a_chain_that_no_command_writes_is_refused(tmp_path: Path, action: str) -> None:
    ledger = Ledger(tmp_path / "toy.jsonl")
    content = {"action": "promote", "version": 1, "digests": {"artifact": "a"}}
    entry = Event("promote", STUDY, NAME, 1, None, "r", {"artifact": "a"}).after([]).sealed()
    forged = Entry(**json.loads(entry.line) | content | {"action": action}).sealed()
    ledger.path.write_text(f"{forged.line}\n")
    with pytest.raises(IntegrityError, match=f"is a {action}, and nobody was champion before it"):
        ledger.standing()

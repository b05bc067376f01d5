"""The ledger: append-only, chained, durable, and what it says of who is champion."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from unstained.errors import IntegrityError
from unstained.registry.entries import Action, Event
from unstained.registry.ledger import Ledger


def event(action: Action, version: int, replaced: int | None = None, reason: str = "r") -> Event:
    return Event(action, "toy", "unstained-toy", version, replaced, reason, {"artifact": "a" * 64})


def filled(path: Path, *actions: tuple[Action, int]) -> Ledger:
    ledger = Ledger(path)
    for action, version in actions:
        with ledger.locked():
            ledger.append(event(action, version))
    return ledger


def test_entries_say_who_when_what_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNSTAINED_ACTOR", "ada")
    ledger = Ledger(tmp_path / "ledger" / "toy.jsonl")
    assert ledger.entries() == []
    gate = [{"name": "better", "passed": True, "value": 0.01}]
    first = ledger.append(Event("promote", "toy", "m", 1, None, "first", {"artifact": "x"}, gate))
    second = ledger.append(event("refuse", 2, 1))
    assert [entry.sequence for entry in ledger.entries()] == [1, 2]
    read = ledger.entries()[0]
    assert (read.actor, read.action, read.version, read.reason) == ("ada", "promote", 1, "first")
    assert read.gate == gate
    assert read.time.endswith("+00:00")
    assert second.previous_sha256 == first.sha256


def test_actor_without_the_variable_names_user_and_host(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("UNSTAINED_ACTOR", raising=False)
    assert "@" in filled(tmp_path / "l", ("promote", 1)).entries()[0].actor


@pytest.mark.parametrize("line", [0, 1, 2])
@pytest.mark.parametrize("field", ["version", "reason", "actor", "time", "replaced"])
def test_any_changed_field_is_detected(tmp_path: Path, line: int, field: str) -> None:
    ledger = filled(tmp_path / "l", ("promote", 1), ("promote", 2), ("rollback", 1))
    lines = ledger.path.read_text().splitlines()
    content = json.loads(lines[line])
    content[field] = 99
    lines[line] = json.dumps(content, sort_keys=True)
    ledger.path.write_text("\n".join(lines) + "\n")
    with pytest.raises(IntegrityError, match=f"line {line + 1} of .* was changed"):
        ledger.entries()


def test_a_removed_or_swapped_line_is_detected(tmp_path: Path) -> None:
    ledger = filled(tmp_path / "l", ("promote", 1), ("promote", 2), ("promote", 3))
    a, b, c = ledger.path.read_text().splitlines()
    for lines in ([a, c], [b, c], [b, a, c]):
        ledger.path.write_text("\n".join(lines) + "\n")
        with pytest.raises(IntegrityError, match="does not follow"):
            ledger.entries()


def test_a_rewritten_line_breaks_the_chain_even_with_its_own_digest(tmp_path: Path) -> None:
    ledger = filled(tmp_path / "l", ("promote", 1), ("promote", 2))
    first, second = ledger.path.read_text().splitlines()
    forged = filled(tmp_path / "forged", ("promote", 7)).path.read_text()
    ledger.path.write_text(forged + second + "\n")
    assert first
    with pytest.raises(IntegrityError, match=r"line 2 .* does not follow"):
        ledger.entries()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(cut=st.integers(min_value=1, max_value=200))
def test_a_torn_last_line_is_detected_wherever_it_tore(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "l"
    path.unlink(missing_ok=True)
    ledger = filled(path, ("promote", 1), ("promote", 2))
    whole = path.read_bytes()
    start = whole.index(b"\n") + 1
    path.write_bytes(whole[: max(start + 1, len(whole) - cut)])
    with pytest.raises(IntegrityError, match=r"line 2 .* is torn"):
        ledger.entries()
    with pytest.raises(IntegrityError), ledger.locked():
        ledger.append(event("promote", 3))


@pytest.mark.parametrize(
    "garbage", ["{}", "[1]", "null", "not json", '{"action": "bake"}', "[" * 100_000]
)
def test_foreign_lines_are_refused(tmp_path: Path, garbage: str) -> None:
    ledger = filled(tmp_path / "l", ("promote", 1))
    with ledger.path.open("a") as file:
        file.write(garbage + "\n")
    with pytest.raises(IntegrityError, match="line 2"):
        ledger.entries()


def test_standing_walks_back_through_rollbacks(tmp_path: Path) -> None:
    ledger = filled(tmp_path / "l")
    assert ledger.standing().champion is None
    steps: list[tuple[Action, int, int | None, int | None]] = [
        ("promote", 1, 1, None),
        ("refuse", 2, 1, None),
        ("promote", 3, 3, 1),
        ("dry-run", 4, 3, 1),
        ("promote", 5, 5, 3),
        ("rollback", 3, 3, 1),
        ("rollback", 1, 1, None),
        ("promote", 6, 6, 1),
    ]
    for action, version, champion, previous in steps:
        entry = ledger.append(event(action, version))
        standing = ledger.standing()
        assert (standing.champion, standing.previous) == (champion, previous)
        effective = action in ("promote", "rollback")
        assert standing.head is not None
        assert (standing.head.sha256 == entry.sha256) is effective
    assert set(standing.withdrawn) == {3, 5}


def test_two_holders_of_the_lock_take_turns(tmp_path: Path) -> None:
    """Without the lock, both would write the same sequence number."""
    ledger, failures = Ledger(tmp_path / "l"), []

    def work() -> None:
        try:
            for _ in range(10):
                own = Ledger(ledger.path)
                with own.locked():
                    own.append(event("promote", len(own.entries()) + 1))
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(2)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert not failures
    assert [entry.version for entry in ledger.entries()] == list(range(1, 21))


def test_full_disk_leaves_no_torn_line(tmp_path: Path) -> None:
    """A file-size limit cuts the write short, as a full disk does."""
    ledger = filled(tmp_path / "l", ("promote", 1))
    before = ledger.path.read_bytes()
    script = (
        "import resource, signal, sys; from pathlib import Path\n"
        "from unstained.registry.ledger import Event, Ledger\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({len(before) + 50},) * 2)\n"
        "event = Event('promote', 's', 'm', 2, 1, 'r')\n"
        f"Ledger(Path({str(ledger.path)!r})).append(event)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode != 0
    assert "File too large" in done.stderr
    assert ledger.path.read_bytes() == before

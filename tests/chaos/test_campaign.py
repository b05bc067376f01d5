"""The campaign itself: what it plans and notices, and ten kills of a small project."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections import deque
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.chaos import campaign, watching
from tests.chaos.campaign import Kill, Step, _due, plan
from tests.chaos.outcome import differences, outcome, told_by_ledger, unmatched
from tests.chaos.watching import Running
from tests.conftest import ROOT
from unstained.files import read_json, write_json
from unstained.registry.entries import Action, Event
from unstained.registry.ledger import Ledger, ledger_path
from unstained.registry.registry import Registry

STEPS = [Step(place, f"repro run {place}", 2.0 + place) for place in range(20)]


def test_the_seed_decides_and_kills_come_in_the_order_of_the_steps() -> None:
    kills = plan(STEPS, 100, seed=3)
    assert kills == plan(STEPS, 100, seed=3)
    assert kills != plan(STEPS, 100, seed=4)
    assert len(kills) == 100
    assert [kill.step.place for kill in kills] == sorted(kill.step.place for kill in kills)
    assert len({kill.step for kill in kills}) > 15, "no step is spared"
    assert all(0 <= kill.after <= kill.step.seconds for kill in kills)
    assert {kill.how for kill in kills} == {"everything", "one process", "SIGTERM"}


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Running]:
    """Starts a shell's script as a project's command."""
    root = tmp_path / "project"
    root.mkdir()

    def started(script: str) -> Running:
        monkeypatch.setattr(watching, "COMMANDS", {"toy": ("sh", "-c", script)})
        return Running(root, "toy")

    return started


def test_what_outlives_a_kill_is_told_and_killed(
    start: Callable[[str], Running], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "GRACE_SECONDS", 0.5)
    running = start("(setsid sh -c 'exec sleep 600' &) ; exec sleep 601")
    while len(watching.at_work(running.root)) < 2 or len(running.family()) > 1:
        assert running.process.poll() is None
    assert "sleep 600" in running.kill("everything", np.random.default_rng(0))
    assert not watching.at_work(running.root)


def test_what_goes_on_without_a_process_is_watched_and_killed_on(
    start: Callable[[str], Running],
) -> None:
    running = start("sleep 600 & sleep 601 & wait")
    while len(running.family()) < 3:
        assert running.works()
    random = np.random.default_rng(0)
    for left in (2, 1, 0):
        assert running.kill("one process", random) == ""
        while len(watching.at_work(running.root)) > left:
            assert running.process.poll() in (None, -9, 137)
    running.wait(5)
    assert not running.works()
    assert running.injured_at is not None


def test_a_kill_whose_step_is_over_gets_a_moment_of_the_step_that_runs() -> None:
    queue = deque([Kill(STEPS[1], 0.5, "SIGTERM"), Kill(STEPS[3], 1.0, "everything")])
    random = np.random.default_rng(0)
    assert _due(queue, None, 9.0, random) is None, "between steps"
    assert _due(queue, STEPS[0], 9.0, random) is None, "its step has not begun"
    assert _due(queue, STEPS[1], 0.4, random) is None
    assert _due(queue, STEPS[2], 0.0, random) is None, "not at once"
    assert queue[0].step == STEPS[2]
    assert 0 < queue[0].after < STEPS[2].seconds
    assert _due(queue, STEPS[2], queue[0].after, random) == "SIGTERM"
    assert _due(queue, STEPS[3], 1.0, random) == "everything"
    assert _due(queue, STEPS[3], 1.0, random) is None
    queue.append(Kill(STEPS[3], 9.0, "SIGTERM"))
    assert _due(queue, STEPS[4], 5.9, random) is None
    assert 5.9 < queue[0].after < STEPS[4].seconds, "while the step is still likely to run"
    assert _due(queue, STEPS[5], 8.0, random) == "SIGTERM", "it takes longer than undisturbed"


def test_every_kill_is_spent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last one comes after the only step has ended."""
    for module in (watching, campaign):
        monkeypatch.setattr(module, "COMMANDS", {"toy": ("sleep", "0.5")})
    root = tmp_path / "project"
    root.mkdir()
    step, said = Step(0, "toy", 0.3), list[str]()
    kills = [Kill(step, after, "everything") for after in (0.1, 0.2, 99.0)]
    course = campaign.disturbed(root, [step], kills, 0, said.append)
    assert course.hits.total() == 3
    assert course.faults == []
    told = [line for line in said if "killed" not in line]
    assert told == ["toy succeeded", "kills left: 1, all commands again", "toy succeeded"]


def spoil(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b" ")


def undecide(root: Path) -> None:
    path = root / "runs/nsc/promote/decision.json"
    write_json(path, read_json(path) | {"passed": False})


def promote_again(root: Path) -> None:
    ledger = Ledger(ledger_path(root, "nsc"))
    (entry,) = ledger.entries()
    told = {name: getattr(entry, name) for name in Event.__dataclass_fields__}
    ledger.append(Event(**told))


def leave_in_registry(root: Path) -> None:
    client = Registry(None, root).client
    experiment = client.get_experiment_by_name("unstained")
    assert experiment is not None
    client.create_logged_model(experiment.experiment_id, "killed")
    client.create_run(experiment.experiment_id, run_name="killed")


def leave_artifact(root: Path) -> None:
    folder = root / "mlartifacts/unstained" / ("0" * 32) / "artifacts"
    folder.mkdir(parents=True)
    (folder / "half.onnx").touch()


SPLIT, CALLS = "runs/nsc/split/split.parquet", "runs/nsc/evaluate/plain_cnn/predictions.parquet"
GRAPH, LOSSES = (
    "runs/nsc/export/plain_cnn/artifact/model.onnx",
    "runs/nsc/train/plain_cnn/history.csv",
)

FAULTS: dict[Callable[[Path], object], set[str]] = {
    lambda root: spoil(root / SPLIT): {SPLIT},
    lambda root: spoil(root / CALLS): {CALLS},
    lambda root: spoil(root / GRAPH): {GRAPH},
    lambda root: (root / LOSSES).unlink(): {LOSSES, f"file {LOSSES}"},
    undecide: {"decision"},
    promote_again: {"ledger"},
    lambda root: Registry(None, root).set_alias("unstained-nsc", "other", 1): {"version 1"},
    leave_in_registry: {"models of unstained", "runs of unstained"},
    leave_artifact: {"artifact unstained/*/artifacts/half.onnx"},
    lambda root: (root / "runs/nsc/.report.partial").touch(): {"file runs/nsc/.report.partial"},
    lambda root: (root / "runs/nsc/left").mkdir(): {"file runs/nsc/left"},
    lambda root: (root / "../tmp/unstained-tmp-left").mkdir(): {"temporary unstained-tmp-left"},
    lambda root: (root / "../tmp/unstained-ray-left").mkdir(): {"temporary unstained-ray-left"},
    lambda root: (root / ".dvc/tmp/rwlock").write_text(""): {"locks of DVC"},
}
"""Of each kind one -> what is to be named."""


@pytest.mark.xdist_group("s3")
def test_what_differs_and_what_is_left_is_told(finished: Path, tmp_path: Path) -> None:
    root = tmp_path / "project"
    (tmp_path / "tmp").mkdir()
    shutil.copytree(finished, root, ignore=shutil.ignore_patterns(".git", "cache"))
    before = outcome(root)
    assert before["ledger"].startswith("promote v")
    assert before["locks of DVC"] == "nobody"
    assert not differences(before, outcome(root))
    assert len(unmatched(root)) == 4, "replicates and predictions alone are not there"
    for plant in FAULTS:
        plant(root)
    named = {line.partition(": ")[0] for line in differences(before, outcome(root))}
    assert named == set().union(*FAULTS.values())


def test_a_refusal_may_be_repeated_and_a_promotion_not(tmp_path: Path) -> None:
    ledger = Ledger(ledger_path(tmp_path, "nsc"))
    actions: list[Action] = ["promote", "refuse", "refuse", "promote", "promote"]
    for action in actions:
        ledger.append(Event(action, "nsc", "m", 1, None, "r", {"artifact": "a"}))
    assert list(told_by_ledger(tmp_path)) == ["promote v1", "refuse v1", "promote v1", "promote v1"]


@pytest.mark.minutes
def test_ten_kills_change_nothing() -> None:
    words = [sys.executable, "-m", "tests.chaos", "--kills", "10", "--seed", "1"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-6000:]
    assert "10 kills" in done.stdout

"""The campaign itself: what it plans and notices, and ten kills of a small project."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.chaos import watching
from tests.chaos.campaign import Step, plan
from tests.chaos.outcome import differences, outcome
from tests.chaos.watching import Running
from tests.conftest import ROOT

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


def test_what_outlives_a_kill_is_told_and_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "project"
    root.mkdir()
    script = "(setsid sh -c 'exec sleep 600' &) ; exec sleep 601"
    monkeypatch.setattr(watching, "COMMANDS", {"toy": ("sh", "-c", script)})
    monkeypatch.setattr(watching, "GRACE_SECONDS", 0.5)
    running = Running(root, "toy")
    while len(watching.at_work(root)) < 2 or len(running.family()) > 1:
        assert running.process.poll() is None
    assert "sleep 600" in running.kill("everything", np.random.default_rng(0))
    assert not watching.at_work(root)


@pytest.mark.xdist_group("s3")
def test_what_differs_and_what_is_left_is_told(finished: Path, tmp_path: Path) -> None:
    root = tmp_path / "project"
    (tmp_path / "tmp").mkdir()
    shutil.copytree(finished, root, ignore=shutil.ignore_patterns(".git", "cache"))
    before = outcome(root)
    assert before["ledger"].startswith("promote v")
    assert before["locks of DVC"] == "nobody"
    assert not differences(before, outcome(root))
    changed = root / "runs/nsc/split/split.parquet"
    changed.write_bytes(changed.read_bytes() + b" ")
    (root / "runs/nsc/.report.partial").touch()
    (tmp_path / "tmp" / "unstained-tmp-left").mkdir()
    (root / ".dvc/tmp/rwlock").write_text("")
    names = [line.partition(":")[0] for line in differences(before, outcome(root))]
    assert names == [
        "file runs/nsc/.report.partial",
        "locks of DVC",
        "runs/nsc/split/split.parquet",
        "temporary unstained-tmp-left",
    ]


@pytest.mark.minutes
def test_ten_kills_change_nothing() -> None:
    words = [sys.executable, "-m", "tests.chaos", "--kills", "10", "--seed", "1"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-6000:]
    assert "10 kills" in done.stdout

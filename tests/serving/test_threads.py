from __future__ import annotations

import os
from pathlib import Path

import pytest

from unstained.serving.threads import thread_count


@pytest.fixture(autouse=True)
def eight_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))


@pytest.mark.parametrize(
    ("limit", "threads"),
    [
        ("max 100000", 8),
        ("50000 100000", 1),
        ("150000 100000", 2),
        ("300000 100000", 3),
        ("6400000 100000", 8),
    ],
)
def test_quota_of_control_groups_version_2(tmp_path: Path, limit: str, threads: int) -> None:
    (tmp_path / "cpu.max").write_text(f"{limit}\n")
    assert thread_count(tmp_path) == threads


@pytest.mark.parametrize(("quota", "threads"), [("-1", 8), ("250000", 3)])
def test_quota_of_control_groups_version_1(tmp_path: Path, quota: str, threads: int) -> None:
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text(f"{quota}\n")
    (tmp_path / "cpu" / "cpu.cfs_period_us").write_text("100000\n")
    assert thread_count(tmp_path) == threads


def test_without_control_groups_the_affinity_counts(tmp_path: Path) -> None:
    assert thread_count(tmp_path) == 8

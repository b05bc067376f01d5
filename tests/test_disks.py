"""Disks that are full, read-only or of several mounts, in every stage from ingest to promote."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.config.test_config import edit
from tests.demo import make_project
from tests.mounts import PRIVATE, can_mount
from unstained.pipeline.catalogue import STAGES


@pytest.mark.minutes
@pytest.mark.skipif(not can_mount(), reason="this machine allows no mount namespace")
def test_every_stage_tells_of_a_full_and_a_read_only_disk_and_goes_on_then(tmp_path: Path) -> None:
    project = make_project(tmp_path / "project")
    edit(project / "params.yaml", "models", value=["features_boosting"])
    place, view = tmp_path / "small", tmp_path / "read-only"
    for folder in (place, view):
        folder.mkdir()
    words = [*PRIVATE, sys.executable, "-m", "tests.disk_process"]
    words += map(str, (project / "params.yaml", place, view))
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("[")]
    assert [stage for stage, *_ in lines] == list(STAGES)
    for stage, full, nearly, read_only, at_last in lines:
        assert "full" in full, stage
        for said in filter(None, (full, nearly)):
            assert "full" in said, stage
            assert str(place) in said, stage
            assert "free some space" in said, stage
        assert "mounted read-only" in read_only, stage
        assert str(view) in read_only, stage
        assert "has changed" not in full + nearly + read_only, stage
        assert at_last == "", stage
    assert sum(1 for _, _, nearly, *_ in lines if nearly) > 5
    assert "Traceback" not in done.stderr

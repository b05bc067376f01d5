"""`make` on machines that lack something usual."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def test_a_home_that_is_no_directory_is_stood_in_for(tmp_path: Path) -> None:
    """Git and DVC read files in it and do not start otherwise."""
    (tmp_path / "file").touch()
    project = tmp_path / "a copy"
    (project / ".dvc").mkdir(parents=True)
    (project / ".dvc" / "config").touch()
    done = subprocess.run(
        ["make", "-f", str(ROOT / "Makefile"), "-o", "setup", "project"],
        cwd=project, env={**os.environ, "HOME": str(tmp_path / "file" / "home")},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert f"which is no directory: {project}/state/home stands in for it" in done.stderr
    assert "no_scm = true" in (project / ".dvc" / "config.local").read_text()

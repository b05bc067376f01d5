"""What `unstained summary` says of studies that have not run."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.config.test_config import edit
from unstained.summary import print_summary


def test_what_a_study_lacks_is_named(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A simulated study has its images: it lacks but its place in `active`."""
    edit(project / "params.yaml", "active", value=["nsc"])
    print_summary(project)
    said = capsys.readouterr().out
    assert "nsc: no finished run yet" in said
    assert "cellcycle: not run; name its images with `unstained source cellcycle PATH`" in said
    assert f"wbc: not run; add it to `active` in {project / 'params.yaml'}" in said

"""A local run that fails says which task and why, and ends with a status."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from tests.config.test_config import edit
from tests.conftest import ROOT

UNSTAINED = str(Path(sys.executable).with_name("unstained"))


def test_a_task_that_fails_is_told_with_its_remedy(tmp_path: Path) -> None:
    shutil.copy(ROOT / "params.yaml", tmp_path)
    shutil.copytree(ROOT / "k8s", tmp_path / "k8s")
    edit(tmp_path / "params.yaml", "studies", "nsc", "data", "source", value="/no/such/images")
    done = subprocess.run(
        [UNSTAINED, "pipeline", "run", "--study", "nsc"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 1
    assert "/no/such/images" in done.stdout
    assert "    -> " in done.stdout
    assert "ingest: failure" in done.stdout
    assert "report-run: success" in done.stdout
    assert "the pipeline run failed" in done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert "executor_input" in (tmp_path / "state" / "pipeline" / "training.log").read_text()
    assert not (tmp_path / "mlflow.db").exists()

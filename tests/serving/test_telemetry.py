"""ONNX Runtime keeps neither an identifier of the machine nor a queue of reports."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

LOAD = (
    "import sys; from pathlib import Path; from unstained.serving.predictor import Predictor; "
    "Predictor(Path(sys.argv[1]))"
)


def test_serving_leaves_no_trace(artifact: Path, tmp_path: Path) -> None:
    # An environment that says nothing: a CI variable would keep onnxruntime quiet, too.
    places = {name: str(tmp_path) for name in ("HOME", "TMPDIR", "XDG_CACHE_HOME")}
    subprocess.run([sys.executable, "-c", LOAD, str(artifact)], env=places, check=True)
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == []

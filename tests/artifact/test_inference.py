from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import sys
import unstained.artifact.artifact, unstained.artifact.golden
import unstained.artifact.inference, unstained.artifact.padding
heavy = {"torch", "ray", "mlflow", "optuna", "sklearn", "pandas"} & set(sys.modules)
sys.exit(", ".join(sorted(heavy)) or 0)
"""


def test_what_a_server_needs_imports_no_training_library() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr

"""Serving needs nothing of training, from the import to the answer.

pyarrow is not among the forbidden: pandas, which kserve imports, takes it in where it is installed.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

FORBIDDEN = (
    "torch ray kfp mlflow great_expectations dvc sklearn scipy skimage boto3 optuna "
    "matplotlib onnx unstained.models unstained.learning unstained.evaluation unstained.stages "
    "unstained.data"
)
REPORT = (
    "import sys; found = set(sys.argv[1].split()) & set(sys.modules); "
    "sys.exit(', '.join(sorted(found)) or 0)"
)
PREDICTION = """
import asyncio, json, sys
from pathlib import Path
import numpy as np
from kserve import InferInput, InferRequest
from unstained.serving.predictor import Predictor
from unstained.serving.server import ServedModel
pixels = np.full((2, 1, 30, 33), 700, np.uint16)
tensor = InferInput("pixels", list(pixels.shape), "UINT16", pixels.ravel().tolist())
model = ServedModel(Predictor(Path(sys.argv[2])))
answer, _ = asyncio.run(model(InferRequest(model.name, [tensor])))
assert answer.id and answer.outputs[0].shape == [2, 3]
"""


@pytest.mark.parametrize(
    "program", ["import unstained.serving.predictor", "import unstained.serving.server", PREDICTION]
)
def test_no_training_library_is_imported(program: str, artifact: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", f"{program}\n{REPORT}", FORBIDDEN, str(artifact)],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr

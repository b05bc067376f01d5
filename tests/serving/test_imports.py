"""Serving needs nothing of training, from the import to the answer."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

FORBIDDEN = (
    "kserve pandas torch ray kfp mlflow great_expectations dvc sklearn scipy skimage boto3 optuna "
    "matplotlib onnx opentelemetry unstained.models unstained.learning unstained.evaluation "
    "unstained.stages unstained.data"
)
REPORT = (
    "import sys; found = set(sys.argv[1].split()) & set(sys.modules); "
    "sys.exit(', '.join(sorted(found)) or 0)"
)
PREDICTION = """
import asyncio, sys
from pathlib import Path
import numpy as np
from unstained.serving.limits import Limits
from unstained.serving.predictor import Predictor
from unstained.serving.served import serve_predictor
from unstained.summaries.telling import Narrator
pixels = np.full((2, 1, 30, 33), 700, np.uint16)

async def judge():
    predictor = Predictor(Path(sys.argv[2]))
    served = serve_predictor(predictor, Limits(), Narrator(None), lanes=1)
    return await served.batcher.judge(pixels)

assert asyncio.run(judge())["probabilities"].shape == (2, 3)
"""


FILES = """
import sys
from pathlib import Path

class WithoutPandas:
    def find_spec(self, name, *more):
        if name.partition(".")[0] == "pandas":
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, WithoutPandas())  # pyarrow takes it in where it is installed
import numpy as np
import tifffile
from unstained.prediction.answers import Answers
from unstained.serving.limits import Limits
from unstained.serving.page.routes import page_routes
from unstained.serving.predictor import Predictor
from unstained.serving.uploads import open_upload, seen, study_of, upload_folder
predictor = Predictor(Path(sys.argv[2]))
with upload_folder() as folder:
    image = np.random.default_rng(0).integers(600, 800, (30, 33), np.uint16)
    tifffile.imwrite(folder / "a.tif", image)
    cells = open_upload(folder, study_of(predictor.card), Limits())
    (some,) = seen(cells, predictor.input)
assert Answers(predictor, embedding=False).rows(some)["predicted"][0].as_py()
"""


@pytest.mark.parametrize(
    "program",
    ["import unstained.serving.predictor", "import unstained.serving.running", PREDICTION],
)
def test_no_training_library_is_imported(program: str, artifact: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", f"{program}\n{REPORT}", FORBIDDEN, str(artifact)],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def test_image_files_need_readers_but_nothing_of_training(artifact: Path) -> None:
    forbidden = " ".join({*FORBIDDEN.split()} - {"pandas", "unstained.data"})
    done = subprocess.run(
        [sys.executable, "-c", f"{FILES}\n{REPORT}", forbidden, str(artifact)],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr

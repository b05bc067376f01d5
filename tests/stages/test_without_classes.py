"""Stages that ask for classes, in a study that has none: one sentence, and every file."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import cast

import pandas as pd
import pytest

from tests.conftest import ROOT
from tests.learning.cases import STUDY
from tests.synthetic import make_store
from unstained.config.project import load_params
from unstained.config.study import CommonParams, StudyData
from unstained.pipeline.contract import Job
from unstained.stages import explain, uncertainty

PROJECT = load_params(ROOT / "params.yaml")
SECTIONS = PROJECT.studies["nsc"].recipes["demo"].sections()
SIZE = {"size": {"kind": "value", "column": "marker_DNA"}}


@pytest.mark.parametrize("module", [explain, uncertainty])
def test_a_study_without_classes_gets_a_sentence(module: ModuleType, tmp_path: Path) -> None:
    make_store(tmp_path / "store", cells_per_group=2, groups_per_class=1)
    kind = module.STAGE.params
    params = kind.model_construct(
        common=CommonParams(seed=1),
        data=StudyData.model_validate({**STUDY.model_dump(), "tasks": SIZE}),
        simulate=None,
        models={},
        baselines=PROJECT.baselines,
        evaluate=SECTIONS.evaluate,
        explain=SECTIONS.explain,
        uncertainty=SECTIONS.uncertainty,
    )
    outputs = {name: tmp_path / output.path for name, output in module.STAGE.outputs.items()}
    job = SimpleNamespace(study="toy", recipe="demo", git_commit="abc", fingerprint="f" * 64)
    report = module.run(params, {"store": tmp_path / "store"}, outputs, cast("Job", job))
    (note,) = report.notes
    assert note.endswith(
        "need classes, and this study asks for none (size): its models are judged in the study's "
        "report and on the leaderboard."
    )
    for path in outputs.values():
        if path.suffix == ".html":
            assert note in path.read_text().replace("&#39;", "'")
        else:
            assert pd.read_csv(path)["note"].tolist() == [note]

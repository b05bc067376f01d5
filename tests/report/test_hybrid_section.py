"""Rows of the hybrid network's paper that cannot be are marked, and no others."""

from __future__ import annotations

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tests.learning.cases import STUDY
from tests.synthetic import asked, tasks
from unstained.config.study import StudyData
from unstained.report.baselines.hybrid_section import hybrid_section
from unstained.report.page import Definitions, Table
from unstained.statistics.metrics import DECISION_METRICS, f1_is_possible


@given(arrays(np.float64, (4, 4), elements=st.integers(0, 50)).filter(np.any))
def test_every_confusion_has_a_possible_f1(confusion: np.ndarray) -> None:
    names = ("macro_precision", "macro_recall", "macro_f1")
    assert f1_is_possible(*(float(DECISION_METRICS[name](confusion)) for name in names))


def study(*names: str) -> StudyData:
    return STUDY.model_copy(update={"tasks": tasks(asked(names))})


def test_impossible_rows_of_the_paper_are_marked_and_ours_stand_beside() -> None:
    models = pd.DataFrame({"model": ["hybrid_paper", "resnet50"], "accuracy": [0.84, 0.81]})
    section = hybrid_section(models, study("lymphocyte", "granulocyte", "monocyte"))
    assert section is not None
    table, said = section.blocks
    assert isinstance(table, Table)
    assert isinstance(said, Definitions)
    marked = {row[0].text for row in table.rows if row[4].detail}
    assert marked == {"InceptionNet", "VGG", "MobileNetV2"}
    assert "InceptionNet, VGG, MobileNetV2 exceed it" in table.note
    assert {row[0].text: row[-1].text for row in table.rows}["Ours"] == "0.840"
    assert hybrid_section(models, study("a", "b", "c")) is None

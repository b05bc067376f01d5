"""Rows of the hybrid network's paper that cannot be are marked, and no others."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tests.learning.cases import STUDY
from tests.synthetic import asked, tasks
from unstained.config.study import StudyData
from unstained.report.hybrid_section import hybrid_section
from unstained.report.page import Definitions, Table
from unstained.statistics.metrics import DECISION_METRICS, f1_is_possible
from unstained.statistics.regression import least_error
from unstained.studies.wbc.printed import TABLE_3


@given(arrays(np.float64, (4, 4), elements=st.integers(0, 50)).filter(np.any))
def test_every_confusion_has_a_possible_f1(confusion: np.ndarray) -> None:
    names = ("macro_precision", "macro_recall", "macro_f1")
    assert f1_is_possible(*(float(DECISION_METRICS[name](confusion)) for name in names))


def study(*names: str) -> StudyData:
    return STUDY.model_copy(update={"tasks": tasks(asked(names))})


def test_impossible_rows_of_the_paper_are_marked_and_ours_stand_beside() -> None:
    ours = {"hybrid_paper": {"accuracy": 0.84, "macro_f1": 0.7, "r": 0.61}, "other": {"r": 0.9}}
    section = hybrid_section(ours, study("lymphocyte", "granulocyte", "monocyte"))
    assert section is not None
    table, stained, said = section.blocks
    assert isinstance(table, Table)
    assert isinstance(stained, Table)
    assert isinstance(said, Definitions)
    marked = {row[0].text for row in table.rows if "not possible" in row[0].detail}
    assert marked == {"InceptionNet", "VGG", "MobileNetV2"}
    assert {row[4].detail for row in table.rows} == {
        "",
        "at most 0.815",
        "at most 0.865",
        "at most 0.875",
    }
    assert "InceptionNet, VGG, MobileNetV2 exceed it" in table.note
    assert "an RMSE of 0.68 standard deviations to r = 0.726; with that r it is 0.688" in table.note
    rows = {row[0].text: [cell.text for cell in row[6:]] for row in table.rows}
    assert rows["Ours"] == ["0.84", "–", "–", "0.70", "0.61"]
    assert set(rows["ResNet"]) == {"–"}
    assert hybrid_section(ours, study("a", "b", "c")) is None


def test_the_table_of_stained_cells_adds_up_to_what_is_printed_of_all() -> None:
    images = {name: row[3] for name, row in TABLE_3.items()}
    right = sum(round(float(row[1]) * row[3]) for row in TABLE_3.values())
    assert (right, sum(images.values())) == (2332, 2487)
    for precision, recall, f1, _, _ in TABLE_3.values():
        p, r = float(precision), float(recall)
        assert 2 * p * r / (p + r) == pytest.approx(float(f1), abs=0.001)


def test_no_prediction_of_that_correlation_is_off_less() -> None:
    rng = np.random.default_rng(0)
    truth = rng.normal(size=400)
    truth = (truth - truth.mean()) / truth.std()
    for noise in (0.3, 1.0, 3.0):
        said = truth + noise * rng.normal(size=400)
        r = float(np.corrcoef(truth, said)[0, 1])
        errors = [
            np.sqrt(np.mean((a + b * said - truth) ** 2))
            for a in np.linspace(-1, 1, 21)
            for b in np.linspace(0, 1, 41)
        ]
        assert min(errors) >= least_error(r) - 1e-12
        best = np.polyval(np.polyfit(said, truth, 1), said)
        assert np.sqrt(np.mean((best - truth) ** 2)) == pytest.approx(least_error(r))

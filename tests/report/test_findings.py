"""Words follow numbers: the verdict and what to distrust, in made-up situations."""

from __future__ import annotations

import re

import numpy as np
import pytest

from tests.evaluation.evaluations import (
    CLASSES,
    evaluate_params,
    make_cells,
    make_evaluation,
    make_model,
    study,
)
from unstained.evaluation.results import Evaluation, choose_best
from unstained.report import numbers as beside
from unstained.report.page import Finding
from unstained.report.study.findings import ORDER, findings
from unstained.report.study.verdict import verdict
from unstained.statistics.intervals import Estimate


def titles(evaluation: Evaluation, tone: str) -> str:
    return " | ".join(item.title for item in findings(evaluation) if item.tone == tone)


@pytest.mark.parametrize(
    ("situation", "tone", "start"),
    [
        ({"right": 0.97}, "good", "Yes, almost always: the best model predicts 9"),
        ({"right": 0.85}, "good", "Yes, mostly: the best model predicts 8"),
        ({"right": 0.68, "controls": {"features": 0.5}}, "caution", "In part: "),
        ({"right": 0.34}, "bad", "Not shown: the best model predicts 3"),
        ({"right": 0.9, "controls": {"background": 0.9}}, "bad", "Not shown: the pixels around"),
        ({"right": 0.9, "simulated": True}, "caution", "Yes, mostly"),
        ({"right": 0.9, "grouped": False}, "caution", "Yes, mostly"),
        ({"right": 0.9, "group": "block"}, "caution", "Yes, mostly"),
    ],
)
def test_verdict_says_what_the_numbers_say(
    situation: dict[str, object], tone: str, start: str
) -> None:
    evaluation = make_evaluation(**situation)
    found = verdict(evaluation, findings(evaluation))
    assert found.answer.startswith(start)
    assert found.tone == tone


def test_verdict_names_cells_groups_controls_and_markers() -> None:
    evaluation = make_evaluation()
    text = " ".join(verdict(evaluation, ()).sentences)
    assert "240 cells from 12 acquisitions that it never saw" in text
    assert "overall brightness and contrast alone" in text
    assert "the model is clearly better, +2" in text
    assert "Less than half of the model's excess over guessing can be had from" in text
    assert "DNA with r = 1.00 (1.00 within classes)" in text
    equal = make_evaluation(controls={"features": 0.9})
    assert "not shown to be better" in " ".join(verdict(equal, ()).sentences)
    worse = make_evaluation(right=0.6, controls={"features": 0.9})
    assert "the model is worse, −" in " ".join(verdict(worse, ()).sentences)


def test_good_situation_has_no_warning_and_worst_come_first() -> None:
    tones = [item.tone for item in findings(make_evaluation())]
    assert "bad" not in tones
    assert tones == sorted(tones, key=ORDER.index)


@pytest.mark.parametrize(
    ("situation", "tone", "title"),
    [
        ({"simulated": True}, "bad", "simulated cells"),
        ({"grouped": False}, "bad", "share groups"),
        ({"group": "block"}, "caution", "Tested within recordings"),
        ({"controls": {"size": 0.95}}, "bad", "size of the image crop"),
        ({"controls": {"features": 0.95}}, "caution", "hand-crafted shape and texture"),
        ({"random_features": 0.9}, "caution", "random split would promise more"),
        ({"right": 0.3}, "caution", "mostly missed"),
        ({"controls": {"brightness": 0.78}}, "caution", "may be had without shape"),
        ({"cells": make_cells(groups=6)}, "caution", "Few groups"),
        ({"cells": make_cells(groups=12, cells=2)}, "caution", "Too few validation cells"),
    ],
)
def test_each_danger_is_named_only_where_it_is(
    situation: dict[str, object], tone: str, title: str
) -> None:
    assert title in titles(make_evaluation(**situation), tone)
    assert title not in titles(make_evaluation(), tone)


def test_controls_that_may_explain_a_score_are_one_finding() -> None:
    controls = {"brightness": 0.78, "background": 0.78}
    said = [f for f in findings(make_evaluation(controls=controls)) if "without shape" in f.title]
    assert len(said) == 1
    assert said[0].text.count("of the model's excess over guessing") == 2
    assert all(word in said[0].text for word in ("brightness and contrast", "pixels around"))


def test_wrong_certainty_and_missing_sets_are_named() -> None:
    """Validation cells are easy, test cells are not: confidence and sets do not transfer."""
    cells = make_cells()
    data, params = study(), evaluate_params()
    rng = np.random.default_rng(0)
    wrong = (cells.part == "test") & (cells.labels == 1) & (rng.random(len(cells)) < 0.75)
    logits = 4.0 * np.eye(3)[np.where(wrong, 2, cells.labels)] + 0.1 * rng.random((len(cells), 3))
    model = make_model(cells, data, params, logits=logits)
    found = {item.title: item.text for item in findings(make_evaluation(models=(model,)))}
    assert "Stated confidence is off" in found
    missed = found["Sets of classes miss the truth too often"]
    assert re.search(r"for 3\d\xa0% \(.*\) of beta, where 90\xa0% was promised", missed)
    assert "alpha" not in found["Sets of classes miss the truth too often"]
    assert re.search(r"beta 3\d\xa0% \(", found["Some classes are mostly missed"])


def test_external_cells_that_are_recognised_less_often_are_named() -> None:
    cells = make_cells(external=True)
    logits = 3.0 * np.eye(3)[cells.labels]
    outside = (cells.part == "external") & (cells.labels == 2)
    logits[outside] = np.roll(logits[outside], 1, axis=1)
    model = make_model(cells, study(), evaluate_params(), logits=logits)
    found = titles(make_evaluation(models=(model,), cells=cells), "caution")
    assert "External gamma cells are recognised less often" in found
    assert "External alpha" not in found


def test_findings_of_the_audit_are_passed_on() -> None:
    audit = [
        {"severity": "failure", "check": "conflicting labels", "sentence": "Two labels."},
        {"severity": "warning", "check": "class balance", "sentence": "Unequal."},
        {"severity": "ok", "check": "near-duplicates", "sentence": "None."},
    ]
    found = findings(make_evaluation(audit=audit))
    assert Finding("bad", "Data audit, conflicting labels", "Two labels.") in found
    assert Finding("caution", "Data audit, class balance", "Unequal.") in found
    assert Finding("good", "Data audit found nothing in", "near-duplicates.") in found


def test_best_model_is_chosen_on_validation_cells() -> None:
    cells, data, params = make_cells(), study(), evaluate_params()
    on_val = np.where(cells.part == "val", cells.labels, (cells.labels + 1) % 3)
    on_test = np.where(cells.part == "test", cells.labels, (cells.labels + 1) % 3)
    models = [
        make_model(cells, data, params, name=name, logits=2.0 * np.eye(3)[chosen])
        for name, chosen in (("cheat", on_test), ("honest", on_val))
    ]
    assert choose_best(models, data).name == "honest"


def test_numbers_in_sentences() -> None:
    assert beside.percent(0.126) == "13\u00a0%"
    assert beside.percent(-0.064) == "−6\u00a0%"
    assert beside.percent(float("nan")) == "–"
    assert [beside.p_value(p) for p in (0.0, 0.0004, 0.0006, 0.05, 1.0)] == [
        "<0.001",
        "<0.001",
        "0.001",
        "0.050",
        "1.000",
    ]
    assert beside.decimal(-0.004) == "0.00"
    assert beside.decimal(-0.126) == "−0.13"
    assert beside.decimal(123456.7, 0) == "123,457"
    assert beside.span(Estimate(0.5, 0.401, 0.599)) == "40 to 60\u00a0%"


def test_class_names_are_those_of_the_study() -> None:
    assert make_evaluation().data.class_names == CLASSES

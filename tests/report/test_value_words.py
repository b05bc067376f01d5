"""What the page on uncertainty says of numbers: by intervals and counts, never by points."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pandas as pd

from tests.conftest import ROOT
from tests.evaluation.test_value_uncertainty import ALPHA, ASKING, LEVEL, draws, replica
from tests.learning.cases import STUDY
from unstained.config.project import load_params
from unstained.config.study import StudyData
from unstained.evaluation.baselines.grid import ReplicateResult
from unstained.evaluation.uncertainty.value_results import ValueResults, headline, make_results
from unstained.predictions import Predictions, ValuePredictions
from unstained.report.page import Gallery, render
from unstained.report.uncertainty.value_findings import findings
from unstained.report.uncertainty.value_page import build_page

PARAMS = load_params(ROOT / "params.yaml").studies["nsc"].recipes["demo"].sections().uncertainty


def results(change: Any = None, **how: Any) -> ValueResults:
    """Of one replicate, whose predicted sizes of test cells are changed."""
    run, distances = replica(1, cells=240, **how)
    said = run.test.values["size"]
    truth, predicted = change(run.test, said) if change else (said.truth, said.predicted)
    names = (run.test.cell_id, run.test.group, run.test.part)
    test = Predictions(*names, {}, {"size": ValuePredictions(truth, predicted)})
    row = {"model": "net", "replicate": "fold0", "score": "neighbours", "cells": 4}
    row |= {"origin": "simulated", "false_alarms": 0.05}
    numbers = {"auroc": 0.9, "missed": 0.1, "flagged": 0.9}
    for name, value in numbers.items():
        row |= {name: value, f"{name}_low": value - 0.05, f"{name}_high": value + 0.05}
    asking = {"size": ASKING["size"]}
    shared = {
        "data": StudyData.model_validate({**STUDY.model_dump(), "tasks": asking}),
        "params": PARAMS,
        "confidence": LEVEL,
        "replicas": 1,
        "test_cells": len(test),
        "test_groups": 6,
        "caveat": "",
        "apart": True,
        "impure": None,
        "simulated": False,
        "outliers": pd.DataFrame([{**row, "kind": kind} for kind in ("debris", "control")]),
    }
    judged = {"net": [ReplicateResult("fold0", {}, test, run.validation)]}
    return make_results(judged, {"net": distances}, draws(run), ALPHA, shared)


def said(found: ValueResults) -> dict[str, str]:
    return {item.title: f"{item.tone}: {item.text}" for item in findings(found)}


def page(found: ValueResults) -> str:
    built = build_page(found, strange=Gallery("Cells", ()), doubted=None, provenance=())
    return " ".join(render(built).split())


def test_cells_like_the_validation_cells_are_no_cause_for_alarm() -> None:
    found = results(noise=0.5)
    items = said(found)
    assert "No sign that intervals of size hold fewer cells than promised" in items
    assert items["Cells unlike the training cells have larger errors in size"].startswith("good")
    assert "How narrow intervals of size are" in items
    assert not any(text.startswith("bad") for text in items.values())
    shown = page(found)
    assert "net knows when it does not know" in shown
    missed = shown.partition("Strange cells that are missed")[2].partition("</table>")[0]
    assert re.findall(r"<th[^>]*>(\w+)", missed.partition("<tbody>")[0]) == [
        "model",
        "false",
        "debris",
    ]
    assert re.findall(r"<td[^>]*>(\d+)", missed) == ["5", "10"]
    numbers = headline(found)
    assert numbers["size_coverage"] == round(found.held("net", "size")["coverage"], 6)
    assert numbers["auroc_debris_neighbours"] == 0.9


def test_a_broken_promise_is_told_with_the_group_that_breaks_it() -> None:
    def shift(test: Predictions, one: ValuePredictions) -> tuple[np.ndarray, np.ndarray]:
        return one.truth, one.predicted + 30 * (test.group == "test-g4")

    items = said(results(shift, noise=0.5))
    title = "Intervals of size hold 0\xa0% in test-g4, where 90\xa0% were promised"
    assert items[title].startswith("bad: 1 of 6 acquisitions lie clearly below")


def test_intervals_no_narrower_than_without_a_model_are_told() -> None:
    assert said(results(noise=6.0))[
        "Intervals of size are no narrower than without a model"
    ].startswith("bad")


def test_without_a_known_truth_the_page_says_so() -> None:
    def forget(_: Predictions, one: ValuePredictions) -> tuple[np.ndarray, np.ndarray]:
        return np.full_like(one.truth, np.nan), one.predicted

    found = results(forget)
    text = page(found)
    assert "Of no test cell is the truth known" in text
    assert "Which records are doubted?" in text
    assert headline(found)["best"] == "net"

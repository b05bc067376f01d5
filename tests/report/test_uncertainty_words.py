"""What the page on uncertainty says of hand-made tables: by their intervals, never by points."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from tests.conftest import ROOT
from unstained.config.project import load_params
from unstained.evaluation.uncertainty.mixtures import composition_summary, over_mixtures
from unstained.evaluation.uncertainty.results import Results
from unstained.evaluation.uncertainty.unknown_cells import CONTROL, KIND_WORDS
from unstained.evaluation.uncertainty.unknown_kinds import SCORES
from unstained.report.page import Table
from unstained.report.uncertainty import findings as words
from unstained.report.uncertainty import plots
from unstained.report.uncertainty.cell_sections import end_of
from unstained.report.uncertainty.culture_sections import by_culture, labels

KIND = next(kind for kind in KIND_WORDS if kind != CONTROL)


def results(**tables: Any) -> Results:
    """Just what the sentences read."""
    content = {
        "best": "net",
        "group_word": "acquisition",
        "impure": None,
        "data": SimpleNamespace(class_names=("a",)),
        **tables,
    }
    return cast("Results", SimpleNamespace(taught=lambda table: table, **content))


@pytest.mark.parametrize(
    ("low", "high", "tone", "title"),
    [
        (0.6, 0.9, "bad", "net misses 70\xa0% of "),
        (0.3, 0.9, "neutral", "Whether net misses most of "),
        (0.1, 0.5, "good", "net notices every kind of strange cell more often than not"),
    ],
)
def test_a_kind_is_missed_where_its_interval_shows_it(
    low: float, high: float, tone: str, title: str
) -> None:
    row = {"model": "net", "kind": KIND, "score": next(iter(SCORES)), "auroc": 0.6}
    row |= {"auroc_low": 0.4, "missed": 0.7, "missed_low": low, "missed_high": high}
    (found,) = words.unknown_cells(results(outliers=pd.DataFrame([row])))
    assert found.tone == tone
    assert found.title.startswith(title)
    assert "70\xa0%" in found.title + found.text


@pytest.mark.parametrize(
    ("lows", "tone", "title"),
    [
        ([0.86, 0.9], "good", "Sets keep their promise"),
        ([0.86, 0.6], "neutral", "Whether sets keep their promise everywhere cannot be told"),
    ],
)
def test_a_promise_is_kept_where_no_interval_allows_much_less(
    lows: list[float], tone: str, title: str
) -> None:
    table = pd.DataFrame({"name": ["a", "b"], "coverage_low": lows, "promised": 0.9})
    found = words._not_short(results(), table)
    assert (found.tone, found.title) == (tone, title)
    assert ("in 1 of 2" in found.text) == (tone == "neutral")


def mixed(counted: list[float], corrected: list[float], half: float) -> Results:
    """Errors of one class in mixtures, with intervals of half a width around the estimates."""
    rows = [
        {"model": "net", "replicate": run, "mixture": number, "method": method, "true": 0.5}
        | {"value": 0.5 + error, "low": 0.5 + error - half, "high": 0.5 + error + half}
        for run in ("one", "two")
        for method, errors in (("counted", counted), ("corrected", corrected))
        for number, error in enumerate(errors)
    ]
    table = pd.DataFrame(rows)
    summary = composition_summary(table)
    return results(composition=table, composition_summary=summary, confidence=0.95)


@pytest.mark.parametrize(
    ("counted", "corrected", "tone", "title"),
    [
        ([0.10, 0.12, 0.14], [0.02, 0.03, 0.04], "good", "Correct the composition, do not count"),
        ([0.02, 0.03, 0.04], [0.10, 0.12, 0.14], "caution", "Correcting the composition does not"),
        # On average correction gains 2 points, and in single mixtures from -6 to +10.
        ([0.10, 0.02, 0.06], [0.00, 0.08, 0.04], "neutral", "Whether correcting the composition"),
        ([0.10], [0.02], "neutral", "Whether correcting the composition helps cannot be told"),
    ],
)
def test_correction_helps_where_the_paired_interval_shows_it(
    counted: list[float], corrected: list[float], tone: str, title: str
) -> None:
    found, *_ = words._composition(mixed(counted, corrected, 0.5))
    assert found.tone == tone
    assert found.title.startswith(title)


@pytest.mark.parametrize(
    ("half", "misses", "tones"),
    [(0.5, 0, []), (0.01, 12, ["caution"]), (0.05, 3, ["neutral"]), (0.05, 11, ["caution"])],
)
def test_intervals_of_compositions_are_too_narrow_where_that_is_shown(
    half: float, misses: int, tones: list[str]
) -> None:
    errors = [0.1] * misses + [0.02] * (12 - misses)
    found = [*words._composition(mixed([0.3] * 12, errors, half))][1:]
    assert [item.tone for item in found] == tones
    assert all(("cannot be told" in item.title) == (item.tone == "neutral") for item in found)


def test_the_gain_over_mixtures_is_a_paired_t_interval() -> None:
    counted, corrected = [0.10, 0.02, 0.06], [0.00, 0.08, 0.04]
    gain, held = over_mixtures(mixed(counted, corrected, 0.05).composition, "net", 0.9)
    test = stats.ttest_rel(counted, corrected)
    low, high = test.confidence_interval(0.9)
    np.testing.assert_allclose((gain.value, gain.low, gain.high), (0.02, low, high), atol=1e-12)
    assert held.value == pytest.approx(2 / 3)


def test_a_plot_of_groups_names_the_classes_that_it_shows() -> None:
    groups = pd.DataFrame(
        {"model": ["m", "m"], "class": ["b", ""], "coverage": [0.8, 0.9], "verdict": ["", "short"]}
    )
    svg = plots.coverage_panel(groups, 0.9, ("alpha", "b"))
    assert "several classes" in svg
    assert "alpha" not in svg


def test_labels_are_of_cultures_where_names_of_directories_tell_them() -> None:
    studies = load_params(ROOT / "params.yaml").studies
    found = {
        name: by_culture(results(data=studies[name].data, gates=gates))
        for name, gates in (("nsc", ("GFAP",)), ("cellcycle", ()), ("wbc", ("CD3",)))
    }
    assert found == {"nsc": True, "cellcycle": False, "wbc": False}, "by name, and gated"


def test_without_a_marker_of_a_class_nothing_is_said_of_fluorescence() -> None:
    audit = {"model": "net", "suspects": 3, "noise": 0.15, "cells": 900, "gated_suspects": 0}
    data = load_params(ROOT / "params.yaml").studies["cellcycle"].data
    told = results(audits=pd.DataFrame([audit]), gates=(), apart=True, data=data)
    _, table = labels(told, None).blocks
    assert isinstance(table, Table)
    assert table.columns == ("model", "doubted", "wrong, estimated")
    assert [cell.text for cell in table.rows[0]] == ["net", "3", "15\xa0%"]
    assert (table.groups, "fluorescence" in table.note) == ((), False)


def test_of_a_long_path_a_table_shows_the_end() -> None:
    assert end_of("a_1d1") == "a_1d1"
    assert end_of("antibodies_all/batch_0/slide/x-2_y5") == "…atch_0/slide/x-2_y5"

"""The sections of the report hold the numbers they are about."""

from __future__ import annotations

import re
from base64 import b64decode
from dataclasses import replace

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
from tests.synthetic import asked
from unstained.evaluation.results import Evaluation, part_numbers
from unstained.report.page import Page, Section, Table, render
from unstained.report.study import chapters, markers
from unstained.report.study.appendix import build_page

EXAMPLES = Section("cells", "Cells", "Cells", "Examples", ())


@pytest.fixture(scope="module")
def evaluation() -> Evaluation:
    """Two models, with external cells."""
    cells, data, params = make_cells(external=True), study(), evaluate_params()
    models = tuple(
        make_model(cells, data, params, name=name, right=right)
        for name, right in (("good_net", 0.9), ("poor_net", 0.6))
    )
    return make_evaluation(models=models, cells=cells)


@pytest.fixture(scope="module")
def page(evaluation: Evaluation) -> Page:
    return build_page(evaluation, EXAMPLES, 0)


def tables(page: Page, key: str) -> list[Table]:
    section = next(section for section in page.sections if section.key == key)
    return [block for block in section.blocks if isinstance(block, Table)]


def undefined_numbers(html: str) -> list[str]:
    """Every 'nan' that a reader would see in the page or in one of its plots."""
    plots = re.findall(r"data:image/svg\+xml;base64,([^\"]+)", html)
    texts = [re.sub(r"base64,[^\"]+", "", html), *(b64decode(p).decode() for p in plots)]
    texts = [re.sub(r"<image .*?/>", "", text, flags=re.DOTALL) for text in texts]
    assert len(plots) > 3
    return [found for text in texts for found in re.findall(r"\bnan\b", text, re.IGNORECASE)]


def test_best_model_comes_first_and_controls_stand_beside_it(
    evaluation: Evaluation, page: Page
) -> None:
    rows = tables(page, "models")[0].rows
    assert [row[0].text for row in rows[:3]] == ["good_net", "poor_net", "features control"]
    assert len(rows) == 2 + 5
    score = evaluation.best.test.scores.overall["macro_f1"]
    assert rows[0][2].text == f"{score.value:.2f}"
    assert rows[0][2].detail == f"{score.low:.2f} to {score.high:.2f}"
    assert [row[-1].text for row in rows[:2]] == ["–", "–"]
    assert rows[2][-1].text != "–"


def test_confusion_rows_add_up(evaluation: Evaluation, page: Page) -> None:
    table = tables(page, "classes")[1]
    for row in table.rows:
        counts = [int(cell.detail.split()[0]) for cell in row[1:]]
        assert sum(counts) == 80
        assert sum(cell.shade or 0 for cell in row[1:]) == pytest.approx(1)


def test_external_cells_have_a_section_only_where_there_are_any(page: Page) -> None:
    assert len(tables(page, "external")[0].rows) == 2 * 3
    keys = [section.key for section in build_page(make_evaluation(), EXAMPLES, 0).sections]
    assert "external" not in keys
    assert "markers" in keys


def test_classes_without_external_cells_are_said_to_be_left_out() -> None:
    every = make_cells(external=True)
    cells = every.take(np.flatnonzero((every.part != "external") | (every.labels != 1)))
    data, params = study(), evaluate_params()
    page = build_page(
        make_evaluation(models=(make_model(cells, data, params),), cells=cells), EXAMPLES, 0
    )
    table, _ = tables(page, "external")
    assert [row[0].text for row in table.rows] == ["net, alpha", "net, gamma"]
    assert table.note.startswith("No external cell belongs to beta: averages over classes")
    assert undefined_numbers(render(page)) == []


def test_lossy_compression_is_said_of_the_cells_where_there_is_any(page: Page) -> None:
    lossy = build_page(make_evaluation(), EXAMPLES, 1234)
    assert "1,234 cells come from files that were compressed with loss" in render(lossy)
    assert "compressed with loss" not in render(page)


def test_terms_name_what_the_study_recorded_and_no_other_microscopy(page: Page) -> None:
    html = render(page)
    assert f"and nothing else: {study().axes}." in html
    assert "rightfield" not in html
    assert "Harmonic mean" in html


def test_studies_without_targets_have_no_markers() -> None:
    cells = make_cells()
    cells = replace(cells, truth={"blob": cells.labels})
    data, params = study(tasks=asked(CLASSES)), evaluate_params()
    model = make_model(cells, data, params)
    evaluation = make_evaluation(cells=cells, models=(model,), tasks=asked(CLASSES))
    found = build_page(evaluation, EXAMPLES, 0)
    assert "markers" not in [section.key for section in found.sections]
    assert len(found.verdict.tiles) == 3


def test_whole_page_renders_alike_and_names_classes(page: Page, evaluation: Evaluation) -> None:
    html = render(page)
    assert html == render(build_page(evaluation, EXAMPLES, 0))
    for word in (*CLASSES, "abc123", "good_net", "Macro-F1", "held-out acquisitions"):
        assert word in html
    assert not undefined_numbers(html)


def test_a_class_without_test_cells_is_shown_as_unknown() -> None:
    cells = make_cells()
    keep = ~((cells.part == "test") & (cells.labels == 2))
    cells = cells.take(np.flatnonzero(keep))
    evaluation = make_evaluation(cells=cells)
    found = build_page(evaluation, EXAMPLES, 0)
    last = tables(found, "classes")[0].rows[2]
    assert [cell.text for cell in last] == ["gamma", "0", "–", "–", "–", "–"]
    assert "where guessing would get 50" in found.verdict.answer
    assert not undefined_numbers(render(found))


def test_numbers_of_a_part_are_those_of_its_scores(evaluation: Evaluation) -> None:
    test = evaluation.best.test
    found = part_numbers(test)
    assert found["macro_f1"] == test.scores.overall["macro_f1"].value
    assert found["class"]["beta"]["support"] == 80
    assert found["target"]["DNA"]["r"] == pytest.approx(1.0)
    assert found["ece"] == test.after.error


def test_values_that_do_not_fit_beside_others_have_tables_of_their_own(
    evaluation: Evaluation, page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    beside, together = tables(page, "models")[0], tables(page, "markers")[0]
    for module in (chapters, markers):
        monkeypatch.setattr(module, "MOST_BESIDE", 0)
    own = build_page(evaluation, EXAMPLES, 0)
    alone = tables(own, "models")[0]
    assert [name for name in beside.columns if name not in alone.columns] == ["r, DNA"]
    assert [row[:5] for row in alone.rows] == [row[:5] for row in beside.rows]
    first, second = tables(own, "markers")[:2]
    assert first.columns == second.columns == ("", "DNA")
    for row, r, within in zip(together.rows, first.rows, second.rows, strict=True):
        assert row == (r[0], r[1], within[1])
        assert within[0] == r[0]

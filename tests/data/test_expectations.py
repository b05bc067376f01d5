"""Expectations: a sound table passes, every planted fault is named with its rows."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.browser import chromium, needs_chromium
from tests.synthetic import asked, make_store
from unstained.config.study import StudyData
from unstained.data.audit.data_docs import Validation
from unstained.errors import ValidationError


def check_table(table: pd.DataFrame, data: StudyData, min_cells: int) -> Validation:
    """`expectations.check_table` of a data frame; Great Expectations takes seconds to import."""
    from unstained.data.audit import expectations

    return expectations.check_table(
        lambda *names: table[list(names)], list(table.columns), data, min_cells
    )


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    """The table of a store of three classes with an external acquisition each."""
    path = tmp_path_factory.mktemp("table") / "store"
    store = make_store(
        path, cells_per_group=8, groups_per_class=2, external_groups=1, missing_markers=0.2
    )
    return store.table


@pytest.fixture(scope="module")
def data() -> StudyData:
    return StudyData(
        title="Blobs & <friends>",
        question="Which?",
        reader="zhu_ifc",
        source="simulator",
        pixel_size_um=0.5,
        channels=("Ch1",),
        markers={"DNA": "Ch2"},
        tasks=asked("abc", DNA={"column": "marker_DNA"}),
        group="acquisition",
        canvas=64,
    )


def test_a_sound_table_passes(sound: pd.DataFrame, data: StudyData) -> None:
    validation = check_table(sound, data, 16)
    assert validation.failures == ()
    assert validation.expectations > 60
    validation.require("nothing")
    assert f"{validation.expectations} of {validation.expectations} expectations hold" in (
        validation.html
    )


def test_black_corners_are_no_fault_of_stained_colour(sound: pd.DataFrame, data: StudyData) -> None:
    """Copies that were turned have them; what is measured against white needs no background."""
    table = sound.copy()
    table.loc[:5, ["background", "background_mad", "minimum"]] = 0.0
    (failure,) = check_table(table, data, 5).failures
    assert failure.expectation == "The background is above 0 counts"
    assert check_table(table, data.model_copy(update={"normalise": "rgb"}), 5).failures == ()


FAULTS = {
    "label": ("mystery", "The label is one of a, b, c"),
    "sha256": ("xyz", "sha256 is 64 hexadecimal digits"),
    "group": (None, "Every cell has its group"),
    "height": (7, "height is at least 8 px"),
    "width": (0, "width is at least 8 px"),
    "background": (0.0, "The background is above 0 counts"),
    "std": (0.0, "No image is blank"),
    "minimum": (60_000.0, "mean is at least minimum"),
    "sharpness": (np.inf, "sharpness is finite"),
    "background_mad": (np.nan, "Every cell has its background_mad"),
    "marker_DNA": (-np.inf, "marker_DNA is finite"),
    "object_index": (-1, "object_index is not negative"),
}


@pytest.fixture(scope="module")
def faulty(sound: pd.DataFrame, data: StudyData) -> tuple[pd.DataFrame, Validation]:
    """A table with each fault in two rows of its own, and what the check says."""
    table = sound.copy()
    for number, (column, (value, _)) in enumerate(FAULTS.items()):
        table.loc[[number, number + 40], column] = value
    return table, check_table(table, data, 5)


@pytest.mark.parametrize("column", FAULTS)
def test_a_planted_fault_is_named_with_its_rows(
    faulty: tuple[pd.DataFrame, Validation], column: str
) -> None:
    table, validation = faulty
    number, (_, expectation) = list(FAULTS).index(column), FAULTS[column]
    (failure,) = (f for f in validation.failures if f.expectation.startswith(expectation))
    assert failure.count == 2
    rows = (number, number + 40)
    wanted = [f"{table['cell_id'][row]} ({table['source_file'][row]})" for row in rows]
    assert list(failure.rows) == wanted
    assert expectation in validation.html


def test_failures_stop_with_a_message_that_names_them_all(
    faulty: tuple[pd.DataFrame, Validation],
) -> None:
    _, validation = faulty
    with pytest.raises(ValidationError) as error:
        validation.require("look there")
    for failure in validation.failures:
        assert failure.expectation in error.value.message
        assert all(row in error.value.message for row in failure.rows)
    assert error.value.remedy == "look there"


def test_repeated_ids_name_both_rows(sound: pd.DataFrame, data: StudyData) -> None:
    table = sound.copy()
    table.loc[9, "cell_id"] = table["cell_id"][2]
    (failure,) = check_table(table, data, 5).failures
    assert failure.expectation == "No cell_id occurs twice"
    files = {table["source_file"][2], table["source_file"][9]}
    assert {re.search(r"\((.*)\)", row)[1] for row in failure.rows} == files


def test_only_ten_rows_are_named_but_all_are_counted(sound: pd.DataFrame, data: StudyData) -> None:
    table = sound.copy()
    table.loc[:29, "std"] = 0.0
    (failure,) = check_table(table, data, 5).failures
    assert failure.count == 30
    assert len(failure.rows) == 10
    assert str(failure).endswith(", ...")


def test_saturation_is_tolerated_in_few_cells(sound: pd.DataFrame, data: StudyData) -> None:
    table = sound.copy()
    table.loc[[5], "saturated"] = 0.5
    assert check_table(table, data, 5).failures == ()
    table.loc[:19, "saturated"] = 0.5
    (failure,) = check_table(table, data, 5).failures
    assert "saturated" in failure.expectation
    assert failure.count == 20


def test_missing_columns_are_named(sound: pd.DataFrame, data: StudyData) -> None:
    table = sound.drop(columns=["sharpness", "marker_DNA"])
    found = {failure.expectation for failure in check_table(table, data, 5).failures}
    assert found == {
        "Column sharpness exists",
        "Column marker_DNA exists",
        "Every target is recorded for at least one cell",
    }


def test_wrong_type_is_named(sound: pd.DataFrame, data: StudyData) -> None:
    table = sound.astype({"height": "int64", "mean": "float64"})
    found = {failure.expectation for failure in check_table(table, data, 5).failures}
    assert found == {"Column height holds int32 values", "Column mean holds float32 values"}


def test_small_classes_are_named_and_external_cells_do_not_count(
    sound: pd.DataFrame, data: StudyData
) -> None:
    (failure,) = check_table(sound, data, 17).failures
    assert failure.rows == ("a", "b", "c")
    assert "at least 17 cells" in failure.expectation


def test_page_is_offline_escaped_and_the_same_each_time(
    sound: pd.DataFrame, data: StudyData
) -> None:
    table = sound.copy()
    table.loc[3, "label"] = "<script>alert(1)</script>"
    html = check_table(table, data, 5).html
    assert not re.findall(r"(?:https?:)?//[a-z]", html)
    assert "<script" not in html
    assert "<link" not in html
    assert "<img" not in html
    assert "Blobs &amp; &lt;friends&gt;" in html
    assert html == check_table(table, data, 5).html


@needs_chromium
def test_page_opens_without_a_request(
    faulty: tuple[pd.DataFrame, Validation], tmp_path: Path
) -> None:
    file = tmp_path / "index.html"
    file.write_text(faulty[1].html)
    requests: list[str] = []
    with chromium() as browser:
        view = browser.new_page()
        view.on("request", lambda request: requests.append(request.url))
        view.goto(file.as_uri())
        assert "The label is one of a, b, c" in view.inner_text("body")
    assert requests == [file.as_uri()]

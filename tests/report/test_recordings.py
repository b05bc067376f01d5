"""The sections on the source: acquisitions beside each other, and what was left out."""

from __future__ import annotations

import base64
import csv
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.data.test_acquisitions import binned, compare, rewritten
from tests.synthetic import make_store
from unstained.data.audit.acquisition_findings import comparison_content
from unstained.data.store.cell_store import CellStore
from unstained.report.page import Card, Gallery, Page, Picture, Plots, Section, Table, Text, render
from unstained.report.strips import Strip, strip_panel
from unstained.report.study.left_out import MOST_FILES, MOST_REASONS, left_out_section
from unstained.report.study.recordings import acquisitions_section


@pytest.fixture(scope="module")
def spoiled(tmp_path_factory: pytest.TempPathFactory) -> CellStore:
    """Two acquisitions of another unit among eight."""
    folder = tmp_path_factory.mktemp("spoiled")
    store = make_store(folder / "s", cells_per_group=4, groups_per_class=4, classes=("a", "b"))
    return rewritten(store, folder / "spoiled", {"a_01": lambda x: x * 16, "b_02": binned})


def section_of(store: CellStore) -> Section:
    content = comparison_content(compare(store))
    return acquisitions_section({"acquisitions": content}, store, 64)


def pixels(picture: Picture) -> np.ndarray:
    content = base64.b64decode(picture.source.partition(",")[2])
    return np.asarray(Image.open(io.BytesIO(content)))


def test_acquisitions_that_stand_out_are_shown_beside_ordinary_ones(spoiled: CellStore) -> None:
    section = section_of(spoiled)
    assert section.lead.endswith("2 stand out.")
    strips, table, *galleries = section.blocks
    assert isinstance(strips, Plots)
    assert len(strips.pictures) == 7
    assert strips.pictures[0].alt.endswith("8 acquisitions. Standing out: a_01.")
    assert isinstance(table, Table)
    assert [row[0].text for row in table.rows] == ["a_01", "b_02"]
    background, size = (
        table.columns.index("background"),
        table.columns.index("diameter of the cell"),
    )
    assert [row[background].strong for row in table.rows] == [True, False]
    assert [row[size].strong for row in table.rows] == [False, True]
    assert [gallery.caption[:4] for gallery in galleries if isinstance(gallery, Gallery)] == [
        "a_01",
        "b_02",
    ]
    page = render(Page("t", "q", "k", None, (section,)))
    assert page == render(Page("t", "q", "k", None, (section_of(spoiled),)))


def test_one_grey_scale_shows_another_unit(spoiled: CellStore) -> None:
    """Sixteen times the counts: the others are black in counts, and alike over background."""
    (gallery,) = (
        block
        for block in section_of(spoiled).blocks
        if isinstance(block, Gallery) and block.caption.startswith("a_01")
    )
    cards: dict[str, list[Card]] = {}
    for card in gallery.cards:
        cards.setdefault(card.title, []).append(card)
    odd, usual = (
        next(v for k, v in cards.items() if k.endswith(end)) for end in ("out", "ordinary")
    )
    assert len(odd) == len(usual) == 4
    bright, dark = (np.mean([pixels(card.pictures[0]) for card in some]) for some in (odd, usual))
    assert bright > 100
    assert dark < 40
    one, other = (np.mean([pixels(card.pictures[1]) for card in some]) for some in (odd, usual))
    assert abs(one - other) < 12


def test_few_acquisitions_are_said_to_be_few(tmp_path: Path) -> None:
    store = make_store(tmp_path / "s", cells_per_group=4, groups_per_class=1, classes=("a", "b"))
    (text,) = section_of(store).blocks
    assert isinstance(text, Text)
    assert text.paragraphs[0].startswith("There are 2 acquisitions that can be compared")


@pytest.mark.parametrize("values", [[1.0, 1.0], [0.02, 1.0], [1.0, 4000.0], [-1.5, 1.0]])
def test_a_strip_names_what_stands_out(values: list[float]) -> None:
    names = tuple("odd" if abs(value - 1) > 0.5 else "" for value in values)
    turn = values[0] < 0
    band = (-0.3, np.inf) if turn else (0.8, 1.25)
    strip = Strip("t", ("a",), (0, 0), np.array(values), names, band, logarithmic=not turn)
    svg = strip_panel(strip)
    assert (">odd<" in svg) == any(names)
    assert svg == strip_panel(strip)


def write(path: Path, rows: list[tuple[str, str, str]]) -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("source_file", "reason", "kind"), *rows])
    return path


def test_what_was_left_out_is_counted_by_reason_and_named(tmp_path: Path) -> None:
    small = [(f"a/{n}.tif", f"is {n} x {n} pixels, less than 8 x 8", "quarantined") for n in (1, 2)]
    unread = [
        (f"deck{n:02}.czi", "is of a kind that is not read (.czi)", "not read") for n in range(30)
    ]
    odd = [(f"z{n}", f"reason {chr(97 + n)}", "not read") for n in range(MOST_REASONS)]
    section = left_out_section(write(tmp_path / "q.csv", [*small, *unread, *odd]))
    assert "2 files or cells were refused" in section.lead
    assert "45 files or links" in section.lead
    reasons, files, link = section.blocks
    assert isinstance(reasons, Table)
    assert isinstance(files, Table)
    assert [cell.text for cell in reasons.rows[0][:2]] == ["not read", "30"]
    assert [cell.text for cell in reasons.rows[1]] == ["quarantined", "2", small[0][1]]
    assert sum(int(row[1].text) for row in reasons.rows) == 47
    assert reasons.rows[-1][2].text == "2 more reasons"
    assert len(files.rows) == MOST_FILES
    assert files.caption == "The first 20 of 47, by name"
    assert files.rows[0][0].text == "a/1.tif"
    assert isinstance(link, Text)
    html = render(Page("t", "q", "k", None, (section,)))
    assert '<a href="../ingest/quarantine.csv">' in html


def test_nothing_left_out_is_said(tmp_path: Path) -> None:
    (text,) = left_out_section(write(tmp_path / "q.csv", [])).blocks
    assert isinstance(text, Text)
    assert text.paragraphs == ("Nothing was left out.",)

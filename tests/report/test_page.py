"""The page: whole, escaped, accessible and the same bytes for the same content."""

from __future__ import annotations

from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from unstained.imaging.evidence import png
from unstained.report import figures
from unstained.report import page as report
from unstained.statistics.intervals import Estimate


class Reader(HTMLParser):
    """Collects tags and checks that they are closed in order."""

    VOID = frozenset({"meta", "link", "img", "path", "circle"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def page() -> report.Page:
    """One of every block."""
    picture = report.png_picture(png(np.zeros((4, 4), np.uint8)), 'a "cell"', 10)
    cell = report.Cell
    table = report.Table(
        "Numbers",
        ("", "x", "y"),
        (
            (cell("first", "detail"), cell("1", shade=0.4), cell("2", strong=True)),
            (cell("second"), cell("3"), cell("4")),
        ),
        "note",
        (("", 1), ("both", 2)),
        (1,),
        even=True,
    )
    blocks = (
        report.Text(("One.", "Two <b>& three</b>.")),
        table,
        report.Plots("A plot", (picture,) * 4),
        report.Gallery("Cells", (report.Card((picture,), "title", "text", "bad"),), "note"),
        report.Findings(
            tuple(report.Finding(tone, f"is {tone}", "why") for tone in report.TONE_WORDS)
        ),
        report.Definitions((("term", "meaning"),), compact=True),
    )
    verdict = report.Verdict("good", "Yes", ("Because.",), (report.Tile("label", "1", "detail"),))
    section = report.Section("first", "First", "1st", "Lead", blocks)
    return report.Page("Title", "Question?", "kicker", verdict, (section,), footer="end")


def read(html: str) -> Reader:
    reader = Reader()
    reader.feed(html)
    assert not reader.open
    return reader


def test_every_block_is_rendered_and_closed() -> None:
    html = report.render(page())
    tags = [tag for tag, _ in read(html).tags]
    assert (tags.count("h1"), tags.count("img"), tags.count("table")) == (1, 5, 1)
    for text in ("Lead", "detail", "Good:", "Caution:", "Warning:", "Note:", "meaning", "Yes"):
        assert text in html


def test_text_is_escaped() -> None:
    html = report.render(page())
    assert "Two &lt;b&gt;&amp; three&lt;/b&gt;." in html
    assert "a &#34;cell&#34;" in html


def test_nothing_is_loaded_from_elsewhere() -> None:
    for tag, attributes in read(report.render(page())).tags:
        for name in ("src", "href"):
            value = attributes.get(name)
            assert value is None or value.startswith(("data:", "#")), (tag, value)
        assert tag != "script"


def test_pictures_have_words_and_headings_have_scopes() -> None:
    tags = read(report.render(page())).tags
    assert all(attributes.get("alt") for tag, attributes in tags if tag == "img")
    assert all(attributes.get("scope") for tag, attributes in tags if tag == "th")


def test_simulated_pages_say_so_at_every_number() -> None:
    plain, simulated = report.render(page()), report.render(replace(page(), simulated=True))
    assert "SIMULATED" not in plain
    assert 'class="badge"' not in plain
    assert "SIMULATED CELLS" in simulated
    assert simulated.count('class="badge"') == 4
    assert "<title>Title (simulated cells)</title>" in simulated


def test_same_content_gives_the_same_bytes() -> None:
    assert report.render(page()) == report.render(page())


def test_a_page_needs_no_verdict() -> None:
    assert "Verdict" not in report.render(replace(page(), verdict=None))


def test_sections_with_one_key_are_refused() -> None:
    section = page().sections[0]
    with pytest.raises(ValueError, match="different keys"):
        report.render(replace(page(), sections=(section, section)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rows": ((report.Cell("x"),),)}, "1 cells below 3"),
        ({"groups": (("all", 2),)}, "do not span 3"),
    ],
)
def test_crooked_tables_are_refused(change: dict[str, object], message: str) -> None:
    table = page().sections[0].blocks[1]
    crooked = replace(table, **change)
    section = replace(page().sections[0], blocks=(crooked,))
    with pytest.raises(ValueError, match=message):
        report.render(replace(page(), sections=(section,)))


def plots() -> dict[str, str]:
    """Every kind of plot, drawn once."""
    rng = np.random.default_rng(0)
    value = Estimate(0.8, 0.7, 0.9)
    rows = [
        figures.ForestRow("model", value, None, True),
        figures.ForestRow("control", value, value, False),
        figures.ForestRow("unknown", Estimate(np.nan, np.nan, np.nan), None, False),
    ]
    line = np.linspace(0, 1, 20)
    truth, labels = rng.normal(size=50), rng.integers(0, 3, 50)
    return {
        "forest": figures.forest(rows, "accuracy", 0.33, "held out", "random"),
        "roc": figures.roc_panel("class", [("model", line, line**0.5, 0.7)], 0),
        "reliability": figures.reliability_panel("model", line, line, (line, line)),
        "scatter": figures.scatter_panel("DNA", "counts", truth, truth, labels, tuple("abc")),
    }


def test_plots_are_reproducible_and_hold_their_words_as_text() -> None:
    first, second = plots(), plots()
    assert first == second
    for name, word in {
        "forest": "guessing",
        "roc": "false positive rate",
        "reliability": "stated confidence",
        "scatter": "measured (counts)",
    }.items():
        assert f"{word}</text>" in first[name]
        assert "<dc:date>" not in first[name]


def test_words_stand_left_and_numbers_right() -> None:
    cell = report.Cell
    rows = (
        (cell("a"), cell("−0.2"), cell("not told"), cell("none"), cell("–")),
        (cell("b"), cell("3"), cell("–"), cell("12 %"), cell("–")),
    )
    table = report.Table("Numbers", ("", "x", "verdict", "share", "y"), rows)
    assert table.worded == {2}
    blocks = (table,)
    sections = (replace(page().sections[0], blocks=blocks),)
    html = report.render(replace(page(), sections=sections))
    assert '<th scope="col" class="words">verdict</th>' in html
    assert '<td class="words">not told</td>' in html
    assert "<td>−0.2</td>" in html

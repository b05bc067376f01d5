"""A self-contained HTML page: sections made of text, tables, plots, pictures and findings.

Stages build a `Page` from the blocks below and `render` turns it into one file that needs no
network, prints, reads on a phone and by a screen reader, and has the same bytes for the same
content. A new kind of block is a class here and a macro of its `kind` in templates/report.html.j2.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Final, Literal

from jinja2 import Environment, PackageLoader, StrictUndefined

Tone = Literal["good", "caution", "bad", "neutral"]

TONE_WORDS: Final[dict[str, str]] = {
    "good": "Good",
    "caution": "Caution",
    "bad": "Warning",
    "neutral": "Note",
}
"""Word beside each coloured sign, so that colour alone never carries the message."""


WIDE: Final = 192
"""CSS pixels from which on a picture in a gallery has more room."""
_WORDS: Final = re.compile(r"[A-Za-z]{2}")
"""How a cell begins that holds words."""


@dataclass(frozen=True)
class Text:
    """Paragraphs.

    Attributes:
        paragraphs: of plain text.
        links: words and address of links below them, to files beside the page.
    """

    kind: ClassVar[str] = "text"
    paragraphs: tuple[str, ...]
    links: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Cell:
    """One table cell.

    Attributes:
        text: what it says.
        detail: smaller text below, e.g. the interval.
        shade: 0 to 1, strength of a background tint; None for none.
        strong: emphasised.
    """

    text: str
    detail: str = ""
    shade: float | None = None
    strong: bool = False


@dataclass(frozen=True)
class Table:
    """A table whose first column names the rows.

    Attributes:
        caption: what it shows.
        columns: headings.
        rows: cells, as many as headings.
        note: small print below.
        groups: (heading, number of columns) of a row of headings above; empty for none.
        separators: rows above which a line is drawn.
        even: whether all columns are equally wide.
    """

    kind: ClassVar[str] = "table"
    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""
    groups: tuple[tuple[str, int], ...] = ()
    separators: tuple[int, ...] = ()
    even: bool = False

    @property
    def worded(self) -> frozenset[int]:
        """Columns of words, which stand left; numbers stand right."""
        said = {
            place: [row[place].text for row in self.rows if row[place].text not in ("", "–")]
            for place in range(1, len(self.columns))
        }
        return frozenset(
            place for place, texts in said.items() if texts and all(map(_WORDS.match, texts))
        )


@dataclass(frozen=True)
class Picture:
    """An image inside the page.

    Attributes:
        source: data address.
        alt: what it shows, in words, for who cannot see it.
        width: natural width in CSS pixels.
    """

    source: str
    alt: str
    width: int


@dataclass(frozen=True)
class Plots:
    """Plots side by side where there is room.

    Attributes:
        caption: what they show and how to read them.
        pictures: the plots.
    """

    kind: ClassVar[str] = "plots"
    caption: str
    pictures: tuple[Picture, ...]


@dataclass(frozen=True)
class Card:
    """Pictures of one cell with a few words."""

    pictures: tuple[Picture, ...]
    title: str
    text: str
    tone: Tone = "neutral"


@dataclass(frozen=True)
class Gallery:
    """Cards of cells under a heading, with a note on how to read them."""

    kind: ClassVar[str] = "gallery"
    caption: str
    cards: tuple[Card, ...]
    note: str = ""

    @property
    def wide(self) -> bool:
        """Whether a picture has several frames beside each other, which need room."""
        return any(picture.width >= WIDE for card in self.cards for picture in card.pictures)


@dataclass(frozen=True)
class Finding:
    """One thing that a reader should know before trusting a number."""

    tone: Tone
    title: str
    text: str


@dataclass(frozen=True)
class Findings:
    """Findings, worst first."""

    kind: ClassVar[str] = "findings"
    items: tuple[Finding, ...]


@dataclass(frozen=True)
class Definitions:
    """Terms or facts, each with its explanation."""

    kind: ClassVar[str] = "definitions"
    items: tuple[tuple[str, str], ...]
    compact: bool = False


Block = Text | Table | Plots | Gallery | Findings | Definitions


@dataclass(frozen=True)
class Section:
    """A section with its entry in the navigation.

    Attributes:
        key: anchor, unique in the page.
        title: heading; short: entry in the navigation.
        lead: one or two sentences that say what the section tells.
        blocks: content.
    """

    key: str
    title: str
    short: str
    lead: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Tile:
    """One key figure."""

    label: str
    value: str
    detail: str


@dataclass(frozen=True)
class Verdict:
    """The answer in one breath."""

    tone: Tone
    answer: str
    sentences: tuple[str, ...]
    tiles: tuple[Tile, ...]


@dataclass(frozen=True)
class Page:
    """A whole report.

    Attributes:
        title: what was studied.
        question: what was asked.
        kicker: small line above the title.
        verdict: the answer, or None for pages without one.
        sections: in reading order.
        simulated: whether the cells come from the simulator: every number is then labelled.
        footer: last line.
    """

    title: str
    question: str
    kicker: str
    verdict: Verdict | None
    sections: Sequence[Section]
    simulated: bool = False
    footer: str = ""


def origin_section(provenance: tuple[tuple[str, str], ...]) -> Section:
    """The last section of a page.

    Args:
        provenance: facts on origin, in reading order (pipeline/provenance.py).
    """
    return Section(
        "origin",
        "Where these numbers come from",
        "Origin",
        "Enough to make the same numbers again.",
        (Definitions(provenance, compact=True),),
    )


def svg_picture(svg: str, alt: str, width: int) -> Picture:
    """A plot as a picture."""
    return Picture(_data_address("svg+xml", svg.encode()), alt, width)


def png_picture(content: bytes, alt: str, width: int) -> Picture:
    """A PNG as a picture."""
    return Picture(_data_address("png", content), alt, width)


def _data_address(kind: str, content: bytes) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def render(page: Page) -> str:
    """The page as one HTML file.

    Raises:
        ValueError: two sections share a key, or a table's row has another length than its heading.
    """
    keys = [section.key for section in page.sections]
    if len(set(keys)) < len(keys):
        raise ValueError(f"sections need different keys, not {keys}")
    for section in page.sections:
        for block in section.blocks:
            if isinstance(block, Table):
                _check_table(block)
    environment = Environment(
        loader=PackageLoader("unstained.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    template = environment.get_template("report.html.j2")
    return template.render(page=page, words=TONE_WORDS)


def _check_table(table: Table) -> None:
    width = len(table.columns)
    for row in table.rows:
        if len(row) != width:
            raise ValueError(f"table {table.caption!r}: {len(row)} cells below {width} headings")
    if table.groups and sum(count for _, count in table.groups) != width:
        raise ValueError(f"table {table.caption!r}: group headings do not span {width} columns")

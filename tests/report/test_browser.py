"""The report in a real browser: nothing from the network, nothing broken, nothing too wide."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.browser import Watched, chromium, needs_chromium
from tests.evaluation.evaluations import (
    evaluate_params,
    make_cells,
    make_evaluation,
    make_model,
    study,
)
from unstained.imaging.evidence import png
from unstained.report.page import Card, Gallery, Section, png_picture, render
from unstained.report.study.appendix import build_page

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = needs_chromium

LONG_NAME = "a_model_with_a_rather_long_name"


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A simulated study with three models, external cells, a marker and example cells."""
    cells, data, params = make_cells(external=True), study(), evaluate_params()
    models = tuple(
        make_model(cells, data, params, name=name, right=right)
        for name, right in ((LONG_NAME, 0.9), ("other", 0.8), ("third", 0.6))
    )
    picture = png_picture(png(np.full((32, 32), 128, np.uint8)), "a cell", 128)
    card = Card(
        (picture, picture), "alpha, predicted beta", "98 % sure; a_very_long_cell/123", "bad"
    )
    section = Section("cells", "Cells", "Cells", "Lead", (Gallery("Cells", (card,) * 8, "note"),))
    audit = [{"severity": "warning", "check": "balance", "sentence": "A long sentence. " * 20}]
    page = build_page(
        make_evaluation(models=models, cells=cells, simulated=True, audit=audit), section, 3
    )
    path = tmp_path_factory.mktemp("browser") / "report.html"
    path.write_text(render(page), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


class Visit(Watched):
    """The report, opened."""

    def __init__(self, browser: Browser, report: Path, width: int) -> None:
        super().__init__(browser, viewport={"width": width, "height": 900})
        self.page.goto(report.as_uri(), wait_until="load")


@pytest.fixture(scope="module", params=[320, 400, 1280])
def visit(request: pytest.FixtureRequest, browser: Browser, report: Path) -> Iterator[Visit]:
    found = Visit(browser, report, request.param)
    yield found
    found.page.close()


def test_nothing_comes_from_the_network_and_nothing_is_wrong(visit: Visit) -> None:
    assert visit.requests
    assert [url for url in visit.requests if not url.startswith(("file:", "data:"))] == []
    assert visit.complaints == []


def test_page_is_no_wider_than_the_window(visit: Visit) -> None:
    width = visit.page.evaluate("document.documentElement.clientWidth")
    assert visit.page.evaluate("document.documentElement.scrollWidth") <= width
    edges = visit.page.evaluate(
        """[...document.querySelectorAll('main *')]
           .filter(e => !e.closest('.scroll') && e.getClientRects().length)
           .map(e => e.getBoundingClientRect().right)"""
    )
    assert max(edges) <= width + 0.5


def test_every_section_is_visible_and_in_the_navigation(visit: Visit) -> None:
    links = [link.get_attribute("href") for link in visit.page.locator("nav a").all()]
    sections = visit.page.locator("main > section[id]").all()
    assert links == [f"#{section.get_attribute('id')}" for section in sections]
    for section in sections:
        box = section.bounding_box()
        assert section.is_visible()
        assert box is not None
        assert box["height"] > 50


def test_every_picture_is_loaded_and_shown(visit: Visit) -> None:
    pictures = visit.page.evaluate(
        """[...document.images].map(i => [i.complete && i.naturalWidth > 0, i.width, i.alt])"""
    )
    assert len(pictures) >= 16 + 1 + 3 + 3 + 1
    for loaded, width, alt in pictures:
        assert loaded, alt
        assert width > 40, alt


def test_wide_tables_fit_on_a_desk(browser: Browser, report: Path) -> None:
    visit = Visit(browser, report, 1280)
    hidden = visit.page.evaluate(
        """[...document.querySelectorAll('.scroll')]
           .filter(e => e.scrollWidth > e.clientWidth + 1).map(e => e.ariaLabel)"""
    )
    visit.page.close()
    assert hidden == []


def test_simulated_cells_are_announced_first(visit: Visit) -> None:
    banner = visit.page.locator(".banner")
    assert banner.is_visible()
    assert "SIMULATED CELLS" in banner.inner_text()
    box = banner.bounding_box()
    assert box is not None
    assert box["y"] == 0


def test_text_has_enough_contrast(visit: Visit) -> None:
    """WCAG 2.2 AA: at least 4.5 to 1 against the page's white and its tints."""
    colours = visit.page.evaluate(
        """[...new Set([...document.querySelectorAll('main *')]
           .filter(e => [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim()))
           .map(e => getComputedStyle(e).color))]"""
    )
    for colour in colours:
        channels = np.array([float(part) for part in colour[4:-1].split(",")]) / 255
        linear = np.where(
            channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4
        )
        luminance = float(linear @ [0.2126, 0.7152, 0.0722])
        assert 0.9 / (luminance + 0.05) > 4.5, colour


def test_print_hides_the_navigation(browser: Browser, report: Path) -> None:
    visit = Visit(browser, report, 1280)
    visit.page.emulate_media(media="print")
    assert not visit.page.locator("nav").is_visible()
    assert visit.page.locator("#models").is_visible()
    visit.page.close()

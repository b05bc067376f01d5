"""The page in a real browser: what a person does with it, by mouse, keyboard and on a phone."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

from tests.browser import Watched, chromium, needs_chromium
from tests.serving.page.conftest import CELLS, Shown, asked_twice, images, online, shown_by

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = needs_chromium

WIDE = {"width": 1280, "height": 800}
PHONE = {"width": 360, "height": 740}
MANY = 20_000


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def sample(page: Shown) -> str:
    return page.sample()


class Visit(Watched):
    """The page, opened."""

    def __init__(self, browser: Browser, page: Shown, sample: str = "", **how: Any) -> None:
        super().__init__(browser, **{"viewport": WIDE, **how})
        self.page.set_default_timeout(10_000)
        self.page.goto(page.url + (f"#{sample}" if sample else ""))
        self.page.locator(".tile" if sample else ".zone").first.wait_for()

    def words(self) -> str:
        """How many cells are shown."""
        return self.page.locator(".toolbar strong").inner_text()

    def names(self) -> list[str]:
        """Classes of the cells in sight, in order of their places."""
        tiles = self.page.locator(".tile").all()
        found = [(int(t.get_attribute("aria-posinset") or 0), t.inner_text()) for t in tiles]
        return [text.split("\n")[0] for _, text in sorted(found)]

    def saved(self, button: str) -> bytes:
        """What a button saves."""
        with self.page.expect_download() as waited:
            self.page.get_by_role("button", name=button, exact=True).first.click()
        return Path(waited.value.path()).read_bytes()


@pytest.fixture
def visit(browser: Browser, page: Shown, sample: str) -> Iterator[Visit]:
    """A sample of 24 cells."""
    found = Visit(browser, page, sample)
    yield found
    assert found.complaints == []
    found.page.close()


def test_files_are_chosen_and_become_cells(
    browser: Browser, page: Shown, files: list[Path]
) -> None:
    """Nothing comes from elsewhere, and the policy forbids nothing that the page does."""
    visit = Visit(browser, page)
    visit.page.set_input_files("#files", files)
    visit.page.locator(".tile").first.wait_for()
    assert visit.words() == f"{CELLS + 1} cells"
    assert visit.names().count("not read") == 1
    visit.page.locator(".tile").first.click()
    detail = visit.page.locator(".detail").inner_text()
    assert page.predictor.digest[:12] in detail
    assert "00.tif" in detail
    assert visit.page.locator(".detail h2").inner_text() == "00.tif"
    own = page.url.removesuffix("ui/")
    assert all(url.startswith((own, f"blob:{own}")) for url in visit.requests)
    assert visit.complaints == []
    policy = visit.page.request.get(page.url).headers["content-security-policy"]
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy
    visit.page.close()


def test_what_is_no_image_is_said_in_words(browser: Browser, page: Shown, tmp_path: Path) -> None:
    visit = Visit(browser, page)
    (tmp_path / "notes.txt").write_text("hello")
    visit.page.set_input_files("#files", tmp_path / "notes.txt")
    alert = visit.page.get_by_role("alert")
    alert.wait_for()
    assert "No cell was found in what was sent" in alert.inner_text()
    (tmp_path / "broken.png").write_bytes(b"no picture")
    visit.page.set_input_files("#files", tmp_path / "broken.png")
    visit.page.get_by_text("There is no cell that could be judged.").wait_for()
    assert "Not read: truncated or corrupt" in visit.page.locator(".detail").inner_text()
    visit.page.get_by_role("button", name="Other cells").click()
    visit.page.get_by_role("button", name="example cells").click()
    visit.page.locator(".tile").first.wait_for()
    assert visit.complaints == []
    visit.page.goto(f"{page.url}#{'a' * 22}")
    visit.page.reload()
    visit.page.get_by_text("these cells are not here any more").wait_for()
    visit.page.close()


def test_cells_are_filtered_and_sorted(visit: Visit) -> None:
    every = visit.names()
    first = visit.page.locator(".bar").first
    name = first.locator(".name").inner_text()
    first.click()
    assert set(visit.names()) == {name}
    assert visit.words() == f"{every.count(name)} of {CELLS} cells"
    visit.page.get_by_role("radio", name="abstains").check()
    assert set(visit.page.locator(".tile.abstains").all_inner_texts()) == set(
        visit.page.locator(".tile").all_inner_texts()
    )
    visit.page.get_by_role("button", name="Show all cells").click()
    assert visit.words() == f"{CELLS} cells"
    visit.page.get_by_label("Order").select_option("probability_a")
    visit.page.get_by_role("button", name="Smallest first").click()
    assert visit.names()[0] == "a"
    visit.page.get_by_label("Order").select_option("between")
    visit.page.get_by_label("From class", exact=True).select_option("a")
    visit.page.get_by_label("To class", exact=True).select_option("b")
    visit.page.get_by_role("button", name="Largest first").click()
    ordered = visit.names()
    assert ordered[0] != "b"
    assert ordered[-1] != "a"


def test_the_keyboard_walks_through_the_cells(visit: Visit) -> None:
    grid = visit.page.get_by_role("listbox", name="Cells")
    grid.focus()
    for key, place in (("ArrowRight", 2), ("End", CELLS), ("ArrowLeft", CELLS - 1), ("Home", 1)):
        visit.page.keyboard.press(key)
        chosen = visit.page.locator('.tile[aria-selected="true"]')
        assert chosen.get_attribute("aria-posinset") == str(place)
        assert grid.get_attribute("aria-activedescendant") == chosen.get_attribute("id")
        assert f"{place - 1}.tif" in visit.page.locator(".detail .facts").inner_text()
    visit.page.locator("#tab-cells").focus()
    visit.page.keyboard.press("ArrowRight")
    assert visit.page.locator("#tab-plot").get_attribute("aria-selected") == "true"


def test_a_gate_drawn_by_hand_filters_and_is_saved(visit: Visit) -> None:
    visit.page.locator("#tab-plot").click()
    draws = visit.page.get_by_role("button", name="Draw a gate")
    draws.click()
    box = visit.page.locator("canvas").bounding_box()
    assert box is not None
    for x, y in ((0.1, 0.03), (0.6, 0.03), (0.6, 0.97), (0.1, 0.97)):
        visit.page.mouse.click(box["x"] + x * box["width"], box["y"] + y * box["height"])
    visit.page.keyboard.press("Enter")
    assert draws.get_attribute("aria-pressed") == "false"
    visit.page.get_by_label("Name of the gate").fill("left")
    visit.page.keyboard.press("Enter")
    visit.page.locator("#tab-cells").click()
    inside = int(visit.words().split()[0])
    assert 0 < inside < CELLS
    visit.page.locator(".menu summary").click()
    frame = pd.read_csv(io.BytesIO(visit.saved("CSV")))
    assert len(frame) == CELLS
    assert frame["gate_left"].sum() == inside
    values = frame["predicted_DNA"]
    low, high = (values[frame["gate_left"] == one] for one in (1, 0))
    assert low.max() < high.min()
    visit.page.locator(".menu summary").click()
    shown = visit.page.locator(".sheet .group").last.get_by_role("button", name="FCS")
    with visit.page.expect_download() as waited:
        shown.click()
    assert Path(waited.value.path()).read_bytes().startswith(b"FCS3.1")
    visit.page.get_by_text(re.compile(r"cells inside the gates")).wait_for()


def test_a_click_in_the_scatter_chooses_the_nearest_cell(visit: Visit) -> None:
    """With one value on both axes the largest one's place is known: at the top right."""
    called = visit.names()
    visit.page.locator(".menu summary").click()
    frame = pd.read_csv(io.BytesIO(visit.saved("CSV")))
    largest = int(frame["predicted_DNA"].idxmax())
    other = next(name for name in called if name != called[largest])
    visit.page.locator("#tab-plot").click()
    for axis in visit.page.locator(".scatter .toolbar select").all():
        axis.select_option("predicted_DNA")
    box = visit.page.locator("canvas").bounding_box()
    assert box is not None
    right = 16 + (box["width"] - 80) * 0.04 / 1.08
    top = 16 + (box["height"] - 60) * 0.04 / 1.08
    place = (box["x"] + box["width"] - right + 4, box["y"] + top - 4)
    chosen = visit.page.locator(".detail h2")
    first = chosen.inner_text()
    assert first != f"{largest}.tif"
    visit.page.mouse.click(box["x"] + 100, box["y"] + 30)
    assert chosen.inner_text() == first
    visit.page.mouse.click(*place)
    assert chosen.inner_text() == f"{largest}.tif"
    visit.page.keyboard.press("ArrowLeft")
    assert chosen.inner_text() == f"{largest - 1}.tif"
    visit.page.locator(".bar").filter(has_text=re.compile(rf"^{other}")).click()
    visit.page.mouse.click(*place)
    assert chosen.inner_text() != f"{largest}.tif"


def test_two_people_label_blind_and_their_agreement_is_shown(visit: Visit) -> None:
    visit.page.locator("#tab-label").click()
    assert visit.page.locator(".detail, .bars, .tile").count() == 0
    for person, keys in (("Ada", "1122"), ("Bob", "1121")):
        visit.page.get_by_label("Your name").fill(person)
        visit.page.get_by_role("button", name="Start").click()
        visit.page.locator(".asked").wait_for()
        for key in keys:
            visit.page.keyboard.press(key)
        visit.page.get_by_role("button", name="Stop and see").click()
        visit.page.get_by_label("Your name").wait_for()
    assert visit.page.locator(".kappa").inner_text() == "0.50"
    content = visit.saved("Save the labelled cells (.zip)")
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        table = pd.read_csv(io.BytesIO(archive.read("labels.csv")))
    assert list(table["by Ada"]) == list("aabb")
    assert table["label"].isna().sum() == 1


def test_twenty_thousand_cells_are_few_elements(browser: Browser, page: Shown) -> None:
    visit = Visit(browser, page, page.sample(MANY))
    assert visit.words() == "20,000 cells"
    assert visit.page.locator(".tile").count() < 300
    visit.page.locator(".grid").press("End")
    last = visit.page.locator('.tile[aria-selected="true"]')
    assert last.get_attribute("aria-posinset") == str(MANY)
    assert last.is_visible()
    visit.page.locator(".bar").first.click()
    visit.page.get_by_label("Order").select_option("confidence")
    count = int(visit.words().split()[0].replace(",", ""))
    assert 0 < count < MANY
    assert visit.page.locator(".tile").count() < 300
    assert visit.complaints == []
    visit.page.close()


def test_on_a_phone_nothing_is_too_wide_and_a_cell_opens(
    browser: Browser, page: Shown, sample: str
) -> None:
    visit = Visit(browser, page, sample, viewport=PHONE)
    for tab in ("plot", "label", "model", "cells"):
        visit.page.locator(f"#tab-{tab}").click()
        assert visit.page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    assert not visit.page.locator(".detail").is_visible()
    visit.page.locator(".tile").first.click()
    visit.page.locator(".detail").get_by_text("Probabilities").wait_for()
    visit.page.get_by_role("button", name="Close").click()
    visit.page.locator(".filters > summary").click()
    assert visit.page.get_by_role("button", name="Show all cells").is_visible()
    assert visit.complaints == []
    visit.page.close()


def test_the_challenger_is_shown_beside_the_champion(browser: Browser, two: Shown) -> None:
    """It is asked when somebody wants to compare; cells where both disagree come first."""
    visit = Visit(browser, two, two.sample())
    assert not visit.page.get_by_role("radio", name="disagree").is_visible()
    visit.page.locator("#tab-compare").click()
    visit.page.locator(".agreement strong").wait_for()
    one, other = (judge.predict(images())["probabilities"] for judge in two.both)
    called = [found.argmax(axis=1) for found in (one, other)]
    apart = called[0] != called[1]
    sure = np.where(apart, 1 + np.minimum(one.max(axis=1), other.max(axis=1)), 0)
    visit.page.locator(".bar").first.wait_for()
    first = visit.page.locator('.tile[aria-posinset="1"]')
    assert first.get_attribute("id") == f"cell-{sure.argmax()}"
    said = [text.split("\n")[:2] for text in first.locator(".says").all_inner_texts()]
    names = ["abc"[of[sure.argmax()]] for of in called]
    assert said == [["champion", names[0]], ["challenger", names[1]]]
    same = int((~apart).sum())
    assert f"They agree on {100 * same / CELLS:.1f} %" in visit.page.locator(".sum").inner_text()
    visit.page.get_by_role("radio", name="disagree").check()
    assert visit.words() == f"{CELLS - same} of {CELLS} cells"
    visit.page.locator(".crossed summary").click()
    pair = visit.page.locator(".confusion td:not(.same) button").first
    count = int(pair.inner_text())
    with visit.page.expect_response(re.compile("comparison")):  # the table is drawn anew with it
        visit.page.get_by_role("button", name="Show all cells").click()
        pair.press("Enter")
    assert visit.words() == f"{count} of {CELLS} cells"
    visit.page.wait_for_timeout(100)
    assert visit.page.locator(".confusion button:focus").get_attribute("aria-pressed") == "true"
    visit.page.locator(".tile").first.click()
    assert visit.page.locator(".detail .verdict h3").all_inner_texts() == ["Champion", "Challenger"]
    detail = visit.page.locator(".detail")
    assert detail.evaluate("node => node.scrollWidth <= node.clientWidth")
    bars = detail.locator(".chances .track span").evaluate_all("all => all.map(n => n.offsetWidth)")
    assert max(bars) > 40
    visit.page.locator(".menu summary").click()
    frame = pd.read_csv(io.BytesIO(visit.saved("CSV")))
    assert (frame["predicted"] != frame["challenger_predicted"]).sum() == CELLS - same
    assert violations(visit) == []
    visit.page.locator("#tab-model").click()
    assert visit.page.locator("article.card").count() == 2
    assert violations(visit) == []
    visit.page.set_viewport_size(PHONE)
    visit.page.reload()
    visit.page.locator("#tab-compare").click()
    visit.page.locator(".agreement strong").wait_for()
    assert visit.page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    assert visit.page.locator("#tab-model").bounding_box()["x"] < PHONE["width"]
    assert visit.complaints == []
    visit.page.close()


def test_one_of_several_questions_is_looked_at(browser: Browser, artifact: Path) -> None:
    """Composition, classes and filters go with it; people are asked the first one."""
    with online(shown_by(asked_twice(artifact))) as page:
        visit = Visit(browser, page, page.sample())
        found = page.predictor.predict(images())["probabilities"].argmax(axis=1)
        counts = np.bincount(found, minlength=3)
        for name, called in (("blob", counts), ("other", np.roll(counts, 1))):
            visit.page.get_by_label("Question").select_option(label=name)
            first = visit.page.locator(".bar").first
            first.get_by_text(f"; {called[0]} cells called so").wait_for()
            first.click()
            assert visit.words() == f"{called[0]} of {CELLS} cells"
            assert set(visit.names()) == {"a"}
        shares = visit.page.locator(".bar .share").all_inner_texts()
        assert shares == [f"{100 * n / CELLS:.1f} %" for n in called]  # no known errors to correct
        visit.page.get_by_label("Order").select_option("confidence:other")
        visit.page.locator("#tab-label").click()
        visit.page.get_by_text("Which of 3 classes").wait_for()
        assert visit.complaints == []
        visit.page.close()


def violations(visit: Visit) -> list[str]:
    """What axe-core's rules of WCAG 2.2 AA find wrong."""
    from axe_playwright_python.sync_playwright import Axe

    tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
    options = {"runOnly": {"type": "tag", "values": tags}, "resultTypes": ["violations"]}
    found = Axe().run(visit.page, options=options).response["violations"]
    return [f"{one['id']}: {node['html'][:200]}" for one in found for node in one["nodes"]]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_view_is_accessible(browser: Browser, page: Shown, sample: str, scheme: str) -> None:
    size = WIDE if scheme == "light" else PHONE
    front = Visit(browser, page, color_scheme=scheme, viewport=size)
    front.page.locator(".about summary").click()
    assert violations(front) == []
    front.page.close()
    visit = Visit(browser, page, sample, color_scheme=scheme, viewport=size)
    visit.page.locator(".bar").first.wait_for(state="attached")
    for tab in ("cells", "plot", "label", "model"):
        visit.page.locator(f"#tab-{tab}").click()
        if tab == "label":
            visit.page.get_by_label("Your name").fill(scheme)
            visit.page.get_by_role("button", name="Start").click()
            visit.page.locator(".asked").wait_for()
        assert violations(visit) == [], tab
    visit.page.close()


def test_gates_hold_what_lies_inside_a_polygon(visit: Visit) -> None:
    """Against a reference: matplotlib's."""
    from matplotlib.path import Path as Polygon

    rng = np.random.default_rng(0)
    corners, points = rng.random((7, 2)), rng.random((500, 2))
    script = """async ([corners, points]) => {
        const { within } = await import('./scatter.js');
        return points.map(([x, y]) => within(corners, x, y));
    }"""
    found = visit.page.evaluate(script, [corners.tolist(), points.tolist()])
    assert found == Polygon(corners).contains_points(points).tolist()


def test_an_axis_has_several_round_numbers_and_not_too_many(visit: Visit) -> None:
    script = """async (ranges) => {
        const { ticks } = await import('./scatter.js');
        return ranges.map(([low, high, pixels]) => ticks(low, high, pixels));
    }"""
    ranges = [(low, low + 1.07**n, 600) for n in range(40) for low in (-20.02, 0, 9)]
    for (low, high, _), marks in zip(ranges, visit.page.evaluate(script, ranges), strict=True):
        assert 3 <= len(marks) <= 9
        assert all(low <= at <= high + 1e-9 for at, _ in marks)
    ((narrow, *_),) = [visit.page.evaluate(script, [(0, 1, 150)])]
    assert [words for _, words in narrow] == ["0.0", "0.5", "1.0"]


def test_the_card_tells_how_it_was_promoted(browser: Browser, page: Shown, sample: str) -> None:
    visit = Visit(browser, page, sample)
    visit.page.get_by_role("tab", name="Model").click()
    card = visit.page.locator("article.card")
    said = "Promoted on 2026-11-03 02:17 UTC by ada@lab in place of version 5: v7 is better"
    card.get_by_text(said).wait_for()
    card.get_by_text("balanced accuracy 0.912 against 0.881").wait_for()
    said = card.inner_text()
    assert "Not signed, or not verified here." in said
    assert "Tells which class a cell is of (a, b or c) and the value of DNA, from" in said
    assert "`" not in said
    assert card.locator("li code").first.inner_text() == "abstention"
    visit.page.close()

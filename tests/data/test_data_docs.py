"""The page of Data Docs: failures first, nothing from outside, nothing random."""

from __future__ import annotations

import pytest

from unstained.data.audit.data_docs import Failure, Validation, page
from unstained.errors import ValidationError


@pytest.mark.parametrize(
    ("failure", "text"),
    [
        (Failure("Column x exists", 0, ()), "Column x exists"),
        (Failure("x > 0", 1, ("a",)), "x > 0: 1 row breaks it: a"),
        (Failure("x > 0", 2, ("a", "b")), "x > 0: 2 rows break it: a, b"),
        (Failure("x > 0", 1200, ("a", "b")), "x > 0: 1,200 rows break it: a, b, ..."),
    ],
)
def test_a_failure_in_words(failure: Failure, text: str) -> None:
    assert str(failure) == text


def test_page_strips_what_is_random_or_comes_from_elsewhere() -> None:
    section = '<div id="4f2" data-toggle="x" class="y"><script src="https://a.b"></script>ok</div>'
    failures = [Failure("a < b", 0, ())]
    html = page("T", 3, failures, [("Cells", section), ("Cells", "<p>2</p>"), ("Classes", "3")])
    assert '<div class="y">ok</div>' in html
    assert "https:" not in html
    assert "2 of 3 expectations hold" in html
    assert "<li>a &lt; b</li>" in html
    assert html.count("<h2>Cells</h2>") == 1
    assert html.index("a &lt; b") < html.index("<h2>Cells</h2>") < html.index("<h2>Classes</h2>")


def test_require_stops_only_on_failures() -> None:
    Validation(5, (), "").require("r")
    with pytest.raises(ValidationError, match="2 of 5 expectations of the cell table do not hold"):
        Validation(5, (Failure("x", 0, ()), Failure("y", 0, ())), "").require("r")

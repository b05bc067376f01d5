"""What the page on uncertainty says of hand-made tables: by their intervals, never by points."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pandas as pd
import pytest

from unstained.evaluation.uncertainty.results import Results
from unstained.evaluation.uncertainty.unknown_cells import CONTROL, KIND_WORDS
from unstained.evaluation.uncertainty.unknown_kinds import SCORES
from unstained.report.uncertainty import findings as words

KIND = next(kind for kind in KIND_WORDS if kind != CONTROL)


def results(**tables: Any) -> Results:
    """Just what the sentences read."""
    content = {"best": "net", "group_word": "acquisition", "impure": None, **tables}
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
    (found,) = words._strangers(results(outliers=pd.DataFrame([row])))
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

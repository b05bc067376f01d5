"""Numbers with their nouns."""

from __future__ import annotations

import pytest

from unstained.wording import counted


@pytest.mark.parametrize(
    ("number", "words"), [(0, "0 groups"), (1, "1 group"), (1200, "1,200 groups")]
)
def test_one_is_singular(number: int, words: str) -> None:
    assert counted(number, "group") == words


def test_plurals_may_be_named() -> None:
    assert [counted(number, "class", "classes") for number in (1, 2)] == ["1 class", "2 classes"]

"""Intervals as a text tells them: '90 % interval 2.79 to 4.01'.

Both ends are read together, low before high, and as the interval of one value. Whatever else is
said of an interval is refused, so that no number of it can be taken for a value.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from unstained.summaries.reading import Token
from unstained.summaries.refusing import RefusedError
from unstained.summaries.vocabulary import BETWEEN_ENDS, INTERVALS, INTRODUCING, TO_ENDS


@dataclass(frozen=True)
class Span:
    """An interval in a sentence.

    Attributes:
        first, last: places of its first and of its last token.
        coverage: the number before 'interval'.
        low, high: both ends.
        names: between 'interval' and the ends, '90 % interval of CD16 is 2.79 to 4.01'.
    """

    first: int
    last: int
    coverage: Token
    low: Token
    high: Token
    names: frozenset[str]


def spans(sentence: Sequence[Token]) -> Iterator[Span]:
    """The intervals of a sentence.

    Raises:
        RefusedError: 'interval' is said of anything but two numbers, or without its coverage.
    """
    for at, token in enumerate(sentence):
        if token.word in INTERVALS:
            yield _span(sentence, at)


def _span(sentence: Sequence[Token], at: int) -> Span:
    low = at + 1
    while low < len(sentence) and (sentence[low].kind == "name" or sentence[low].word in TO_ENDS):
        low += 1
    ends = sentence[low : low + 3]
    kinds = [token.kind for token in ends]
    if kinds[::2] != ["number", "number"] or ends[1].word not in BETWEEN_ENDS:
        raise RefusedError("number", f"{sentence[at].text!r} without two ends")
    first = at - 1 if at and sentence[at - 1].word == "prediction" else at
    first -= 1
    if first < 0 or not sentence[first].percent:
        raise RefusedError("certainty", f"{sentence[at].text!r} without its coverage")
    before = sentence[first - 1] if first else None
    if before is not None and before.kind != "name" and before.word not in INTRODUCING:
        raise RefusedError("number", f"{before.text!r} before the coverage of an interval")
    names = frozenset(token.text for token in sentence[at:low] if token.kind == "name")
    return Span(first, low + 2, sentence[first], ends[0], ends[2], names)

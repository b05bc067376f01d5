"""A text as names, numbers and words; what is none of them is refused.

A name is found as it is written in the prediction, in letters of either case, with or without an
's' behind it. A short or common name ('S', 'a') counts only in double quotes, where any name may
stand.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

from unstained.summaries.facts import Facts
from unstained.summaries.refusing import RefusedError
from unstained.summaries.vocabulary import (
    DECIDED,
    NEGATION,
    OUTCOME,
    PLAIN,
    UNDECIDED,
    WORD_NUMBERS,
    words,
)

LONGEST: Final = 1200
"""Characters of a text; a summary of six tasks needs half of them."""

QUOTES: Final = str.maketrans({"“": '"', "”": '"', "’": "'", "‘": "'", "−": "-", "\u00a0": " "})
"""Signs that writers use for plainer ones."""

NUMBER: Final = re.compile(
    r"(?:(?P<beyond>over|above|more than|>|under|below|less than|<)\s*)?"
    r"(?P<digits>-?(?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]+)(?:\.[0-9]+)?)(?![\w])(?!\.\d)(?!,\d)",
    re.IGNORECASE,
)
ZEROS: Final = re.compile(r"-?0\d")
PERCENT: Final = re.compile(r"\s?(?:%|percent\b|per cent\b)", re.IGNORECASE)
WORD: Final = re.compile(r"[^\W_][\w'+/*-]*")
LONGER: Final = re.compile(r"[\w+/'*-]")
"""Behind a name: it is part of something longer."""
ENDS: Final = frozenset(".;\n")
MARKS: Final = frozenset(",:()–—=±")
ABOVE: Final = frozenset({"over", "above", "more than", ">"})

KNOWN: Final = PLAIN | DECIDED | UNDECIDED | NEGATION | OUTCOME | WORD_NUMBERS.keys()

COUNTING: Final = words("over above more than under below less percent per cent")
"""Words that numbers are read with."""

Kind = Literal["name", "number", "word", "mark"]


@dataclass(frozen=True)
class Token:
    """A piece of a text.

    Attributes:
        kind: name, number, word or mark (punctuation).
        text: as in the prediction for a name, lower case for a word, as written otherwise.
        value: of a number.
        decimals: with which it is written.
        percent: whether 'per cent' follows.
        beyond: 'over', 'under' or ''.
        unit: of a value, that follows; '' without.
    """

    kind: Kind
    text: str
    value: float = 0.0
    decimals: int = 0
    percent: bool = False
    beyond: str = ""
    unit: str = ""

    @property
    def word(self) -> str:
        """The word or mark; '' of names and numbers, whatever they are called."""
        return self.text if self.kind in ("word", "mark") else ""


def quoted(name: str) -> str:
    """A name as a text may say it: in quotes where it could be taken for something else."""
    said = [word.casefold() for word in WORD.findall(name)]
    common = all(word in KNOWN | COUNTING or word.isdigit() for word in said)
    plain = len(name) > 1 and WORD.match(name) and not common and not NUMBER.match(name)
    return name if plain and '"' not in name else f'"{name}"'


def sentences(text: str, facts: Facts) -> list[list[Token]]:
    """The sentences of a text, each as its tokens.

    Raises:
        RefusedError: it is too long or empty, or has characters that plain text has not.
    """
    text = unicodedata.normalize("NFC", text.strip()).translate(QUOTES)
    if not text or len(text) > LONGEST:
        raise RefusedError("length", f"{len(text)} characters, where 1 to {LONGEST} are read")
    found: list[list[Token]] = [[]]
    for token in _tokens(text, facts):
        if token.kind == "mark" and token.text in ENDS:
            found.append([])
        else:
            found[-1].append(token)
    if text[-1] not in ".)":
        raise RefusedError("language", "the last sentence does not end")
    return [sentence for sentence in found if sentence]


def _tokens(text: str, facts: Facts) -> Iterator[Token]:
    names, units = _Names(facts), _units(facts)
    at = 0
    while at < len(text):
        if text[at] == " " or (text[at] == "\n" and text[at : at + 2] != "\n\n"):
            at += 1
            continue
        token, at = _next(text, at, names, units)
        yield token


def _next(text: str, at: int, names: _Names, units: list[str]) -> tuple[Token, int]:
    if (named := names.at(text, at)) is not None:
        return Token("name", named[0]), named[1]
    if (number := NUMBER.match(text, at)) is not None and not _joined(text, at):
        return _number(text, number, units)
    if (word := WORD.match(text, at)) is not None:
        lower = word[0].casefold()
        if lower in WORD_NUMBERS:
            return Token("number", lower, WORD_NUMBERS[lower]), word.end()
        return Token("word", lower), word.end()
    if text[at] in MARKS or text[at] in ENDS:
        return Token("mark", text[at]), at + 1
    raise RefusedError("characters", f"{text[at]!a} is no sign of plain text")


def _number(text: str, found: re.Match[str], units: list[str]) -> tuple[Token, int]:
    digits, end = found["digits"].replace(",", ""), found.end()
    beyond = found["beyond"] or ""
    sign = "" if not beyond else "over" if beyond.casefold() in ABOVE else "under"
    after = text[end:].lstrip(" ")
    skipped = len(text) - end - len(after)
    unit = next((u for u in units if after.startswith(u) and not after[len(u) :][:1].isalnum()), "")
    percent = None if unit else PERCENT.match(text, end)
    end = end + skipped + len(unit) if unit else percent.end() if percent else end
    if ZEROS.match(digits):
        raise RefusedError("number", f"{digits} is no plain number")
    places = len(digits.partition(".")[2])
    return Token("number", digits, float(digits), places, bool(percent), sign, unit), end


def _joined(text: str, at: int) -> bool:
    """Whether a number is the end of something longer, such as a word."""
    return at > 0 and (text[at - 1].isalnum() or text[at - 1] in "_.")


def _units(facts: Facts) -> list[str]:
    units = {fact.unit for fact in facts.values if not PERCENT.fullmatch(fact.unit)}
    return sorted(units - {""}, key=len, reverse=True)


class _Names:
    """The names of a prediction, as they may be written."""

    def __init__(self, facts: Facts) -> None:
        names = sorted((*facts.names, *facts.tasks), key=len, reverse=True)
        self._whole = {f'"{_plain(name)}"': name for name in names}
        self._bare = [(name, _plain(name)) for name in names if quoted(name) == name]

    def at(self, text: str, at: int) -> tuple[str, int] | None:
        """The name that begins at a position, and where it ends; None without."""
        for written, name in self._whole.items():
            if text.startswith(written, at):
                return name, at + len(written)
        if at and (text[at - 1].isalnum() or text[at - 1] in "_+/-"):
            return None
        for name, written in self._bare:
            end = at + len(written)
            if text[at:end].casefold() != written.casefold():
                continue
            plural = written[-1].isalpha() and text[end : end + 1] == "s"
            for stop in (end + 1, end) if plural else (end,):
                if not LONGER.match(text, stop):
                    return name, stop
        return None


def _plain(name: str) -> str:
    return unicodedata.normalize("NFC", name).translate(QUOTES)

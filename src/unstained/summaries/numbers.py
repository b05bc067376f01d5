"""Whose number a number is, and whether it is that number.

A number belongs to the name before it, or to the one behind it, where nothing but words that link
them stands between ('CD16 is 3.4', '93 % for granulocyte'). It must be the told number, rounded to
the decimals that it is written with; one that belongs to nothing is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from unstained.summaries.facts import (
    ClassFact,
    Facts,
    ShareFact,
    ValueFact,
    bounded,
    percent,
    rounded,
)
from unstained.summaries.reading import PERCENT, Token
from unstained.summaries.refusing import RefusedError
from unstained.summaries.vocabulary import (
    BACKWARD,
    COUNTED,
    ERROR,
    LINKS,
    OF_CLASSES,
    OF_SHARES,
    OF_VALUES,
    SINGULAR,
)

COVERAGE: Final = "coverage"
OF_SETS: Final = "\n"
"""Subject of the coverage: no class has such a name."""
EXACTLY: Final = 1e-10
"""Told numbers have eight decimals at the most."""


@dataclass(frozen=True)
class Subject:
    """What a number may belong to.

    Attributes:
        name: as in the facts, or `OF_SETS`.
        words: between it and the number.
    """

    name: str
    words: frozenset[str]


def numbered(sentence: Sequence[Token], facts: Facts) -> set[str]:
    """Names whose number the sentence tells.

    Raises:
        RefusedError: a number that is not the told one, or that belongs to nothing.
    """
    sentence = [t for t in sentence if t.kind != "name" or t.text not in facts.tasks]
    bound: set[str] = set()
    used: set[int] = set()
    for at, token in enumerate(sentence):
        if token.kind != "number" or _counts(sentence, at, facts):
            continue
        subjects = _subjects(sentence, at, used)
        if not subjects:
            raise RefusedError("number", f"{_written(token)} belongs to no name")
        for subject in subjects:
            _require_told(token, subject, facts)
            bound.add(subject.name)
    return bound


def _subjects(sentence: Sequence[Token], at: int, used: set[int]) -> list[Subject]:
    """The names before and behind a number that it is linked to."""
    before, behind = _before(sentence, at, used), _behind(sentence, at)
    if behind is not None:
        used.add(behind[0])
        if "for" in behind[1].words:  # 'and 62 % for granulocyte': whatever stands before
            return [behind[1]]
    found = [subject for subject in (before, behind[1] if behind else None) if subject]
    if found:
        return found
    names = {token.text for token in sentence if token.kind == "name"}
    if len(names) != 1:
        return []
    words = (token.text for token in sentence if token.kind == "word" and token.text in LINKS)
    return [Subject(names.pop(), frozenset(words) - ERROR)]


def _before(sentence: Sequence[Token], at: int, used: set[int]) -> Subject | None:
    words: set[str] = {token.word for token in sentence[at + 1 : at + 2]} & ERROR
    near = True  # no other number has come in between
    for place in range(at - 1, -1, -1):
        token = sentence[place]
        if token.kind == "name" or token.word == COVERAGE:
            return None if place in used else Subject(_subject(token), frozenset(words))
        if token.kind == "number":
            near = False
        elif near:
            words.add(token.text)
        if token.kind == "word" and token.text not in LINKS:
            return None
    return None


def _behind(sentence: Sequence[Token], at: int) -> tuple[int, Subject] | None:
    words: set[str] = set()
    for place in range(at + 1, len(sentence)):
        token = sentence[place]
        if token.kind == "name" or token.word == COVERAGE:
            return place, Subject(_subject(token), frozenset(words))
        if token.kind != "word" or token.text not in BACKWARD:
            return None
        words.add(token.text)
    return None


def _subject(token: Token) -> str:
    return token.text if token.kind == "name" else OF_SETS


def _counts(sentence: Sequence[Token], at: int, facts: Facts) -> bool:
    """Whether a number counts the classes of a set, as 'two possible classes', and rightly."""
    following = [token.word for token in sentence[at + 1 : at + 4]]
    number = sentence[at]
    if number.text == "one" and following and following[0] in SINGULAR:
        return True
    counted = next((n for n, word in enumerate(following) if word in COUNTED), None)
    if counted is None or not all(
        word in ("possible", "candidate") for word in following[:counted]
    ):
        return False
    if number.beyond or all(number.value != len(fact.members) for fact in facts.classes):
        raise RefusedError("number", f"{_written(number)} {following[counted]}")
    return True


def _require_told(token: Token, subject: Subject, facts: Facts) -> None:
    if not any(_is_told(token, subject.words, fact, subject.name) for fact in _of(subject, facts)):
        raise RefusedError("number", f"{_written(token)} of {subject.name.strip() or COVERAGE}")


def _of(subject: Subject, facts: Facts) -> list[ClassFact | ValueFact | ShareFact]:
    if subject.name == OF_SETS:
        return list(facts.classes)
    return [
        *(fact for fact in facts.classes if subject.name in fact.classes),
        *(fact for fact in facts.values if subject.name in fact.spellings),
        *(fact for fact in facts.shares if subject.name in fact.parts),
    ]


def _is_told(
    token: Token, words: frozenset[str], fact: ClassFact | ValueFact | ShareFact, name: str
) -> bool:
    match fact:
        case ValueFact():
            return _is_value(token, words, fact)
        case ClassFact() if name == OF_SETS:
            told = fact.coverage if token.percent else fact.coverage / 100
            return not token.beyond and not words & ERROR and abs(token.value - told) < 1e-9
        case ClassFact() if fact.probabilities:
            forbidden = OF_VALUES | OF_SHARES
            return not words & forbidden and _is_part(
                token, fact.probabilities[fact.classes.index(name)]
            )
        case ShareFact() if fact.shares:
            forbidden = OF_VALUES | OF_CLASSES
            return not words & forbidden and _is_part(token, fact.shares[fact.parts.index(name)])
    return False


def _is_part(token: Token, fraction: float) -> bool:
    """Whether a number is a probability or share, in per cent or with two decimals."""
    if token.unit or token.beyond != bounded(fraction).strip():
        return False
    whole = percent(fraction)
    if token.percent:
        return token.value == whole
    return token.decimals == 2 and abs(token.value - whole / 100) < 1e-9


def _is_value(token: Token, words: frozenset[str], fact: ValueFact) -> bool:
    unit_fits = token.unit in ("", fact.unit) and not token.beyond
    percent_fits = not token.percent or PERCENT.fullmatch(fact.unit) is not None
    if not (unit_fits and percent_fits) or words & (OF_CLASSES | OF_SHARES):
        return False
    if words & ERROR or "±" in words:
        return fact.error is not None and _agrees(token, rounded(fact.error, 2))
    return fact.value is not None and _agrees(token, rounded(fact.value))


def _agrees(token: Token, told: str) -> bool:
    """Whether a number is the told one, with as many decimals or one less."""
    places = len(told.partition(".")[2])
    if token.decimals >= places:
        return abs(token.value - float(told)) < EXACTLY
    rounding: float = 0.5 * 10.0**-token.decimals + 1e-9
    return token.decimals == places - 1 and bool(abs(token.value - float(told)) <= rounding)


def _written(token: Token) -> str:
    beyond = f"{token.beyond} " if token.beyond else ""
    return f"{beyond}{token.text}{' %' if token.percent else ''}"

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
from unstained.summaries.spans import Span, spans
from unstained.summaries.vocabulary import (
    ARTICLES,
    BACKWARD,
    COUNTED,
    DASHES,
    ERROR,
    INTERVALS,
    LINKS,
    OF_CLASSES,
    OF_SHARES,
    OF_VALUES,
    SINGULAR,
)

COVERAGE: Final = "coverage"
OF_SETS: Final = "\n"
"""Subject of the coverage: no class has such a name."""
KINDS: Final = ERROR | OF_CLASSES | OF_SHARES | OF_VALUES
"""Words that tell what a number is, one of them behind it: '93 % probability'."""
EXACTLY: Final = 1e-10
"""Told numbers have eight decimals at the most."""


@dataclass(frozen=True)
class Subject:
    """What a number may belong to.

    Attributes:
        name: as in the facts, or `OF_SETS`.
        words: between it and the number.
        beside: another name that the number may belong to as well; '' without.
    """

    name: str
    words: frozenset[str]
    beside: str = ""


def numbered(sentence: Sequence[Token], facts: Facts) -> set[str]:
    """Names whose number the sentence tells.

    Raises:
        RefusedError: a number that is not the told one, or that belongs to nothing.
    """
    named = {token.text for token in sentence if token.kind == "name"}
    about = [fact for fact in facts.classes if named & {*fact.classes, fact.task}]
    sentence = [t for t in sentence if t.kind != "name" or t.text not in facts.tasks]
    bound: set[str] = set()
    used: set[int] = set()
    intervals = list(spans(sentence))
    inside = {place for span in intervals for place in range(span.first, span.last + 1)}
    bound |= {name for span in intervals for name in _interval(sentence, span, used, facts)}
    for at, token in enumerate(sentence):
        if token.kind != "number" or at in inside or _counts(sentence, at, facts):
            continue
        _require_plain(sentence, at)
        subjects = _subjects(sentence, at, at, used)
        if not subjects:
            raise RefusedError("number", f"{_written(token)} belongs to no name")
        for subject in subjects:
            _require_told(token, subject, facts, about)
            bound.add(subject.name)
    return bound


def _require_plain(sentence: Sequence[Token], at: int) -> None:
    """A dash before a number may be read as its sign, and '3.40 to 5.11' as an interval.

    Raises:
        RefusedError: it may be, or is a part of something, as in '93 % of the signal'.
    """
    before, number, behind = (sentence[max(at - 1, 0)], sentence[at], sentence[at + 1 : at + 3])
    if before.word in DASHES:
        raise RefusedError("number", f"a dash before {_written(number)}")
    if [token.kind for token in behind][1:] == ["number"] and behind[0].word in DASHES | {"to"}:
        raise RefusedError("number", f"{_written(number)} to {_written(behind[1])}")
    if behind and behind[0].word == "of" and _behind(sentence, at) is None:
        raise RefusedError("number", f"{_written(number)} of something without a name")


def _interval(sentence: Sequence[Token], span: Span, used: set[int], facts: Facts) -> set[str]:
    """The value whose interval a sentence tells, by its name."""
    written = f"the interval {_written(span.low)} to {_written(span.high)}"
    names = set(span.names) or {
        subject.name for subject in _subjects(sentence, span.first, span.last, used)
    }
    before = sentence[span.first - 1] if span.first else None
    if before is not None and before.kind == "name":  # no other thing's number is the coverage
        names.add(before.text)
    for name in names:
        if not any(_is_interval(span, fact) for fact in facts.values if name in fact.spellings):
            raise RefusedError("number", f"{written} of {name.strip() or COVERAGE}")
    if not names or (sentence[span.last + 1 :] and sentence[span.last + 1].word in KINDS):
        raise RefusedError("number", f"{written} belongs to no name")
    return names


def _is_interval(span: Span, fact: ValueFact) -> bool:
    return (
        fact.interval is not None
        and _is_coverage(span.coverage, fact.interval.coverage)
        and all(_has_unit(token, fact) for token in (span.low, span.high))
        and _agrees(span.low, rounded(fact.interval.low))
        and _agrees(span.high, rounded(fact.interval.high))
    )


def _subjects(sentence: Sequence[Token], first: int, last: int, used: set[int]) -> list[Subject]:
    """The names before and behind a number, or an interval, that it is linked to."""
    before, behind = _before(sentence, first, used), _behind(sentence, last)
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
    words: set[str] = {token.word for token in sentence[at + 1 : at + 2]} & KINDS
    near = True  # no other number has come in between
    for place in range(at - 1, -1, -1):
        token = sentence[place]
        if token.kind == "name" or token.word == COVERAGE:
            if place in used:
                return None
            other = "" if sentence[at - 1].word == "(" else _listed(sentence, place)
            return Subject(_subject(token), frozenset(words), other)
        if token.kind == "number":
            near = False
        elif near:
            words.add(token.text)
        if token.kind == "word" and token.text not in LINKS:
            return None
    return None


def _listed(sentence: Sequence[Token], at: int) -> str:
    """The name that is listed before another, as in 'CD16 and CD45 are 3.4'; '' without."""
    before = [token for token in sentence[:at] if token.word not in ARTICLES][-2:]
    together = [token.kind for token in before] == ["name", "word"]
    return before[0].text if together and before[1].text in ("and", "or") else ""


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


def _require_told(token: Token, subject: Subject, facts: Facts, about: Sequence[ClassFact]) -> None:
    """See that a number is what was told of its subject; a coverage of all that is spoken about."""
    if subject.name == OF_SETS and any(
        not _is_told(token, subject.words, fact, OF_SETS) for fact in about
    ):
        raise RefusedError("number", f"{_written(token)} of {COVERAGE}")
    kinds = {type(fact) for fact in _of(subject, facts)}
    if kinds & {type(fact) for fact in _of(Subject(subject.beside, frozenset()), facts)}:
        raise RefusedError("number", f"{_written(token)} of two names")
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
            return not words & ERROR and _is_coverage(token, fact.coverage)
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


def _is_coverage(token: Token, percents: float) -> bool:
    """Whether a number is a coverage, in per cent or as a fraction."""
    told = percents if token.percent else percents / 100
    return not (token.beyond or token.unit) and abs(token.value - told) < 1e-9


def _has_unit(token: Token, fact: ValueFact) -> bool:
    """Whether a number is written with the unit of a value or none, and neither over nor under."""
    percent_fits = not token.percent or PERCENT.fullmatch(fact.unit) is not None
    return token.unit in ("", fact.unit) and not token.beyond and percent_fits


def _is_value(token: Token, words: frozenset[str], fact: ValueFact) -> bool:
    if not _has_unit(token, fact) or words & (OF_CLASSES | OF_SHARES | INTERVALS):
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

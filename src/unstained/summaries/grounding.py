"""Whether a text about a cell says what was predicted, and nothing else.

Only listed words, the prediction's own names and its numbers are read (vocabulary.py, reading.py,
numbers.py). Beyond that a sentence must say that it tells a prediction; what it says of classes
must agree with the conformal set; and the whole text must say what the set decides, or that it does
not.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence

from unstained.summaries.certainty import Said, require_agreement, require_outcome
from unstained.summaries.facts import MARKER, Facts
from unstained.summaries.numbers import numbered
from unstained.summaries.reading import ENDS, KNOWN, Token, sentences
from unstained.summaries.refusing import Kind, RefusedError
from unstained.summaries.vocabulary import (
    ADVICE,
    ANSWERING,
    ARTICLES,
    ATTRIBUTION,
    BECAUSE,
    CELL_KINDS,
    CLASS_WORDS,
    CLASSLESS,
    COPULAS,
    ERROR,
    FINITE,
    GIVING,
    HOLDING,
    LEVELS,
    MEASURED,
    NEGATION,
    OUTCOME,
    OVERCLAIM,
    OWNING,
    PHRASES,
    PICTURED,
    POOLING,
    PREPOSITIONS,
    SAYS_MISSING,
    SAYS_PREDICTED,
    SAYS_SIMULATED,
    SAYS_TESTED,
    VERBS,
)


def refusal(text: str, facts: Facts) -> RefusedError | None:
    """Why a text is not told of these facts; None where it may be."""
    try:
        require_grounded(text, facts)
    except RefusedError as refused:
        return refused
    return None


def require_grounded(text: str, facts: Facts) -> None:
    """See that a text tells these facts alone.

    Raises:
        RefusedError: it does not.
    """
    said = Said(facts)
    for sentence in sentences(text, facts):
        phrases = _phrases(sentence)
        _require_words(sentence, phrases, facts)
        _require_grammar(sentence)
        _require_attribution(sentence, facts)
        told = numbered(sentence, facts)
        _require_values(sentence, phrases, told, facts)
        _require_no_reason(sentence, facts)
        require_agreement(sentence, phrases, told, said)
    require_outcome(said)


def _phrases(sentence: Sequence[Token]) -> dict[str, set[int]]:
    """Phrases of the vocabulary in a sentence, with the places of their words."""
    words = [token.text if token.kind == "word" else "" for token in sentence]
    found: dict[str, set[int]] = {}
    for phrase in PHRASES:
        parts = phrase.split()
        for start in range(len(words) - len(parts) + 1):
            if words[start : start + len(parts)] == parts:
                found.setdefault(phrase, set()).update(range(start, start + len(parts)))
    return found


def _require_words(sentence: Sequence[Token], phrases: dict[str, set[int]], facts: Facts) -> None:
    if not SAYS_SIMULATED.isdisjoint(phrases) and not facts.simulated:
        raise RefusedError("claim", "the model did not learn from simulated cells")
    if not SAYS_TESTED.isdisjoint(phrases) and ERROR.isdisjoint(t.word for t in sentence):
        raise RefusedError("claim", "test cells have an error, and nothing else was told of them")
    covered = set().union(*phrases.values())
    for at, token in enumerate(sentence):
        if token.kind != "word" or at in covered:
            continue
        if token.text in NEGATION | OUTCOME:
            raise RefusedError("claim", f"{token.text!r} where it says something not predicted")
        if token.text not in KNOWN:
            raise RefusedError(_kind(token.text, facts), f"{token.text!r}")


def _require_grammar(sentence: Sequence[Token]) -> None:
    """Words at random are no sentence, though each of them be allowed."""
    read = [token.word for token in sentence]
    if VERBS.isdisjoint(read) and ":" not in read:
        raise RefusedError("language", f"no verb in '{' '.join(t.text for t in sentence)[:60]}'")
    if read[0] == "so":
        raise RefusedError("language", "'so' gives a reason")
    _require_signs(sentence)
    if read[-1] in COPULAS:
        raise RefusedError("language", f"the sentence ends in {read[-1]!r}")
    for this, following in itertools.pairwise([*read, "."]):
        broken = this in ARTICLES and (
            following in ARTICLES | PREPOSITIONS | FINITE | ENDS or following in (",", ")", ":")
        )
        broken = broken or (this in PREPOSITIONS and following in FINITE | ENDS)
        broken = broken or (this in PICTURED and following in ANSWERING)
        broken = broken or (this in COPULAS and following in COPULAS)
        if broken or (this == following != ""):
            raise RefusedError("language", f"'{this} {following}'")


def _require_signs(sentence: Sequence[Token]) -> None:
    """Brackets close, '=' stands before a number, and no name is said twice in a row."""
    if "".join(token.word for token in sentence if token.word in ("(", ")")).replace("()", ""):
        raise RefusedError("language", "brackets that do not close")
    for one, other in itertools.pairwise(sentence):
        if one.kind == other.kind == "name" and one.text == other.text:
            raise RefusedError("language", f"{one.text!r} twice")
        if one.word == "=" and other.kind != "number":
            raise RefusedError("language", f"'= {other.text}'")


def _kind(word: str, facts: Facts) -> Kind:
    """What a word that is not allowed is."""
    parts = {part.casefold() for fact in facts.values for part in fact.parts}
    if word in parts:
        return "pooled"
    if MARKER.match(word):
        return "marker"
    kinds: Iterable[tuple[Kind, bool]] = (
        ("certainty", bool(OVERCLAIM.fullmatch(word))),
        ("advice", bool(ADVICE.fullmatch(word))),
        ("class", bool(CELL_KINDS.fullmatch(word))),
    )
    return next((kind for kind, matches in kinds if matches), "word")


def _require_attribution(sentence: Sequence[Token], facts: Facts) -> None:
    """A sentence that names something says that it was predicted."""
    named = [token.text for token in sentence if token.kind == "name" and token.text in facts.names]
    words = {token.text for token in sentence if token.kind == "word"}
    if named and not words & ATTRIBUTION:
        raise RefusedError("certainty", f"{named[0]} is said to be so, not to be predicted")


def _require_values(
    sentence: Sequence[Token], phrases: dict[str, set[int]], told: set[str], facts: Facts
) -> None:
    """A value or share is named with its number, as pooled, as not measured or not predicted."""
    by_name = {name: fact for fact in facts.values for name in fact.spellings}
    places = [at for at, t in enumerate(sentence) if t.kind == "name" and t.text in by_name]
    words = {token.text for token in sentence if token.kind == "word"}
    for at, token in enumerate(sentence):
        if token.kind == "word" and token.text in POOLING:
            near = min(places, key=lambda place: abs(place - at), default=None)
            if near is None or not by_name[sentence[near].text].parts:
                raise RefusedError("pooled", f"{token.text!r} of what is one marker")
    parts = {part for fact in facts.shares for part in fact.parts}
    named = {token.text for token in sentence if token.kind == "name"}
    if HOLDING & words and ("set" not in words or named & by_name.keys()):
        raise RefusedError("claim", "something but the set is said to hold something")
    bare = named - told
    if shares := sorted(bare & parts):
        raise RefusedError("claim", f"{shares[0]} is named without its share")
    missing = not SAYS_MISSING.isdisjoint(phrases)
    for name in sorted(bare & by_name.keys()):
        fact = by_name[name]
        excused = fact.value is None if missing else bool(fact.parts and POOLING & words)
        if not excused and SAYS_PREDICTED.isdisjoint(phrases):
            raise RefusedError("claim", f"{name} is named without its value")
    if missing and not any(by_name[name].value is None for name in bare & by_name.keys()):
        raise RefusedError("claim", "a value that was predicted is said to be missing")


def _require_no_reason(sentence: Sequence[Token], facts: Facts) -> None:
    """No sentence ties a class to a value: neither was predicted from the other."""
    classes = {name for fact in facts.classes for name in fact.classes}
    values = {name for fact in facts.values for name in fact.spellings}
    places = [at for at, token in enumerate(sentence) if token.kind == "name"]
    first = min((at for at in places if sentence[at].text in values), default=None)
    last = max((at for at in places if sentence[at].text in classes), default=None)
    if last is None:
        return
    if first is None:
        _require_class_of_cell(sentence, last)
        return
    tied = BECAUSE & {token.word for token in sentence}
    tied |= GIVING & {token.word for token in sentence[first:last]}
    of = [token.word for token in sentence[:last] if token.word not in ARTICLES][-2:]
    if tied or (of[-1:] in (["of"], ["for"]) and of[0] in LEVELS):
        raise RefusedError("claim", f"{sentence[last].text} is tied to {sentence[first].text}")


def _require_class_of_cell(sentence: Sequence[Token], at: int) -> None:
    """What is predicted to be a class is the cell: no marker, value or set has one."""
    read = [token.word for token in sentence if token.word not in ARTICLES]
    owned = [
        words[2]
        for words in zip(read, read[1:], read[2:], strict=False)
        if words[0] in CLASS_WORDS and words[1] in OWNING
    ]
    wrong = [word for word in read if word in MEASURED] + [w for w in owned if w in CLASSLESS]
    if wrong:
        raise RefusedError("claim", f"{sentence[at].text} is said of {wrong[0]!r}")

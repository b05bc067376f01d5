"""Whether what a text says of classes agrees with the conformal set.

A set of one class, the most probable one, decides; any other set does not. Then no class may be
given as the answer: classes are named with their own probabilities, all of the set together, or as
the most probable one, and the text says that nothing is decided.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from unstained.summaries.facts import ClassFact, Facts
from unstained.summaries.reading import Token
from unstained.summaries.refusing import RefusedError
from unstained.summaries.vocabulary import (
    ALONE,
    APPOSED,
    ARTICLES,
    BESIDE,
    COPULAS,
    DECIDED,
    GIVING,
    MEMBERSHIP,
    PREDICATES,
    QUANTITIES,
    REPORTING,
    SAYS_ALONE,
    SAYS_EMPTY,
    SAYS_NOTHING,
    SAYS_OUTSIDE,
    SAYS_UNDECIDED,
    SETTLING,
    SUBJECTS,
    SUPERLATIVES,
    TO_CLASS,
    TO_NAME,
    UNDECIDED,
)

Phrases = Mapping[str, set[int]]


@dataclass
class Said:
    """What a text has said so far.

    Attributes:
        facts: of the cell.
        about: classes tasks of the sentence before, which 'this class' and 'the set' refer to.
        named: names that were said.
        undecided: tasks of which it was said that nothing is decided.
    """

    facts: Facts
    about: tuple[ClassFact, ...] = ()
    named: set[str] = field(default_factory=set)
    undecided: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class Clause:
    """A sentence as it is judged for one classes task.

    Attributes:
        tokens: of it.
        phrases: of the vocabulary, with their places.
        numbered: names whose number it tells.
        fact: the task.
    """

    tokens: Sequence[Token]
    phrases: Phrases
    numbered: set[str]
    fact: ClassFact

    @property
    def covered(self) -> set[int]:
        """Places of words that are part of a phrase."""
        return set().union(*self.phrases.values())

    @property
    def classes(self) -> dict[int, str]:
        """Classes of the task, by place."""
        return {
            at: token.text
            for at, token in enumerate(self.tokens)
            if token.kind == "name" and token.text in self.fact.classes
        }

    def words(self, among: frozenset[str]) -> list[int]:
        """Places of some words outside of phrases."""
        return [
            at
            for at, token in enumerate(self.tokens)
            if token.kind == "word" and token.text in among and at not in self.covered
        ]

    def says(self, phrases: frozenset[str]) -> bool:
        """Whether one of some phrases is in it."""
        return not phrases.isdisjoint(self.phrases)


def require_agreement(
    tokens: Sequence[Token], phrases: Phrases, numbered: set[str], said: Said
) -> None:
    """See that a sentence claims no more and no less than the set.

    Args:
        tokens: the sentence.
        phrases: of the vocabulary, with their places.
        numbered: names whose number it tells.
        said: what the text has said; added to.

    Raises:
        RefusedError: it does.
    """
    names = {token.text for token in tokens if token.kind == "name"}
    said.named |= names
    named = tuple(f for f in said.facts.classes if names & {*f.classes, f.task})
    asked = {f.task for f in named if f.task in names}
    if asked and any(f.task not in asked and names & {*f.classes} for f in named):
        raise RefusedError("class", f"a class of another task than {min(asked)}")
    said.about = named or said.about or said.facts.classes[:1]
    for fact in said.about:
        clause = Clause(tokens, phrases, numbered, fact)
        _require_state(clause)
        _require_classes(clause)
        if clause.says(SAYS_UNDECIDED | SAYS_EMPTY | SAYS_NOTHING):
            said.undecided.add(fact.task)


def require_outcome(said: Said) -> None:
    """See that a text says what was decided of each task, or that nothing was.

    Raises:
        RefusedError: it does not, or says nothing at all.
    """
    for fact in said.facts.classes:
        of = f" of {fact.task}" if fact.task else ""
        if fact.decided and fact.top not in said.named:
            raise RefusedError("silence", f"the predicted class{of} is not named")
        if not fact.decided and fact.task not in said.undecided:
            raise RefusedError("certainty", f"nothing is decided{of}, and the text does not say so")
        if missing := [name for name in fact.members if name not in said.named]:
            raise RefusedError(
                "certainty", f"{missing[0]} is in the set, and the text leaves it out"
            )
    if not said.named:
        raise RefusedError("silence", "nothing that was predicted is named")


def _require_state(clause: Clause) -> None:
    """Words that say that a class is decided, or none, where it is so."""
    fact = clause.fact
    if fact.decided and (clause.says(SAYS_UNDECIDED | SAYS_EMPTY) or clause.words(UNDECIDED)):
        raise RefusedError("certainty", "the set decides, and the text says that it does not")
    if not fact.decided and (clause.words(DECIDED) or clause.says(SAYS_ALONE)):
        raise RefusedError("certainty", "the set does not decide, and the text says that it does")
    if (clause.says(SAYS_EMPTY) or clause.words(frozenset({"empty"}))) and fact.members:
        raise RefusedError("certainty", "the set is not empty")
    if clause.says(SAYS_NOTHING & {"no probability", "no probabilities"}) and fact.probabilities:
        raise RefusedError("claim", "probabilities were predicted")
    for at in clause.words(ALONE):
        beside = clause.tokens[max(at - 1, 0) : at + 3]
        if not any(
            t.word in ("class", "it") or t.text == "one" or t.text in fact.classes for t in beside
        ):
            raise RefusedError("claim", f"{clause.tokens[at].text!r} of what is no class")


def _require_classes(clause: Clause) -> None:
    """Classes that a sentence names are named as what they are."""
    fact, named = clause.fact, set(clause.classes.values())
    if not named:
        return
    if clause.says(SAYS_OUTSIDE):
        if named & set(fact.members):
            raise RefusedError("certainty", f"{min(named & set(fact.members))} is in the set")
        _require_superlative(clause)
        return
    listing = bool(fact.members) and set(fact.members) <= named
    if clause.words(MEMBERSHIP) or clause.says(SAYS_UNDECIDED):
        strange = named - set(fact.members)
        if strange and (fact.members or not _superlative(clause)):
            raise RefusedError("class", f"{min(strange)} is not in the set")
    _require_superlative(clause)
    _require_answers(clause)
    _require_no_bare_claim(clause)
    if not (fact.decided or listing or _superlative(clause)) and (
        clause.words(SETTLING) or any(token.word == "it" for token in clause.tokens[1:])
    ):
        raise RefusedError("certainty", f"{min(named)} is given as the answer")
    allowed = set(clause.numbered)
    if _superlative(clause) or fact.decided:
        allowed.add(str(fact.top))
    if listing:
        allowed |= set(fact.members)
    if unsupported := sorted(named - allowed):
        raise RefusedError("class", f"{unsupported[0]} is named without its probability")


def _superlative(clause: Clause) -> bool:
    return clause.says(SUPERLATIVES)


def _require_superlative(clause: Clause) -> None:
    """'most probable' stands beside the most probable class."""
    for phrase in SUPERLATIVES & clause.phrases.keys():
        places = clause.phrases[phrase]
        behind = _linked(clause, range(max(places) + 1, len(clause.tokens)))
        before = _linked(clause, range(min(places) - 1, -1, -1))
        said = before if before and _copula_before(clause, min(places)) else None
        found = [said] if said else [name for name in (before, behind) if name is not None]
        if not found or any(name != clause.fact.top for name in found):
            raise RefusedError("certainty", f"{phrase!r} of another class than {clause.fact.top}")


def _copula_before(clause: Clause, at: int) -> bool:
    """Whether what stands before a place ends in 'is' or 'is the'."""
    words = [token.word for token in clause.tokens[:at] if token.word not in ARTICLES]
    return words[-1:] != [] and words[-1] in COPULAS


def _linked(clause: Clause, places: range) -> str | None:
    """The first class at some places, where only linking words lie before it."""
    for at in places:
        token = clause.tokens[at]
        if at in clause.classes:
            return clause.classes[at]
        numeric = token.kind == "number" or token.word in ("(", ")")
        if not numeric and token.word not in TO_CLASS and token.text != clause.fact.task:
            return None
    return None


def _require_answers(clause: Clause) -> None:
    """A class is the answer where the set decides for it, or together with all of the set."""
    fact = clause.fact
    for at in clause.words(PREDICATES | GIVING) + _class_words(clause):
        target = _target(clause, at)
        if target is None:
            continue
        together = _beside(clause, target)
        if fact.decided and clause.classes[target] == fact.top:
            if len(together) > 1 and clause.tokens[at].word not in GIVING:
                raise RefusedError("certainty", "more than the predicted class is given")
            continue
        if fact.decided or len(together) < 2 or together != set(fact.members):
            raise RefusedError("certainty", f"{clause.classes[target]} is given as the answer")


def _class_words(clause: Clause) -> list[int]:
    """Places of 'class' before a class that it says: 'the class is monocyte'."""
    found = []
    for at in clause.words(frozenset({"class"})):
        place = at + 1
        while place < len(clause.tokens) and clause.tokens[place].word in TO_NAME:
            place += 1
        most = any(
            at - 3 <= max(clause.phrases[p]) < at for p in SUPERLATIVES & clause.phrases.keys()
        )
        if place in clause.classes and not most:
            found.append(at)
    return found


def _target(clause: Clause, at: int) -> int | None:
    """Place of the class that a word such as 'predicted' is said of; None where of a quantity."""
    tokens = clause.tokens
    for place in range(at + 1, len(tokens)):
        if place in clause.classes:
            followed = tokens[place + 1 : place + 5]
            counted = any(token.kind == "number" for token in followed[:1]) or (
                [token.word for token in followed[:3]] == ["a", "probability", "of"]
            )
            return None if tokens[at].text in GIVING and counted else place
        if tokens[place].word in QUANTITIES or tokens[place].kind in ("number", "name"):
            return None
    earlier = [place for place in clause.classes if place < at]
    return max(earlier, default=None)


def _beside(clause: Clause, at: int) -> set[str]:
    """The class at a place, and those that are listed with it."""
    found = {clause.classes[at]}
    for step in (1, -1):
        place = at + step
        while 0 <= place < len(clause.tokens):
            token = clause.tokens[place]
            if place in clause.classes and not _has_own_verb(clause, place):
                found.add(clause.classes[place])
            elif token.kind != "number" and token.word not in BESIDE:
                break
            place += step
    return found


def _has_own_verb(clause: Clause, at: int) -> bool:
    """Whether a class is what the next verb is said of: 'monocyte is also in the set'."""
    return any(token.word in COPULAS | {"has"} for token in clause.tokens[at + 1 : at + 2])


def _require_no_bare_claim(clause: Clause) -> None:
    """'The cell is a monocyte' says what is, not what was predicted; 'predicts that it is' does."""
    words = [token.word for token in clause.tokens]
    if {("is", "both"), ("has", "both")} & set(itertools.pairwise(words)):
        raise RefusedError("certainty", "the cell is said to be of both classes")
    for at, name in clause.classes.items():
        before = [word for word in words[:at] if word not in ARTICLES]
        while before[-1:] and before[-1] in ("as", "of", "predicted", "so", "this"):
            before.pop()
        direct = words[at - 1] != "predicted" or words[at - 2 : at - 1] == ["the"]
        said = len(before) > 1 and before[-2] in SUBJECTS and before[-1] in COPULAS and direct
        said = said and words[at - 2 : at] != ["predicted", "as"]
        said = said or (len(before) > 1 and before[-2] == "cell" and before[-1] in APPOSED)
        said = said or (
            len(before) > 1 and before[-2] in ("model", "network") and before[-1] in COPULAS
        )
        said = said or words[at + 1 : at + 4] in (["is", "the", "cell"], ["is", "this", "cell"])
        reported = "that" in before[-4:-2] and not REPORTING.isdisjoint(before[:-3])
        if said and not reported:
            raise RefusedError("certainty", f"the cell is said to be {name}, not predicted to be")

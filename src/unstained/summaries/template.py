"""The summary that needs no language model: the same facts give the same words."""

from __future__ import annotations

from unstained.summaries.facts import ClassFact, Facts, ShareFact, ValueFact, rounded, spoken
from unstained.summaries.reading import quoted


def template(facts: Facts) -> str:
    """All facts in sentences.

    The text passes `grounding.refusal`, unless two things have one name.
    """
    said = [sentence for fact in facts.classes for sentence in _classes(fact)]
    if facts.values:
        said.append(f"Predicted values: {', '.join(map(_value, facts.values))}.")
    said += [_shares(fact) for fact in facts.shares]
    if facts.simulated:
        said.append("The model learned from simulated cells.")
    return " ".join(said)


def _classes(fact: ClassFact) -> list[str]:
    of, on = (f" {word} {quoted(fact.task)}" if fact.task else "" for word in ("of", "on"))
    covered = f"at {fact.coverage:g} % coverage the prediction set"
    if fact.top is None:
        return [f"The model gave no probabilities{of}."]
    top = f"{quoted(fact.top)} ({_probability(fact, fact.top)})"
    if fact.decided:
        return [
            f"Predicted class{of}: {quoted(fact.top)}, with a calibrated probability of "
            f"{_probability(fact, fact.top)}.",
            f"{covered[0].upper()}{covered[1:]} holds this class alone.",
        ]
    if not fact.members:
        return [
            f"The model does not decide{on}: {covered} is empty.",
            f"The most probable class is {top}.",
        ]
    held = " and ".join(f"{quoted(m)} ({_probability(fact, m)})" for m in fact.members)
    said = [f"The model does not decide{on}: {covered} holds {held}."]
    if fact.top in fact.members:
        return [*said, f"The most probable class is {quoted(fact.top)}."]
    return [*said, f"The most probable class, {top}, is not in the set."]


def _probability(fact: ClassFact, name: str) -> str:
    return spoken(fact.probabilities[fact.classes.index(name)])


def _value(fact: ValueFact) -> str:
    name = quoted(fact.spellings[-1])
    if fact.value is None:
        return f"{name} not predicted"
    unit = f" {fact.unit}" if fact.unit else ""
    notes = ["a pooled channel"] if fact.parts else []
    if fact.interval is not None:
        low, high = rounded(fact.interval.low), rounded(fact.interval.high)
        notes.append(f"{fact.interval.coverage:g} % interval {low} to {high}")
    if fact.error is not None:
        notes.append(f"mean absolute error on test cells {rounded(fact.error, 2)}")
    note = f" ({', '.join(notes)})" if notes else ""
    return f"{name} {rounded(fact.value)}{unit}{note}"


def _shares(fact: ShareFact) -> str:
    if not fact.shares:
        return f"The model gave no shares of {quoted(fact.task)}."
    told = (f"{quoted(part)} {spoken(s)}" for part, s in zip(fact.parts, fact.shares, strict=True))
    return f"Predicted shares of {quoted(fact.task)}: {', '.join(told)}."

"""Decisions with their reasons, and questions with their choices: facts in, nothing guessed.

A choice is taken without asking only where it is the only one, or the only one whose name says what
it is; that is told with its reason. Everything else is a question, which an option answers.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from unstained.config.nearest import suggestion
from unstained.errors import ParameterError

if TYPE_CHECKING:
    import pyarrow as pa

NONE: Final = "none"
"""Answer of an option that wants nothing of the kind."""

SHOWN: Final = 12
"""Choices that a question lists at the most."""


@dataclass(frozen=True)
class Choice:
    """A possible answer.

    Attributes:
        value: as the option takes it.
        meaning: what it would mean here.
        telling: its name says that it is meant.
        possible: the run would not stop at it.
    """

    value: str
    meaning: str
    telling: bool = False
    possible: bool = True


@dataclass(frozen=True)
class Decision:
    """What was decided, and why.

    Attributes:
        what: in words, e.g. 'class'.
        value: as it is told.
        reason: why.
    """

    what: str
    value: str
    reason: str


@dataclass(frozen=True)
class Question:
    """What only the user can tell.

    Attributes:
        option: of the command, e.g. '--group'.
        text: the question.
        choices: the likeliest first; of a number, examples.
        several: whether the proposed answer is every choice, each by an option of its own.
    """

    option: str
    text: str
    choices: tuple[Choice, ...]
    several: bool = False

    @property
    def answers(self) -> list[tuple[str, str]]:
        """Options that answer it, as the proposed command has them."""
        taken = self.choices if self.several else self.choices[:1]
        return [(self.option, choice.value) for choice in taken]


@dataclass
class Draft:
    """A study's section in the making.

    Attributes:
        data: keys below `data`.
        more: sections that the study changes, beside `data`.
        decisions, questions: in order.
        untold: sentences on what files cannot tell, and warnings.
        table: rows that the study needs as a table of their own, where no table says it so.
        counts: cells of each class, where the reader tells them only as it decodes.
        sizes: height and width of cells in pixels, where the reader cuts them to the canvas.
    """

    data: dict[str, Any] = field(default_factory=dict)
    more: dict[str, Any] = field(default_factory=dict)
    decisions: list[Decision] = field(default_factory=list)
    questions: list[Question] = field(default_factory=list)
    untold: list[str] = field(default_factory=list)
    table: pa.Table | None = None
    counts: dict[str, int] | None = None
    sizes: list[tuple[int, int]] | None = None

    def decide(self, what: str, value: object, reason: str) -> None:
        """Note a decision."""
        self.decisions.append(Decision(what, str(value), reason))

    def decisions_of(self, what: str, *, reason: bool = False) -> str:
        """What was decided of something, or why; '' where nothing was."""
        of = (one.reason if reason else one.value for one in self.decisions if one.what == what)
        return next(of, "")

    def take(self, what: str, found: Answer) -> str | None:
        """Note an answer.

        Returns:
            The chosen value; None where it is NONE or still to be asked.
        """
        if isinstance(found, Question):
            self.questions.append(found)
            return None
        self.decide(what, *found)
        return None if found[0] == NONE else found[0]


Answer = tuple[str, str] | Question
"""A value and its reason, or the question for it."""


def pick(
    option: str,
    text: str,
    given: str | None,
    choices: Sequence[Choice],
    *,
    optional: str = "",
    because: str = "its name says so",
) -> Answer:
    """Choose among candidates, or ask.

    Args:
        option: that answers, e.g. '--group'.
        text: the question.
        given: the option's value, if it was given.
        choices: candidates.
        optional: what NONE would mean; empty where one is needed.
        because: what a telling choice tells by.

    Raises:
        ParameterError: the answer is no choice, or there is none to choose from.
    """
    last = (Choice(NONE, optional),) if optional else ()
    every = likeliest((*choices, *last))
    if given is not None:
        require(option, given, [choice.value for choice in every])
        return given, f"asked for by {option}"
    telling = [choice for choice in choices if choice.telling]
    if len(telling) == 1:
        others = [choice.value for choice in choices if not choice.telling]
        beside = f"; it could also be {listed(others)} ({option})" if others else ""
        return telling[0].value, f"{telling[0].meaning}; {because}{beside}"
    if not choices and optional:
        return NONE, optional
    if not choices:
        raise ParameterError(f"{text} Nothing here can tell", f"give {option}")
    if len(choices) == 1 and not optional and choices[0].possible:
        return choices[0].value, f"{choices[0].meaning}; there is no other"
    return Question(option, text, every)


def likeliest(choices: Iterable[Choice]) -> tuple[Choice, ...]:
    """Telling ones first, those that would stop the run last, else in their order."""
    return tuple(sorted(choices, key=lambda one: (not one.possible, not one.telling)))


def require(option: str, given: str, known: Sequence[str]) -> None:
    """Check an answer.

    Raises:
        ParameterError: it is no choice; says the nearest.
    """
    if given not in known:
        raise ParameterError(
            f"{option} {given}: there is no such choice here",
            f"{suggestion(given, known)}" if known else f"leave {option} out",
        )


def listed(names: Sequence[str], most: int = SHOWN) -> str:
    """Names in a sentence, the first `most` of them."""
    shown = ", ".join(names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown

"""Cron expressions as Kubeflow Pipelines reads them: six fields, the first one seconds.

The server takes SECOND MINUTE HOUR DAY MONTH WEEKDAY with `*`, `?`, lists, ranges, steps and
English short names, and Sunday is 0. Written with the usual five fields an expression would be
read one field off ("0 3 * * *" as three minutes past every hour), so it is refused here.
"""

from __future__ import annotations

from dataclasses import dataclass

from unstained.errors import ParameterError

FORM = (
    "write six fields, SECOND MINUTE HOUR DAY MONTH WEEKDAY: '0 0 3 * * 1' is Mondays at 3:00 UTC"
)
MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
LONGEST_MONTH = {month: 30 if month in (4, 6, 9, 11) else 31 for month in range(1, 13)} | {2: 29}


@dataclass(frozen=True)
class Field:
    """One of the six: its bounds, and names for its values."""

    name: str
    low: int
    high: int
    names: tuple[str, ...] = ()


FIELDS = (
    Field("second", 0, 59),
    Field("minute", 0, 59),
    Field("hour", 0, 23),
    Field("day", 1, 31),
    Field("month", 1, 12, MONTHS),
    Field("weekday", 0, 6, WEEKDAYS),
)


def check_cron(expression: str) -> str:
    """Refuse an expression that the server would refuse, misread or never fire.

    Args:
        expression: six fields.

    Returns:
        The expression with single spaces.

    Raises:
        ParameterError: what is wrong with it.
    """
    texts = expression.split()
    if len(texts) != len(FIELDS):
        raise ParameterError(f"the cron expression {expression!r} has {len(texts)} fields", FORM)
    seconds, _, _, days, months, _ = (
        _values(field, text, expression) for field, text in zip(FIELDS, texts, strict=True)
    )
    if len(seconds) > 1:
        raise ParameterError(
            f"the cron expression {expression!r} starts {len(seconds)} runs a minute", FORM
        )
    # A restricted weekday is an alternative to the day, so that alone the calendar can rule out
    # every date.
    any_weekday = texts[5][0] in "*?"
    if any_weekday and all(min(days) > LONGEST_MONTH[month] for month in months):
        raise ParameterError(f"no date ever fits the cron expression {expression!r}", FORM)
    return " ".join(texts)


def _values(field: Field, text: str, expression: str) -> set[int]:
    values: set[int] = set()
    for part in text.split(","):
        values |= _part(field, part, expression)
    return values


def _part(field: Field, part: str, expression: str) -> set[int]:
    span, slash, step_text = part.partition("/")
    low_text, dash, high_text = span.partition("-")
    if span in ("*", "?"):
        low, high = field.low, field.high
    else:
        low = _number(field, low_text, expression)
        high = low
        if dash:
            high = _number(field, high_text, expression)
        elif slash:
            high = field.high
    step = 1
    if slash:
        step = int(step_text) if step_text.isdecimal() else 0
    if step == 0 or low > high:
        raise _wrong(field, part, expression)
    return set(range(low, high + 1, step))


def _number(field: Field, text: str, expression: str) -> int:
    if text.lower() in field.names:
        return field.low + field.names.index(text.lower())
    number = int(text) if text.isascii() and text.isdecimal() else -1
    if not field.low <= number <= field.high:
        raise _wrong(field, text, expression)
    return number


def _wrong(field: Field, text: str, expression: str) -> ParameterError:
    return ParameterError(
        f"{text!r} is no {field.name} ({field.low} to {field.high}) in the cron expression "
        f"{expression!r}",
        FORM,
    )

"""Does a cron expression ever come true?"""

from __future__ import annotations

from calendar import monthrange

FIELDS = (
    ("minute", 0, 59),
    ("hour", 0, 23),
    ("day of the month", 1, 31),
    ("month", 1, 12),
    ("day of the week", 0, 7),
)
MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
DAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]


def fault(expression: str) -> str:
    """What is wrong with five cron fields; '' where nothing is."""
    parts = expression.split()
    if len(parts) != len(FIELDS):
        return f"{expression!r} has {len(parts)} fields, not 5"
    chosen = []
    for part, (name, low, high) in zip(parts, FIELDS, strict=True):
        values = _values(part, low, high, name)
        if not values:
            return f"{part!r} is no {name}"
        chosen.append(values)
    if parts[2] != "*" and parts[4] == "*":
        longest = max(monthrange(2024, month)[1] for month in chosen[3])  # a leap year
        if min(chosen[2]) > longest:
            return f"{expression!r}: no such month has a day {min(chosen[2])}"
    return ""


def _values(text: str, low: int, high: int, name: str) -> set[int]:
    """The numbers that a field stands for; empty where it is malformed."""
    found: set[int] = set()
    for part in text.split(","):
        span, _, step = part.partition("/")
        first, dash, last = span.partition("-")
        if span == "*":
            begin, end = low, high
        else:
            numbers = [_number(word, name) for word in ((first, last) if dash else (first,))]
            begin, end = numbers[0], high if step and not dash else numbers[-1]
        width = int(step) if step.isdigit() else (0 if "/" in part else 1)
        if not (low <= begin <= end <= high) or width < 1:
            return set()
        found.update(range(begin, end + 1, width))
    return found


def _number(word: str, name: str) -> int:
    if name == "month" and word.lower() in MONTHS:
        return MONTHS.index(word.lower()) + 1
    if name == "day of the week" and word.lower() in DAYS:
        return DAYS.index(word.lower())
    return int(word) if word.isdigit() else -1

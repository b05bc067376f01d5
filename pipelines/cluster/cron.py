"""Cron expressions as Kubeflow Pipelines reads them: six fields, the first one seconds.

Written with the usual five fields an expression would be read one field off ("0 3 * * *" as three
minutes past every hour), so it is refused here. Fields are read by croniter, which knows more than
the server does: what the server would refuse is told before anything is sent.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Final

from unstained.errors import ParameterError

FORM: Final = (
    "write six fields, SECOND MINUTE HOUR DAY MONTH WEEKDAY: '0 0 3 * * 1' is Mondays at 3:00 UTC"
)
FIELDS: Final = 6
PART: Final = re.compile(r"(?:[*?]|(\d+|[a-z]{3})(?:-(\d+|[a-z]{3}))?)(?:/\d+)?", re.ASCII | re.I)
"""One of a field's alternatives in the server's grammar: `*`, `?`, a value or a range, a step."""

LEAP_YEARS_APART: Final = 8
"""Years within which every date of the calendar occurs, 29 February of 1896 to 1904 included."""


def check_cron(expression: str) -> str:
    """Refuse an expression that the server would refuse, misread or never fire.

    Args:
        expression: six fields.

    Returns:
        The expression with single spaces.

    Raises:
        ParameterError: what is wrong with it.
    """
    from croniter import CroniterBadCronError, CroniterBadDateError, croniter

    texts = expression.split()
    if len(texts) != FIELDS:
        raise ParameterError(f"the cron expression {expression!r} has {len(texts)} fields", FORM)
    for text in texts:
        _check_grammar(text, expression)
    if not texts[0].isdecimal():
        raise ParameterError(f"the cron expression {expression!r} starts many runs a minute", FORM)
    if re.search(r"(?<![\d/])7\b", texts[5]):
        raise ParameterError(f"Sunday is 0, not 7, in the cron expression {expression!r}", FORM)
    try:
        croniter(
            " ".join(texts),
            datetime(2026, 1, 1),
            second_at_beginning=True,
            max_years_between_matches=LEAP_YEARS_APART,
        ).get_next(datetime)
    except CroniterBadDateError:
        raise ParameterError(
            f"no date ever fits the cron expression {expression!r}", FORM
        ) from None
    except CroniterBadCronError as error:
        raise ParameterError(f"the cron expression {expression!r}: {error}", FORM) from None
    return " ".join(texts)


def _check_grammar(text: str, expression: str) -> None:
    for part in text.split(","):
        found = PART.fullmatch(part)
        low, high = found.groups() if found else (None, None)
        backwards = low and high and low.isdecimal() and high.isdecimal() and int(low) > int(high)
        if not found or backwards:
            raise ParameterError(
                f"{part!r} is no value, range or step in the cron expression {expression!r}", FORM
            )

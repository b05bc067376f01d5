"""Does a cron expression of Kubernetes, five fields, ever come true?"""

from __future__ import annotations

from datetime import datetime

from croniter import CroniterError, croniter


def fault(expression: str) -> str:
    """What is wrong with five cron fields; '' where nothing is."""
    parts = expression.split()
    if len(parts) != 5:
        return f"{expression!r} has {len(parts)} fields, not 5"
    try:
        croniter(expression, datetime(2026, 1, 1), max_years_between_matches=8).get_next()
    except CroniterError as error:
        return f"{expression!r}: {error}"
    return ""

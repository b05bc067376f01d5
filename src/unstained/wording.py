"""Numbers with their nouns, for messages."""

from __future__ import annotations


def counted(number: int, noun: str, plural: str = "") -> str:
    """'1 group', '2 groups', '1,000 classes'.

    Args:
        number: how many.
        noun: what one is called.
        plural: what several are called, where that is not the noun with an 's'.
    """
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"

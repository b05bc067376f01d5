"""The known name that a wrong one was meant to be."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def suggestion(word: str, known: Iterable[str]) -> str:
    """What to write instead of `word`: the nearest known name, or all of them."""
    names = list(known)
    folded = {name.lower(): name for name in reversed(names)}
    near = get_close_matches(word.lower(), folded, n=1, cutoff=0.6)
    if near:
        return f"did you mean {folded[near[0]]}?"
    return f"known are: {', '.join(names)}" if names else "nothing is known here"

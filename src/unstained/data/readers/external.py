"""Which acquisitions are an external test set: never trained on, reported apart."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from unstained.data.readers.protocol import Acquisition
from unstained.errors import ParameterError, SourceError


def marked_external(found: Sequence[Acquisition], patterns: Sequence[str]) -> list[Acquisition]:
    """Acquisitions, external also where a pattern is in their whole path.

    Args:
        found: all of a source.
        patterns: `studies.<study>.data.external`.

    Raises:
        ParameterError: a pattern is no regular expression.
        SourceError: a pattern is in no acquisition's path: what it means would be trained on.
    """
    matched: set[Acquisition] = set()
    for pattern in patterns:
        try:
            these = {one for one in found if re.search(pattern, one.title)}
        except re.error as error:
            raise ParameterError(
                f"the pattern {pattern!r} is no regular expression: {error}",
                "correct it in studies.<study>.data.external",
            ) from None
        if not these:
            shown = ", ".join(one.title for one in found[:5]) + (", ..." if len(found) > 5 else "")
            raise SourceError(
                f"no acquisition is external by the pattern {pattern!r} (there are: {shown})",
                "correct it in studies.<study>.data.external, or remove it",
            )
        matched |= these
    return [replace(one, external=one.external or one in matched) for one in found]

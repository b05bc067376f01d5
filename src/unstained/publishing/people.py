"""Who made a model, and who may use it: what no computation knows."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from unstained.errors import ParameterError

DOI: Final = re.compile(r"\b(10\.\d{4,9}/\S+)$")


@dataclass(frozen=True)
class People:
    """What is told with a package.

    Attributes:
        authors: names.
        licence: SPDX identifier; None: none was given.
        cited: (reference, its doi).
    """

    authors: tuple[str, ...] = ()
    licence: str | None = None
    cited: tuple[tuple[str, str], ...] = ()

    def missing(self) -> tuple[str, ...]:
        """What a reader of the package will miss, as sentences."""
        told = {
            "nobody is named as its author: --author NAME": self.authors,
            "nobody knows who may use it: --license SPDX, such as CC-BY-4.0": self.licence,
        }
        return tuple(sentence for sentence, given in told.items() if not given)


def people_of(authors: list[str], licence: str | None, cited: list[str]) -> People:
    """Check what was typed.

    Args:
        authors: names.
        licence: SPDX identifier.
        cited: references that end in their doi.

    Raises:
        ParameterError: a name is empty or holds a slash, or a reference ends in no doi.
    """
    for name in authors:
        if not name.strip() or "/" in name:
            raise ParameterError(f"{name!r} is no name of an author", "give one name an --author")
    for text in cited:
        if not DOI.search(text):
            raise ParameterError(
                f"the reference {text!r} ends in no doi",
                "write it as 'Blasi et al. 2016, 10.1038/ncomms10256'",
            )
    found = tuple((text, str(DOI.findall(text)[0])) for text in cited)
    return People(tuple(authors), licence, found)

"""Which names every stage accepts, the last ones too: refused when params.yaml is read.

What a name becomes later: a study an InferenceService and host of KServe (RFC 1123), a model a
label in Kubernetes, both of them a folder below runs/; a class, a task, a marker words in tables,
pages, MLflow (which spells what it refuses, registry/runs.py) and answers.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from typing import Annotated, Final

from pydantic import AfterValidator

STUDY: Final = re.compile(r"[a-z]([a-z0-9-]*[a-z0-9])?")
LONGEST_STUDY: Final = 63 - len("unstained-") - len("-predictor")
"""Characters: a label of DNS has 63, and the host is unstained-<study>-predictor."""
LABEL: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?")
"""Value of a label in Kubernetes."""
LONGEST_WORDS: Final = 80
"""Characters: MLflow's names of metrics, which hold a task and a class, have 250."""
DEVICES: Final = frozenset({"con", "prn", "aux", "nul"}) | {
    f"{port}{number}" for port in ("com", "lpt") for number in range(1, 10)
}
"""Names that no folder has on Windows."""


def study_problem(name: str) -> str:
    """Why a study cannot have this name; '' where it can."""
    if not STUDY.fullmatch(name) or len(name) > LONGEST_STUDY:
        return (
            f"is no name that KServe serves (as unstained-{name}): use at most {LONGEST_STUDY} "
            "lower-case letters, digits and hyphens, a letter first and no hyphen last"
        )
    return _folder_problem(name)


def model_problem(name: str) -> str:
    """Why a model cannot have this name; '' where it can."""
    if not LABEL.fullmatch(name):
        return (
            "is no label in Kubernetes: use at most 63 letters, digits, '-', '_' and '.', and "
            "begin and end with a letter or a digit"
        )
    return _folder_problem(name)


def alike(names: Iterable[str]) -> tuple[str, str] | None:
    """The first two names that differ in case or in how letters are encoded alone."""
    seen: dict[str, str] = {}
    for name in names:
        folded = unicodedata.normalize("NFKC", name).casefold()
        if folded in seen:
            return seen[folded], name
        seen[folded] = name
    return None


def words(name: str) -> str:
    """A name for people: any text of one line, without spaces around it.

    Raises:
        ValueError: it is none.
    """
    shown = ascii(name)
    if not name or name != name.strip():
        raise ValueError(f"{shown} is empty or has spaces around it, which tables do not keep")
    if any(unicodedata.category(letter) in ("Cc", "Cs", "Zl", "Zp") for letter in name):
        raise ValueError(f"{shown} holds a character that is no text, such as a line's end")
    if len(name) > LONGEST_WORDS:
        raise ValueError(f"{shown} has {len(name)} characters, more than {LONGEST_WORDS}")
    return name


def apart(names: tuple[str, ...]) -> tuple[str, ...]:
    """Names for people that are told apart.

    Raises:
        ValueError: two differ in case or encoding alone.
    """
    if (found := alike(dict.fromkeys(names))) is not None:
        raise ValueError(f"{found[0]!r} and {found[1]!r} differ in case or encoding alone")
    return names


Words = Annotated[str, AfterValidator(words)]


def _folder_problem(name: str) -> str:
    stem = name.partition(".")[0].lower()
    return "is a device on Windows, and no folder has its name there" if stem in DEVICES else ""


def counting(text: str) -> list[str | int]:
    """A key that sorts names by the numbers in them: Ch2 before Ch11."""
    parts = enumerate(re.split(r"([0-9]+)", text))
    return [int(part) if number % 2 else part for number, part in parts]

"""Classes that folders' names tell: by one level of the path, or by what names begin with."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from unstained.errors import ParameterError
from unstained.onboarding.asking import NONE, Answer, Choice, listed, pick
from unstained.wording import counted

MOST_CLASSES: Final = 50
FOLDER, START = "folder", "start"


@dataclass(frozen=True)
class Told:
    """A way in which folders tell the class.

    Attributes:
        rules: classes and regular expressions on a folder's last name, the first match wins; or
            None, where a folder on the path is named like the class.
        classes: in order of name.
        of_folder: class of each folder with images.
    """

    rules: tuple[tuple[str, str], ...] | None
    classes: tuple[str, ...]
    of_folder: Mapping[str, str]

    def task(self) -> dict[str, Any]:
        """As a task of params.yaml."""
        if self.rules is None:
            return {"kind": "classes", "names": list(self.classes)}
        rules = [{"name": name, "pattern": rule} for name, rule in self.rules]
        return {"kind": "classes", "rules": rules}


def ways(folders: Sequence[str], *, levels: bool) -> dict[str, Told]:
    """All ways in which folders could tell classes; the option's value -> way.

    Args:
        folders: those with images, relative to the source.
        levels: whether the reader takes the class from any level of the path, not the last alone.
    """
    found: dict[str, Told] = {}
    paths = {folder: folder.split("/") for folder in folders}
    depth = min(map(len, paths.values()))
    whole = [level for level in range(depth) if all(len(p) == depth for p in paths.values())]
    varying = [k for k in whole if len({path[k] for path in paths.values()}) > 1]
    places = varying if levels else [k for k in varying if k == depth - 1]
    for level in places:
        name = FOLDER if len(places) == 1 else f"{FOLDER}{level + 1}"
        of_folder = {folder: path[level] for folder, path in paths.items()}
        classes = tuple(sorted(set(of_folder.values())))
        clear = all(len(set(path) & set(classes)) == 1 for path in paths.values())
        if 2 <= len(classes) <= MOST_CLASSES and (clear or not levels):
            rules = None if levels else tuple((c, f"^{re.escape(c)}$") for c in classes)
            found[name] = Told(rules, classes, of_folder)
    starts = {folder: start_of(path[-1]) for folder, path in paths.items()}
    last = {path[-1] for path in paths.values()}
    classes = tuple(sorted(set(starts.values())))
    if all(classes) and 2 <= len(classes) < len(last) and len(classes) <= MOST_CLASSES:
        rules = tuple((c, f"^{re.escape(c)}(?![A-Za-z])") for c in classes)
        found[START] = Told(rules, classes, starts)
    return found


def start_of(name: str) -> str:
    """What a folder's name begins with, before its first digit, without separators at its end."""
    return re.split(r"\d", name, maxsplit=1)[0].rstrip(" _-.([")


def by_patterns(folders: Sequence[str], given: Sequence[str]) -> Told:
    """Classes by patterns that the user gave, NAME=PATTERN each; the first match wins.

    Raises:
        ParameterError: one is none, or a folder matches none of them.
    """
    rules: list[tuple[str, str]] = []
    for text in given:
        name, equals, pattern = text.partition("=")
        try:
            re.compile(pattern)
        except re.error as error:
            raise ParameterError(f"--class {text}: {error}", "correct the pattern") from None
        if not (name and equals and pattern):
            raise ParameterError(f"--class {text}: is no NAME=PATTERN", "e.g. --class neuron=^n_")
        rules.append((name, pattern))
    of_folder = {}
    for folder in folders:
        last = folder.rsplit("/", 1)[-1]
        matched = [name for name, pattern in rules if re.search(pattern, last)]
        if not matched:
            raise ParameterError(
                f"folder {folder} matches no --class", f"add --class NAME=^{re.escape(last)}"
            )
        of_folder[folder] = matched[0]
    return Told(tuple(rules), tuple(dict(rules)), of_folder)


def choose(
    found: Mapping[str, Sequence[str]],
    given: str | None,
    text: str,
    nothing: ParameterError,
    *,
    values: bool,
) -> Answer:
    """Which way tells the class, or the question for it; none where there are values to predict.

    Args:
        found: the option's value -> classes that it would give.
        given: the option.
        text: the question.
        nothing: raised where there is no way and no value.
        values: whether there are values to predict.
    """
    if not found and not values and given in (None, NONE):
        raise nothing
    choices = [
        Choice(name, f"{counted(len(classes), 'class', 'classes')}: {listed(list(classes), 6)}")
        for name, classes in found.items()
    ]
    return pick("--label", text, given, choices, optional="stains alone" if values else "")

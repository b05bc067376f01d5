"""From a folder and answers to a draft of the study's section: layout first, then its questions."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from unstained.data.readers.bccd import places
from unstained.data.readers.bsccm.tables import INDEX
from unstained.errors import ParameterError, SourceError
from unstained.onboarding.asking import Draft
from unstained.onboarding.folders import draft_folders
from unstained.onboarding.imagestream import draft_cif
from unstained.onboarding.layouts import Standards, layout
from unstained.onboarding.movie_files import READER as MOVIES
from unstained.onboarding.movie_files import find_movies, movies_or_cells
from unstained.onboarding.movies import draft_movies
from unstained.onboarding.narration import decision_lines
from unstained.onboarding.numbered import draft_ifc, draft_montage
from unstained.onboarding.options import Options, option_of
from unstained.onboarding.rows import draft_rows
from unstained.onboarding.smears import draft_bccd
from unstained.onboarding.tables import find_table, named_by, read_table
from unstained.onboarding.tree import TABLE_SUFFIXES, Tree, survey

Drafter = Callable[[Tree, Options, Standards], Draft]
NUMBERED: Final[Mapping[str, Drafter]] = {
    "zhu_ifc": draft_ifc,
    "jurkat_montage": draft_montage,
    "cif": draft_cif,
    "bccd": draft_bccd,
}

ALWAYS: Final = frozenset(
    {
        "table",
        "reader",
        "min_cells",
        "pixel_size",
        "canvas",
        "on_error",
        "title",
        "question",
        "force",
    }
)
BESIDE: Final[Mapping[str, tuple[str, ...]]] = {"bccd": (".xml",), "cif": (".daf", ".txt")}
"""What layouts read beside images and tables: boxes, analyses and populations."""
PIXELS: Final = frozenset({"pages", "float_range"})
MEANT: Final[Mapping[str, frozenset[str]]] = {
    "rows": frozenset(
        {
            "image",
            "label",
            "without",
            "value",
            "group",
            "object",
            "external",
            "channel",
            "pages",
            "float_range",
        }
    ),
    "folders": frozenset(
        {"label", "class_", "without", "group", "channel", "pages", "float_range"}
    ),
    "zhu_ifc": frozenset({"label", "class_", "group", "channel", "marker"}),
    "jurkat_montage": frozenset({"label", "class_", "group", "channel", "marker"}),
    "cif": frozenset({"label", "class_", "group", "channel", "marker"}),
    "bccd": frozenset({"without", "group"}),
    MOVIES: frozenset(
        {"label", "value", "group", "external", "channel", "float_range", "frames", "stride"}
    ),
}
"""Options that mean something: for every layout, and for each."""


@dataclass(frozen=True)
class Looked:
    """A folder and what it became.

    Attributes:
        source: the folder.
        draft: questions among it, or all that the section's `data` needs but `canvas`.
    """

    source: Path
    draft: Draft


def draft_study(path: str, options: Options, standards: Standards) -> Looked:
    """Look at a folder, or at the folder of a table, and decide what its files decide.

    Raises:
        SourceError: it is none, or holds nothing that is read.
        ParameterError: an answer is impossible here.
    """
    given = Path(path).expanduser().resolve()
    if not given.exists():
        raise SourceError(f"{path} does not exist", "name the folder of the images, or a table")
    _refuse_known_set(given, path)
    named = given if given.is_file() and given.suffix.lower() in TABLE_SUFFIXES else None
    if given.is_file() and named is None:
        raise SourceError(f"{path} is a file", "name the folder that holds it")
    tree, draft = survey(given.parent if named else given), Draft()
    movies = None if options.reader not in (None, MOVIES) else find_movies(tree, named, options)
    if movies is None and options.reader == MOVIES:
        raise ParameterError(
            f"{tree.root} holds no movies: neither TIFFs nor folders of 5 or more numbered frames "
            "of 96 pixels or more, nor a table that names them",
            "export each movie as one TIFF, or put its frames into a folder of its own below it",
        )
    if movies is not None:
        chosen = draft.take("layout", movies_or_cells(movies, options.reader))
        if draft.questions:
            return Looked(tree.root, draft)
        if chosen == MOVIES:
            _refuse_unused(MOVIES, False, options, list(decision_lines(draft)))
            return Looked(
                tree.root, _sourced(draft_movies(movies, options, standards), draft, tree, MOVIES)
            )
        draft = Draft()
    table = _table(draft, tree, named, options)
    reader = draft.take("layout", layout(tree, table is not None, options.reader))
    if draft.questions or reader is None:
        return Looked(tree.root, draft)
    _refuse_unused(reader, table is not None, options, list(decision_lines(draft)))
    if reader in NUMBERED:
        made = NUMBERED[reader](tree, options, standards)
    elif table is None:
        made = _by_folders(tree, options, standards, draft.decisions_of("table", reason=True))
    else:
        made = draft_rows(tree, read_table(table, tree), options, standards)
        if "table" in made.data:
            made.data["table"] = {"file": table, **made.data["table"]}
    _tell_of_others(made, tree, BESIDE.get(reader, ()))
    return Looked(tree.root, _sourced(made, draft, tree, reader))


def _sourced(made: Draft, draft: Draft, tree: Tree, reader: str) -> Draft:
    """A draft with its reader and source, and what was decided before it."""
    made.data["reader"], made.data["source"] = reader, str(tree.root)
    made.decisions[:0] = draft.decisions
    return made


def _by_folders(tree: Tree, options: Options, standards: Standards, passed: str) -> Draft:
    """Draft for folders; where they tell nothing, why no table did either."""
    try:
        return draft_folders(tree, options, standards)
    except ParameterError as error:
        if not passed:
            raise
        raise ParameterError(f"{error.message}\n  not read: {passed}", error.remedy) from None


def _refuse_known_set(given: Path, path: str) -> None:
    """A published set whose study is there needs no other: gates and optics are in its section.

    Raises:
        ParameterError: it is one.
    """
    if (given / INDEX).is_file():
        raise ParameterError(
            f"{path} holds BSCCM ({INDEX}), whose study params.yaml has: wbc",
            f"point it there: `unstained source wbc {shlex.quote(path)}`, and set "
            "studies.wbc.data.canvas to the side of its images (README)",
        )


def _table(draft: Draft, tree: Tree, named: Path | None, options: Options) -> str | None:
    """The table with a row a cell; of a layout with a table of its own, only one asked for."""
    if named:
        return named_by(named, tree.root)
    own = options.reader in (None, "bccd") and any(places(tree.root))
    return None if own and options.table is None else find_table(draft, tree, options)


def _refuse_unused(reader: str, table: bool, options: Options, told: Sequence[str]) -> None:
    """No option is accepted and ignored; what was decided before is told.

    Raises:
        ParameterError: one means nothing for this layout.
    """
    kind = "rows" if table else "folders" if reader == "table" else reader
    foreign = sorted(options.given() - ALWAYS - MEANT[kind])
    if foreign:
        known = ", ".join(sorted(map(option_of, MEANT[kind])))
        raise ParameterError(
            "\n  ".join(
                [f"{option_of(foreign[0])} means nothing for this layout ({reader})", *told]
            ),
            f"leave it out; what is asked here: {known}",
        )


def _tell_of_others(draft: Draft, tree: Tree, beside: Sequence[str]) -> None:
    others = {kind: files for kind, files in tree.others.items() if kind not in beside}
    if others:
        files = sum(others.values())
        kinds = ", ".join(sorted(others)[:6])
        draft.untold.append(f"{files} files of other kinds are not read: {kinds}.")

"""Draft for Amnis .cif files (reader `cif`): the files name their channels and brightfield."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final

from unstained.data.readers.amnis.channels import BRIGHTFIELD, Channels
from unstained.data.readers.amnis.directories import CifError
from unstained.data.readers.amnis.labels import Populations
from unstained.data.readers.amnis.objects import Head, read_head
from unstained.errors import ParameterError, SourceError
from unstained.onboarding.asking import Answer, Choice, Draft, listed
from unstained.onboarding.labels import by_patterns, choose, ways
from unstained.onboarding.layouts import FILE, IMAGESTREAM, Standards, group, pixel_size
from unstained.onboarding.numbered import choose_channels, marker_tasks
from unstained.onboarding.options import Options
from unstained.onboarding.tree import Tree

POPULATIONS: Final = "populations"
EVERYTHING: Final = frozenset({"all"})
"""Populations that hold every object."""
MOST_CLASSES: Final = 12
PIXEL_UM: Final = {20.0: 1.0, 40.0: 0.5, 60.0: 0.33}
"""Micrometres of an ImageStream's pixel by the magnification of its objective."""


@dataclass(frozen=True)
class _Told:
    """Classes, the task that asks for them, and how many cells of each a file has."""

    task: Mapping[str, Any]
    counts: Mapping[str, Mapping[str, int]]
    populations: Mapping[str, str]


def draft_cif(tree: Tree, options: Options, standards: Standards) -> Draft:
    """One file an acquisition.

    Raises:
        SourceError: no file is a .cif.
        ParameterError: an answer is impossible.
    """
    draft, heads = Draft(), _heads(tree)
    draft.untold += [
        f"Cannot be read: {file}: {head}" for file, head in heads.items() if isinstance(head, str)
    ]
    read = {file: head for file, head in heads.items() if isinstance(head, Head)}
    if not read:
        raise SourceError(f"{tree.root}: no .cif can be read: {draft.untold[0]}", "copy them again")
    draft.decide("pixels", "counts as recorded, with the instrument's masks", f"{len(read)} .cif")
    choose_channels(draft, _channels([head.channels for head in read.values()]), options)
    size = draft.take("pixel size", _pixel_size(list(read.values()), options))
    draft.data["pixel_size_um"] = float(size) if size else 1.0
    told = _classes(draft, tree, read, options)
    draft.data["tasks"] = ({"type": dict(told.task)} if told else {}) | marker_tasks(draft)
    if told and told.populations:
        draft.data["cif"] = {"populations": dict(told.populations)}
    draft.data["group"] = "acquisition"
    files, labels = [], []
    for file, head in read.items():
        counts = Counter(dict(told.counts[file]) if told else {})
        labels += [*counts.elements(), *[None] * max(0, head.promised - counts.total())]
        files += [file] * max(head.promised, counts.total())
    if told:
        draft.counts = dict(Counter(label for label in labels if label is not None))
    group(draft, options, standards, {FILE: files}, labels, FILE.__eq__, "each is a recording")
    return draft


def _heads(tree: Tree) -> dict[str, Head | str]:
    """File -> what its head says, or why it cannot be read."""
    found: dict[str, Head | str] = {}
    for file in tree.cif:
        try:
            found[file] = read_head(tree.root / file)
        except (CifError, OSError) as error:
            found[file] = str(error)
    return found


def _pixel_size(heads: list[Head], options: Options) -> Answer:
    """By the objective that all files name, where it is one of an ImageStream's."""
    found = {head.magnification for head in heads}
    only = found.pop() if len(found) == 1 else 0.0
    if options.pixel_size is None and only in PIXEL_UM:
        return f"{PIXEL_UM[only]:g}", f"the files name an objective of {only:g}x"
    return pixel_size([], options.pixel_size, IMAGESTREAM)


def _channels(files: list[Channels]) -> list[Choice]:
    """Channels that all files hold."""
    shared = [k for k in files[0].in_use if all(k in one.in_use for one in files)]
    lit = {one.brightfield for one in files}
    alone = len(lit) == 1 and len(files[0].brightfield) == 1
    return [
        Choice(
            BRIGHTFIELD if alone and k in files[0].brightfield else f"Ch{k}",
            "the only brightfield channel" if alone and k in files[0].brightfield
            else "brightfield" if all(k in one.brightfield for one in files)
            else "no brightfield, as the files say",
            telling=all(k in one.brightfield for one in files),
        )
        for k in shared
    ]  # fmt: skip


def _classes(draft: Draft, tree: Tree, read: Mapping[str, Head], options: Options) -> _Told | None:
    """Classes by IDEAS populations, or by the names of files or of their folders."""
    found = {**_by_populations(tree, read, options), **_by_names(read)}
    given = options.label
    if options.class_ and given is None:
        given = POPULATIONS if POPULATIONS in found else None
    if options.class_ and given != POPULATIONS:
        told = by_patterns([PurePosixPath(file).stem for file in read], options.class_)
        of_file = {file: told.of_folder[PurePosixPath(file).stem] for file in read}
        draft.decide("class", listed(told.classes), "asked for by --class")
        counts = {file: {of_file[file]: head.promised} for file, head in read.items()}
        return _Told(told.task(), counts, {})
    classes = {name: _class_names(told) for name, told in found.items()}
    text = "What tells the class of a cell? Of populations, --class NAME=PATTERN chooses some."
    nothing = ParameterError(
        "neither populations nor names of files tell a class",
        "save the classes' populations beside each .cif in IDEAS, name them by --class "
        "NAME=PATTERN, or predict a stain: --marker NAME=Ch2",
    )
    stains = bool(draft.data.get("markers"))
    chosen = draft.take("class", choose(classes, given, text, nothing, values=stains))
    return None if chosen is None else found[chosen]


def _class_names(told: _Told) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for counts in told.counts.values() for name in counts))


def _by_names(read: Mapping[str, Head]) -> dict[str, _Told]:
    """Classes by what files' names begin with, or by their folders."""
    found: dict[str, _Told] = {}
    stems = {file: PurePosixPath(file).stem for file in read}
    parents = {file: PurePosixPath(file).parent.name for file in read}
    for option, names in ((FILE, stems), ("folder", parents)):
        for told in ways(sorted(set(names.values())), levels=False).values():
            if option == FILE and len(told.classes) == len(read):
                continue
            counts = {f: {told.of_folder[names[f]]: head.promised} for f, head in read.items()}
            found[option] = _Told(told.task(), counts, {})
    return found


def _by_populations(tree: Tree, read: Mapping[str, Head], options: Options) -> dict[str, _Told]:
    """Classes by populations that lie beside every file; which, --class says."""
    beside = {file: Populations.beside(Path(tree.root / file)) for file in read}
    names = {name for one in beside.values() for name in one.files}
    patterns = dict(text.split("=", 1) for text in options.class_ if "=" in text)
    if patterns:
        chosen = {
            name: [one for one in sorted(names) if re.search(pattern, one)]
            for name, pattern in patterns.items()
        }
    else:
        chosen = {name: [name] for name in sorted(names) if name.lower() not in EVERYTHING}
    if not 2 <= len(chosen) <= MOST_CLASSES or not all(chosen.values()):
        return {}
    counts = {
        file: {
            name: len(one.objects([p for p in of_class if p in one.files]))
            for name, of_class in chosen.items()
        }
        for file, one in beside.items()
    }
    task = {"kind": "classes", "names": list(chosen)}
    return {POPULATIONS: _Told(task, counts, patterns)}

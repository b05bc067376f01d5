"""Drafts for ImageStream exports with numbered channels: single files, or montages."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from unstained.data.store.schema import MARKER_PREFIX
from unstained.errors import ParameterError
from unstained.onboarding.asking import Choice, Draft, Question, pick, require
from unstained.onboarding.labels import Told, by_patterns, choose, ways
from unstained.onboarding.layouts import IMAGESTREAM, Standards, group, pixel_size
from unstained.onboarding.options import Options
from unstained.onboarding.pixels import look, pixel_words
from unstained.onboarding.tree import IFC_NAME, MONTAGE_NAME, Tree, joined, spread
from unstained.wording import counted

LOOKED_AT: Final = 24
"""Files of each channel that are opened."""
FOLDER: Final = "folder"
APART: Final = "folders keep samples apart"
BLOCK: Final = 30
"""Tiles of a montage that stay together: a column."""


def draft_ifc(tree: Tree, options: Options, standards: Standards) -> Draft:
    """One file a cell and channel, a folder a sample (reader `zhu_ifc`)."""
    draft = Draft()
    _channels(draft, tree, options, IFC_NAME)
    told = folder_classes(draft, tree, options, levels=False)
    cells = {folder: _objects(names) for folder, names in tree.folders.items()}
    of_folder = told.of_folder if told else {}
    labels = [of_folder.get(folder) for folder, count in cells.items() for _ in range(count)]
    folders = [folder for folder, count in cells.items() for _ in range(count)]
    group(draft, options, standards, {FOLDER: folders}, labels, FOLDER.__eq__, APART)
    draft.data["group"] = "acquisition"
    return draft


def draft_montage(tree: Tree, options: Options, standards: Standards) -> Draft:
    """Montages of tiles, a folder a class (reader `jurkat_montage`)."""
    draft = Draft()
    _channels(draft, tree, options, MONTAGE_NAME)
    folder_classes(draft, tree, options, levels=False)
    if options.group is not None:
        require("--group", options.group, ("block", "montage"))
    if options.group == "montage":
        draft.data["group"] = "acquisition"
        draft.decide("group", "montage", "asked for by --group")
    else:
        draft.data |= {"group": "block", "block_size": BLOCK}
        draft.decide("group", "block", f"{BLOCK} tiles that follow each other in a montage")
        draft.untold.append(
            "Which tiles were recorded together cannot be told from montages: neighbours stay "
            "together, and results say nothing of another day's recording."
        )
    return draft


def folder_classes(draft: Draft, tree: Tree, options: Options, *, levels: bool) -> Told | None:
    """Tasks: classes that folders tell, and stains; returns the classes, None without them."""
    folders, stains = list(tree.folders), marker_tasks(draft)
    told = None
    if options.class_:
        told = by_patterns(folders, options.class_)
        draft.decide("class", ", ".join(told.classes), "asked for by --class")
    else:
        found = ways(folders, levels=levels)
        classes = {name: way.classes for name, way in found.items()}
        text = "Which part of the folders' names is the class?"
        nothing = ParameterError(
            "folders tell no class, and there is no table",
            "sort the images into a folder for each class, or name a table that tells of each "
            "image: --table FILE",
        )
        answer = choose(classes, options.label, text, nothing, values=bool(stains))
        chosen = draft.take("class", answer)
        told = None if chosen is None else found[chosen]
    draft.data["tasks"] = ({"type": told.task()} if told else {}) | stains
    return told


def _objects(names: Sequence[str]) -> int:
    """Cells of a folder: different names but for the channel."""
    return len({name.rsplit("_Ch", 1)[0].lower() for name in names})


def _channels(draft: Draft, tree: Tree, options: Options, pattern: re.Pattern[str]) -> None:
    """Which channel is seen, which are stains, and the scale."""
    paths: dict[int, list[str]] = {}
    for folder, names in tree.folders.items():
        for name in names:
            found = pattern.fullmatch(name)
            if found:
                paths.setdefault(int(found[1]), []).append(joined(folder, name))
    choices, everything = [], []
    for number, files in sorted(paths.items()):
        seen, broken = look(tree.root, spread(files, LOOKED_AT))
        draft.untold += [f"Cannot be read: {line}" for line in broken]
        everything += seen
        level = float(np.median([one.background for one in seen])) if seen else 0.0
        contrast = float(np.median([one.spread for one in seen])) if seen else 0.0
        what = f"{len(files)} images, background {level:.0f}, contrast {contrast:.0%} of it"
        choices.append(Choice(f"Ch{number}", what))
    draft.decide("pixels", pixel_words(everything), f"{counted(len(everything), 'file')} looked at")
    choose_channels(draft, choices, options)
    size = draft.take("pixel size", pixel_size(everything, options.pixel_size, IMAGESTREAM))
    draft.data["pixel_size_um"] = float(size) if size else 1.0


def choose_channels(draft: Draft, choices: Sequence[Choice], options: Options) -> None:
    """Channels that models see, and stains, by options or as they are asked for."""
    markers = _markers(options.marker, [choice.value for choice in choices])
    left = [choice for choice in choices if choice.value not in markers.values()]
    wanted = options.channel
    for name in wanted[1:]:
        require("--channel", name, [choice.value for choice in left])
    text = "Which channel is the label-free one (brightfield: bright, with low contrast)?"
    first = wanted[0] if wanted else None
    answer = pick("--channel", text, first, left, because="the files say so")
    draft.take("channels", answer)
    seen = left[0].value if isinstance(answer, Question) else answer[0]
    draft.data["channels"] = [seen, *wanted[1:]]
    if wanted[1:]:
        draft.decide("further channels", ", ".join(wanted[1:]), "asked for by --channel")
    if markers:
        draft.data["markers"] = markers
        draft.decide("markers", ", ".join(markers), "asked for by --marker")
    unused = [one.value for one in left if one.value not in draft.data["channels"]]
    if unused:
        draft.untold.append(
            f"What is seen in {', '.join(unused)} cannot be told from files: not used. A stain "
            f"becomes a value to predict by --marker NAME={unused[0]}."
        )


def marker_tasks(draft: Draft) -> dict[str, Any]:
    """A value to predict for each stain."""
    return {
        name: {"kind": "value", "column": f"{MARKER_PREFIX}{name}", "unit": "integrated counts"}
        for name in draft.data.get("markers", {})
    }


def _markers(given: Sequence[str], known: Sequence[str]) -> dict[str, str]:
    found = {}
    for text in given:
        name, _, channel = text.partition("=")
        if not name or channel not in known:
            raise ParameterError(
                f"--marker {text}: is no NAME=CHANNEL", f"channels here: {', '.join(known)}"
            )
        found[name] = channel
    return found

"""Draft for images in folders that tell the class, without a table (reader `table`)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import pyarrow as pa

from unstained.errors import SourceError
from unstained.onboarding.asking import Draft, require
from unstained.onboarding.axes import image_axes
from unstained.onboarding.labels import Told
from unstained.onboarding.layouts import Standards, group, pixel_size
from unstained.onboarding.numbered import APART, FOLDER, folder_classes
from unstained.onboarding.options import Options
from unstained.onboarding.pixels import Seen, look
from unstained.onboarding.tree import Tree, joined

LOOKED_AT: Final = 96
"""Files that are opened."""
NAME: Final = "name"
CELLS_PER_NAME: Final = 2
"""Files whose names begin alike, on average, from which the beginning could name a recording."""


def draft_folders(tree: Tree, options: Options, standards: Standards) -> Draft:
    """One file a cell."""
    draft = Draft()
    seen = looked_at(draft, tree, tree.sample(LOOKED_AT))
    image_axes(draft, seen, 1, options)
    size = draft.take("pixel size", pixel_size(seen, options.pixel_size))
    draft.data["pixel_size_um"] = float(size) if size else 1.0
    told = folder_classes(draft, tree, options, levels=True)
    draft.data["group"] = "acquisition"
    if told is None:
        return draft
    cells = _cells(tree, told)
    for name in options.without:
        require("--without", name, told.classes)
    kept = [cell for cell in cells if cell[1] not in options.without]
    files, labels, folders, names = zip(*kept, strict=True)
    candidates = {}
    if len(tree.folders) > len(told.classes):
        candidates[FOLDER] = folders
    if 1 < len(set(names)) <= len(names) / CELLS_PER_NAME and set(names) != set(folders):
        candidates[NAME] = names
    chosen = group(draft, options, standards, candidates, labels, FOLDER.__eq__, APART)
    if options.without or chosen == NAME:
        groups = names if chosen == NAME else folders
        _tabulate(draft, told, options, files, labels, groups)
    return draft


def _cells(tree: Tree, told: Told) -> list[tuple[str, str, str, str]]:
    """File, class, folder, and what the file's name begins with, of each image."""
    return [
        (joined(folder, name), told.of_folder[folder], folder, beginning(name))
        for folder, names in tree.folders.items()
        for name in names
    ]


def beginning(name: str) -> str:
    """A file's name without its last number and what follows, e.g. 'slide3' of 'slide3_017.png'."""
    found = re.match(r"(.*\D)??[\s_.-]*\d+\D*$", name)
    return (found[1] or "").rstrip(" _.-") if found else name


def _tabulate(
    draft: Draft,
    told: Told,
    options: Options,
    files: Sequence[str],
    labels: Sequence[str],
    groups: Sequence[str],
) -> None:
    """State the same by a table, where folders alone cannot tell it."""
    kept = [name for name in told.classes if name not in options.without]
    draft.data["tasks"] = {"type": {"kind": "classes", "names": kept, "column": "class"}}
    draft.data["table"] = {"image": "file", "acquisition": "recording"}
    columns = {"file": files, "class": labels, "recording": groups}
    draft.table = pa.table(
        {name: pa.array(values, pa.string()) for name, values in columns.items()}
    )
    if options.without:
        draft.decide("left out", ", ".join(options.without), "classes, asked for by --without")


def looked_at(draft: Draft, tree: Tree, files: list[str]) -> list[Seen]:
    """Open files; those that cannot be read are told of.

    Raises:
        SourceError: none can be read.
    """
    seen, broken = look(tree.root, files)
    if not seen:
        raise SourceError(
            f"{tree.root}: none of {len(files)} files looked at can be read, e.g. {broken[0]}",
            "export the images again as TIFF, PNG, BMP or JPEG",
        )
    draft.untold += [f"Cannot be read: {line}" for line in broken]
    return seen

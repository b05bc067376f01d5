"""Draft for stained blood smears as they are shared (reader `bccd`): photographs, or copies."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Final

import numpy as np

from unstained.data.readers.bccd import (
    PHOTOGRAPHS,
    Box,
    annotation_file,
    labels_file,
    read_labels,
    the_one,
    white_cell,
)
from unstained.errors import SourceError
from unstained.onboarding.asking import Choice, Draft, listed, require
from unstained.onboarding.axes import image_axes
from unstained.onboarding.folders import looked_at
from unstained.onboarding.layouts import FILE, Standards, group, pixel_size
from unstained.onboarding.options import Options
from unstained.onboarding.tree import Tree, joined, spread

LOOKED_AT: Final = 48
"""Files that are opened."""
NEUTROPHIL: Final = "nobody recorded it; a neutrophil of 13 um is then about {} pixels wide"
PHOTOGRAPH: Final = Choice("0.07", f"photographs of 640 x 480: {NEUTROPHIL.format(190)}")
PICTURE: Final = Choice("0.14", f"pictures of 320 x 240: {NEUTROPHIL.format(95)}")
QUESTION: Final = "Which white blood cell is it? A stained benchmark, not label-free."
STAINED: Final = "These cells are stained: a benchmark of the pipeline, not label-free phenotyping."


def draft_bccd(tree: Tree, options: Options, standards: Standards) -> Draft:
    """One white cell a photograph, or a picture a cell.

    Raises:
        SourceError: photographs and pictures are there, labels are not, or they name one class.
    """
    place, kind = the_one(tree.root)
    draft, photographs = Draft(), kind == PHOTOGRAPHS
    inside = {
        folder: names
        for folder, names in tree.folders.items()
        if folder == place or folder.startswith(f"{place}/")
    }
    cells = _labelled(tree, place, inside) if photographs else _in_folders(inside)
    scales = (PHOTOGRAPH, PICTURE) if photographs else (PICTURE, PHOTOGRAPH)
    _look(draft, tree, list(cells), options, scales)
    classes = _classes(draft, cells, options)
    if photographs:
        draft.sizes = _sizes(draft, tree, place, cells, classes)
    else:
        draft.untold.append(
            "The pictures are turned and recoloured copies of fewer photographs, and no file says "
            "of which. `validate` finds the copies, and the split keeps them together."
        )
    draft.data |= {"group": "acquisition", "question": QUESTION}
    files = [file for file, label in cells.items() if label in classes]
    labels = [cells[file] for file in files]
    why = "a photograph each" if photographs else "a picture each, until copies are found"
    group(draft, options, standards, {FILE: files}, labels, FILE.__eq__, why)
    draft.untold.append("Nothing is known of patients and slides: files alone are kept apart.")
    return draft


def _labelled(tree: Tree, place: str, inside: Mapping[str, tuple[str, ...]]) -> dict[str, str]:
    """Photograph -> its label, '' where the table has none."""
    labels = read_labels(labels_file(tree.root, place))
    return {
        joined(folder, name): labels.get(PurePosixPath(name).stem, "")
        for folder, names in inside.items()
        for name in names
    }


def _in_folders(inside: Mapping[str, tuple[str, ...]]) -> dict[str, str]:
    """Picture -> the name of its folder."""
    return {
        joined(folder, name): PurePosixPath(folder).name
        for folder, names in inside.items()
        for name in names
    }


def _look(
    draft: Draft, tree: Tree, files: list[str], options: Options, scales: tuple[Choice, ...]
) -> None:
    seen = looked_at(draft, tree, spread(files, LOOKED_AT))
    image_axes(draft, seen, 1, options)
    draft.untold[:] = [line for line in draft.untold if "stained" not in line]
    draft.untold.append(STAINED)
    size = draft.take("pixel size", pixel_size(seen, options.pixel_size, scales))
    draft.data["pixel_size_um"] = float(size) if size else 1.0


def _classes(draft: Draft, cells: Mapping[str, str], options: Options) -> list[str]:
    """Classes that stay, decided as a task.

    Raises:
        SourceError: there are fewer than two.
    """
    single = {label for label in cells.values() if label and "," not in label}
    found = Counter(label for label in cells.values() if label in single)
    if len(found) < 2:
        raise SourceError(
            f"labels name {listed(sorted(found)) or 'no class'}: there is nothing to tell apart",
            "see that the table of labels belongs to these images",
        )
    for name in options.without:
        require("--without", name, sorted(found))
    kept = [name for name in sorted(found) if name not in options.without]
    draft.data["tasks"] = {"type": {"kind": "classes", "names": kept}}
    draft.decide("class", listed([f"{name} {found[name]}" for name in kept]), "labels say so")
    if options.without:
        draft.decide("left out", ", ".join(options.without), "classes, asked for by --without")
    return kept


def _sizes(
    draft: Draft, tree: Tree, place: str, cells: Mapping[str, str], classes: list[str]
) -> list[tuple[int, int]]:
    """Height and width in pixels of the boxes around the cells of the classes.

    Raises:
        SourceError: no photograph has a box of one white cell.
    """
    titles = [PurePosixPath(file).stem for file, label in cells.items() if label in classes]
    found = [white_cell(annotation_file(tree.root, place, title)) for title in titles]
    boxes = [one for one in found if isinstance(one, Box)]
    if not boxes:
        raise SourceError(f"{tree.root / place}: {found[0]}", "unpack the download again")
    sizes = [(int(np.ceil(b.bottom - b.top)), int(np.ceil(b.right - b.left))) for b in boxes]
    draft.decide(
        "cell",
        "a square of the canvas's side around the only box of a white cell",
        f"{len(boxes)} of {len(titles)} labelled photographs have one",
    )
    return sizes

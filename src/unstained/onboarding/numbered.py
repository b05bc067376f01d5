"""Drafts for ImageStream exports with numbered channels: single files, or montages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from unstained.errors import ParameterError
from unstained.onboarding.asking import Choice, Draft, Question, pick
from unstained.onboarding.labels import Told, by_patterns, choose, ways
from unstained.onboarding.layouts import IMAGESTREAM, Standards, group, pixel_size
from unstained.onboarding.options import Options
from unstained.onboarding.pixels import look, pixel_words
from unstained.onboarding.tree import IFC_NAME, MONTAGE_NAME, Tree, joined, spread

LOOKED_AT: Final = 24
"""Files of each channel that are opened."""
BLOCK: Final = 30
"""Tiles of a montage that stay together: a column."""


def draft_ifc(tree: Tree, options: Options, standards: Standards) -> Draft:
    """One file a cell and channel, a folder a sample (reader `zhu_ifc`)."""
    draft = Draft()
    _channels(draft, tree, options, IFC_NAME)
    told = folder_classes(draft, tree, options, levels=False)
    if told is None:
        return draft
    cells = {folder: _objects(names) for folder, names in tree.folders.items()}
    labels = [told.of_folder[folder] for folder, count in cells.items() for _ in range(count)]
    folders = [folder for folder, count in cells.items() for _ in range(count)]
    group(draft, options, standards, {"folder": folders}, labels, lambda _: True)
    draft.data["group"] = "acquisition"
    return draft


def draft_montage(tree: Tree, options: Options, standards: Standards) -> Draft:
    """Montages of tiles, a folder a class (reader `jurkat_montage`)."""
    draft = Draft()
    _channels(draft, tree, options, MONTAGE_NAME)
    folder_classes(draft, tree, options, levels=False)
    if options.group == "acquisition":
        draft.data["group"] = "acquisition"
        draft.decide("group", "acquisition", "a montage; asked for by --group")
    else:
        draft.data |= {"group": "block", "block_size": BLOCK}
        draft.decide("group", "block", f"{BLOCK} tiles that follow each other in a montage")
        draft.untold.append(
            "Which tiles were recorded together cannot be told from montages: neighbours stay "
            "together, and results say nothing of another day's recording."
        )
    return draft


def folder_classes(draft: Draft, tree: Tree, options: Options, *, levels: bool) -> Told | None:
    """The task of classes that folders tell, noted in the draft; None while it is asked for."""
    folders = list(tree.folders)
    if options.class_:
        told = by_patterns(folders, options.class_)
        draft.decide("class", ", ".join(told.classes), "asked for by --class")
    else:
        found = ways(folders, levels=levels)
        answer = choose(found, options.label)
        chosen = draft.take("class", answer)
        if chosen is None:
            return None
        told = found[chosen]
    draft.data["tasks"] = {"type": told.task()}
    return told


def _objects(names: Sequence[str]) -> int:
    """Cells of a folder: different names but for the channel."""
    return len({name.rsplit("_Ch", 1)[0].lower() for name in names})


def _channels(draft: Draft, tree: Tree, options: Options, pattern: object) -> None:
    """Which channel is seen, which are stains, and the scale."""
    paths: dict[int, list[str]] = {}
    for folder, names in tree.folders.items():
        for name in names:
            found = pattern.fullmatch(name)  # type: ignore[attr-defined]
            if found:
                paths.setdefault(int(found[1]), []).append(joined(folder, name))
    choices, everything = [], []
    for number, files in sorted(paths.items()):
        seen, broken = look(tree.root, spread(files, LOOKED_AT))
        draft.untold += [f"Cannot be read: {line}" for line in broken]
        everything += seen
        level = float(np.median([one.background for one in seen])) if seen else 0.0
        contrast = float(np.median([one.spread for one in seen])) if seen else 0.0
        choices.append(
            Choice(f"Ch{number}", f"{len(files)} images, background {level:.0f}, "
                   f"contrast {contrast:.0%} of it")
        )  # fmt: skip
    draft.decide("pixels", pixel_words(everything), f"{len(everything)} files looked at")
    markers = _markers(options.marker, [choice.value for choice in choices])
    left = [choice for choice in choices if choice.value not in markers.values()]
    wanted = options.channel
    text = "Which channel is the label-free one (brightfield: bright, with low contrast)?"
    if len(wanted) > 1:
        for name in wanted:
            pick("--channel", text, name, left)
        draft.data["channels"] = list(wanted)
        draft.decide("channels", ", ".join(wanted), "asked for by --channel")
    else:
        answer = pick("--channel", text, wanted[0] if wanted else None, left)
        draft.take("channels", answer)
        draft.data["channels"] = ["Ch1" if isinstance(answer, Question) else answer[0]]
    if markers:
        draft.data["markers"] = markers
        draft.decide("markers", ", ".join(markers), "asked for by --marker")
    unused = [c.value for c in left if c.value not in draft.data["channels"]]
    if unused:
        draft.untold.append(
            f"What {', '.join(unused)} show cannot be told from files: they are not used. A stain "
            f"becomes a value to predict by --marker NAME={unused[0]}."
        )
    size = draft.take("pixel size", pixel_size(everything, options.pixel_size, IMAGESTREAM))
    draft.data["pixel_size_um"] = float(size) if size else 1.0


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

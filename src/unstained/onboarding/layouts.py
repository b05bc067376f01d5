"""Which layout a folder has, and the questions that all layouts share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from unstained.config.split import SplitParams
from unstained.data.readers.bccd import places
from unstained.errors import ParameterError
from unstained.onboarding.asking import NONE, Answer, Choice, Draft, Question, pick
from unstained.onboarding.grouping import Outlook, outlook
from unstained.onboarding.options import Options
from unstained.onboarding.pixels import Seen
from unstained.onboarding.tree import IFC_NAME, MONTAGE_NAME, Tree
from unstained.wording import counted

FILE: Final = "file"
"""Group: each file by itself."""
FEWEST_TESTED: Final = 6
"""Groups of a test part from which on a paired test can reach p = 0.05: 2 / 2^6 = 0.03."""
IMAGESTREAM: Final = (
    Choice("0.33", "an ImageStream at 60x"),
    Choice("0.5", "an ImageStream at 40x"),
    Choice("1.0", "an ImageStream at 20x"),
)
MICROSCOPE: Final = (
    Choice("0.16", "objective 40x, camera pixels of 6.5 micrometres"),
    Choice("0.33", "objective 20x"),
    Choice("0.65", "objective 10x"),
    Choice("0.11", "objective 60x"),
    Choice("0.065", "objective 100x"),
)


@dataclass(frozen=True)
class Standards:
    """What params.yaml asks of any study.

    Attributes:
        split: fractions and folds.
        seed: of the split.
        min_cells: of each class, below which validation fails.
    """

    split: SplitParams
    seed: int
    min_cells: int


def layout(tree: Tree, table: bool, given: str | None) -> Answer:
    """Name of the reader, or the question for it.

    Args:
        tree: the folder.
        table: whether a table was named.
        given: the option.
    """
    ifc, other = tree.channels(IFC_NAME)
    montages, beside = tree.channels(MONTAGE_NAME)
    choices = []
    if tree.cif:
        choices.append(Choice("cif", f"{counted(len(tree.cif), '.cif file')} of an ImageStream"))
    if ifc:
        what = f"{counted(ifc.total(), 'image')} named <object>_Ch<k>, {other} otherwise"
        choices.append(Choice("zhu_ifc", what, telling=not other and not table))
    if montages:
        what = f"{counted(montages.total(), 'image')} named Ch<k>_<montage>, {beside} otherwise"
        choices.append(Choice("jurkat_montage", what, telling=not beside and not table))
    if any(smears := places(tree.root)):
        what = "blood smears, photographs with boxes" if smears[0] else "blood smears, their copies"
        choices.append(Choice("bccd", what, telling=not table))
    if tree.images:
        what = (
            "a table with a row a cell"
            if table
            else f"{counted(tree.images, 'image')}, one or more a cell"
        )
        choices.append(Choice("table", what, telling=table))
    return pick(
        "--reader",
        "What layout do the files have?",
        given,
        choices,
        because="a table was named" if table else "all names fit",
    )


def pixel_size(
    seen: Sequence[Seen], given: float | None, examples: tuple[Choice, ...] = MICROSCOPE
) -> Answer:
    """Micrometres of a pixel by option or tags, or the question for it with examples."""
    if given is not None:
        return f"{given:g}", "asked for by --pixel-size"
    sizes = {f"{one.pixel_size_um:.4g}" for one in seen if one.pixel_size_um}
    silent = sum(one.pixel_size_um is None for one in seen)
    if len(sizes) == 1 and not silent:
        return sizes.pop(), f"by the tags of {counted(len(seen), 'file')} looked at"
    choices = tuple(Choice(size, "as tags of some files say") for size in sorted(sizes))
    why = "Files say different things" if choices else "No file says it"
    text = f"How many micrometres is a pixel? {why}; the microscope or its software does."
    return Question("--pixel-size", text, choices or examples)


def group(
    draft: Draft,
    options: Options,
    standards: Standards,
    candidates: Mapping[str, Sequence[str]],
    labels: Sequence[str | None],
    said: Callable[[str], bool],
    because: str = "its name says so",
) -> str | None:
    """Decide by what cells are grouped, or ask; tells what a grouped split would leave.

    Args:
        draft: gets the decision and, without a group, the split by cell.
        options: the user's.
        standards: the project's.
        candidates: name -> group of each cell.
        labels: of each cell, in the same order.
        said: whether a candidate is one beyond doubt.
        because: why it is.

    Returns:
        The candidate; None for none, or while it is asked for.

    Raises:
        ParameterError: the candidate that was asked for allows no grouped split.
    """
    counted = _large_classes(labels, standards.min_cells)
    found = {
        name: outlook(groups, counted, standards.split, standards.seed)
        for name, groups in candidates.items()
    }
    choices = [
        Choice(name, one.words, said(name) and not one.problem, not one.problem)
        for name, one in found.items()
    ]
    alone = "train, val and test are drawn cell by cell: cells recorded together are in all of them"
    if options.group == NONE or not choices:
        why = (
            "asked for by --group"
            if choices
            else "nothing tells which cells were recorded together"
        )
        draft.decide("group", NONE, f"{why}; {alone}, so results are too good for new recordings")
        draft.more["split"] = {"strategy": "stratified"}
        return None
    text = "Which cells were recorded together? They must not be on both sides of the split."
    answer = pick("--group", text, options.group, choices, optional=alone, because=because)
    chosen = draft.take("group", answer)
    if chosen is None:
        return None
    _require(chosen, found)
    if options.group is not None:
        draft.decide("split", "grouped", found[chosen].words)
    if found[chosen].tested < FEWEST_TESTED:
        few = found[chosen].tested
        draft.untold.append(
            f"Of {found[chosen].groups} groups {few} would be tested on: too few to tell models "
            f"apart (below {FEWEST_TESTED} no difference is significant). Record more groups, or "
            "raise the third of split.fractions in the section."
        )
    if found[chosen].folds < standards.split.folds:
        draft.more["split"] = {"folds": found[chosen].folds}
        draft.decide("folds", found[chosen].folds, "there are too few groups for more")
    return chosen


def _large_classes(labels: Sequence[str | None], least: int) -> list[str | None]:
    """Labels; None of classes with fewer cells than `least`, which are asked about apart."""
    counts = Counter(labels)
    return [label if counts[label] >= least else None for label in labels]


def _require(chosen: str, found: Mapping[str, Outlook]) -> None:
    if not found[chosen].problem:
        return
    possible = [name for name, one in found.items() if not one.problem]
    raise ParameterError(
        f"--group {chosen} leaves no grouped split: {found[chosen].problem}",
        f"choose {', '.join(f'--group {name}' for name in (*possible, NONE))}, or record more",
    )

"""What a score over copies is worth: folders of cells by the images that they come from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Final

import numpy as np
from scipy import stats

from unstained.data.audit.findings import Finding
from unstained.wording import counted

RIGHT: Final = 0.9
"""Accuracy of which the width of an interval is told."""

MANY: Final = 0.9
"""Images for each cell, below which cells are copies for the most part of what matters."""

OUTSIDE: Final = "samples in no folder"
"""What is told of acquisitions beside those that lie in folders."""


@dataclass(frozen=True)
class Copies:
    """Cells by the image that they are copies of.

    Attributes:
        cells: folder -> its cells. A folder is the first of an acquisition's path; '' for all
            cells where acquisitions lie in none.
        images: folder -> numbers of the images that they come from.
    """

    cells: dict[str, int]
    images: dict[str, frozenset[int]]


def copies_by_folder(acquisitions: Sequence[str], clusters: np.ndarray) -> Copies:
    """Count cells and images.

    Args:
        acquisitions: (N,) names, with '/' between folders.
        clusters: (N,) of duplicates of any kind, -1 for cells without.
    """
    image = np.where(clusters >= 0, clusters, np.arange(len(clusters)) + len(clusters))
    folder = np.array([name.partition("/")[0] if "/" in name else "" for name in acquisitions])
    names = [str(name) for name in np.unique(folder)]
    return Copies(
        {name: int((folder == name).sum()) for name in names},
        {name: frozenset(image[folder == name].tolist()) for name in names},
    )


def copy_findings(found: Copies, confidence: float) -> list[Finding]:
    """What copies within folders and across them mean for a score; nothing where there are few.

    Args:
        found: cells and images.
        confidence: of the interval whose width is told.
    """
    findings = []
    for folder, cells in found.cells.items():
        images = len(found.images[folder])
        if images < MANY * cells:
            findings.append(_worth(folder, cells, images, confidence))
    for first, second in combinations(found.cells, 2):
        shared = len(found.images[first] & found.images[second])
        if shared:
            findings.append(_shared(found, first, second, shared))
    return findings


def _worth(folder: str, cells: int, images: int, confidence: float) -> Finding:
    where = f"of {folder} " if folder else ""
    wide, narrow = (_half_width(number, confidence) for number in (images, cells))
    text = (
        f"The {cells:,} cells {where}come from {counted(images, 'image')} at the most; the others "
        f"are copies. An accuracy over them is worth one over so many cells: at {RIGHT:.0%} right "
        f"its {confidence:.0%} interval reaches {100 * wide:.1f} points either way, not "
        f"{100 * narrow:.1f}."
    )
    return Finding("warning", f"copies {where}".strip(), text, float(images))


def _shared(found: Copies, first: str, second: str, shared: int) -> Finding:
    one, other = (len(found.images[name]) for name in (first, second))
    first, second = first or OUTSIDE, second or OUTSIDE
    text = (
        f"{counted(shared, 'image occurs', 'images occur')} in both {first} "
        f"({counted(one, 'image')}) and {second} ({other:,}): a "
        "model that is trained or chosen on one of them and tested on the other is tested on "
        "images that it was made with, and its accuracy there tells nothing of new ones."
    )
    return Finding("failure", f"copies across {first} and {second}", text, float(shared))


def _half_width(cells: int, confidence: float) -> float:
    """Of the interval of an accuracy over so many independent cells, normal approximation."""
    return float(stats.norm.isf((1 - confidence) / 2) * np.sqrt(RIGHT * (1 - RIGHT) / cells))

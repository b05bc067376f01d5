"""What beside the data a study needs so that the demo recipe ends in minutes: sizes to work."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from unstained.errors import ParameterError
from unstained.onboarding.asking import Draft

STEP: Final = 16
"""Canvases are multiples of it: what patches and strides of the networks need."""
SMALLEST: Final = 32
LARGEST: Final = 512
COVERED: Final = 0.99
"""Share of cells that the canvas holds whole: one outlier must not size everything."""
BOXES_COVERED: Final = 0.95
"""The same of cells that are cut out around boxes, which are drawn generously."""
USUAL: Final = 1.25
"""Size of the largest image in sizes of those that are covered, up to which it is no outlier."""
SHARP: Final = 48
"""Canvas up to which networks keep full resolution at their entrance."""
MOST_SIDE: Final = 96
"""Pixels that the demo's networks see at the most; larger canvases are made smaller for them."""
WORK: Final = 19_000
"""Cells times epochs at 64 pixels that the demo trains a network with."""
CANVAS_SHARE: Final = 0.04
"""Work on a plane of the canvas (contrast, augmentation), of a network's work on as many pixels."""
RESIZED_SHARE: Final = 0.01
"""The same where the canvas is made smaller before it is augmented."""
LEAST_STEPS: Final = 8
"""Steps of an epoch that smaller batches give few cells, where that is possible."""
BATCHES: Final = (8, 64)
EPOCHS: Final = (8, 60)
HIDDEN: Final = 0.41
"""Radius of the disc that hides the cell in a control, as a fraction of the canvas."""


def canvas(sizes: Sequence[tuple[int, int]], *, boxes: bool = False) -> tuple[int, float]:
    """Side of a canvas for images, or boxes, of some sizes, and what share it holds whole."""
    longest = np.array([max(size) for size in sizes])
    share = BOXES_COVERED if boxes else COVERED
    wanted = float(np.quantile(longest, share, method="higher"))
    if not boxes and longest.max() <= USUAL * wanted:
        wanted = float(longest.max())
    side = min(LARGEST, max(SMALLEST, STEP * int(np.ceil(wanted / STEP))))
    return side, float((longest <= side).mean())


def epochs(cells: int, side: int, planes: int) -> int:
    """Epochs of the demo for a number of training cells, whose canvases have a side and planes."""
    seen = min(side, MOST_SIDE)
    share = CANVAS_SHARE if seen == side else RESIZED_SHARE
    work = seen**2 + share * planes * side**2
    return int(min(EPOCHS[1], max(EPOCHS[0], round(WORK * 64**2 / (max(1, cells) * work)))))


def batch(cells: int) -> int:
    """Cells of a step of the demo: fewer where an epoch had too few steps, a power of two."""
    wanted: int = 1 << int(math.log2(max(1, cells / LEAST_STEPS)))
    return min(BATCHES[1], max(BATCHES[0], wanted))


def demo(side: int, planes: int, cells: int) -> dict[str, Any]:
    """The study's changes to the demo recipe.

    Args:
        side: of the canvas.
        planes: of a cell.
        cells: that are trained on.
    """
    seen = min(side, MOST_SIDE)
    network: dict[str, Any] = {}
    if seen < side:
        network["input"] = {"side": seen}
    if seen > SHARP:
        network["stem_stride"] = 2
    number = epochs(cells, side, planes)
    found: dict[str, Any] = {"train": {"epochs": number, "patience": number}}
    if batch(cells) < BATCHES[1]:
        found["train"]["batch_size"] = batch(cells)
    if network:
        found["network"] = network
    if seen <= SHARP:
        names = ("resnet50", "cg_recnet", "rescmnet", "resgdnet")
        found["models"] = {name: {"output_stride": 4} for name in names}
    return found


def _range(lengths: Sequence[int]) -> str:
    low, high = lengths[0], lengths[-1]
    return f"{low}" if low == high else f"{low} to {high}"


def settle(draft: Draft, sizes: Sequence[tuple[int, int]], cells: int, given: int | None) -> None:
    """Decide the canvas and what the demo does with it.

    Args:
        draft: gets the decisions.
        sizes: height and width of images that were read; `Draft.sizes` counts in their place.
        cells: that are trained on.
        given: side of the canvas that was asked for.

    Raises:
        ParameterError: patches of the networks do not tile the canvas that was asked for.
    """
    if given is not None and given % STEP:
        low = max(STEP, given - given % STEP)
        raise ParameterError(
            f"--canvas {given}: is no multiple of {STEP}", f"take {low} or {low + STEP}"
        )
    what, sizes = ("boxes", draft.sizes) if draft.sizes else ("images looked at", sizes)
    side, whole = canvas(sizes, boxes=bool(draft.sizes))
    heights, widths = (sorted(size[k] for size in sizes) for k in range(2))
    found = f"{_range(heights)} high, {_range(widths)} wide"
    if given is not None:
        side, whole = given, float(np.mean([max(size) <= given for size in sizes]))
    why = "asked for by --canvas" if given else f"holds {whole:.0%} of the {what} whole"
    draft.data["canvas"] = side
    draft.decide("canvas", f"{side} pixels", f"{why}; {what.split()[0]} are {found}")
    if whole < 1 and not draft.sizes:
        draft.untold.append(
            f"{1 - whole:.0%} of the images looked at are larger than the canvas: their middle is "
            "used. Images of many cells must be cut into cells first."
        )
    if side > MOST_SIDE:
        draft.untold.append(
            f"A canvas of {side} pixels is made smaller for the demo's networks and for measured "
            f"features ({MOST_SIDE} pixels): where crops can be exported smaller, do."
        )
    draft.more["models"] = {"cg_recnet_background": {"input": {"hidden_px": round(HIDDEN * side)}}}
    planes = len(draft.data["channels"]) * draft.data.get("frames", 1)
    draft.more["demo"] = demo(side, planes, cells)
    number = draft.more["demo"]["train"]["epochs"]
    small = f" at {MOST_SIDE} pixels" if side > MOST_SIDE else ""
    draft.decide(
        "demo", f"{number} epochs{small}", f"for about {cells} training cells on two cores"
    )

"""What a cell's image is: channels, frames, pixels and what counts are divided by."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

from unstained.errors import ParameterError, SourceError
from unstained.imaging.axes import COLOURS
from unstained.onboarding.asking import Answer, Choice, Draft, Question, listed, pick
from unstained.onboarding.options import Options
from unstained.onboarding.pixels import Seen, bits_used, pixel_words
from unstained.wording import counted

UNLIKE: Final = 3
"""Bits by which folders' depths differ from where one of them was scaled, not only darker."""
DARK: Final = 0.1
"""Background as a fraction of the largest count below which light does not pass the cell."""

STAINED: Final = (
    "Whether colour images show stained cells cannot be told from files: on stained cells this is "
    "a benchmark of the pipeline, not label-free phenotyping."
)


def image_axes(draft: Draft, seen: Sequence[Seen], files: int, options: Options) -> None:
    """Decide channels, frames, pixel type and normalisation of one or several files a cell.

    Args:
        draft: gets keys of `data`.
        seen: files that were looked at.
        files: of each cell, a channel each where there are several.
        options: the user's.

    Raises:
        SourceError: files are of different kinds, or of one that is not read.
    """
    kind = _one_kind(seen)
    draft.decide("pixels", pixel_words(seen), f"{counted(len(seen), 'file')} looked at")
    if kind.dtype.startswith("float"):
        draft.take("range of numbers", _range(draft, seen, options.float_range))
    colour = kind.colour and files == 1
    planes = files if files > 1 else kind.pages if colour else kind.pages * kind.samples
    if colour:
        _colour(draft, seen, planes)
    elif planes == 1:
        name = options.channel[0] if options.channel else (kind.names or ("grey",))[0]
        draft.data["channels"] = [name]
        draft.decide("channels", name, "one grey image a cell; its name is free (--channel NAME)")
    elif files > 1:
        draft.data["channels"] = list(options.channel or options.image)
        draft.decide("channels", listed(draft.data["channels"]), f"{files} files a cell, one each")
    else:
        _pages(draft, kind, planes, options)
    _darkness(draft, seen, colour)
    _depths(draft, seen)


def _one_kind(seen: Sequence[Seen]) -> Seen:
    """A file that all others are like, but for their size.

    Raises:
        SourceError: there is none.
    """
    kinds = Counter((one.dtype, one.pages, one.samples) for one in seen)
    if len(kinds) > 1:
        examples = {kind: next(s.path for s in seen if _kind(s) == kind) for kind in kinds}
        shown = "; ".join(
            f"{count} of {kind[0]}, {kind[1]} pages, {kind[2]} channels such as {examples[kind]}"
            for kind, count in kinds.most_common()
        )
        raise SourceError(
            f"the files are of different kinds: {shown}",
            "keep files of one kind in the folder, or export all of them alike: a model sees one",
        )
    if seen[0].dtype not in ("uint8", "uint16", "float16", "float32", "float64"):
        raise SourceError(
            f"{seen[0].path} holds {seen[0].dtype} pixels", "export as uint8, uint16 or float32"
        )
    return seen[0]


def _range(draft: Draft, seen: Sequence[Seen], given: str | None) -> Answer:
    """The range that real numbers are declared to have, or the question for it."""
    low, high = min(one.low for one in seen), max(one.high for one in seen)
    if given is None:
        text = (
            f"Pixels are real numbers, {low:g} to {high:g} in {counted(len(seen), 'file')} seen. "
            "Which values become 0 and 65535 counts? A value beyond them is refused later."
        )
        margin = (high - low) / 2 or 1.0
        wide = f"{low - margin:g},{high + margin:g}"
        return Question("--float-range", text, (Choice(wide, "half as much again on both sides"),))
    try:
        first, second = map(float, given.split(","))
    except ValueError:
        raise ParameterError(
            f"--float-range is {given!r}, not two numbers", "write it as LOW,HIGH, e.g. -100,400"
        ) from None
    if not first <= low < high <= second:
        raise ParameterError(
            f"--float-range {given} does not hold {low:g} to {high:g}, which the files looked at "
            "have",
            "widen it",
        )
    draft.data["float_range"] = [first, second]
    return given, "asked for by --float-range"


def _kind(one: Seen) -> tuple[str, int, int]:
    return one.dtype, one.pages, one.samples


def _colour(draft: Draft, seen: Sequence[Seen], frames: int) -> None:
    draft.data["channels"], draft.data["normalise"] = list(COLOURS), "rgb"
    grey = sum(one.alike for one in seen)
    draft.decide("channels", "red, green, blue", "colour images, divided by white (normalise: rgb)")
    if frames > 1:
        draft.data["frames"] = frames
        draft.decide("frames", frames, "pages of each file")
    if grey == len(seen):
        draft.untold.append(
            "All colour images looked at are grey (red, green and blue alike): export them as "
            "grey, and models see one channel instead of three copies."
        )
    draft.untold.append(STAINED)


def _pages(draft: Draft, kind: Seen, planes: int, options: Options) -> None:
    names, told = options.channel or kind.names, len(kind.names) or planes
    if names and options.pages != "frames":
        if len(names) != planes and not set(names) <= set(kind.names):
            known = f" ({', '.join(kind.names)})" if kind.names else ""
            raise SourceError(
                f"{kind.path} holds {planes} images{known}, and {len(names)} channels are named",
                "name each as the file does, or all: --channel NAME for each of them",
            )
        draft.data["channels"] = list(names)
        if planes > told:
            draft.data["frames"] = planes // told
        why = "asked for by --channel" if options.channel else "the files name them"
        draft.decide("channels", listed(names), f"{planes} images in each file; {why}")
        return
    choices = (
        Choice("channels", f"{planes} channels of one moment"),
        Choice("frames", f"{planes} moments of one channel"),
    )
    text = f"Each file holds {planes} images. What are they?"
    answer = pick("--pages", text, options.pages, choices)
    draft.take("pages", answer)
    if isinstance(answer, Question):
        return
    frames = answer[0] == "frames"
    numbers = [f"channel{k + 1}" for k in range(planes)]
    draft.data["channels"] = ["grey"] if frames else numbers
    if frames:
        draft.data["frames"] = planes


def _depths(draft: Draft, seen: Sequence[Seen]) -> None:
    """Tell of folders whose counts use another depth."""
    depths: dict[str, int] = {}
    for one in seen:
        folder = one.path.rpartition("/")[0] or "."
        depths[folder] = max(depths.get(folder, 0), bits_used(one.high))
    low, high = (pick_one(depths, key=depths.__getitem__) for pick_one in (min, max))
    if not seen[0].dtype.startswith("float") and depths[high] - depths[low] >= UNLIKE:
        draft.untold.append(
            f"Folder {low} uses {depths[low]} bits, {high} {depths[high]}: one of them may have "
            "been scaled on export. A model would learn that; export all alike."
        )


def _darkness(draft: Draft, seen: Sequence[Seen], colour: bool) -> None:
    dark = sum(one.background < DARK * one.high for one in seen)
    if dark > len(seen) / 2:
        level = "white" if colour else "the background at the image's border"
        draft.untold.append(
            f"{dark} of {len(seen)} images looked at are dark around the cell, as in fluorescence "
            f"or darkfield; label-free light usually passes it. Counts are divided by {level}."
        )

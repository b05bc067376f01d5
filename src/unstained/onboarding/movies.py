"""Draft for movies of many cells (reader `movies`): TIFF stacks or folders of frames."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from unstained.data.readers.facts import file_facts
from unstained.data.readers.movies.frames import FrameError, Frames, find_frames
from unstained.data.readers.movies.measures import ALIGNMENT, CELLS, ENERGY, MEAN, SHARE
from unstained.data.readers.tabular import column_names
from unstained.errors import ParameterError, SourceError
from unstained.onboarding.asking import NONE, Answer, Choice, Draft, Question, listed, pick, require
from unstained.onboarding.columns import (
    OBJECT_WORDS,
    Column,
    class_choices,
    flag_choices,
    kind_of,
    profile,
    said,
    value_choices,
)
from unstained.onboarding.layouts import MICROSCOPE, Standards, group
from unstained.onboarding.movie_files import MASK_WORDS, Movies
from unstained.onboarding.options import Options
from unstained.onboarding.rows import task_name
from unstained.onboarding.tables import read_text
from unstained.wording import counted

OPENED: Final = 6
MOVIE_WORDS: Final = frozenset({"movie", "name", "title", "stack", "id"})
SIZE_WORDS: Final = frozenset({"pixel_um", "pixel_size_um", "um_per_pixel", "pixel_size"})
INTERVAL_WORDS: Final = frozenset({"interval_min", "interval", "minutes", "dt_min"})
SHARE_WORDS: Final = frozenset({"proportion", "share", "fraction", "composition"})
SIDES: Final = (160, 128, 96, 64, 48, 32)
ENOUGH: Final = 400
"""Snippets from which on the largest square is proposed."""
DARK: Final = 0.05
MIDDLE: Final = 0.1
"""A usual count below the one, of the largest count, or as near as the other to the middle of the
pixel type, in its range, is that of no phase, not of light."""


def draft_movies(found: Movies, options: Options, standards: Standards) -> Draft:
    """Snippets of movies; what files leave open is asked.

    Raises:
        SourceError: no movie can be read.
        ParameterError: an answer is impossible here.
    """
    return _Drafting(found, options, standards).all()


@dataclass
class _Drafting:
    """What the steps share."""

    found: Movies
    options: Options
    standards: Standards
    draft: Draft = field(default_factory=Draft)
    columns: Sequence[Column] = ()

    def all(self) -> Draft:
        draft, found = self.draft, self.found
        self.columns = [
            one
            for one in profile(found.text)
            if one.name not in (found.path, *found.others, *found.cells)
        ]
        frames = self._opened()
        section = self._section()
        draft.data["channels"] = [self.options.channel[0] if self.options.channel else "phase"]
        draft.decide("channels", draft.data["channels"][0], "grey movies; a free name (--channel)")
        self._pixels(frames[0])
        steps = self._number("--frames", self.options.frames, self._windows(frames), "frames")
        side = self._number("--canvas", self.options.canvas, self._squares(frames, steps), "canvas")
        draft.data["tasks"] = self._tasks(section)
        if steps and side:
            draft.data["frames"] = steps
            self._group(frames, steps, side)
        draft.data["movies"] = section
        asked = listed([*draft.data["tasks"]]).replace(", ", " and ")
        draft.data["question"] = f"What is a snippet's {asked}, seen in {steps} frames of a movie?"
        if found.table is None:
            draft.table = found.text
            draft.decide("table", "a row a movie", "written by this command: no table lists them")
        return draft

    def _opened(self) -> list[Frames]:
        """Frames of all movies.

        Raises:
            SourceError: none can be read.
        """
        opened, broken = [], []
        for path in self.found.files(self.found.path):
            try:
                opened.append(find_frames(path, gaps=True))
            except FrameError as error:
                broken.append(f"{path.name}: {error}")
        if not opened:
            raise SourceError(
                f"{self.found.root}: no movie can be read, e.g. {broken[0]}",
                "export each as one TIFF with a page a frame, or as a folder of numbered frames",
            )
        self.draft.untold += [f"Cannot be read: {line}" for line in broken[:OPENED]]
        lengths = sorted({len(one) for one in opened})
        spans = f"{lengths[0]}" if len(lengths) == 1 else f"{lengths[0]} to {lengths[-1]}"
        what = f"{counted(len(opened), 'movie')} of {spans} frames"
        names = [os.path.relpath(one.path, self.found.root) for one in opened]
        self.draft.decide("movies", what, listed(names, OPENED))
        return opened

    def _section(self) -> dict[str, object]:
        """Keys of `movies` that columns decide."""
        found, draft = self.found, self.draft
        section: dict[str, object] = {"file": found.table or "", "path": found.path}
        for key, words in (
            ("movie", MOVIE_WORDS), ("pixel_um", SIZE_WORDS), ("interval", INTERVAL_WORDS),
        ):  # fmt: skip
            named = [one for one in self.columns if said(one.name, words)]
            if key == "movie":
                named = [one for one in named if one.distinct == len(found.text)]
            if named:
                section[key] = named[0].name
                draft.decide(f"column of {key}", named[0].name, "its name says so")
        masks = [column for column in found.others if said(column, MASK_WORDS)]
        if masks:
            numbers = self._numbers(masks[0])
            section |= {"masks": masks[0], "kinds": [f"kind_{number}" for number in numbers]}
            draft.decide("masks", masks[0], f"they number {counted(len(numbers), 'kind')}")
            draft.untold.append("Names of the kinds in masks: rename them in movies.kinds.")
        if found.cells:
            section["cells"] = found.cells[0]
            draft.decide("cells", found.cells[0], "each names a table")
        text = "Does a column mark external movies, which are never trained on?"
        choices = flag_choices(self.columns)
        without = "none is external"
        answer = pick("--external", text, self.options.external, choices, optional=without)
        outside = draft.take("external movies", answer)
        if outside is not None:
            section["external"] = outside
        if self.options.stride is not None:
            section["stride"] = self.options.stride
        return section

    def _numbers(self, column: str) -> list[int]:
        """Kinds in the first frame of the masks, from 1 to the largest."""
        try:
            first = find_frames(self.found.files(column)[0], gaps=True).read(0, 1, None)
        except FrameError as error:
            raise SourceError(f"{column}: masks cannot be read ({error})", error.remedy) from error
        return list(range(1, max(1, int(first.max())) + 1))

    def _pixels(self, frames: Frames) -> None:
        """Type, what counts are divided by, and size."""
        draft = self.draft
        float_range = None
        if self.options.float_range is not None:
            low, _, high = self.options.float_range.partition(",")
            float_range = (float(low), float(high))
            draft.data["float_range"] = list(float_range)
        try:
            pixels = frames.read(0, 1, float_range)
        except FrameError as error:
            raise SourceError(f"{frames.path}: {error}", error.remedy) from error
        usual, full = float(np.median(pixels)), float(np.iinfo(pixels.dtype).max)
        draft.decide("pixels", f"{pixels.dtype.name}, usual count {usual:.0f}", "the first frame")
        is_phase = usual < DARK * float(pixels.max()) or abs(usual - full / 2) < MIDDLE * full
        draft.data["normalise"] = "phase" if is_phase else "background"
        why = "the usual count is about that of no phase" if is_phase else "light passes the cells"
        draft.decide("normalise", draft.data["normalise"], why)
        size = draft.take("pixel size", self._size())
        draft.data["pixel_size_um"] = float(size) if size else 1.0

    def _size(self) -> Answer:
        """Micrometres of a pixel, by option, table or tags, or the question for it."""
        if self.options.pixel_size is not None:
            return f"{self.options.pixel_size:g}", "asked for by --pixel-size"
        sizes = {
            value
            for one in self.columns
            if said(one.name, SIZE_WORDS)
            for value in self.found.text[one.name].to_pylist()
            if value
        }
        if len(sizes) == 1 and kind_of(list(sizes)) in ("number", "whole"):
            return sizes.pop(), "the table says so"
        files = [one for one in self.found.files(self.found.path)[:OPENED] if one.is_file()]
        told = {file_facts(one).pixel_um for one in files}
        if len(told) == 1 and (size := told.pop()) is not None:
            return f"{size[0]:.4g}", f"tags of {counted(len(files), 'file')} say so"
        text = "How many micrometres is a pixel? No file says it; the microscope does."
        return Question("--pixel-size", text, MICROSCOPE)

    def _windows(self, frames: Sequence[Frames]) -> tuple[Choice, ...]:
        shortest = min(len(one) for one in frames)
        return tuple(
            Choice(str(n), f"{counted(shortest // n, 'window')} of the shortest movie, which has "
                   f"{shortest} frames")
            for n in (5, 3, 9, 2, 1)
            if n <= shortest
        )  # fmt: skip

    def _squares(self, frames: Sequence[Frames], steps: int | None) -> tuple[Choice, ...]:
        """Sides with what they leave, the largest that leaves enough first."""
        found = []
        for side in SIDES:
            squares = [(one.shape[0] // side) * (one.shape[1] // side) for one in frames]
            windows = [len(one) // (steps or 5) for one in frames]
            total = int(np.dot(squares, windows))
            if total:
                what = f"{total} snippets, {squares[0]} squares of a frame"
                found.append((ENOUGH - min(total, ENOUGH), Choice(str(side), what)))
        if not found:
            raise ParameterError(
                f"no movie holds {steps} frames of {SIDES[-1]} x {SIDES[-1]} pixels",
                "lower --frames",
            )
        found.sort(key=lambda one: one[0])
        return tuple(choice for _, choice in found)

    def _number(
        self, option: str, given: int | None, choices: tuple[Choice, ...], what: str
    ) -> int | None:
        """An answer in pixels or frames; None while it is asked for."""
        if given is not None:
            if what == "frames":
                self.draft.decide(what, given, f"asked for by {option}")
            return given
        text = {
            "frames": "How many frames has a snippet, which a model sees at once?",
            "canvas": "How many pixels wide is a snippet? It should hold some cells.",
        }[what]
        self.draft.questions.append(Question(option, text, choices))
        return None

    def _tasks(self, section: dict[str, object]) -> dict[str, object]:
        """What is asked of a snippet: columns of the table, and what can be measured."""
        tasks: dict[str, object] = {}
        named = [c for c in class_choices(self.columns) if c.value != section.get("movie")]
        answer = pick("--label", "Which column is the class of a movie?", self.options.label,
                      named, optional="no classes, numbers alone")  # fmt: skip
        label = self.draft.take("class", answer)
        if label is not None:
            counts = next(one.counts for one in self.columns if one.name == label)
            tasks[task_name(label)] = {"kind": "classes", "names": sorted(counts), "column": label}
        choices = self._targets(section)
        known = [one.value for one in choices]
        for name in self.options.value:
            require("--value", name, [*known, NONE])
        if not self.options.value:
            text = "What is to be predicted of a snippet? Several: --value for each."
            self.draft.questions.append(Question("--value", text, choices))
        wanted = [name for name in self.options.value if name != NONE]
        if wanted:
            self.draft.decide("values", ", ".join(wanted), "asked for by --value")
        for name in wanted:
            tasks[task_name(name)] = self._task(name)
        if not tasks and not self.draft.questions:
            raise ParameterError(
                "nothing is asked of a snippet", "give --label COLUMN or --value COLUMN"
            )
        return tasks

    def _targets(self, section: dict[str, object]) -> tuple[Choice, ...]:
        """Numbers of the table first, then what masks, cells and texture tell."""
        apart = {section.get(key) for key in ("pixel_um", "interval", "movie")}
        found = [one for one in value_choices(self.columns) if one.value not in apart]
        kinds = section.get("kinds", [])
        assert isinstance(kinds, list)  # noqa: S101
        if len(kinds) > 1:
            found += [Choice(SHARE + kind, "share of the cells' area, by masks") for kind in kinds]
        if self.found.cells:
            found.append(Choice(CELLS, "number of cells in it"))
            first = self.found.files(self.found.cells[0])[0]
            names = [
                one
                for one in column_names(first)
                if one not in ("frame", "y", "x") and not said(one, OBJECT_WORDS)
            ]
            text = read_text(first)
            found += [
                Choice(MEAN + name, "mean over its cells")
                for name in names
                if kind_of([v for v in text[name].to_pylist() if v]) in ("number", "whole")
            ]
        found.append(Choice(ALIGNMENT, "nematic order of its texture; no table needed"))
        found.append(Choice(ENERGY, "energy of neighbouring directors; no table needed"))
        return tuple(found)

    def _task(self, name: str) -> dict[str, object]:
        """Shares of a whole where the name says so and fields agree, else a value."""
        column = next((one for one in self.columns if one.name == name), None)
        share = name.startswith(SHARE)
        if column is not None and said(name, SHARE_WORDS):
            values = [float(v) for v in self.found.text[name].to_pylist() if v]
            share = all(0 <= value <= 1 for value in values)
        if share:
            part = name.removeprefix(SHARE)
            return {"kind": "proportion", "parts": [part, "rest"], "columns": [name]}
        return {"kind": "value", "column": name}

    def _group(self, frames: Sequence[Frames], steps: int, side: int) -> None:
        """Movies, or regions of them."""
        movies, regions = [], []
        for number, one in enumerate(frames):
            rows, columns = one.shape[0] // side, one.shape[1] // side
            for _ in range(len(one) // steps):
                movies += [f"{number}"] * rows * columns
                regions += [
                    f"{number}/r{at // columns}c{at % columns}" for at in range(rows * columns)
                ]
        if not movies:
            raise ParameterError(
                f"no movie holds {steps} frames of {side} x {side} pixels",
                "lower --frames or --canvas",
            )
        candidates = {"acquisition": movies, "region": regions}
        nothing = [None] * len(movies)
        why = "a movie is known again by its light and medium"
        self.draft.data["group"] = "acquisition"
        chosen = group(
            self.draft, self.options, self.standards, candidates, nothing,
            "acquisition".__eq__, why,
        )  # fmt: skip
        if chosen == "region":
            self.draft.data["group"] = "region"
            self.draft.untold.append(
                "Regions of a movie share its light and its time: where there are three movies or "
                "more, split.strategy crossed keeps both apart."
            )

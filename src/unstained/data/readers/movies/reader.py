"""Reader of movies: a movie is an acquisition, a cell of the store a snippet of it.

A snippet is a square of `canvas` pixels over `frames` frames. Squares tile the frame from its upper
left corner, windows follow each other in time: no two snippets share a pixel of a frame. Snippet
number n is region n % regions in window n // regions. What is left over at the right, at the bottom
and at the end is not used. Groups are movies, or regions of movies at all times.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Final

import numpy as np

from unstained.config.movies import MoviesParams
from unstained.config.study import StudyData
from unstained.data.readers.movies.frames import FrameError, Frames, find_frames
from unstained.data.readers.movies.listing import Movie, list_movies
from unstained.data.readers.movies.measures import (
    Points,
    columns_of_cells,
    is_masked,
    is_measured,
    measured,
)
from unstained.data.readers.places import image_names
from unstained.data.readers.protocol import (
    Acquisition,
    Item,
    Listing,
    Outcome,
    Reader,
    Refused,
    classify,
)
from unstained.data.store.blocks import Cell
from unstained.data.store.schema import EXTERNAL, told_columns
from unstained.errors import ParameterError
from unstained.wording import counted

TOO_SMALL: Final = (
    "lower studies.<study>.data.canvas, use movies.scale: 1, or set ingest.on_error: quarantine to "
    "go on without the movie"
)


def open_movies(source: Path, data: StudyData) -> Reader:
    """The reader of a table of movies.

    Raises:
        ParameterError: the study asks for markers or for several channels, or names no table.
    """
    if data.markers or len(data.channels) > 1:
        raise ParameterError(
            "this layout has one channel, and values as columns of its table",
            "name one of studies.<study>.data.channels, and no markers",
            absent=data.markers.values(),
        )
    if data.movies is None:
        raise ParameterError("no table of movies is named", "set studies.<study>.data.movies.file")
    return Movies(source, data, data.movies)


@dataclass(frozen=True)
class Grid:
    """How a movie is cut.

    Attributes:
        rows, columns: of squares.
        windows: in time.
        side: of a square, in the movie's pixels.
        step: frames from one window to the next.
    """

    rows: int
    columns: int
    windows: int
    side: int
    step: int

    @property
    def regions(self) -> int:
        """How many squares."""
        return self.rows * self.columns

    def place(self, number: int) -> tuple[int, int, int]:
        """First frame, top and left of a snippet."""
        window, region = divmod(number, self.regions)
        row, column = divmod(region, self.columns)
        return window * self.step, row * self.side, column * self.side

    def region(self, number: int) -> str:
        """Name of a snippet's region, e.g. 'r0c2'."""
        row, column = divmod(number % self.regions, self.columns)
        return f"r{row}c{column}"


@dataclass(frozen=True)
class Movies:
    """See the module's text.

    Attributes:
        source: folder of the table.
        data: the study's section.
        params: its `movies`.
    """

    source: Path
    data: StudyData
    params: MoviesParams

    def __reduce__(self) -> tuple[type[Movies], tuple[object, ...]]:
        """Workers read the table again."""
        return Movies, (self.source, self.data, self.params)

    def acquisitions(self) -> list[Acquisition]:
        """One a movie.

        Raises:
            SourceError, ParameterError: see `list_movies`; or rules match no movie.
        """
        found = []
        for movie in self._movies.values():
            what = f"movie {movie.name} in {self.source / self.params.file}"
            label, external = classify(movie.name, what, self.data.classes)
            found.append(
                Acquisition(movie.name, label, external or movie.external, ".", movie.name)
            )
        return found

    def items(self, acquisition: Acquisition) -> Listing:
        """A movie's snippets; a movie that cannot be cut into any is refused."""
        movie = self._movies[acquisition.name]
        own = () if Path(self.params.file).is_absolute() else (self.params.file,)
        beside = (*own, *filter(None, (movie.cells,)))
        beside += _files(self.source, movie.path) + _files(self.source, movie.masks)
        try:
            frames, _ = self._open(movie)
            grid = self._grid(frames)
        except FrameError as error:
            return Listing([], [_refused(movie, error)], 1, beside)
        items = [
            Item(number, self._item_files(movie, frames, grid, number))
            for number in range(grid.regions * grid.windows)
        ]
        return Listing(items, [], len(items), beside)

    def decode(self, acquisition: Acquisition, items: Sequence[Item]) -> Iterator[Outcome]:
        """Cut a movie, one outcome a snippet; the frames of one window are in memory at a time."""
        movie = self._movies[acquisition.name]
        try:
            frames, masks = self._open(movie)
            cutter = _Cutter(self, movie, frames, masks, self._grid(frames))
        except FrameError as error:
            yield from (_refused(movie, error) for _ in items)
            return
        for item in items:
            try:
                yield cutter.cut(item.object_index)
            except FrameError as error:
                yield _refused(movie, error)

    def _open(self, movie: Movie) -> tuple[Frames, Frames | None]:
        """Frames of a movie and of its masks, where the study asks for them."""
        try:
            frames = find_frames(self.source / movie.path, movie.first, movie.last)
        except FrameError as error:
            where = self.source / movie.path
            if where.is_file() or where.is_dir():
                raise
            reason = f"row {movie.row} of {self.params.file} names it, and it is not there"
            raise FrameError("", reason, error.remedy) from error
        if not movie.masks or not self._masked:
            return frames, None
        try:
            masks = find_frames(self.source / movie.masks, movie.first, movie.last)
        except FrameError as error:
            raise FrameError(
                "", f"its masks {movie.masks} cannot be used: {error.reason}", error.remedy
            ) from error
        if (masks.numbers, masks.shape) != (frames.numbers, frames.shape):
            raise FrameError(
                "",
                f"has {counted(len(frames), 'frame')} of {frames.shape[0]} x {frames.shape[1]} "
                f"pixels, its masks {movie.masks} have {len(masks)} of {masks.shape[0]} x "
                f"{masks.shape[1]}",
                "write a mask a frame, of the frame's size",
            )
        return frames, masks

    def _grid(self, frames: Frames) -> Grid:
        side = self.data.canvas * self.params.step
        if len(frames) < self.data.frames:
            raise FrameError(
                "",
                f"has {counted(len(frames), 'frame')}, a snippet has {self.data.frames}",
                "record more, or set ingest.on_error: quarantine to go on without the movie",
            )
        if min(frames.shape) < side:
            raise FrameError(
                "",
                f"is {frames.shape[0]} x {frames.shape[1]} pixels, a snippet takes {side} x {side}",
                TOO_SMALL,
            )
        step = self.params.stride or self.data.frames
        windows = 1 + (len(frames) - self.data.frames) // step
        return Grid(frames.shape[0] // side, frames.shape[1] // side, windows, side, step)

    def _item_files(self, movie: Movie, frames: Frames, grid: Grid, number: int) -> tuple[str, ...]:
        if not frames.names:
            return (movie.path,)
        start = grid.place(number)[0]
        names = frames.names[start : start + self.data.frames]
        return tuple(f"{movie.path}/{name}" for name in names)

    @property
    def _masked(self) -> bool:
        return any(is_masked(name) for name in self.asked)

    @cached_property
    def asked(self) -> tuple[str, ...]:
        """Columns of the cell table that are measured of each snippet."""
        known = told_columns(self.data)
        return tuple(name for name in known if is_measured(name, self.params))

    @cached_property
    def _movies(self) -> dict[str, Movie]:
        found = list_movies(self.source, self.data, self.params)
        return {movie.name: movie for movie in found}


@dataclass
class _Cutter:
    """Cuts the snippets of one movie and keeps the frames of the last window.

    Attributes:
        reader: of all movies.
        movie, frames, masks, grid: this one's.
    """

    reader: Movies
    movie: Movie
    frames: Frames
    masks: Frames | None
    grid: Grid
    _start: int = -1
    _pixels: np.ndarray = field(default_factory=lambda: np.zeros(0))
    _kinds: np.ndarray | None = None

    def cut(self, number: int) -> Cell:
        """One snippet.

        Raises:
            FrameError: a frame of it cannot be used.
        """
        data, grid = self.reader.data, self.grid
        start, top, left = grid.place(number)
        if start != self._start:
            self._start = -1
            self._pixels = self.frames.read(start, data.frames, data.float_range)
            self._kinds = self.masks.read(start, data.frames, None) if self.masks else None
            self._start = start
        square = (slice(None), slice(top, top + grid.side), slice(left, left + grid.side))
        pixels = area_mean(self._pixels[square], self.reader.params.step)
        kinds = None if self._kinds is None else self._kinds[square]
        file = self.frames.file(start)
        group = self.movie.name
        if data.group == "region":
            group += f"/{grid.region(number)}"
        told = dict(self.movie.told)
        if self.movie.external:
            told[EXTERNAL] = 1.0
        told.update(self._measured(pixels, kinds, start, top, left))
        where = f"{self.movie.path}/{file}" if file else self.movie.path
        return Cell(number, where, group, pixels[:, None], told=told)

    def _measured(
        self, pixels: np.ndarray, kinds: np.ndarray | None, start: int, top: int, left: int
    ) -> dict[str, float]:
        inside = None
        if self._points is not None:
            numbers = self.frames.numbers[start : start + len(pixels)]
            inside = self._points.within(numbers, top, left, self.grid.side)
        params = self.reader.params
        if kinds is not None and kinds.max() > len(params.kinds):
            raise FrameError(
                "",
                f"its masks {self.movie.masks} hold the number {kinds.max()}, movies.kinds names "
                f"{counted(len(params.kinds), 'kind')}",
                "name what the masks number, from 1, in studies.<study>.data.movies.kinds",
            )
        first = self.frames.numbers[start]
        return measured(self.reader.asked, first, pixels, kinds, params.kinds, self._points, inside)

    @cached_property
    def _points(self) -> Points | None:
        columns = columns_of_cells(self.reader.asked)
        if not self.movie.cells or columns is None:
            return None
        return Points.read(self.reader.source / self.movie.cells, columns)


def area_mean(pixels: np.ndarray, step: int) -> np.ndarray:
    """Means over squares of step x step pixels, rounded, in the pixels' type.

    Args:
        pixels: (T, h, w) counts, sides divisible by step.
        step: 1: the pixels as they are.
    """
    if step == 1:
        return np.ascontiguousarray(pixels)
    t, h, w = pixels.shape
    means = pixels.reshape(t, h // step, step, w // step, step).mean(axis=(2, 4))
    return np.asarray(np.rint(means), pixels.dtype)


def _files(source: Path, path: str) -> tuple[str, ...]:
    """Files of a movie or of its masks, relative to the source; none where there is none."""
    if not (source / path).is_dir():
        return (path,) if path else ()
    return tuple(f"{path}/{name}" for name in image_names(source / path)) if path else ()


def _refused(movie: Movie, error: FrameError) -> Refused:
    file = f"{movie.path}/{error.file}" if error.file else movie.path
    return Refused(file, str(error), error.remedy)

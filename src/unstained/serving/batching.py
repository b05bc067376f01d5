"""Cells of many requests, through the graph together.

A lane is a thread that runs the graph with one thread of its own; there are as many as processors.
A request waits only while all lanes work, and what has gathered by then goes through the graph as
one batch: no request waits for company on an idle server. Only cells of one shape go together, so
nothing is padded that a client did not pad. A large request takes turns with small ones, a piece at
a time.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final, Protocol

import numpy as np

from unstained.serving.limits import Limits
from unstained.serving.predictor import ABSTENTION_NAME, BATCH, Predictor
from unstained.serving.refusals import RequestError

PIECE: Final = 4
"""Cells of one request in a batch while others wait."""

SMALLEST: Final = 4
"""Cells below which a request is not spread over idle lanes."""

STUCK_SECONDS: Final = 60.0
"""A batch that takes longer means that its lane is lost."""

BUDGET: Final = 0.05
"""Share of a model's batches that may fail."""

FEWEST_FAILURES: Final = 3
"""From which on that share tells something."""

Found = dict[str, np.ndarray]


class Watch(Protocol):
    """Who is told of batches."""

    def due(self) -> bool:
        """Whether rules of abstention should be asked about the next batch."""

    def batch(self, found: Found, cells: int, seconds: float) -> None:
        """A batch was computed."""


@dataclass(eq=False)
class _Job:
    """A request that waits or is computed.

    Attributes:
        pixels: (B, C, H, W).
        names: outputs that it wants.
        future: of the answer.
        taken: cells that were handed to lanes.
        done: pieces of the answer by their first cell.
        answered: cells of these.
    """

    pixels: np.ndarray
    names: frozenset[str]
    future: asyncio.Future[Found]
    taken: int = 0
    answered: int = 0
    done: dict[int, Found] = field(default_factory=dict)

    @property
    def waiting(self) -> int:
        """Cells that no lane has taken."""
        return len(self.pixels) - self.taken

    def take(self, cells: int) -> _Piece:
        """The next cells."""
        self.taken += cells
        return _Piece(self, self.taken - cells, self.taken)

    def answer(self, start: int, found: Found, cells: int) -> None:
        """Keep a piece's answer; the last one completes the request."""
        self.done[start] = found
        self.answered += cells
        if self.answered < len(self.pixels) or self.future.done():
            return
        parts = [self.done[start] for start in sorted(self.done)]
        whole = parts[0] if len(parts) == 1 else _joined(parts)
        self.future.set_result(whole)


@dataclass(frozen=True)
class _Piece:
    """Cells start to stop of a request."""

    job: _Job
    start: int
    stop: int

    @property
    def pixels(self) -> np.ndarray:
        return self.job.pixels[self.start : self.stop]


class Batcher:
    """Runs requests of all transports through the graph. Belongs to one event loop.

    Args:
        predictor: opened with one thread.
        limits: of the queue and of waiting.
        lanes: batches that are computed at a time; None: the predictor's threads.
        watch: is told of batches.

    Attributes:
        queued: cells that wait.
        computed, failed: batches that came back, and those of them that the graph failed.
        shadow: is shown every batch with its answers, in a lane; None: nobody is.
    """

    def __init__(
        self, predictor: Predictor, limits: Limits, lanes: int, watch: Watch | None = None
    ) -> None:
        self._predictor = predictor
        self._limits = limits
        self._watch = watch
        self._lanes = lanes
        self._pool = ThreadPoolExecutor(lanes, thread_name_prefix="lane")
        self._waiting: deque[_Job] = deque()
        self._running: dict[int, float] = {}
        self._numbered = 0
        self._rate = 0.0
        self._mix = frozenset(
            tensor.name for tensor in predictor.outputs if tensor.name.startswith("probabilities")
        )
        self._all = frozenset(tensor.name for tensor in predictor.outputs)
        self.queued = self.computed = self.failed = 0
        self.shadow: Callable[[np.ndarray, Found], None] | None = None

    @property
    def failing(self) -> bool:
        """Whether more batches fail than may, and not one or two alone."""
        return self.failed >= max(FEWEST_FAILURES, BUDGET * self.computed)

    @property
    def stuck(self) -> bool:
        """Whether a lane has not come back for long: this process should be started anew."""
        now = time.monotonic()
        return any(now - began > STUCK_SECONDS for began in self._running.values())

    async def judge(
        self,
        pixels: np.ndarray,
        wanted: Collection[str] | None = None,
        seconds: float | None = None,
    ) -> Found:
        """Answer a request.

        Args:
            pixels: (B, C, H, W) raw counts, of the artifact's dtype.
            wanted: names of outputs; all without it.
            seconds: after which nobody waits for the answer; by default and at most the limit's.

        Returns:
            As `Predictor.predict_batch`.

        Raises:
            RequestError: too many cells wait already (429), or the time was not enough (504).
        """
        if len(pixels) + self.queued > self._limits.queue_cells and self.queued:
            raise RequestError(
                429, f"{self.queued} cells wait already: come again later", self._pause()
            )
        loop = asyncio.get_running_loop()
        names = self._all if wanted is None else frozenset(wanted)
        job = _Job(pixels, names, loop.create_future())
        self._waiting.append(job)
        self.queued += len(pixels)
        self._dispatch(loop)
        most = float(self._limits.deadline_seconds)
        limit = most if seconds is None else min(seconds, most)
        timer = loop.call_later(limit, self._expire, job)
        try:
            return await job.future
        finally:
            timer.cancel()
            self._withdraw(job)

    def close(self) -> None:
        """Let no more batches begin."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _pause(self) -> int:
        """Seconds in which what waits now will be done."""
        return max(1, math.ceil(self.queued / self._rate)) if self._rate else 1

    def _expire(self, job: _Job) -> None:
        """Answer a request whose time is over."""
        if not job.future.done():
            said = "there was no time to answer this request"
            job.future.set_exception(RequestError(504, said, self._pause()))

    def _withdraw(self, job: _Job) -> None:
        """Forget what is left of a request that nobody waits for any more."""
        if job.waiting:
            self.queued -= job.waiting
            job.taken = len(job.pixels)
            self._waiting.remove(job)

    def _dispatch(self, loop: asyncio.AbstractEventLoop) -> None:
        """Give every idle lane a batch."""
        while self._waiting and len(self._running) < self._lanes:
            pieces = list(self._next(self._lanes - len(self._running)))
            self._numbered += 1
            self._running[self._numbered] = time.monotonic()
            self._pool.submit(self._run, loop, self._numbered, pieces)

    def _next(self, idle: int) -> Iterator[_Piece]:
        """The pieces of the next batch, in the order of arrival; those that go on move back."""
        shape = self._waiting[0].pixels.shape[1:]
        alike: list[_Job] = []
        cells = 0
        for job in self._waiting:
            if job.pixels.shape[1:] == shape:
                alike.append(job)
                cells += job.waiting
            if len(alike) == BATCH:
                break
        room = min(BATCH, max(SMALLEST, math.ceil(cells / idle)))
        shares: dict[_Job, int] = {}
        for most in (PIECE, BATCH):
            for job in alike:
                if room == 0:
                    break
                share = min(most, job.waiting - shares.get(job, 0), room)
                if share:
                    shares[job] = shares.get(job, 0) + share
                    room -= share
        for job, share in shares.items():
            yield job.take(share)
            self.queued -= share
            self._waiting.remove(job)
            if job.waiting:
                self._waiting.append(job)

    def _run(self, loop: asyncio.AbstractEventLoop, number: int, pieces: Sequence[_Piece]) -> None:
        """Compute a batch, in a lane."""
        began = time.monotonic()
        found: Found | Exception
        try:
            arrays = [piece.pixels for piece in pieces]
            pixels = arrays[0] if len(arrays) == 1 else np.concatenate(arrays)
            watched = {ABSTENTION_NAME} if self._watch is not None and self._watch.due() else ()
            names = self._mix.union(watched, *(piece.job.names for piece in pieces))
            found = self._predictor.predict_batch(pixels, names)
            if self._watch is not None:
                self._watch.batch(found, len(pixels), time.monotonic() - began)
            if self.shadow is not None:
                self.shadow(pixels, found)
        except Exception as error:  # whatever the runtime raises is each request's answer
            found = error
        loop.call_soon_threadsafe(self._finished, loop, number, pieces, found)

    def _finished(
        self,
        loop: asyncio.AbstractEventLoop,
        number: int,
        pieces: Sequence[_Piece],
        found: Found | Exception,
    ) -> None:
        """Hand a batch's answers out, and begin the next."""
        seconds = time.monotonic() - self._running.pop(number)
        self.computed += 1
        self.failed += isinstance(found, Exception)
        self._dispatch(loop)
        row = 0
        for piece in pieces:
            cells = piece.stop - piece.start
            if isinstance(found, Exception):
                if not piece.job.future.done():
                    piece.job.future.set_exception(found)
            else:
                rows = slice(row, row + cells)
                own = {name: found[name][rows] for name in found if name in piece.job.names}
                piece.job.answer(piece.start, own, cells)
            row += cells
        now = self._lanes * row / max(seconds, 1e-6)
        self._rate = now if not self._rate else 0.9 * self._rate + 0.1 * now


def _joined(parts: Sequence[Found]) -> Found:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

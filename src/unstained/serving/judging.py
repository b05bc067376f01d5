"""Rows of an upload's cells, judged together with the cells of other requests.

Decoding blocks, so it runs in a thread; the graph runs where all requests' cells run, and turns are
taken there.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

import numpy as np
import pyarrow as pa

from unstained.prediction.answers import Answers
from unstained.prediction.source import Cells, Seen
from unstained.serving.predictor import Tensor
from unstained.serving.receiving import TooMuchError
from unstained.serving.refusals import RequestError
from unstained.serving.served import Model, Served
from unstained.serving.uploads import open_upload, seen, study_of, upload_folder

AT_ONCE: Final = 2
"""Uploads that are decoded at the same time; more wait."""
MOST: Final = 4
"""Uploads that arrive, wait or are decoded, so that their files fit the disk; more come later."""
PATIENCE_SECONDS: Final = 120.0
"""That an upload waits for room among the requests."""

Result = TypeVar("Result")


class SharedPredictor:
    """A predictor for a thread, whose cells take turns with those of all requests.

    Args:
        model: that answers.
        loop: the event loop that the batcher belongs to.
        stop: set when nobody waits for the answers any more.
    """

    def __init__(
        self, model: Model, loop: asyncio.AbstractEventLoop, stop: threading.Event
    ) -> None:
        self._model = model
        self._loop = loop
        self._stop = stop

    @property
    def input(self) -> Tensor:
        """The pixels."""
        return self._model.predictor.input

    @property
    def outputs(self) -> tuple[Tensor, ...]:
        """Everything that can be asked for."""
        return self._model.predictor.outputs

    def predict(
        self, images: Sequence[np.ndarray], wanted: Collection[str] | None = None
    ) -> dict[str, np.ndarray]:
        """As `Predictor.predict`; cells of one shape run together, so that none is padded.

        Raises:
            RequestError: there was no room or no time for them.
        """
        places: dict[tuple[int, ...], list[int]] = {}
        for number, image in enumerate(images):
            places.setdefault(image.shape, []).append(number)
        parts = [
            self._judge(np.stack([images[n] for n in some]), wanted) for some in places.values()
        ]
        order = np.argsort(np.concatenate([*places.values()]))
        return {name: np.concatenate([part[name] for part in parts])[order] for name in parts[0]}

    def _judge(self, pixels: np.ndarray, wanted: Collection[str] | None) -> dict[str, np.ndarray]:
        until = time.monotonic() + PATIENCE_SECONDS
        while True:
            if self._stop.is_set():
                raise CancelledError
            asked = self._model.batcher.judge(pixels, wanted)
            try:
                return asyncio.run_coroutine_threadsafe(asked, self._loop).result()
            except RequestError as error:
                if error.status != 429 or time.monotonic() > until:
                    raise
                self._stop.wait(min(1.0, float(error.retry_after or 1)))


class Uploads:
    """Judges uploads, a few at a time. Belongs to one event loop.

    Args:
        served: what is served.
    """

    def __init__(self, served: Served) -> None:
        self.served = served
        self.limits = served.limits
        self.study = study_of(served.predictor.card)
        self._pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="upload")
        self._held = 0

    @contextmanager
    def room(self) -> Iterator[Path]:
        """A folder for the files of one upload, which is gone afterwards whatever happens.

        Raises:
            RequestError: there are too many uploads (503).
        """
        if self._held >= MOST:
            raise RequestError(503, f"{self._held} uploads are being judged: come again later", 10)
        self._held += 1
        try:
            with upload_folder() as folder:
                yield folder
        finally:
            self._held -= 1

    async def run(
        self, work: Callable[[Answers], Result], stop: threading.Event, model: Model
    ) -> Result:
        """Do what needs answers in a thread.

        Args:
            work: what to do; it ends soon after `stop` is set.
            stop: is set when the caller is cancelled.
            model: that answers, from the first cell to the last.
        """
        loop = asyncio.get_running_loop()
        answers = Answers(SharedPredictor(model, loop, stop), embedding=False)
        done = loop.run_in_executor(self._pool, work, answers)
        done.add_done_callback(_forgive)
        try:
            return await asyncio.shield(done)
        except asyncio.CancelledError:
            stop.set()
            raise

    def open(self, folder: Path) -> Cells:
        """The cells of an upload. Raises: UploadError, TooMuchError: see `uploads.open_upload`."""
        return open_upload(folder, self.study, self.limits)

    def judged(self, cells: Cells, answers: Answers) -> Iterator[tuple[list[Seen], pa.Table]]:
        """Cells with their rows, in a thread.

        Args:
            cells: of an upload.
            answers: see `run`.

        Raises:
            TooMuchError: files hold more cells than their names told.
            RequestError: the graph had no room.
        """
        count = 0
        for some in seen(cells, self.served.predictor.input):
            count += len(some)
            if count > self.limits.upload_cells:
                raise TooMuchError(
                    f"more than {self.limits.upload_cells:,} cells were sent at once", "send fewer"
                )
            yield some, answers.rows(some)


def _forgive(done: asyncio.Future[Any]) -> None:
    """Let nobody be told of the failure of work that nobody waits for any more."""
    if not done.cancelled():
        done.exception()

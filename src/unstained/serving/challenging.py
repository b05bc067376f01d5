"""A challenger beside the model that answers: it takes a share of requests, and shadows the rest.

What it says in the shadow is compared and counted, never returned. It gets a tenth of one
processor's time for that at most, so that those who wait for answers hardly notice. A challenger
whose batches fail is taken out, and the model answers everything again.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import numpy as np

from unstained.serving.logs import event
from unstained.serving.metrics import Metrics
from unstained.serving.served import Model
from unstained.summaries.served import PROBABILITIES

SHADOW_SHARE: Final = 0.1
"""Of one processor's time that comparing may take."""


class Challenger:
    """A second model.

    Args:
        model: the challenger.
        share: of requests that it answers; 0: none, it is only compared.
        metrics: what is counted.

    Attributes:
        model: the challenger.
        out: whether it was taken out because it failed.
    """

    def __init__(self, model: Model, share: float, metrics: Metrics) -> None:
        self.model = model
        self.out = False
        self._share = share
        self._metrics = metrics
        self._random = random.Random(0)
        self._names = [
            tensor.name
            for tensor in model.predictor.outputs
            if tensor.name.startswith(PROBABILITIES)
        ]
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="shadow")
        self._busy = threading.Lock()
        self._next = 0.0
        metrics.challenged(model.predictor, model.version, share)

    def takes(self) -> bool:
        """Whether it answers the next request."""
        if not self.out and self.model.batcher.failing:
            self._take_out(f"{self.model.batcher.failed} of its batches failed")
        taken = not self.out and self._random.random() < self._share
        if taken:
            self._metrics.taken()
        return taken

    def see(self, pixels: np.ndarray, found: Mapping[str, np.ndarray]) -> None:
        """Compare with what was answered, if there is time for it; called in a lane.

        Args:
            pixels: (B, C, H, W) of a batch.
            found: what the model said, probabilities among it.
        """
        if self.out or not self._names or time.monotonic() < self._next:
            return
        if self._busy.acquire(blocking=False):
            self._pool.submit(self._compare, pixels, {name: found[name] for name in self._names})

    def close(self) -> None:
        """Compare no more."""
        self.out = True
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _compare(self, pixels: np.ndarray, found: Mapping[str, np.ndarray]) -> None:
        began = time.monotonic()
        try:
            own = self.model.predictor.predict_batch(pixels, self._names)
            same = np.all(
                [own[name].argmax(axis=1) == found[name].argmax(axis=1) for name in self._names],
                axis=0,
            )
            self._metrics.compared(int(same.sum()), int((~same).sum()))
        except Exception as error:  # whatever the runtime raises
            self._take_out(f"{type(error).__name__}: {error}")
        finally:
            self._next = time.monotonic() + (time.monotonic() - began) / SHADOW_SHARE
            self._busy.release()

    def _take_out(self, said: str) -> None:
        self.out = True
        self._metrics.change("returned")
        event("challenger-out", logging.WARNING, version=self.model.version, said=said)

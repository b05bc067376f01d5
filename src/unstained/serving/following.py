"""Another champion, without an end: loaded beside the one that answers, proven, then exchanged.

A model that is damaged, unsigned, of another interface or that answers its golden batch otherwise
never answers; one whose batches fail in its first minutes is taken back. Requests that have begun
are answered by the model that they began with.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from unstained.artifact.artifact import artifact_digest
from unstained.errors import IntegrityError, UnstainedError
from unstained.serving.logs import event
from unstained.serving.predictor import EMBEDDING_NAME, Predictor
from unstained.serving.served import Model, Promotion, Served

PROBATION_SECONDS: Final = 600.0
"""For which the model before is kept to return to."""
OF_SHAPES: Final = (EMBEDDING_NAME, "cam")
"""Outputs whose sizes are each network's own."""


@dataclass(frozen=True)
class Target:
    """What should be served.

    Attributes:
        artifact: its directory, whose content does not change any more.
        digest: recorded of it; None where nobody recorded one.
        version: number in the registry, where it is known.
        promotion: how it became champion, where that is known.
    """

    artifact: Path
    digest: str | None
    version: str | None = None
    promotion: Promotion | None = None


class Source(Protocol):
    """Where it is told what should be served."""

    def digest(self) -> str:
        """Of what should be served now; asked every few seconds. Raises: UnstainedError."""

    def fetch(self) -> Target:
        """What should be served now. Raises: UnstainedError."""


class LinkedDirectory:
    """An artifact's directory, reached by a symbolic link that is moved to the next one.

    Args:
        path: the link. `ln -s NEW next && mv -T next PATH` moves it at once.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def digest(self) -> str:
        """Of the artifact that the link leads to."""
        return artifact_digest(self._path)

    def fetch(self) -> Target:
        """The directory that the link leads to."""
        return Target(self._path.resolve(), None)


@dataclass
class Follower:
    """Exchanges the model of a server when another one should be served.

    Args:
        served: what is served.
        source: where it is told what should be.
        open_model: opens and proves an artifact, which takes seconds.

    Attributes:
        refused: digest that is not tried again.
        before: the model to return to, and until when.
    """

    served: Served
    source: Source
    open_model: Callable[[Target], Predictor]
    refused: str | None = None
    before: tuple[Model, float] | None = None

    async def run(self, seconds: float) -> None:
        """Look every so many seconds, until cancelled."""
        while True:
            await asyncio.sleep(seconds)
            await self.step()

    async def step(self) -> None:
        """Look once: return to the model before, or go on to the next."""
        self._watch()
        try:
            wanted = await asyncio.to_thread(self.source.digest)
            if wanted in (self.served.predictor.digest, self.refused):
                return
            target = await asyncio.to_thread(self.source.fetch)
        except (UnstainedError, OSError) as error:
            event("not-followed", logging.WARNING, said=str(error))
            return
        try:
            predictor = await asyncio.to_thread(self.open_model, target)
            require_alike(self.served.predictor, predictor)
        except (UnstainedError, OSError) as error:
            self._refuse(wanted, target, str(error))
            return
        self._exchange(self.served.model_of(predictor, target.version, target.promotion))

    def _exchange(self, model: Model) -> None:
        before = self.served.exchange(model)
        self.before = (before, time.monotonic() + PROBATION_SECONDS)
        self.served.metrics.change("changed")
        event(
            "changed", before=before.version, version=model.version, digest=model.predictor.digest
        )

    def _refuse(self, digest: str, target: Target, said: str) -> None:
        self.refused = digest
        self.served.metrics.change("refused")
        kept = self.served.version
        event(
            "refused", logging.WARNING, kept=kept, version=target.version, digest=digest, said=said
        )

    def _watch(self) -> None:
        """Return to the model before where too many batches of the new one fail."""
        if self.before is None:
            return
        before, until = self.before
        batcher = self.served.batcher
        if batcher.failing:
            gone = self.served.exchange(before)
            self.refused, self.before = gone.predictor.digest, None
            self.served.metrics.change("returned")
            said = f"{batcher.failed} of {batcher.computed} batches failed"
            event("returned", logging.WARNING, version=before.version, gone=gone.version, said=said)
        elif time.monotonic() > until:
            self.before = None


def require_alike(now: Predictor, new: Predictor) -> None:
    """Refuse a model that clients of the one before could not ask as they do.

    Raises:
        IntegrityError: input, outputs or their meaning differ.
    """
    one, two = dict(_interface(now)), dict(_interface(new))
    differ = sorted(name for name in one.keys() | two if one.get(name) != two.get(name))
    if differ:
        raise IntegrityError(
            f"{new.directory} has another {', '.join(differ)} than the model that is served",
            "start a server for it: clients and pages rely on what the present one says",
        )


def _interface(predictor: Predictor) -> Iterator[tuple[str, Any]]:
    """Names of what clients rely on, each with all that matters of it."""
    yield "name", predictor.name
    yield "input", predictor.input
    for tensor in sorted(predictor.outputs, key=lambda tensor: tensor.name):
        shape = len(tensor.shape) if tensor.name in OF_SHAPES else tensor.shape
        names = {key: tensor.notes.get(key) for key in ("task", "classes", "targets", "parts")}
        yield tensor.name, (tensor.dtype, shape, names)

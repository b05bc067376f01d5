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
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from unstained.errors import IntegrityError, UnstainedError
from unstained.serving.logs import event
from unstained.serving.predictor import EMBEDDING_NAME, Predictor
from unstained.serving.served import Model, Served
from unstained.serving.targets import Source, Target

PROBATION_SECONDS: Final = 600.0
"""For which the model before is kept to return to."""
OF_SHAPES: Final = (EMBEDDING_NAME, "cam")
"""Outputs whose sizes are each network's own."""


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
        leaving: artifacts of former models, and until when somebody may still read their files.
    """

    served: Served
    source: Source
    open_model: Callable[[Target], Predictor]
    refused: str | None = None
    before: tuple[Model, float] | None = None
    leaving: dict[Path, float] = field(default_factory=dict)

    async def run(self, seconds: float) -> None:
        """Look every so many seconds, until cancelled."""
        while True:
            await asyncio.sleep(seconds)
            await self.step()

    async def step(self) -> None:
        """Look once: return to the model before, or go on to the next."""
        self._watch()
        for artifact in [path for path, until in self.leaving.items() if time.monotonic() > until]:
            del self.leaving[artifact]
            await asyncio.to_thread(self.source.forget, artifact)
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
            await asyncio.to_thread(self.source.forget, target.artifact)
            return
        self._exchange(self.served.model_of(predictor, target.version, target.promotion))

    def _exchange(self, model: Model) -> None:
        before = self.served.exchange(model)
        until = time.monotonic() + PROBATION_SECONDS
        self.before = (before, until)
        self._part(before, model, until)
        self.served.metrics.change("changed")
        event(
            "changed", before=before.version, version=model.version, digest=model.predictor.digest
        )

    def _part(self, before: Model, now: Model, until: float) -> None:
        """Let go of a model's files when nobody can read them any more, and keep another's."""
        self.leaving[before.predictor.directory] = until
        self.leaving.pop(now.predictor.directory, None)

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
            self._part(gone, before, time.monotonic() + PROBATION_SECONDS)
            self.refused, self.before = gone.predictor.digest, None
            self.served.metrics.change("returned")
            said = f"{batcher.failed} of {batcher.computed} batches failed"
            event("returned", logging.WARNING, version=before.version, gone=gone.version, said=said)
        elif time.monotonic() > until:
            self.before = None


def require_alike(now: Predictor, new: Predictor, *, compared_only: bool = False) -> None:
    """Refuse a model that clients of the one before could not ask as they do.

    Args:
        now: answers.
        new: is to answer in its place, or to be compared with it.
        compared_only: it answers nobody, so that maps and embeddings may be there or not.

    Raises:
        IntegrityError: input, outputs or their meaning differ.
    """
    one, two = dict(_interface(now)), dict(_interface(new))
    names = (one.keys() | two) - set(OF_SHAPES if compared_only else ())
    differ = sorted(name for name in names if one.get(name) != two.get(name))
    if differ:
        raise IntegrityError(
            f"artifact {new.digest[:12]} has another {', '.join(differ)} than the model that is "
            "served",
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

"""What every route needs: the model, the way to the graph, and what is said of both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import numpy as np

from unstained import __version__
from unstained.serving.batching import Batcher
from unstained.serving.codec import Codec
from unstained.serving.limits import Limits
from unstained.serving.metrics import Metrics
from unstained.serving.pixels import datatype
from unstained.serving.predictor import Predictor, Tensor
from unstained.serving.refusals import RequestError
from unstained.summaries.telling import Narrator

SERVER: Final = "unstained"
EXTENSIONS: Final = ("binary_tensor_data",)
PLATFORM: Final = "onnx_onnxruntime"
SHORT: Final = 12
"""Digits of a digest that name a version which has no number."""


@dataclass(frozen=True)
class Promotion:
    """What the ledger says of a champion.

    Attributes:
        action: what made it champion: promote, rollback, adopt ...
        time: UTC, ISO 8601.
        actor: who acted.
        reason: in a sentence.
        replaced: version that was champion before; None: nobody was.
        gate: criteria of the gate: `name`, `passed` and `sentence` each.
    """

    action: str
    time: str
    actor: str
    reason: str
    replaced: int | None
    gate: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True, eq=False)
class Model:
    """A model with the way to its graph.

    Attributes:
        predictor: the model.
        batcher: the way to the graph, for coroutines.
        codec: requests and answers over REST.
        version: number in the registry, or the digest's beginning where none is known.
        promotion: how it became champion, where that is known.
    """

    predictor: Predictor
    batcher: Batcher
    codec: Codec
    version: str
    promotion: Promotion | None = None


class Beside(Protocol):
    """A model beside the one that answers."""

    @property
    def model(self) -> Model:
        """That model."""

    @property
    def out(self) -> bool:
        """Whether it was taken out because it failed."""

    def takes(self) -> bool:
        """Whether it answers the next request."""

    def see(self, pixels: np.ndarray, found: dict[str, np.ndarray]) -> None:
        """Is shown a batch and what was answered."""

    def close(self) -> None:
        """Take no more."""


@dataclass
class Served:
    """What is served. Belongs to one event loop.

    Attributes:
        model: that answers new requests. One that has begun is answered by the model that it began
            with, which whoever answers it holds on to.
        limits: of requests.
        narrator: writes summaries.
        metrics: what is counted.
        lanes: batches of a model that are computed at a time.
        challenger: a second model beside it, see `challenging.Challenger`.
        draining: whether the server is about to stop: it still answers, but is not ready.
    """

    model: Model
    limits: Limits
    narrator: Narrator
    metrics: Metrics
    lanes: int
    challenger: Beside | None = None
    draining: bool = field(default=False)

    @property
    def predictor(self) -> Predictor:
        """Of the model."""
        return self.model.predictor

    @property
    def batcher(self) -> Batcher:
        """Of the model."""
        return self.model.batcher

    @property
    def version(self) -> str:
        """Of the model."""
        return self.model.version

    def chosen(self, version: str = "") -> Model:
        """Who answers the next request.

        Args:
            version: of a model; '' where any will do.
        """
        beside = self.challenger
        if beside is None or version in (self.version, self.predictor.digest):
            return self.model
        named = version in (beside.model.version, beside.model.predictor.digest)
        return beside.model if named or beside.takes() else self.model

    def challenge(self, challenger: Beside) -> None:
        """Let a challenger stand beside the model that answers."""
        self.challenger = challenger
        self.batcher.shadow = challenger.see

    def model_of(
        self, predictor: Predictor, version: str | None, promotion: Promotion | None = None
    ) -> Model:
        """A predictor behind a queue of its own.

        Args:
            predictor: opened with one thread.
            version: number in the registry, where it is known.
            promotion: how it became champion, where that is known.
        """
        limits, lanes, metrics = self.limits, self.lanes, self.metrics
        return model_of(predictor, version, promotion, limits, lanes, metrics)

    def exchange(self, model: Model) -> Model:
        """Let another model answer from now on.

        Returns:
            The one before, which goes on with what it was asked.
        """
        before, self.model = self.model, model
        self.metrics.serves(model.predictor, model.version)
        before.batcher.shadow = None
        if (beside := self.challenger) is not None:
            if beside.model.predictor.digest == model.predictor.digest:
                beside.close()
                self.challenger = None
            else:
                model.batcher.shadow = beside.see
        return before

    @property
    def ready(self) -> bool:
        """Whether new requests should come here: the golden batch was replayed before all this."""
        return not self.draining and not self.batcher.stuck

    @property
    def live(self) -> bool:
        """Whether the graph still comes back."""
        return not self.batcher.stuck

    def require(self, name: str, version: str = "") -> None:
        """Refuse a request to another model.

        Args:
            name: of the model.
            version: '' where any will do.

        Raises:
            RequestError: there is no such model or version (404).
        """
        if name != self.predictor.name:
            raise RequestError(
                404, f"there is no model {name!r:.80}; this server has {self.predictor.name!r}"
            )
        known = {"", self.version, self.predictor.digest}
        if (beside := self.challenger) is not None:
            known |= {beside.model.version, beside.model.predictor.digest}
        if version not in known:
            raise RequestError(
                404, f"{name} has no version {version!r:.80} here; served is {self.version!r}"
            )

    def metadata(self) -> dict[str, Any]:
        """The model's, by the protocol."""
        return {
            "name": self.predictor.name,
            "versions": [self.version],
            "platform": PLATFORM,
            "inputs": [_described(self.predictor.input)],
            "outputs": [_described(tensor) for tensor in self.predictor.outputs],
        }


def serve_predictor(
    predictor: Predictor,
    limits: Limits,
    narrator: Narrator,
    *,
    lanes: int,
    version: str | None = None,
    promotion: Promotion | None = None,
) -> Served:
    """Put a predictor behind a queue.

    Args:
        predictor: opened with one thread.
        limits: of requests.
        narrator: writes summaries.
        lanes: batches that are computed at a time.
        version: number in the registry, where it is known.
        promotion: how it became champion, where that is known.
    """
    metrics = Metrics(predictor)
    model = model_of(predictor, version, promotion, limits, lanes, metrics)
    served = Served(model, limits, narrator, metrics, lanes)
    metrics.serves(predictor, model.version)
    metrics.queue.set_function(lambda: served.batcher.queued)
    return served


def model_of(
    predictor: Predictor,
    version: str | None,
    promotion: Promotion | None,
    limits: Limits,
    lanes: int,
    metrics: Metrics,
) -> Model:
    """A predictor behind a queue of its own; see `serve_predictor`."""
    version = version or predictor.digest[:SHORT]
    batcher = Batcher(predictor, limits, lanes, metrics)
    codec = Codec(predictor, version, limits)
    return Model(predictor, batcher, codec, version, promotion)


def server_metadata() -> dict[str, Any]:
    """The server's, by the protocol."""
    return {"name": SERVER, "version": __version__, "extensions": list(EXTENSIONS)}


def _described(tensor: Tensor) -> dict[str, Any]:
    kind = datatype(np.dtype(tensor.dtype))
    return {"name": tensor.name, "datatype": kind, "shape": list(tensor.shape)}

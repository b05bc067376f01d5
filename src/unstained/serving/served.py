"""What every route needs: the model, the way to the graph, and what is said of both."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

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


@dataclass
class Served:
    """A model that is served.

    Attributes:
        predictor: the model.
        batcher: the way to the graph, for coroutines.
        limits: of requests.
        narrator: writes summaries.
        metrics: what is counted.
        codec: requests and answers over REST.
        version: number in the registry, or the digest's beginning where none is known.
        draining: whether the server is about to stop: it still answers, but is not ready.
    """

    predictor: Predictor
    batcher: Batcher
    limits: Limits
    narrator: Narrator
    metrics: Metrics
    codec: Codec
    version: str
    draining: bool = field(default=False)

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
        if version not in ("", self.version, self.predictor.digest):
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
) -> Served:
    """Put a predictor behind a queue.

    Args:
        predictor: opened with one thread.
        limits: of requests.
        narrator: writes summaries.
        lanes: batches that are computed at a time.
        version: number in the registry, where it is known.
    """
    version = version or predictor.digest[:SHORT]
    metrics = Metrics(predictor, version)
    batcher = Batcher(predictor, limits, lanes, metrics)
    metrics.queue.set_function(lambda: batcher.queued)
    codec = Codec(predictor, version, limits)
    return Served(predictor, batcher, limits, narrator, metrics, codec, version)


def server_metadata() -> dict[str, Any]:
    """The server's, by the protocol."""
    return {"name": SERVER, "version": __version__, "extensions": list(EXTENSIONS)}


def _described(tensor: Tensor) -> dict[str, Any]:
    kind = datatype(np.dtype(tensor.dtype))
    return {"name": tensor.name, "datatype": kind, "shape": list(tensor.shape)}

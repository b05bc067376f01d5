"""The open inference protocol (V2) over gRPC."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from functools import lru_cache, partial
from typing import Any, Final, TypeAlias

import grpc
import numpy as np
from google.protobuf.message import DecodeError

from unstained.serving.access import Access
from unstained.serving.codec import (
    known_output,
    new_id,
    raw_bytes,
    require_id,
    said_of,
    scalar_notes,
)
from unstained.serving.limits import HEAD_BYTES, Limits
from unstained.serving.logs import request_event
from unstained.serving.messages import METHODS, SERVICE, message
from unstained.serving.pixels import checked_shape, datatype, pixels_of_bytes, pixels_of_numbers
from unstained.serving.predictor import Tensor
from unstained.serving.refusals import CODES, RequestError, invalid
from unstained.serving.served import Model, Served, server_metadata
from unstained.serving.tracing import Said, Tracing

OPEN: Final = ("ServerLive", "ServerReady")
"""Probes, which need no token."""

CONTENTS: Final = "uint_contents"
"""Where a request holds counts that are not sent as bytes."""

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
Handler = Callable[[Any, Context], Awaitable[Any]]


class Words:
    """Answers of one model.

    Args:
        model: that gives them.

    Attributes:
        outputs: of the model by name.
        row_bytes: of one cell's values, by output.
    """

    def __init__(self, model: Model) -> None:
        self.model = model
        self.outputs = {tensor.name: tensor for tensor in model.predictor.outputs}
        self.row_bytes = {name: _row_bytes(tensor) for name, tensor in self.outputs.items()}
        self._constant = lru_cache(maxsize=256)(self._said)

    def answer(self, told: str, wanted: list[str], found: Mapping[str, np.ndarray]) -> bytes:
        """A serialised answer: two messages, one after the other, are their merger."""
        arrays = [found[name] for name in wanted]
        kinds = tuple((n, a.dtype, a.shape) for n, a in zip(wanted, arrays, strict=True))
        raw = [raw_bytes(array) for array in arrays]
        own = message("ModelInferResponse")(id=told, raw_output_contents=raw)
        return self._constant(kinds) + _bytes(own)

    def _said(self, outputs: tuple[tuple[str, np.dtype[Any], tuple[int, ...]], ...]) -> bytes:
        """An answer but for what is new each time, for outputs of some types and shapes."""
        predictor = self.model.predictor
        answer = message("ModelInferResponse")(
            model_name=predictor.name, model_version=self.model.version
        )
        for key, value in said_of(predictor).items():
            kind = "bool_param" if isinstance(value, bool) else "string_param"
            setattr(answer.parameters[key], kind, value)
        for name, dtype, shape in outputs:
            output = answer.outputs.add(name=name, datatype=datatype(dtype))
            output.shape.extend(shape)
            for key, note in scalar_notes(self.outputs[name]).items():
                output.parameters[key].string_param = note
        return _bytes(answer)


class Service:
    """The protocol's methods for one served model.

    Args:
        served: the model.
        access: who may ask.
        tracing: makes a span of each call.
    """

    def __init__(self, served: Served, access: Access, tracing: Tracing) -> None:
        self._served = served
        self._tracing = tracing
        self._access = access
        self._words: dict[Model, Words] = {}

    def handler(self) -> grpc.GenericRpcHandler:
        """All methods, for a server."""
        methods: Mapping[str, Handler] = {
            "ServerLive": self.server_live,
            "ServerReady": self.server_ready,
            "ModelReady": self.model_ready,
            "ServerMetadata": self.server_metadata,
            "ModelMetadata": self.model_metadata,
            "ModelInfer": self.model_infer,
            "RepositoryModelLoad": self.fixed,
            "RepositoryModelUnload": self.fixed,
        }
        return grpc.method_handlers_generic_handler(
            SERVICE,
            {
                name: grpc.unary_unary_rpc_method_handler(
                    partial(self._guarded, name, methods[name]),
                    response_serializer=_bytes,
                )
                for name in METHODS
            },
        )

    async def server_live(self, request: Any, context: Context) -> Any:
        """Whether the graph still comes back."""
        return message("ServerLiveResponse")(live=self._served.live)

    async def server_ready(self, request: Any, context: Context) -> Any:
        """Whether new requests should come here."""
        return message("ServerReadyResponse")(ready=self._served.ready)

    async def model_ready(self, request: Any, context: Context) -> Any:
        """Whether the model answers."""
        self._served.require(request.name, request.version)
        return message("ModelReadyResponse")(ready=self._served.ready)

    async def server_metadata(self, request: Any, context: Context) -> Any:
        """The server's name, version and extensions."""
        return message("ServerMetadataResponse")(**server_metadata())

    async def model_metadata(self, request: Any, context: Context) -> Any:
        """The model's input and outputs."""
        self._served.require(request.name, request.version)
        return message("ModelMetadataResponse")(**self._served.metadata())

    async def model_infer(self, request: Any, context: Context) -> Any:
        """Answer with the outputs that are asked for."""
        began = time.perf_counter()
        self._served.require(request.model_name, request.model_version)
        told = require_id(request.id)
        words = self._words_of(self._served.chosen(request.model_version))
        names = [known_output(output.name, words.outputs) for output in request.outputs]
        wanted = list(dict.fromkeys(names)) or list(words.outputs)
        pixels = self._pixels(request, {name: words.row_bytes[name] for name in wanted})
        found = await words.model.batcher.judge(pixels, wanted, context.time_remaining())
        answer = words.answer(told, wanted, found)
        self._served.metrics.answered("grpc", time.perf_counter() - began)
        return answer

    def _words_of(self, model: Model) -> Words:
        """Answers of a model; those of a model that answers no more are forgotten."""
        if model not in self._words:
            beside = self._served.challenger
            kept = {self._served.model, *(() if beside is None else (beside.model,))}
            self._words = {key: words for key, words in self._words.items() if key in kept}
            self._words[model] = Words(model)
        return self._words[model]

    async def fixed(self, request: Any, context: Context) -> Any:
        """Refuse to load or unload models."""
        raise RequestError(403, "the deployment decides what is served, no request does")

    async def _guarded(self, name: str, method: Handler, raw: bytes, context: Context) -> Any:
        """A method's answer, or a status and a sentence."""
        if name in OPEN:
            return await self._answered(name, method, raw, context, {})
        metadata = {key: str(value) for key, value in context.invocation_metadata() or ()}
        with self._tracing.span(name, metadata) as span:
            return await self._answered(name, method, raw, context, span)

    async def _answered(
        self, name: str, method: Handler, raw: bytes, context: Context, span: Said
    ) -> Any:
        """As `_guarded`; says in its span what became of it."""
        told = new_id()
        span |= {"rpc.system": "grpc", "rpc.method": name, "unstained.request.id": told}
        try:
            if name not in OPEN:
                metadata = dict(context.invocation_metadata() or ())
                self._access.require(metadata.get("authorization"))
            request = _read(f"{name}Request", raw)
            if name == "ModelInfer":
                told = request.id = request.id or told
                span["unstained.request.id"] = told
            answer = await method(request, context)
        except RequestError as error:
            span["http.response.status_code"] = error.status
            self._note(name, told, error.status, error.message)
            await context.abort(CODES[error.status], error.message, _trailing(error))
        except Exception as error:  # a defect: one line, and no traceback for the client
            span["http.response.status_code"] = 500
            self._note(name, told, 500, f"{type(error).__name__}: {error}")
            await context.abort(CODES[500], "the server failed; its log says why")
        else:
            self._note(name, told, 200, "")
            return answer

    def _note(self, name: str, told: str, status: int, said: str) -> None:
        """Count a call and write it down."""
        self._served.metrics.request("grpc", status)
        request_event("grpc", status, id=told, method=name, said=said)

    def _pixels(self, request: Any, wanted: Mapping[str, int]) -> np.ndarray:
        """A request's pixels, after it was found to be neither too large to read nor to answer."""
        expected, limits = self._served.predictor.input, self._served.limits
        if len(request.inputs) != 1:
            raise invalid(f"the one input is {expected.name!r}; {len(request.inputs)} were given")
        (tensor,) = request.inputs
        shape = checked_shape(tensor.name, tensor.datatype, list(tensor.shape), expected, limits)
        self._require_answer(shape[0], wanted)
        raw = request.raw_input_contents
        if not raw:
            return pixels_of_numbers(list(getattr(tensor.contents, CONTENTS)), shape, expected)
        if len(raw) != 1 or tensor.HasField("contents"):
            raise invalid(f"{expected.name}: raw_input_contents holds its bytes once, or contents")
        return pixels_of_bytes(raw[0], shape, expected)

    def _require_answer(self, cells: int, wanted: Mapping[str, int]) -> None:
        """Refuse what could be computed and then not be sent; `wanted` tells bytes of a cell."""
        most = self._served.limits.answer_bytes - HEAD_BYTES // 16
        each = sum(wanted.values())
        if cells * each > most:
            raise RequestError(
                413,
                f"{cells} cells with {', '.join(wanted)} would be "
                f"{cells * each} bytes, more than the {most} that an answer may have: send at most "
                f"{max(1, most // each)} cells, or ask for fewer outputs",
            )


def grpc_server(
    served: Served,
    access: Access,
    address: str,
    credentials: grpc.ServerCredentials | None = None,
    tracing: Tracing | None = None,
) -> grpc.aio.Server:
    """A server that does not listen yet; belongs to the running event loop.

    Args:
        served: the model.
        access: who may ask.
        address: host and port.
        credentials: for TLS.
        tracing: makes a span of each call; by default nothing does.
    """
    server = grpc.aio.server(
        options=_options(served.limits, np.dtype(served.predictor.input.dtype).itemsize),
        maximum_concurrent_rpcs=served.limits.connections,
    )
    server.add_generic_rpc_handlers((Service(served, access, tracing or Tracing()).handler(),))
    if credentials is None:
        server.add_insecure_port(address)
    else:
        server.add_secure_port(address, credentials)
    return server


def _options(limits: Limits, itemsize: int) -> list[tuple[str, int]]:
    return [
        ("grpc.max_receive_message_length", limits.pixels * itemsize + HEAD_BYTES),
        ("grpc.max_send_message_length", limits.answer_bytes),
        ("grpc.max_metadata_size", 1 << 14),
        ("grpc.max_connection_idle_ms", 1000 * limits.idle_seconds),
        ("grpc.keepalive_time_ms", 1000 * limits.idle_seconds),
        ("grpc.keepalive_timeout_ms", 1000 * limits.header_seconds),
        ("grpc.server_handshake_timeout_ms", 1000 * limits.header_seconds),
    ]


def _row_bytes(tensor: Tensor) -> int:
    """Bytes of one cell's values; the sizes of all axes but the first are known."""
    return int(np.prod(tensor.shape[1:], dtype=np.int64)) * np.dtype(tensor.dtype).itemsize


def _trailing(error: RequestError) -> tuple[tuple[str, str], ...]:
    return tuple((key.lower(), value) for key, value in error.headers.items())


def _read(name: str, raw: bytes) -> Any:
    """A message. Raises: RequestError, the bytes are none (400)."""
    try:
        return message(name).FromString(raw)
    except DecodeError:
        raise invalid(f"the bytes are no {name}") from None


def _bytes(answer: Any) -> bytes:
    """A message as it is sent; bytes are one already."""
    made: bytes = answer if isinstance(answer, bytes) else answer.SerializeToString()
    return made

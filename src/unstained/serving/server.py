"""The open inference protocol (V2), REST and gRPC, over a `Predictor`.

What a client does wrong is answered with status 400 (gRPC: INVALID_ARGUMENT) and a sentence that
says what was expected: kserve itself answers much of it with 500 (tried with 0.21).
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import numpy as np
from kserve import InferOutput, InferRequest, InferResponse, Model, ModelServer
from kserve.errors import InferenceError, InvalidInput
from kserve.model_server import app
from kserve.protocol.dataplane import DataPlane
from kserve.protocol.model_repository_extension import ModelRepositoryExtension
from kserve.utils.numpy_codec import from_np_dtype

from unstained.errors import UnstainedError
from unstained.serving.pixels import read_pixels
from unstained.serving.predictor import Predictor, Tensor, expected_digest
from unstained.serving.summaries import add_summaries, endpoint_or_none
from unstained.summaries.facts import Facts
from unstained.summaries.telling import Narrator

HTTP_PORT: Final = 8080
GRPC_PORT: Final = 8081
UNREADABLE: Final = (
    ValueError,
    ArithmeticError,
    LookupError,
    TypeError,
    AttributeError,
    InferenceError,
)
"""What kserve's reading of a malformed request ends in."""


def serve(directory: Path, port: int = HTTP_PORT, grpc_port: int = GRPC_PORT) -> None:
    """Serve an artifact until SIGTERM or Ctrl-C.

    Nothing listens before the artifact has passed its self-test, so whatever answers is ready.

    Args:
        directory: the artifact.
        port: for REST.
        grpc_port: for gRPC.

    Raises:
        IntegrityError: see `Predictor`.
        UnstainedError: a file cannot be read, a port is taken, or UNSTAINED_ARTIFACT_DIGEST is
            malformed.
    """
    try:
        predictor = Predictor(directory, expected_digest())
    except PermissionError as error:
        raise UnstainedError(
            f"{error.filename} cannot be read by user {os.getuid()}",
            "make the artifact's files readable for everybody who may serve it",
        ) from None
    for number in (port, grpc_port):
        _require_free(number)
    model = ServedModel(predictor)
    server = ModelServer(http_port=port, grpc_port=grpc_port, enable_latency_logging=False)
    server.dataplane = StrictDataPlane(server.registered_models)
    server.model_repository_extension = FixedRepository(server.registered_models)
    add_summaries(app, server.dataplane, model, Narrator(endpoint_or_none()))
    server.start([model])


class ServedModel(Model):  # type: ignore[misc]
    """A predictor behind kserve's interface."""

    def __init__(self, predictor: Predictor) -> None:
        super().__init__(predictor.name)
        self.predictor = predictor
        self.ready = True
        # One request computes at a time, on all threads of the quota, beside the event loop, so
        # that probes are answered meanwhile.
        self._worker = ThreadPoolExecutor(max_workers=1)

    def get_input_types(self) -> list[dict[str, Any]]:
        """The pixels, for the model's metadata."""
        return [_described(self.predictor.input)]

    def get_output_types(self) -> list[dict[str, Any]]:
        """All outputs, for the model's metadata."""
        return [_described(tensor) for tensor in self.predictor.outputs]

    async def preprocess(
        self, payload: dict[str, Any] | InferRequest, headers: dict[str, str] | None = None
    ) -> InferRequest:
        """Let requests of protocol V2 through.

        Raises:
            InvalidInput: the request came by the older protocol.
        """
        if not isinstance(payload, InferRequest):
            raise InvalidInput(
                f"protocol V1 is not spoken here: POST to /v2/models/{self.name}/infer"
            )
        return payload

    async def predict(
        self, payload: InferRequest, headers: dict[str, str] | None = None
    ) -> InferResponse:
        """Answer a request.

        Raises:
            InvalidInput: a wrong name, dtype, shape, number of values or output.
        """
        pixels = read_pixels(payload.inputs, self.predictor.input)
        wanted = self._wanted(payload)
        return self._response(payload, await self._judge(pixels, wanted), wanted)

    async def judge_cells(
        self, payload: InferRequest, most: int
    ) -> tuple[InferResponse, list[Facts]]:
        """Answer a request as `predict` does, and tell what summaries of its cells rest on.

        Args:
            payload: the request.
            most: cells that it may hold.

        Raises:
            InvalidInput: see `predict`, and more cells.
        """
        pixels = read_pixels(payload.inputs, self.predictor.input)
        wanted = self._wanted(payload)
        if len(pixels) > most:
            raise InvalidInput(f"{len(pixels)} cells were sent; at most {most} are summarised")
        found = await self._judge(pixels, None)
        facts = [self.predictor.facts(found, row) for row in range(len(pixels))]
        return self._response(payload, found, wanted, as_json=True), facts

    async def _judge(self, pixels: np.ndarray, wanted: list[str] | None) -> dict[str, np.ndarray]:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(
            self._worker, self.predictor.predict_batch, pixels, wanted
        )

    def _response(
        self,
        payload: InferRequest,
        found: dict[str, np.ndarray],
        wanted: list[str] | None,
        *,
        as_json: bool = False,
    ) -> InferResponse:
        """The outputs that were asked for; as JSON whatever was asked, where `as_json` is set."""
        outputs = [
            _output(tensor, found[tensor.name])
            for tensor in self.predictor.outputs
            if tensor.name in found and (wanted is None or tensor.name in wanted)
        ]
        return InferResponse(
            response_id=payload.id or str(uuid.uuid4()),
            model_name=self.name,
            infer_outputs=outputs,
            parameters={"artifact_digest": self.predictor.digest, **self.predictor.lineage},
            # gRPC sends arrays as bytes anyway; asked to, kserve tests the array's truth and fails.
            use_binary_outputs=payload.use_binary_outputs and not (payload.from_grpc or as_json),
            requested_outputs=None if as_json else payload.request_outputs,
        )

    def _wanted(self, payload: InferRequest) -> list[str] | None:
        if not payload.request_outputs:
            return None
        known = [tensor.name for tensor in self.predictor.outputs]
        wanted = [output.name for output in payload.request_outputs]
        for name in wanted:
            if name not in known:
                raise InvalidInput(f"there is no output {name!r}; outputs are {', '.join(known)}")
        return wanted


class StrictDataPlane(DataPlane):  # type: ignore[misc]
    """kserve's data plane, for which an unreadable request is the client's error."""

    def decode(self, *args: Any, **kwargs: Any) -> Any:
        """As kserve's.

        Raises:
            InvalidInput: the request cannot be read.
        """
        try:
            return super().decode(*args, **kwargs)
        except InvalidInput:
            raise
        except UNREADABLE as error:
            raise InvalidInput(
                f"the request is no V2 inference request ({type(error).__name__}: {error})"
            ) from error


class FixedRepository(ModelRepositoryExtension):  # type: ignore[misc]
    """One model, which no client can take away."""

    async def unload(self, model_name: str) -> None:
        """Refuse.

        Raises:
            InvalidInput: always.
        """
        raise InvalidInput(
            f"{model_name} cannot be unloaded: the deployment decides what is served"
        )


def _described(tensor: Tensor) -> dict[str, Any]:
    datatype = from_np_dtype(np.dtype(tensor.dtype))
    return {"name": tensor.name, "datatype": datatype, "shape": list(tensor.shape)}


def _output(tensor: Tensor, values: np.ndarray) -> InferOutput:
    """One output; its notes travel as JSON, because the protocol's parameters are scalars."""
    output = InferOutput(
        tensor.name,
        list(values.shape),
        from_np_dtype(values.dtype),
        parameters={
            key: note if isinstance(note, str) else json.dumps(note)
            for key, note in tensor.notes.items()
        },
    )
    output.data = values
    return output


def _require_free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("0.0.0.0", port))  # noqa: S104 - a pod's address is not known before
        except OSError as error:
            raise UnstainedError(
                f"port {port} cannot be used: {error.strerror}",
                "stop what listens there, or choose others with --port and --grpc-port",
            ) from None

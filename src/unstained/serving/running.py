"""The process: sockets, event loop, signals, and an end in order."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

import grpc
import uvicorn
import uvloop

from unstained.errors import UnstainedError
from unstained.serving.access import Access
from unstained.serving.app import application
from unstained.serving.challenging import Challenger
from unstained.serving.connections import protocol_of
from unstained.serving.following import Follower, require_alike
from unstained.serving.grpc_service import grpc_server
from unstained.serving.limits import Limits
from unstained.serving.logs import event, write_lines
from unstained.serving.predictor import Predictor
from unstained.serving.served import Served, serve_predictor
from unstained.serving.summaries import endpoint_or_none
from unstained.serving.targets import Source, Target
from unstained.serving.threads import thread_count
from unstained.serving.tracing import Tracing, tracing_of
from unstained.summaries.telling import Narrator

BACKLOG: Final = 2048


@dataclass(frozen=True)
class Serving:
    """How an artifact is served.

    Attributes:
        host: address to listen on.
        port: for REST and the page.
        grpc_port: for gRPC.
        limits: of requests and connections.
        token: that every request must bring; None: none.
        certificate, key: PEM files for TLS, both or none.
        int8: whether the artifact's INT8 graph answers.
        challenger_share: of requests that the challenger answers.
        follow_seconds: between looks at what should be served; None: it never changes.
    """

    host: str = "127.0.0.1"
    port: int = 8080
    grpc_port: int = 8081
    limits: Limits = field(default_factory=Limits)
    token: str | None = None
    certificate: Path | None = None
    key: Path | None = None
    int8: bool = False
    challenger_share: float = 0.0
    follow_seconds: float | None = None


def serve(
    target: Target,
    serving: Serving,
    source: Source | None = None,
    challenger: Target | None = None,
) -> None:
    """Serve an artifact until SIGTERM or Ctrl-C.

    Nothing listens before the artifact has passed its self-test, so whatever answers is ready.

    Args:
        target: the artifact.
        serving: how.
        source: tells what should be served later on, where that may change.
        challenger: artifact beside it.

    Raises:
        IntegrityError: see `Predictor`.
        UnstainedError: a file cannot be read, certificate and key are no pair, or a port is taken.
    """
    write_lines()
    _require_pair(serving)
    predictor = _opened(target, int8=serving.int8)
    beside = None if challenger is None else _opened(challenger, int8=serving.int8)
    if beside is not None:
        require_alike(predictor, beside, compared_only=serving.challenger_share == 0)
    for number in (serving.port, serving.grpc_port):
        _require_free(serving.host, number)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve((predictor, target), (beside, challenger), serving, source))


def _opened(target: Target, *, int8: bool) -> Predictor:
    """A model that has shown that it answers as it did; who made it is told."""
    try:
        predictor = Predictor(target.artifact, target.digest, threads=1, int8=int8)
    except PermissionError as error:
        raise UnstainedError(
            f"{error.filename} cannot be read by user {os.getuid()}",
            "make the artifact's files readable for everybody who may serve it",
        ) from None
    if predictor.signed.doubt:
        event("unsigned", logging.WARNING, said=predictor.signed.doubt)
    return predictor


async def _serve(
    first: tuple[Predictor, Target],
    second: tuple[Predictor | None, Target | None],
    serving: Serving,
    source: Source | None,
) -> None:
    """Both servers, from the start to the end of draining."""
    (predictor, target), (beside, challenger) = first, second
    served = serve_predictor(
        predictor,
        serving.limits,
        Narrator(endpoint_or_none()),
        lanes=thread_count(),
        version=target.version,
        promotion=target.promotion,
    )
    if beside is not None and challenger is not None:
        model = served.model_of(beside, challenger.version)
        served.challenge(Challenger(model, serving.challenger_share, served.metrics))
    access = Access(serving.token)
    tracing = tracing_of()
    http = _Http(_config(served, access, serving, tracing))
    over_grpc = grpc_server(
        served, access, f"{serving.host}:{serving.grpc_port}", _credentials(serving), tracing
    )
    stop = _stopped()
    await over_grpc.start()
    running = asyncio.create_task(http.serve())
    while not (http.started or running.done()):
        await asyncio.sleep(0.01)
    event(
        "ready",
        model=predictor.name,
        version=served.version,
        digest=predictor.digest,
        graph=predictor.graph,
        signed_by=predictor.signed.by,
        address=f"{'https' if serving.certificate else 'http'}://{serving.host}:{serving.port}",
        grpc=f"{serving.host}:{serving.grpc_port}",
    )
    following = asyncio.create_task(_follow(served, serving, source))
    await asyncio.wait({running, asyncio.create_task(stop.wait())}, return_when="FIRST_COMPLETED")
    following.cancel()
    await _drain(served, stop)
    http.should_exit = True
    await asyncio.gather(over_grpc.stop(serving.limits.deadline_seconds), running)
    served.batcher.close()
    if served.challenger is not None:
        served.challenger.close()
        served.challenger.model.batcher.close()
    await asyncio.to_thread(tracing.close)
    event("stopped")


async def _follow(served: Served, serving: Serving, source: Source | None) -> None:
    """Exchange the model whenever another one should be served."""
    if source is None or serving.follow_seconds is None:
        return
    follower = Follower(served, source, partial(_opened, int8=serving.int8))
    await follower.run(serving.follow_seconds)


async def _drain(served: Served, stop: asyncio.Event) -> None:
    """Refuse readiness, and answer who comes all the same; a second signal shortens it."""
    served.draining = True
    event("draining", seconds=served.limits.drain_seconds)
    stop.clear()
    try:
        await asyncio.wait_for(stop.wait(), served.limits.drain_seconds)
    except TimeoutError:
        return


def _stopped() -> asyncio.Event:
    """Is set by SIGTERM and Ctrl-C."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    return stop


class _Http(uvicorn.Server):
    """uvicorn, which leaves signals to us."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield


def _config(served: Served, access: Access, serving: Serving, tracing: Tracing) -> uvicorn.Config:
    limits = serving.limits
    return uvicorn.Config(
        application(served, access, tracing),
        host=serving.host,
        port=serving.port,
        http=protocol_of(limits),
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=BACKLOG,
        timeout_keep_alive=limits.idle_seconds,
        timeout_graceful_shutdown=limits.deadline_seconds,
        ssl_certfile=serving.certificate,
        ssl_keyfile=serving.key,
    )


def _credentials(serving: Serving) -> grpc.ServerCredentials | None:
    if serving.certificate is None or serving.key is None:
        return None
    pair = (serving.key.read_bytes(), serving.certificate.read_bytes())
    return grpc.ssl_server_credentials([pair])


def _require_pair(serving: Serving) -> None:
    """See that certificate and key can be used; gRPC would only say that it has no port."""
    if serving.certificate is None or serving.key is None:
        return
    try:
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(
            serving.certificate, serving.key, password=""
        )
    except (OSError, ValueError) as error:
        raise UnstainedError(
            f"{serving.certificate} and {serving.key} cannot be used for TLS: {error}",
            "give a certificate and its own key, both as PEM and the key without a password",
        ) from None


def _require_free(host: str, port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise UnstainedError(
                f"port {port} cannot be used: {error.strerror}",
                "stop what listens there, or choose others with --port and --grpc-port",
            ) from None

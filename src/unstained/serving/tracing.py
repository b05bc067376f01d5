"""Traces of requests by OpenTelemetry, where the deployment names a collector.

Nothing of OpenTelemetry is imported without OTEL_EXPORTER_OTLP_ENDPOINT. A span tells a request's
path, status and identifier, the same as the log, and who was asked before (`traceparent`); never
pixels, never what a client sent.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, TypeAlias

from unstained import __version__
from unstained.errors import UnstainedError

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
SERVICE: Final = "OTEL_SERVICE_NAME"

Said: TypeAlias = dict[str, str | int]
"""Attributes of a span; what is written into it while the request is answered is kept, too."""


class Tracing:
    """Makes a span of each request.

    Args:
        provider: of spans; None: nothing is traced.
    """

    def __init__(self, provider: TracerProvider | None = None) -> None:
        self._provider = provider

    @contextmanager
    def span(self, name: str, headers: Mapping[str, str]) -> Iterator[Said]:
        """Around the answering of a request.

        Args:
            name: of the kind of request.
            headers: of the request, or metadata of a call, in lower case.

        Yields:
            Attributes, which are read when the request was answered.
        """
        said: Said = {}
        if self._provider is None:
            yield said
            return
        from opentelemetry.trace import SpanKind, StatusCode
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        before = TraceContextTextMapPropagator().extract(dict(headers))
        tracer = self._provider.get_tracer("unstained.serving", __version__)
        span = tracer.start_span(name, before, SpanKind.SERVER)
        try:
            yield said
        finally:
            span.set_attributes(said)
            if int(said.get("http.response.status_code", 200)) >= 500:
                span.set_status(StatusCode.ERROR)
            span.end()

    def close(self) -> None:
        """Send what was not sent yet."""
        if self._provider is not None:
            self._provider.shutdown()


def tracing_of(environment: Mapping[str, str] = os.environ) -> Tracing:
    """Traces as the environment asks for them; by OpenTelemetry's own variables, over HTTP.

    Raises:
        UnstainedError: a collector is named, and OpenTelemetry's exporter is not installed.
    """
    if not any(environment.get(name) for name in ENDPOINTS):
        return Tracing()
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ModuleNotFoundError as error:
        raise UnstainedError(
            f"traces are asked for, and this environment lacks the package {error.name}",
            f"install opentelemetry-exporter-otlp-proto-http, or unset {' and '.join(ENDPOINTS)}",
        ) from None
    told = {"service.version": __version__, "service.name": environment.get(SERVICE, "unstained")}
    provider = TracerProvider(resource=Resource.create(told))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return Tracing(provider)

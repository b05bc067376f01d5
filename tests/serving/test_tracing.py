"""Spans of requests, as a collector gets them."""

from __future__ import annotations

import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import grpc
import numpy as np
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.serving.conftest import start_server
from tests.serving.test_server import grpc_request
from unstained.errors import UnstainedError
from unstained.serving.messages import message
from unstained.serving.tracing import ENDPOINTS, Tracing, tracing_of

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


class Collector(ThreadingHTTPServer):
    """Keeps what is exported to it."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.requests: list[ExportTraceServiceRequest] = []

    @property
    def spans(self) -> list[tuple[str, dict[str, object], str, str, int]]:
        return [
            (
                span.name,
                {a.key: a.value.int_value or a.value.string_value for a in span.attributes},
                span.trace_id.hex(),
                span.parent_span_id.hex(),
                span.status.code,
            )
            for request in self.requests
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]


class Handler(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        assert self.path == "/v1/traces"
        self.server.requests.append(ExportTraceServiceRequest.FromString(body))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as found:
        threading.Thread(target=found.serve_forever, daemon=True).start()
        yield found
        found.shutdown()


def test_requests_of_both_transports_are_traced(
    artifact: Path, tmp_path: Path, collector: Collector
) -> None:
    address = f"http://127.0.0.1:{collector.server_address[1]}"
    told = {"OTEL_EXPORTER_OTLP_ENDPOINT": address, "OTEL_EXPORTER_OTLP_COMPRESSION": "none"}
    running = start_server(artifact, tmp_path / "log", {**told, "OTEL_SERVICE_NAME": "lab"})
    try:
        headers = {"traceparent": f"00-{TRACE}-{PARENT}-01", "X-Request-Id": "mine"}
        asked = urllib.request.Request(f"{running.url}/v2/models/none", headers=headers)
        with pytest.raises(urllib.error.HTTPError):
            urllib.request.urlopen(asked, timeout=30)
        with grpc.insecure_channel(running.grpc) as channel:
            call = channel.unary_unary(
                "/inference.GRPCInferenceService/ModelInfer",
                message("ModelInferRequest").SerializeToString,
                message("ModelInferResponse").FromString,
            )
            request = grpc_request([1, 1, 2, 2], np.full(4, 700, np.uint16).tobytes())
            answer = call(request, metadata=(("traceparent", headers["traceparent"]),))
    finally:
        running.stop()
    spans = {name: rest for name, *rest in collector.spans}
    assert set(spans) == {"GET", "ModelInfer"}
    attributes, *place = spans["GET"]
    assert attributes == {
        "http.request.method": "GET",
        "url.path": "/v2/models/none",
        "http.response.status_code": 404,
        "unstained.request.id": "mine",
    }
    assert place == [TRACE, PARENT, 0]
    attributes, *place = spans["ModelInfer"]
    assert (attributes["unstained.request.id"], place[:2]) == (answer.id, [TRACE, PARENT])
    resource = collector.requests[0].resource_spans[0].resource
    assert "lab" in {one.value.string_value for one in resource.attributes}


def test_a_collector_that_is_away_costs_no_answer(artifact: Path, tmp_path: Path) -> None:
    away = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "OTEL_EXPORTER_OTLP_TIMEOUT": "1"}
    running = start_server(artifact, tmp_path / "log", away)
    with urllib.request.urlopen(f"{running.url}/v2", timeout=30) as answer:
        assert answer.status == 200
    running.stop()
    assert running.process.returncode == 0


def test_a_missing_exporter_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    name = "opentelemetry.exporter.otlp.proto.http.trace_exporter"
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(UnstainedError, match="lacks the package opentelemetry"):
        tracing_of({ENDPOINTS[0]: "http://127.0.0.1:4318"})


def test_without_a_collector_nothing_is_traced() -> None:
    tracing = tracing_of({})
    with tracing.span("GET", {}) as said:
        said["url.path"] = "/"
    tracing.close()
    assert isinstance(tracing, Tracing)

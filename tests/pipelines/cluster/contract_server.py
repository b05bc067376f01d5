"""A Kubeflow Pipelines API on loopback: as strict as its published description, faulty on demand.

Every request and every answer is checked against the description. A violation is answered with 400
and kept in `violations`; the fixture fails the test for it.
"""

from __future__ import annotations

import json
import re
import ssl
import threading
from dataclasses import dataclass
from email.parser import BytesParser
from email.policy import HTTP
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from google.protobuf.json_format import ParseError

from tests.pipelines.cluster.cluster_state import ClusterState, Refusal
from tests.pipelines.cluster.description import Description, Operation, Violation

PREFIX = "/apis/v2beta1"


@dataclass
class Fault:
    """What goes wrong with requests that match.

    Attributes:
        method: HTTP method.
        path: regular expression for the path behind the prefix.
        status: answer with this status and `body`; or
        hang: give no answer until the server stops; or
        drop: close the connection without an answer.
        times: for so many requests; None is for ever.
        after: carry the request out first, so that only its answer is lost.
    """

    method: str
    path: str
    status: int = 0
    body: bytes | None = None
    hang: bool = False
    drop: bool = False
    times: int | None = None
    after: bool = False

    def strikes(self, method: str, path: str) -> bool:
        """Whether it hits this request; counts down."""
        if method != self.method or not re.fullmatch(self.path, path) or self.times == 0:
            return False
        if self.times is not None:
            self.times -= 1
        return True


@dataclass
class Request:
    """A request as it arrived."""

    method: str
    path: str
    query: dict[str, str]
    body: Any
    headers: dict[str, str]


class ContractServer:
    """The server; use it as a context manager.

    Args:
        description: judge of requests and answers.
        token: bearer token to insist on.
        multi_user: insist on a namespace.
        tls: context for HTTPS.
    """

    def __init__(
        self,
        description: Description,
        token: str | None = None,
        multi_user: bool = False,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.description = description
        self.token = token
        self.requests: list[Request] = []
        self.violations: list[str] = []
        self.faults: list[Fault] = []
        self.state = ClusterState(multi_user)
        self.active_schedules: list[int] = []
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._http.daemon_threads = True
        if tls:
            self._http.socket = tls.wrap_socket(self._http.socket, server_side=True)
        scheme = "https" if tls else "http"
        self.address = f"{scheme}://127.0.0.1:{self._http.server_address[1]}"
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)

    def __enter__(self) -> ContractServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def fail(self, method: str, path: str, **how: Any) -> None:
        """Let matching requests fail; see `Fault`."""
        self.faults.append(Fault(method, path, **how))

    def sent(self, method: str, path: str) -> list[Request]:
        """Requests that matched so far."""
        return [
            request
            for request in self.requests
            if request.method == method and re.fullmatch(path, request.path)
        ]

    def answer(self, method: str, target: str, headers: dict[str, str], body: bytes) -> Any:
        """(status, body) for a request; None to close the connection instead."""
        parts = urlsplit(target)
        path = parts.path.removeprefix(PREFIX)
        with self._lock:
            fault = next((f for f in self.faults if f.strikes(method, path)), None)
            early = fault is not None and not fault.after
            result = None if early else self._judged(method, parts, headers, body)
            self.active_schedules.append(
                sum(entry["mode"] == "ENABLE" for entry in self.state.schedules.values())
            )
        if fault is None:
            return result
        if fault.hang:
            self._stopping.wait()
        if fault.hang or fault.drop:
            return None
        said = json.dumps({"code": 13, "message": "injected failure", "details": []}).encode()
        return fault.status, said if fault.body is None else fault.body

    def _judged(self, method: str, parts: Any, headers: dict[str, str], body: bytes) -> Any:
        try:
            operation = self.description.operation(method, parts.path)
            query = self.description.check_query(
                operation, parse_qsl(parts.query, keep_blank_values=True)
            )
            content = self._content(operation, headers, body)
            self.requests.append(
                Request(method, parts.path.removeprefix(PREFIX), query, content, headers)
            )
            status, answer = self._carried_out(operation, query, content, headers)
            self.description.check_answer(operation, status, answer)
        except (Violation, ParseError, ValueError, KeyError) as error:
            self.violations.append(f"{method} {parts.path}: {type(error).__name__} {error}")
            status, answer = 400, _status(400, f"violation: {error}")
        return status, json.dumps(answer).encode()

    def _content(self, operation: Operation, headers: dict[str, str], body: bytes) -> Any:
        fields = operation.parameters("formData")
        content_type = headers.get("content-type", "")
        if not fields:
            return self.description.check_body(operation, body, content_type)
        if not content_type.startswith("multipart/form-data"):
            raise Violation(f"{operation.name}: the form is {content_type!r}")
        head = f"Content-Type: {content_type}\r\n\r\n".encode()
        parts = list(BytesParser(policy=HTTP).parsebytes(head + body).iter_parts())
        names = [part.get_param("name", header="content-disposition") for part in parts]
        if names != list(fields):
            raise Violation(f"{operation.name}: fields {names}, described are {list(fields)}")
        file_name = parts[0].get_filename() or ""
        if not file_name.endswith((".yaml", ".yml")):
            raise Violation(f"{operation.name}: the server cannot tell what {file_name!r} is")
        return parts[0].get_payload(decode=True)

    def _carried_out(
        self, operation: Operation, query: dict[str, str], content: Any, headers: dict[str, str]
    ) -> tuple[int, Any]:
        try:
            if self.token and headers.get("authorization") != f"Bearer {self.token}":
                raise Refusal(401, "Request header error: there is no user identity header.")
            return 200, self.state.carry_out(operation, query, content)
        except Refusal as refusal:
            return refusal.status, _status(refusal.status, refusal.message)


def _status(status: int, message: str) -> dict[str, Any]:
    codes = {400: 3, 401: 16, 403: 7, 404: 5, 409: 6}
    return {"code": codes.get(status, 13), "message": message, "details": []}


def _handler(server: ContractServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # head and body in one packet: two would wait for an acknowledgement each

        def _serve(self) -> None:
            length = int(self.headers.get("content-length") or 0)
            headers = {name.lower(): value for name, value in self.headers.items()}
            answer = server.answer(self.command, self.path, headers, self.rfile.read(length))
            if answer is None:
                self.close_connection = True
                return
            status, body = answer
            self.send_response(status)
            if 300 <= status < 400:
                self.send_header("location", "/login")
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_DELETE = do_PATCH = do_PUT = _serve  # noqa: N815

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    return Handler

"""MLflow's server behind tokens: who asks is known, and one account alone moves the champion.

A file of the folder TOKENS is an account, its content the token:

| account | may |
|---|---|
| reader | look |
| writer | and make experiments, runs, logged models, models and new versions |
| promoter | everything: the promotion ledger, aliases and tags of models, renaming, deleting |

MLflow's own basic-auth has one permission, EDIT, for a new version and for an alias. The ledger is
recorded as versions of the model NAME.ledger: who makes a version of that promotes. A token goes
as `Authorization: Bearer TOKEN` (MLFLOW_TRACKING_TOKEN), or as the password of the account's name,
which a browser asks for. The files are read at every request, so that a Secret is rotated without a
restart.

`mlflow server --app-name unstained` finds this module by the entry point beside it.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import ipaddress
import json
import os
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

ACCOUNTS = ("reader", "writer", "promoter")
OPEN = ("/health", "/version")
READING = ("GET", "HEAD", "OPTIONS")
FILES = "mlflow-artifacts"
MADE_BY_TASKS = ("experiments", "runs", "logged-models")
REGISTERED = ("registered-models", "model-versions")
SEARCHED = (*MADE_BY_TASKS, *REGISTERED, "datasets", "metrics", "traces")
LEDGER = ".ledger"
LONGEST = 2**20
"""Bytes of a request whose content is looked at: a new model or version."""


class Guard:
    """An ASGI application in front of another one.

    Args:
        app: MLflow's.
        tokens: folder with one file an account.
    """

    def __init__(self, app: App, tokens: Path) -> None:
        self.app, self.tokens = app, tokens

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer 401 or 403."""
        if scope["type"] == "lifespan" or scope["path"] in OPEN:
            await self.app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        account = self._account(headers.get(b"authorization", b"").decode("latin-1"))
        if scope["type"] != "http":  # nothing of MLflow that we use is a web socket
            await send({"type": "websocket.close", "code": 1008})
        elif account is None:
            await _refuse(send, 401, "UNAUTHENTICATED", "a token is needed, or another one")
        elif not allowed(account, scope["method"], scope["path"]):
            said = f"the account {account} may not {scope['method']} {scope['path']}"
            await _refuse(send, 403, "PERMISSION_DENIED", said)
        elif account == "writer" and _makes_registered(scope["method"], scope["path"]):
            body = await _content(receive)
            if body is None or _of_a_ledger(body):
                said = f"the account {account} may not write promotion ledgers"
                await _refuse(send, 403, "PERMISSION_DENIED", said)
            else:
                await self._pass(scope, _again(body), send)
        else:
            await self._pass(scope, receive, send)

    async def _pass(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app({**scope, "headers": _named_host(scope["headers"])}, receive, send)

    def _account(self, authorization: str) -> str | None:
        scheme, _, given = authorization.partition(" ")
        name, token = "", given.strip()
        if scheme.lower() == "basic":
            try:
                name, _, token = base64.b64decode(token, validate=True).decode().partition(":")
            except (binascii.Error, UnicodeDecodeError):
                return None
        elif scheme.lower() != "bearer":
            return None
        for account in ACCOUNTS:
            file = self.tokens / account
            known = file.read_text().strip().encode() if file.is_file() else b""
            if known and name in ("", account) and hmac.compare_digest(known, token.encode()):
                return account
        return None


def allowed(account: str, method: str, path: str) -> bool:
    """Whether an account may do that: what is not known to be harmless is the promoter's."""
    words = [word for word in path.split("/") if word]
    area, last = _area(words), words[-1] if words else ""
    searches = area in SEARCHED and (last.startswith("search") or last == "get-history-bulk")
    asks = method == "POST" and (searches or words == ["graphql"])
    if account == "promoter" or method in READING or asks:
        return True
    if account == "reader":
        return False
    if area == FILES:
        return method != "DELETE"
    return area in MADE_BY_TASKS or (area in REGISTERED and last == "create")


def _area(words: list[str]) -> str:
    """What a path of MLflow's API is about: /api/2.0/mlflow/AREA/..., or files."""
    if len(words) < 4 or words[0] not in ("api", "ajax-api"):
        return ""
    return {"mlflow": words[3], FILES: FILES}.get(words[2], "")


def _makes_registered(method: str, path: str) -> bool:
    words = [word for word in path.split("/") if word]
    return method not in READING and _area(words) in REGISTERED and words[-1] == "create"


async def _content(receive: Receive) -> bytes | None:
    """The whole body; None where it is too long or its sender left."""
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
        if message["type"] == "http.disconnect" or len(body) > LONGEST:
            return None
    return body


def _again(body: bytes) -> Receive:
    async def receive() -> Any:
        return {"type": "http.request", "body": body, "more_body": False}

    return receive


def _of_a_ledger(body: bytes) -> bool:
    """Whether a model or version belongs to a ledger; what cannot be read counts as one."""
    try:
        content = json.loads(body)
        content = json.loads(content) if isinstance(content, str) else content  # as MLflow does
        return str(content["name"]).strip().lower().endswith(LEDGER)
    except (ValueError, TypeError, KeyError):
        return True


def _named_host(headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """The headers, with `localhost` for a Host that is an address.

    Prometheus asks by the pod's address. MLflow allows hosts by patterns, and one of addresses,
    such as 10.*, would fit the name 10.evil.example too. DNS rebinding always comes with a name.
    """
    return [(key, _local(value) if key == b"host" else value) for key, value in headers]


def _local(host: bytes) -> bytes:
    text = host.decode("latin-1")
    address = text[1 : text.find("]")] if text.startswith("[") else text.partition(":")[0]
    try:
        ipaddress.ip_address(address)
    except ValueError:
        return host
    return b"localhost:5000"


async def _refuse(send: Send, status: int, code: str, said: str) -> None:
    body = json.dumps({"error_code": code, "message": said}).encode()
    headers = [(b"content-type", b"application/json")]
    if status == 401:
        headers.append((b"www-authenticate", b'Basic realm="MLflow: an account and its token"'))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def create_app() -> App:
    """The guarded server, for uvicorn."""
    from mlflow.server.fastapi_app import app

    return Guard(app, Path(os.environ["TOKENS"]))

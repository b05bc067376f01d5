"""What each account of MLflow may do, and that tokens are read anew."""

from __future__ import annotations

import asyncio
import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.k8s.manifests import ROOT

API = "/api/2.0/mlflow"


@pytest.fixture(scope="module")
def guard() -> ModuleType:
    path = ROOT / "k8s/base/mlflow/unstained_guard.py"
    spec = importlib.util.spec_from_file_location("unstained_guard", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("method", "path", "least"),
    [
        ("GET", "/", "reader"),
        ("GET", "/metrics", "reader"),
        ("GET", f"{API}/registered-models/alias", "reader"),
        ("POST", f"{API}/runs/search", "reader"),
        ("POST", "/ajax-api/2.0/mlflow/runs/search", "reader"),
        ("POST", f"{API}/model-versions/search", "reader"),
        ("POST", "/graphql", "reader"),
        ("POST", f"{API}/runs/create", "writer"),
        ("POST", f"{API}/runs/log-batch", "writer"),
        ("PATCH", f"{API}/logged-models/m-1/tags", "writer"),
        ("PUT", "/api/2.0/mlflow-artifacts/artifacts/1/a.txt", "writer"),
        ("POST", "/api/2.0/mlflow-artifacts/mpu/create/1/search.txt", "writer"),
        ("POST", f"{API}/model-versions/create", "writer"),
        ("DELETE", "/api/2.0/mlflow-artifacts/artifacts/1/a.txt", "promoter"),
        ("POST", f"{API}/registered-models/alias", "promoter"),
        ("DELETE", f"{API}/registered-models/alias", "promoter"),
        ("POST", f"/{API}//registered-models/alias/", "promoter"),
        ("POST", f"{API}/registered-models/set-tag", "promoter"),
        ("POST", f"{API}/registered-models/rename", "promoter"),
        ("POST", f"{API}/model-versions/set-tag", "promoter"),
        ("DELETE", f"{API}/model-versions/delete", "promoter"),
        ("PATCH", f"{API}/model-versions/update", "promoter"),
        ("POST", f"{API}/model-versions/transition-stage", "promoter"),
        ("POST", "/ajax-api/3.0/jobs/search", "promoter"),
        ("POST", "/gateway/x/mlflow/invocations", "promoter"),
    ],
)
def test_who_may(guard: ModuleType, method: str, path: str, least: str) -> None:
    may = [account for account in guard.ACCOUNTS if guard.allowed(account, method, path)]
    assert may == list(guard.ACCOUNTS[guard.ACCOUNTS.index(least) :])


async def passed(scope: Any, receive: Any, send: Any) -> None:
    """Stands in for MLflow: answers what it was sent, and under which host."""
    message = await receive()
    host = dict(scope["headers"])[b"host"]
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": host + b" " + message["body"]})


def ask(
    guard: ModuleType, tokens: Path, authorization: str, *parts: bytes, **more: Any
) -> tuple[int, bytes]:
    """Status and body of the answer to a request whose body comes in parts."""
    sent: list[Any] = []
    messages = [
        {"type": "http.request", "body": part, "more_body": number < len(parts)}
        for number, part in enumerate(parts, 1)
    ]

    async def receive() -> Any:
        return messages.pop(0) if messages else {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(b"host", b"10.1.2.3:5000"), (b"authorization", authorization.encode())]
    scope = {"type": "http", "method": "POST", "path": f"{API}/model-versions/create"}
    app = guard.Guard(passed, tokens)
    asyncio.run(app({**scope, "headers": headers, **more}, receive, send))
    return sent[0]["status"], sent[1]["body"]


def test_a_new_token_counts_at_once(guard: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "promoter").write_text("old\n")
    assert ask(guard, tmp_path, "Bearer old", b"{}")[0] == 200
    (tmp_path / "promoter").write_text("new\n")
    assert ask(guard, tmp_path, "Bearer old", b"{}")[0] == 401
    assert ask(guard, tmp_path, "bearer new", b"{}")[0] == 200
    (tmp_path / "promoter").write_text("")
    for nothing in ("Bearer ", "", "Basic Og==", "Basic ?", "Digest new"):
        assert ask(guard, tmp_path, nothing, b"{}")[0] == 401, nothing


def test_what_a_task_sends_is_looked_at_and_passed_on_whole(
    guard: ModuleType, tmp_path: Path
) -> None:
    (tmp_path / "writer").write_text("w")
    body = json.dumps({"name": "unstained-nsc"}).encode()
    assert ask(guard, tmp_path, "Bearer w", body[:5], body[5:]) == (200, b"localhost:5000 " + body)
    for wrong in (
        json.dumps({"name": "unstained-nsc.ledger"}).encode(),
        json.dumps(json.dumps({"name": "unstained-nsc.ledger"})).encode(),
        b'{"name": "x", "name": "unstained-nsc.ledger"}',
        b"no json",
        b"[]",
        b"{}",
        b"x" * (guard.LONGEST + 1),
    ):
        assert ask(guard, tmp_path, "Bearer w", wrong)[0] == 403, wrong[:60]


def test_web_sockets_are_closed(guard: ModuleType, tmp_path: Path) -> None:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    app = guard.Guard(passed, tmp_path)
    asyncio.run(app({"type": "websocket", "path": "/", "headers": []}, None, send))
    assert sent == [{"type": "websocket.close", "code": 1008}]

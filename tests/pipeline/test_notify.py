"""The last task of a run tells how it ended, and a silent web hook harms nothing."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from unstained.pipeline.notify import notify_in_pod


def given(tmp_path: Path, state: str, error: str | None = None) -> dict[str, Any]:
    status = SimpleNamespace(state=state, error_message=error, pipeline_job_resource_name="run-1")
    summary = SimpleNamespace(path=str(tmp_path / "deep" / "summary"))
    return {"study": "nsc", "status": status, "summary": summary}


@pytest.fixture
def hook() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A web hook and what it was told."""
    told: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            told.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/", told
    server.shutdown()


def test_a_failure_is_told(
    tmp_path: Path, hook: tuple[str, list[dict[str, Any]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    address, told = hook
    monkeypatch.setenv("UNSTAINED_NOTIFY_URL", address)
    notify_in_pod(given(tmp_path, "FAILED", "train failed"))
    said = "nsc: the pipeline run ended as FAILED: train failed"
    assert told == [{"text": said, "study": "nsc", "run": "run-1"}]
    assert (tmp_path / "deep" / "summary").read_text() == said + "\n"


def test_without_a_hook_the_page_says_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.delenv("UNSTAINED_NOTIFY_URL", raising=False)
    notify_in_pod(given(tmp_path, "SUCCEEDED"))
    assert "succeeded" in capsys.readouterr().out


@pytest.mark.parametrize("address", ["http://127.0.0.1:9/", "no address"])
def test_a_hook_that_fails_is_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any, address: str
) -> None:
    monkeypatch.setenv("UNSTAINED_NOTIFY_URL", address)
    notify_in_pod(given(tmp_path, "SUCCEEDED"))
    assert "warning: UNSTAINED_NOTIFY_URL" in capsys.readouterr().err

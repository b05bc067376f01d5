"""The end of a server: requests that it took are answered, and whoever comes meanwhile too."""

from __future__ import annotations

import http.client
import json
import signal
import threading
import time
import urllib.error
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from tests.serving.conftest import Running, start_server
from tests.serving.test_server import INFER, call, tensor
from tests.serving.test_trust import binary, described
from unstained.temporary import temporary_folder


@pytest.fixture
def ending(artifact: Path, tmp_path: Path) -> Running:
    return start_server(artifact, tmp_path / "log", {"UNSTAINED_LIMIT_DRAIN_SECONDS": "1"})


def test_sigterm_under_load_resets_nobody(ending: Running) -> None:
    """Clients that open a connection a request, until they see that the server is not ready."""
    body = {"inputs": [tensor()], "outputs": [{"name": "logits"}]}
    seen: Counter[object] = Counter()
    unready = threading.Event()

    def client() -> None:
        while not unready.is_set():
            try:
                seen[call(ending, INFER, body)[0]] += 1
            except (urllib.error.URLError, OSError) as error:
                seen[repr(error)] += 1

    clients = [threading.Thread(target=client) for _ in range(4)]
    for each in clients:
        each.start()
    large = np.full((3000, 1, 32, 32), 700, np.uint16)
    head = {"inputs": [described(large)], "outputs": [{"name": "logits"}]}
    answers: list[int] = []
    slow = threading.Thread(target=lambda: answers.append(binary(ending, head, large.tobytes())[0]))
    slow.start()
    time.sleep(0.05)
    ending.process.send_signal(signal.SIGTERM)
    while call(ending, "/v2/health/ready")[0] == 200:
        time.sleep(0.01)
    assert call(ending, "/v2/health/ready") == (503, {"ready": False})
    assert call(ending, "/v2/health/live") == (200, {"live": True})
    unready.set()
    for each in (*clients, slow):
        each.join(30)
    assert ending.process.wait(30) == 0
    assert set(seen) == {200}
    assert answers == [200]
    events = [json.loads(line)["event"] for line in ending.log.read_text().splitlines()]
    assert events == ["unsigned", "ready", "draining", "stopped"]


def test_a_second_signal_shortens_the_drain(artifact: Path, tmp_path: Path) -> None:
    running = start_server(artifact, tmp_path / "log", {"UNSTAINED_LIMIT_DRAIN_SECONDS": "300"})
    running.process.send_signal(signal.SIGTERM)
    while call(running, "/v2/health/ready")[0] == 200:
        time.sleep(0.01)
    running.process.send_signal(signal.SIGINT)
    assert running.process.wait(30) == 0


def test_a_killed_server_leaves_nobody_waiting(artifact: Path, tmp_path: Path) -> None:
    """What it had taken is lost, but its clients are told at once, by the end of the connection.

    Its folder for the page's samples is swept by the next process.
    """
    place = tmp_path / "temporary"
    place.mkdir()
    running = start_server(artifact, tmp_path / "log", {"TMPDIR": str(place)})
    assert call(running, "/ui/api/model")[0] == 200
    large = np.full((2000, 1, 32, 32), 700, np.uint16)
    head = {"inputs": [described(large)], "outputs": [{"name": "logits"}]}
    failures: list[BaseException] = []

    def ask() -> None:
        try:
            while True:
                assert binary(running, head, large.tobytes())[0] == 200
        except (OSError, http.client.HTTPException) as error:
            failures.append(error)

    clients = [threading.Thread(target=ask) for _ in range(3)]
    for each in clients:
        each.start()
    time.sleep(0.3)
    running.process.kill()
    running.process.wait()
    for each in clients:
        each.join(5)
    assert len(failures) == 3
    (left,) = place.iterdir()
    with temporary_folder(place=place) as folder:
        assert list(place.iterdir()) == [folder] != [left]

"""What is written to a connection, and what is remembered of requests that look alike."""

from __future__ import annotations

import asyncio
import json
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np

from tests.serving.artifacts import CELLS, opened
from tests.serving.conftest import Running
from tests.serving.test_server import INFER
from unstained.serving.codec import HEADER, Codec
from unstained.serving.connections import SHORT, Corked
from unstained.serving.limits import Limits
from unstained.serving.targets import Target


class Written:
    """A transport that keeps what it is given."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self.closed = False

    def write(self, data: bytes) -> None:
        assert not self.closed
        self.parts.append(data)

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed


def test_a_head_is_sent_with_its_body() -> None:
    async def play() -> None:
        below: Any = Written()
        corked = Corked(below, asyncio.get_running_loop())
        corked.write(b"head ")
        assert below.parts == []
        corked.write(b"body")
        assert below.parts == [b"head body"]
        corked.write(b"alone")
        await asyncio.sleep(0)
        assert below.parts[1:] == [b"alone"]
        corked.write(bytes(SHORT + 1))
        assert len(below.parts[2]) == SHORT + 1
        corked.write(b"last")
        corked.close()
        assert below.parts[3:] == [b"last"]
        assert corked.is_closing()
        corked.write(b"after the client left")
        await asyncio.sleep(0)
        assert len(below.parts) == 4

    asyncio.run(play())


def test_requests_with_one_head_have_pixels_and_names_of_their_own(artifact: Path) -> None:
    """What JSON says is remembered, what follows it is not."""
    codec = Codec(opened(Target(artifact, None)), "1", Limits())
    tensor = {"name": "pixels", "datatype": "UINT16", "shape": [1, *CELLS.shape[1:]]}
    tensor["parameters"] = {"binary_data_size": CELLS[0].nbytes}
    head = json.dumps({"inputs": [tensor]}).encode()
    one, two = (
        codec.read(head + cell.tobytes(), str(len(head)), name)
        for cell, name in zip(CELLS[:2], ("a", "b"), strict=True)
    )
    assert (one.id, two.id) == ("a", "b")
    np.testing.assert_array_equal(np.concatenate([one.pixels, two.pixels]), CELLS[:2])


def test_the_short_way_answers_as_the_route(server: Running) -> None:
    """A path with a version goes by the routes, one without does not."""
    tensor = {"name": "pixels", "datatype": "UINT16", "shape": list(CELLS.shape)}
    tensor["parameters"] = {"binary_data_size": CELLS.nbytes}
    asked = {"inputs": [tensor], "parameters": {"binary_data_output": True}, "id": "x"}
    head = json.dumps(asked).encode()

    def answer(path: str) -> tuple[dict[str, Any], bytes]:
        told = {HEADER: str(len(head))}
        request = urllib.request.Request(f"{server.url}{path}", head + CELLS.tobytes(), told)
        with urllib.request.urlopen(request, timeout=30) as found:
            body, end = found.read(), int(found.headers[HEADER])
            assert found.headers["X-Request-Id"]
        return json.loads(body[:end]), body[end:]

    first = answer(INFER)
    version = first[0]["model_version"]
    assert answer(INFER.replace("/infer", f"/versions/{version}/infer")) == first
    sizes = [one["parameters"]["binary_data_size"] for one in first[0]["outputs"]]
    assert sum(sizes) == len(first[1])

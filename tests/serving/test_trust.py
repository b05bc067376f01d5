"""What an attack on a server tries: each is refused with a reason, by a limit, and cheaply."""

from __future__ import annotations

import http.client
import json
import socket
import struct
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb
from kserve.protocol.grpc.grpc_predict_v2_pb2_grpc import GRPCInferenceServiceStub

from tests.serving.conftest import Running, start_server
from tests.serving.test_server import INFER, NAME, PIXELS, call, grpc_request, tensor
from unstained.artifact.artifact import artifact_digest
from unstained.serving.codec import HEADER

LIMITS = {
    "UNSTAINED_LIMIT_CELLS": "3000",
    "UNSTAINED_LIMIT_PIXELS": "1000000",
    "UNSTAINED_LIMIT_JSON_BYTES": "1000000",
    "UNSTAINED_LIMIT_ANSWER_BYTES": "200000",
    "UNSTAINED_LIMIT_HEADER_SECONDS": "1",
    "UNSTAINED_LIMIT_BODY_SECONDS": "1",
    "UNSTAINED_LIMIT_CONNECTIONS": "30",
}


@pytest.fixture(scope="module")
def strict(artifact: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server with small limits."""
    running = start_server(artifact, tmp_path_factory.mktemp("strict") / "log", LIMITS)
    yield running
    running.stop()
    assert "Traceback" not in running.log.read_text()


def connected(server: Running) -> socket.socket:
    host, port = server.url.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=20)


def sent(server: Running, text: bytes) -> tuple[int, bytes]:
    """Status and body of what a server answers to some bytes."""
    with connected(server) as connection:
        connection.sendall(text)
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        return answer.status, answer.read()


def binary(server: Running, head: Any, tail: bytes, path: str = INFER) -> tuple[int, Any]:
    text = head if isinstance(head, bytes) else json.dumps(head).encode()
    headers = {"Content-Type": "application/octet-stream", HEADER: str(len(text))}
    return call(server, path, text + tail, **headers)


def described(pixels: np.ndarray, **changes: Any) -> dict[str, Any]:
    content = tensor(pixels, parameters={"binary_data_size": pixels.nbytes}, **changes)
    return {key: value for key, value in content.items() if key != "data" or "data" in changes}


@pytest.mark.parametrize(
    ("shape", "said"),
    [((1_000_000, 1, 1, 1), "3000"), ((2, 1, 800, 800), "1000000 pixels|pixels.*1000000")],
)
def test_too_many_cells_or_pixels_are_refused_at_once(
    strict: Running, shape: tuple[int, ...], said: str
) -> None:
    pixels = np.ones(shape, np.uint16)
    began = time.monotonic()
    status, answer = binary(strict, {"inputs": [described(pixels)]}, pixels.tobytes())
    assert status == 413
    assert said.split("|")[0].split()[0] in answer["error"]
    assert "send several" in answer["error"]
    assert time.monotonic() - began < 5


def test_a_body_that_says_that_it_is_too_large_is_not_awaited(strict: Running) -> None:
    head = f"POST {INFER} HTTP/1.1\r\nHost: x\r\nContent-Length: 9999999999\r\n\r\n"
    status, said = sent(strict, head.encode())
    assert status == 413
    assert b"1000000 are read" in said


def test_a_body_that_does_not_say_its_length_is_counted(strict: Running) -> None:
    head = f"POST {INFER} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunk = b"40000\r\n" + b" " * 0x40000 + b"\r\n"
    assert sent(strict, head.encode() + 5 * chunk)[0] == 413


def test_compressed_bodies_are_not_opened(strict: Running) -> None:
    status, answer = call(strict, INFER, b"bomb", **{"Content-Encoding": "gzip"})
    assert status == 415
    assert "uncompressed" in answer["error"]


ODD = {
    "NaN": (b'{"inputs": NaN}', "no JSON"),
    "NaN in a field": (b'{"id": NaN, "inputs": []}', "no JSON"),
    "lone surrogate": (b'{"id": "\\ud800", "inputs": []}', "no JSON"),
    "number as id": ({"id": 5, "inputs": [tensor()]}, "id must be a text"),
    "long id": ({"id": "x" * 300, "inputs": [tensor()]}, "at most 256"),
    "depth": (b'{"inputs": ' + b"[" * 5000 + b"]" * 5000 + b"}", ""),
    "parameters": ({"parameters": 5, "inputs": [tensor()]}, "parameters must be an object"),
    "list": ([1], "the request must be an object"),
    "inputs": ({"inputs": [5]}, "an input must be an object"),
    "shape": ({"inputs": [tensor(shape=5)]}, "shape is 5"),
    "shape of text": ({"inputs": [tensor(shape="abcd")]}, "shape is 'abcd'"),
    "shape of truth": ({"inputs": [tensor(shape=[True, 1, 1, 1], data=[7])]}, "shape is [True"),
    "name": ({"inputs": [tensor(name=["pixels"])]}, "given: ['pixels']"),
    "outputs": ({"inputs": [tensor()], "outputs": 5}, "outputs must be a list"),
    "output": ({"inputs": [tensor()], "outputs": [{"name": {}}]}, "no output {}"),
    "flag": (
        {"inputs": [tensor()], "outputs": [{"name": "logits", "parameters": {"binary_data": 1}}]},
        "binary_data must be true or false",
    ),
    "object of data": ({"inputs": [tensor(data={"a": 1})]}, "no array of numbers"),
    "deep data": ({"inputs": [tensor(shape=[1, 1, 1, 1], data=[[[[[7]]]]])]}, "whole numbers"),
}


@pytest.mark.parametrize("case", ODD)
def test_json_that_is_no_request(strict: Running, case: str) -> None:
    body, said = ODD[case]
    status, answer = call(strict, INFER, body)
    assert status == 400
    assert said in answer["error"]
    assert len(answer["error"]) < 400


ONE = np.full((1, 1, 2, 2), 700, np.uint16)
ODD_BINARY = {
    "parameters": ({"parameters": 5, "inputs": [described(ONE)]}, "must be an object"),
    "BYTES": ({"inputs": [described(ONE, datatype="BYTES")]}, "datatype is 'BYTES'"),
    "size": (
        {"inputs": [{**described(ONE), "parameters": {"binary_data_size": 7}}]},
        "binary_data_size is 7; 8 bytes follow",
    ),
    "size of text": (
        {"inputs": [{**described(ONE), "parameters": {"binary_data_size": "8"}}]},
        "binary_data_size is '8'",
    ),
    "both": ({"inputs": [described(ONE, data=[1])]}, "not both"),
    "unclaimed": ({"inputs": [tensor(ONE)]}, "8 bytes follow"),
    "shape": ({"inputs": [described(ONE, shape=[1, 1, 3, 3])]}, "needs 18"),
}


@pytest.mark.parametrize("case", ODD_BINARY)
def test_binary_requests_that_are_none(strict: Running, case: str) -> None:
    head, said = ODD_BINARY[case]
    status, answer = binary(strict, head, ONE.tobytes())
    assert status == 400
    assert said in answer["error"]


def test_texts_of_a_bad_length_do_not_crash_the_decoder(strict: Running) -> None:
    head = {"inputs": [{**described(ONE, datatype="BYTES"), "shape": [1]}]}
    assert binary(strict, head, struct.pack("<I", 2**31) + b"abcd")[0] == 400


def test_both_ways_of_the_binary_extension(server: Running) -> None:
    """What JSON and bytes say is the same; an output's own wish outweighs the request's."""
    asked = {"inputs": [described(PIXELS)], "outputs": [{"name": "logits"}]}
    _, plain = binary(server, asked, PIXELS.tobytes())
    for wish in (
        {**asked, "parameters": {"binary_data_output": True}},
        {**asked, "outputs": [{"name": "logits", "parameters": {"binary_data": True}}]},
    ):
        head = json.dumps(wish).encode()
        request = urllib.request.Request(
            server.url + INFER, head + PIXELS.tobytes(), {HEADER: str(len(head))}
        )
        with urllib.request.urlopen(request, timeout=20) as answer:
            assert answer.headers["Content-Type"] == "application/octet-stream"
            end, body = int(answer.headers[HEADER]), answer.read()
        (output,) = json.loads(body[:end])["outputs"]
        assert "data" not in output
        assert output["parameters"]["binary_data_size"] == len(body) - end
        found = np.frombuffer(body[end:], "<f4").reshape(output["shape"])
        np.testing.assert_allclose(found.ravel(), plain["outputs"][0]["data"], rtol=1e-5)


def test_versions_are_known_by_number_or_digest(server: Running, artifact: Path) -> None:
    digest = artifact_digest(artifact)
    status, metadata = call(server, f"/v2/models/{NAME}")
    assert metadata["versions"] == [digest[:12]]
    for version in (digest, digest[:12]):
        place = f"/v2/models/{NAME}/versions/{version}"
        assert call(server, f"{place}/ready") == (200, {"name": NAME, "ready": True})
        status, answer = call(server, f"{place}/infer", {"inputs": [tensor()]})
        assert (status, answer["model_version"]) == (200, digest[:12])
    for end, body in (("", None), ("/ready", None), ("/infer", {"inputs": [tensor()]})):
        status, answer = call(server, f"/v2/models/{NAME}/versions/7{end}", body)
        assert status == 404
        assert "has no version '7'" in answer["error"]


def refusal(server: Running, method: str, request: Any) -> grpc.RpcError:
    with grpc.insecure_channel(server.grpc) as channel, pytest.raises(grpc.RpcError) as refused:
        getattr(GRPCInferenceServiceStub(channel), method)(request)
    return refused.value


def test_grpc_models_are_not_loaded_by_clients(strict: Running) -> None:
    for verb in ("Load", "Unload"):
        request = getattr(pb, f"RepositoryModel{verb}Request")(model_name=NAME)
        refused = refusal(strict, f"RepositoryModel{verb}", request)
        assert refused.code() == grpc.StatusCode.PERMISSION_DENIED
        assert "the deployment decides" in refused.details()


def test_grpc_versions(strict: Running, artifact: Path) -> None:
    request = grpc_request(list(PIXELS.shape), PIXELS.tobytes())
    request.model_version = "7"
    assert refusal(strict, "ModelInfer", request).code() == grpc.StatusCode.NOT_FOUND
    for method in ("ModelReady", "ModelMetadata"):
        asked = getattr(pb, f"{method}Request")(name=NAME, version="7")
        assert refusal(strict, method, asked).code() == grpc.StatusCode.NOT_FOUND
    request.model_version = artifact_digest(artifact)
    with grpc.insecure_channel(strict.grpc) as channel:
        answer = GRPCInferenceServiceStub(channel).ModelInfer(request)
    assert answer.model_version == artifact_digest(artifact)[:12]


def test_an_answer_too_large_for_grpc_is_not_computed(strict: Running) -> None:
    pixels = np.full((500, 1, 4, 4), 700, np.uint16)
    request = grpc_request(list(pixels.shape), pixels.tobytes())
    refused = refusal(strict, "ModelInfer", request)
    assert refused.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "ask for fewer outputs" in refused.details()
    request.outputs.add(name="probabilities")
    with grpc.insecure_channel(strict.grpc) as channel:
        (output,) = GRPCInferenceServiceStub(channel).ModelInfer(request).outputs
    assert (output.name, list(output.shape)) == ("probabilities", [500, 3])


def test_grpc_takes_numbers_as_well_as_bytes(strict: Running) -> None:
    request = grpc_request([1, 1, 2, 2], b"")
    del request.raw_input_contents[:]
    request.inputs[0].contents.uint_contents.extend([700, 701, 702, 703])
    with grpc.insecure_channel(strict.grpc) as channel:
        stub = GRPCInferenceServiceStub(channel)
        by_numbers = stub.ModelInfer(request)
        raw = np.array([700, 701, 702, 703], np.uint16).tobytes()
        assert (
            stub.ModelInfer(grpc_request([1, 1, 2, 2], raw)).raw_output_contents
            == by_numbers.raw_output_contents
        )
    request.inputs[0].contents.uint_contents[0] = 70000
    assert refusal(strict, "ModelInfer", request).code() == grpc.StatusCode.INVALID_ARGUMENT
    request.raw_input_contents.append(raw)
    assert "or contents" in refusal(strict, "ModelInfer", request).details()


@pytest.mark.parametrize(
    ("text", "status"),
    [
        (b"", 408),
        (b"POST / HTTP/1.1\r\nHost:", 408),
        (f"POST {INFER} HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\n{{".encode(), 408),
        (b"GET / HTTP/1.1\r\n" + b"X-Filler: 0123456789\r\n" * 4000, 431),
        (b"nonsense\r\n\r\n", 400),
    ],
)
def test_slow_long_and_broken_requests_are_ended(strict: Running, text: bytes, status: int) -> None:
    began = time.monotonic()
    assert sent(strict, text)[0] == status
    assert time.monotonic() - began < 10


def test_an_answer_that_nobody_reads_is_not_kept(strict: Running) -> None:
    pixels = np.full((3000, 1, 2, 2), 700, np.uint16)
    head = json.dumps({"inputs": [described(pixels)]}).encode()
    told = f"{HEADER}: {len(head)}\r\nContent-Length: {len(head) + pixels.nbytes}"
    host, port = strict.url.removeprefix("http://").split(":")
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(20)
        connection.connect((host, int(port)))
        request = f"POST {INFER} HTTP/1.1\r\nHost: x\r\n{told}\r\n\r\n".encode()
        connection.sendall(request + head + pixels.tobytes())
        time.sleep(2)
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        assert (answer.status, int(answer.headers["Content-Length"]) > 10**6) == (200, True)
        with pytest.raises((http.client.IncompleteRead, ConnectionResetError)):
            answer.read()


def test_more_connections_than_allowed_are_turned_away(strict: Running) -> None:
    idle = [connected(strict) for _ in range(30)]
    try:
        with connected(strict) as one_more:
            assert one_more.recv(100).startswith(b"HTTP/1.1 503 ")
        assert all(each.recv(100).startswith(b"HTTP/1.1 408 ") for each in idle)
    finally:
        for each in idle:
            each.close()
    assert call(strict, "/v2/health/ready")[0] == 200


def test_a_bad_request_is_one_line_of_the_log(strict: Running) -> None:
    before = strict.log.stat().st_size
    for _ in range(5):
        assert call(strict, INFER, {"inputs": [tensor(name="x" * 5000)]})[0] == 400
    deadline = time.monotonic() + 20
    lines: list[dict[str, Any]] = []
    while len(lines) < 5 and time.monotonic() < deadline:  # written after the answer was sent
        with strict.log.open() as log:
            log.seek(before)
            lines = [json.loads(line) for line in log]
    assert [(line["event"], line["status"], line["level"]) for line in lines] == [
        ("request", 400, "warning")
    ] * 5
    assert all(len(line["said"]) <= 300 for line in lines)
    assert len({line["id"] for line in lines}) == 5


def test_an_identifier_comes_back_unless_it_could_forge(strict: Running) -> None:
    for given, kept in (("run-7", True), ("x" * 100, False)):
        request = urllib.request.Request(f"{strict.url}/v2", headers={"X-Request-Id": given})
        with urllib.request.urlopen(request, timeout=20) as answer:
            assert (answer.headers["X-Request-Id"] == given) is kept


def test_pages_of_other_origins_are_not_served(strict: Running) -> None:
    origin = {"Origin": "https://elsewhere.example", "Sec-Fetch-Site": "cross-site"}
    assert call(strict, INFER, {"inputs": [tensor()]}, **origin)[0] == 403
    request = urllib.request.Request(f"{strict.url}/v2", headers=origin)
    with urllib.request.urlopen(request, timeout=20) as answer:
        assert not [name for name in answer.headers if name.lower().startswith("access-control")]


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((2, 1, 30, 30), np.uint16),
        np.full((2, 1, 30, 30), 65535, np.uint16),
        np.full((1, 1, 1, 1), 700, np.uint16),
        np.full((1, 1, 1, 500), 1, np.uint16),
    ],
)
def test_images_without_a_cell_are_answered_and_abstained_from(
    server: Running, pixels: np.ndarray
) -> None:
    status, answer = binary(server, {"inputs": [described(pixels)]}, pixels.tobytes())
    assert status == 200
    outputs = {output["name"]: output for output in answer["outputs"]}
    probabilities = np.array(outputs["probabilities"]["data"]).reshape(-1, 3)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)
    reasons = list(json.loads(outputs["abstention"]["parameters"]["reasons"]))
    found = np.array(outputs["abstention"]["data"]).reshape(len(pixels), len(reasons))
    assert found[:, reasons.index("empty")].all()


def test_liveness_answers_while_a_large_request_is_computed(server: Running) -> None:
    pixels = np.full((4000, 1, 32, 32), 700, np.uint16)
    head = {"inputs": [described(pixels)], "outputs": [{"name": "probabilities"}]}
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(binary, server, head, pixels.tobytes())
        times = []
        while not asked.done():
            began = time.monotonic()
            assert call(server, "/v2/health/live") == (200, {"live": True})
            assert call(server, INFER, {"inputs": [tensor()]})[0] == 200
            times.append(time.monotonic() - began)
        status, answer = asked.result()
    assert status == 200
    assert answer["outputs"][0]["shape"] == [4000, 3]
    assert len(times) > 1

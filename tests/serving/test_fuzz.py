"""Whatever is sent, the answer is a good one or the client's error: never a failure of the server.

A few hundred requests here; `test_a_hundred_thousand_requests` sends many, with flat memory.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from pathlib import Path
from typing import Any

import grpc
import httpx
import numpy as np
import psutil
import pytest
import schemathesis
import uvloop
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb
from safetensors.numpy import load_file
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

from tests.bench.bench_serve import posted
from tests.bench.load import Connection
from tests.serving.conftest import Running
from tests.serving.test_server import INFER, NAME
from unstained.serving.codec import HEADER
from unstained.serving.messages import message

QUICK = settings(
    max_examples=100,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
METHOD = "/inference.GRPCInferenceService/"
REFUSALS = {
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    grpc.StatusCode.PERMISSION_DENIED,
}

schema = schemathesis.pytest.from_fixture("document")


@pytest.fixture(scope="module")
def document(server: Running) -> Any:
    return schemathesis.openapi.from_url(f"{server.url}/openapi.json")


@schema.parametrize()
@settings(QUICK, max_examples=5)
def test_openapi(case: schemathesis.Case, server: Running) -> None:
    answer = case.call(base_url=server.url)
    # A schema cannot say that a shape's product is the number of values, nor is at most a limit.
    unsaid = [positive_data_acceptance]
    if answer.status_code == 413:
        unsaid.append(negative_data_rejection)
    case.validate_response(answer, excluded_checks=unsaid)


VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=6,
)
SHAPES = st.lists(st.integers(-2, 5) | st.integers(), max_size=5) | st.just([1, 1, 2, 2]) | VALUES
TENSORS = st.fixed_dictionaries(
    {
        "name": st.just("pixels") | VALUES,
        "datatype": st.sampled_from(["UINT16", "BYTES", "FP32", "BOOL"]) | VALUES,
        "shape": SHAPES,
    },
    optional={
        "data": st.lists(st.integers(0, 65535), max_size=8) | VALUES,
        "parameters": st.fixed_dictionaries({}, optional={"binary_data_size": VALUES | st.just(8)})
        | VALUES,
    },
)
REQUESTS = st.fixed_dictionaries(
    {"inputs": st.lists(TENSORS, max_size=2) | VALUES},
    optional={
        "id": VALUES,
        "parameters": st.fixed_dictionaries({"binary_data_output": st.booleans()}) | VALUES,
        "outputs": st.lists(
            st.fixed_dictionaries({"name": st.sampled_from(["logits", "cam", "x"]) | VALUES})
        )
        | VALUES,
    },
)


def written(content: Any) -> bytes:
    """As Python writes JSON, which is more than JSON: NaN, and halves of characters."""
    return json.dumps(content).encode()


@pytest.fixture(scope="module")
def client(server: Running) -> Any:
    with httpx.Client(base_url=server.url, timeout=20) as opened:
        yield opened


@QUICK
@given(REQUESTS | VALUES)
def test_json(client: httpx.Client, content: Any) -> None:
    answer = client.post(INFER, content=written(content))
    assert answer.status_code < 500, answer.text
    assert answer.json()


@QUICK
@given(REQUESTS, st.binary(max_size=40), st.integers(-5, 400) | st.none())
def test_binary_extension(
    client: httpx.Client, content: Any, tail: bytes, length: int | None
) -> None:
    head = written(content)
    told = {HEADER: str(len(head) if length is None else length)}
    answer = client.post(INFER, content=head + tail, headers=told)
    assert answer.status_code < 500, answer.text


MODEL = st.sampled_from([NAME, NAME, NAME, "other", ""])
VERSIONS = st.sampled_from(["", "", "", "7"])
GRPC_TENSORS = st.builds(
    pb.ModelInferRequest.InferInputTensor,
    name=st.sampled_from(["pixels", "pixels", "x"]),
    datatype=st.sampled_from(["UINT16", "UINT16", "BYTES", ""]),
    shape=st.just([1, 1, 2, 2]) | st.lists(st.integers(-(2**63), 2**63 - 1), max_size=5),
    contents=st.none()
    | st.builds(
        pb.InferTensorContents,
        uint_contents=st.lists(st.integers(0, 2**32 - 1), max_size=5),
        bytes_contents=st.lists(st.binary(), max_size=2),
    ),
)
GRPC_REQUESTS = st.builds(
    pb.ModelInferRequest,
    model_name=MODEL,
    model_version=VERSIONS,
    id=st.text(max_size=300),
    inputs=st.lists(GRPC_TENSORS, min_size=1, max_size=2),
    outputs=st.lists(
        st.builds(
            pb.ModelInferRequest.InferRequestedOutputTensor, name=st.sampled_from(["logits", "x"])
        ),
        max_size=3,
    ),
    raw_input_contents=st.just([bytes(8)]) | st.lists(st.binary(max_size=12), max_size=2),
)


@pytest.fixture(scope="module")
def channel(server: Running) -> Any:
    with grpc.insecure_channel(server.grpc) as opened:
        yield opened


def answered(channel: grpc.Channel, method: str, raw: bytes) -> tuple[grpc.StatusCode, bytes]:
    """Status and answer of a call."""
    try:
        return grpc.StatusCode.OK, channel.unary_unary(METHOD + method)(raw)
    except grpc.RpcError as refused:
        return refused.code(), refused.details()


@QUICK
@given(GRPC_REQUESTS)
def test_grpc_requests(channel: grpc.Channel, request_: pb.ModelInferRequest) -> None:
    code, said = answered(channel, "ModelInfer", request_.SerializeToString())
    assert code in REFUSALS | {grpc.StatusCode.OK}, said
    if code == grpc.StatusCode.OK:
        answer = message("ModelInferResponse").FromString(said)
        assert len(answer.outputs) == len(answer.raw_output_contents) > 0


@QUICK
@given(st.sampled_from(["ModelInfer", "ModelMetadata", "ServerLive"]), st.binary(max_size=60))
def test_grpc_bytes(channel: grpc.Channel, method: str, raw: bytes) -> None:
    code, said = answered(channel, method, raw)
    assert code in REFUSALS | {grpc.StatusCode.OK}, said


CONNECTIONS = 8


@pytest.mark.minutes
def test_a_hundred_thousand_requests(server: Running, artifact: Path) -> None:
    """Good and bad, of ever new shapes: nothing but 2xx and 4xx, in memory that does not grow."""
    golden = load_file(artifact / "golden.safetensors")["pixels"]
    process, held = psutil.Process(server.process.pid), []
    for part in range(10):
        numbers = range(10_000 * part, 10_000 * (part + 1))
        uvloop.run(soak(server.url.removeprefix("http://"), golden, numbers))
        held.append(process.memory_info().rss)
    growth = [after - before for before, after in itertools.pairwise(held[3:])]
    assert sum(growth) < 30e6, held


async def soak(address: str, golden: np.ndarray, numbers: range) -> None:
    """Send numbered requests over few connections, and look at every status."""
    host, port = address.split(":")
    loop = asyncio.get_running_loop()

    async def client(first: int) -> None:
        _, connection = await loop.create_connection(lambda: Connection(b""), host, int(port))
        for number in numbers[first::CONNECTIONS]:
            connection.request = numbered(golden, number)
            if number % 3 == 0:
                with pytest.raises(RuntimeError, match=r"HTTP/1\.1 400"):
                    await connection.ask()
            else:
                await connection.ask()
        connection.transport.close()

    await asyncio.gather(*map(client, range(CONNECTIONS)))


def numbered(golden: np.ndarray, number: int) -> bytes:
    """A request over the wire, one of three with a byte too few."""
    side = 1 + number * 7 % 97
    pixels = golden[number % len(golden), None, :, :side, : side + number % 5]
    tensor = {"name": "pixels", "datatype": "UINT16", "shape": list(pixels.shape)}
    size = pixels.nbytes + (number % 3 == 0)
    head = written({"inputs": [{**tensor, "parameters": {"binary_data_size": size}}]})
    told = f"{HEADER}: {len(head)}\r\n"
    return posted(INFER, head + pixels.tobytes(), "application/octet-stream", told)

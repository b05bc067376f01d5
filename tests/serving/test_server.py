"""The protocol, spoken with a real server process over loopback."""

from __future__ import annotations

import json
import subprocess
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb
from kserve.protocol.grpc.grpc_predict_v2_pb2_grpc import GRPCInferenceServiceStub

from tests.exported import raw_cells
from tests.serving.conftest import Running, free_ports, serve_command
from unstained.artifact.artifact import artifact_digest
from unstained.artifact.inference import open_session, run_session
from unstained.artifact.padding import pad_batch

NAME = "unstained-toy"
INFER = f"/v2/models/{NAME}/infer"
PIXELS = pad_batch(raw_cells(3, seed=5))
OUTPUTS = [
    "probabilities",
    "logits",
    "targets",
    "cam",
    "embedding",
    "conformal_set",
    "abstention",
]


def call(server: Running, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
    """Status and JSON answer; a body that is not bytes is sent as JSON."""
    data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(
        server.url + path, data, {"Content-Type": "application/json", **headers}
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def tensor(pixels: np.ndarray = PIXELS, **changes: Any) -> dict[str, Any]:
    content = {"name": "pixels", "shape": list(pixels.shape), "datatype": "UINT16"}
    return {**content, "data": pixels.ravel().tolist(), **changes}


@pytest.fixture(scope="module")
def expected(artifact: Path) -> dict[str, np.ndarray]:
    return run_session(open_session(artifact / "model.onnx"), PIXELS)


def test_metadata_describes_input_and_outputs(server: Running) -> None:
    assert call(server, "/v2/health/ready") == (200, {"ready": True})
    assert call(server, "/v2/health/live") == (200, {"live": True})
    assert call(server, f"/v2/models/{NAME}/ready") == (200, {"name": NAME, "ready": True})
    status, metadata = call(server, f"/v2/models/{NAME}")
    assert status == 200
    assert metadata["inputs"] == [
        {"name": "pixels", "datatype": "UINT16", "shape": [-1, 1, -1, -1]}
    ]
    shapes = {output["name"]: output["shape"] for output in metadata["outputs"]}
    assert list(shapes) == OUTPUTS
    assert shapes["probabilities"] == shapes["conformal_set"] == [-1, 3]


@pytest.mark.parametrize("data", [PIXELS.ravel().tolist(), PIXELS.tolist()], ids=["flat", "nested"])
def test_rest_answers_as_the_graph(
    server: Running, expected: dict[str, np.ndarray], data: list[Any], artifact: Path
) -> None:
    status, answer = call(server, INFER, {"inputs": [tensor(data=data)]})
    assert status == 200
    assert answer["id"]
    assert answer["parameters"]["artifact_digest"] == artifact_digest(artifact)
    assert answer["parameters"]["git_commit"] == "0123abc"
    outputs = {output["name"]: output for output in answer["outputs"]}
    assert list(outputs) == OUTPUTS
    for name, values in expected.items():
        found = np.array(outputs[name]["data"]).reshape(outputs[name]["shape"])
        np.testing.assert_allclose(found, values, rtol=1e-5, atol=1e-5)
    assert json.loads(outputs["probabilities"]["parameters"]["classes"]) == ["a", "b", "c"]
    (target,) = json.loads(outputs["targets"]["parameters"]["targets"])
    assert (target["name"], target["unit"]) == ("DNA", "au")


def test_the_id_of_a_request_comes_back_with_what_it_asked_for(server: Running) -> None:
    body = {"id": "42", "inputs": [tensor()], "outputs": [{"name": "conformal_set"}]}
    _, answer = call(server, INFER, body)
    assert answer["id"] == "42"
    (output,) = answer["outputs"]
    assert (output["name"], output["datatype"], output["shape"]) == (
        "conformal_set",
        "BOOL",
        [3, 3],
    )
    assert json.loads(output["parameters"]["alpha"]) == 0.1


def test_binary_rest_requests_are_read(server: Running, expected: dict[str, np.ndarray]) -> None:
    described = tensor(parameters={"binary_data_size": PIXELS.nbytes})
    del described["data"]
    head = json.dumps({"inputs": [described]}).encode()
    headers = {
        "Content-Type": "application/octet-stream",
        "Inference-Header-Content-Length": str(len(head)),
    }
    status, answer = call(server, INFER, head + PIXELS.tobytes(), **headers)
    assert status == 200
    found = np.array(answer["outputs"][0]["data"]).reshape(3, 3)
    np.testing.assert_allclose(found, expected["probabilities"], rtol=1e-5, atol=1e-5)


WRONG = {
    "name": ({"name": "image"}, "the one input is 'pixels'"),
    "datatype": ({"datatype": "FP32"}, "takes raw counts as UINT16"),
    "unknown datatype": ({"datatype": "PIXEL"}, "takes raw counts as UINT16"),
    "rank": ({"shape": [3, PIXELS.shape[2], PIXELS.shape[3]]}, "expected [cells, 1, height"),
    "channels": ({"shape": [1, 3, *PIXELS.shape[2:]]}, "expected [cells, 1, height"),
    "no cell": ({"shape": [0, 1, 4, 4], "data": []}, "each at least 1"),
    "negative side": ({"shape": [1, 1, -1, 4]}, "each at least 1"),
    "too few values": ({"data": [700]}, "data of shape [1]"),
    "no values": ({"data": None}, "no array of numbers"),
    "other nesting": (
        {"data": PIXELS.reshape(1, 3, *PIXELS.shape[2:]).tolist()},
        "data of another shape",
    ),
    "ragged": ({"shape": [1, 1, 1, 3], "data": [[1], [2, 3]]}, "no array of numbers"),
    "fraction": ({"shape": [1, 1, 1, 2], "data": [700, 700.5]}, "whole numbers from 0 to 65535"),
    "negative": ({"shape": [1, 1, 1, 2], "data": [700, -1]}, "whole numbers from 0 to 65535"),
    "too large": ({"shape": [1, 1, 1, 2], "data": [700, 65536]}, "whole numbers from 0 to 65535"),
    "huge": ({"shape": [1, 1, 1, 2], "data": [700, 10**30]}, "whole numbers from 0 to 65535"),
    "truth values": ({"shape": [1, 1, 1, 2], "data": [True, False]}, "whole numbers"),
    "text": ({"shape": [1, 1, 1, 2], "data": ["7", "8"]}, "whole numbers"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_tensor_is_the_clients_error(server: Running, case: str) -> None:
    changes, message = WRONG[case]
    status, answer = call(server, INFER, {"inputs": [tensor(**changes)]})
    assert status == 400
    assert message in answer["error"]


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        (INFER, {"inputs": []}, 400),
        (INFER, {"inputs": [tensor(), tensor()]}, 400),
        (INFER, {"inputs": [tensor()], "outputs": [{"name": "lineage"}]}, 400),
        (INFER, {"inputs": 3}, 400),
        (INFER, b"{", 400),
        (INFER, b'{"inputs": ["\xff"]}', 400),
        ("/v2/models/other/infer", {"inputs": [tensor()]}, 404),
        (f"/v1/models/{NAME}:predict", {"instances": [1]}, 400),
        (f"/v1/models/{NAME}:explain", {"instances": [1]}, 400),
        (f"/v2/repository/models/{NAME}/load", {}, 403),
        (f"/v2/repository/models/{NAME}/unload", {}, 403),
    ],
)
def test_other_wrong_requests(server: Running, path: str, body: Any, status: int) -> None:
    assert call(server, path, body)[0] == status
    assert call(server, f"/v2/models/{NAME}/ready")[0] == 200


@pytest.mark.parametrize(
    ("length", "head"),
    [
        ("x", {"inputs": []}),
        ("-5", {"inputs": []}),
        ("10", {"inputs": [tensor()]}),
        (None, {}),
        (None, []),
        (None, {"inputs": [{}]}),
        (None, {"inputs": [tensor(data=None, parameters={"binary_data_size": 4})]}),
        (None, {"inputs": [tensor(data=None, shape=[10**30], parameters={"binary_data_size": 2})]}),
    ],
)
def test_malformed_binary_requests(server: Running, length: str | None, head: Any) -> None:
    text = json.dumps(head).encode()
    headers = {
        "Content-Type": "application/octet-stream",
        "Inference-Header-Content-Length": length or str(len(text)),
    }
    status, answer = call(server, INFER, text + b"\0\1\2\3", **headers)
    assert status == 400
    assert answer["error"]


def grpc_request(shape: list[int], raw: bytes, name: str = NAME) -> pb.ModelInferRequest:
    described = pb.ModelInferRequest.InferInputTensor(name="pixels", datatype="UINT16", shape=shape)
    return pb.ModelInferRequest(model_name=name, inputs=[described], raw_input_contents=[raw])


def test_grpc_answers_as_the_graph(server: Running, expected: dict[str, np.ndarray]) -> None:
    with grpc.insecure_channel(server.grpc) as channel:
        stub = GRPCInferenceServiceStub(channel)
        assert stub.ModelReady(pb.ModelReadyRequest(name=NAME)).ready
        answer = stub.ModelInfer(grpc_request(list(PIXELS.shape), PIXELS.tobytes()))
    assert answer.id
    raw = dict(zip([o.name for o in answer.outputs], answer.raw_output_contents, strict=True))
    for name, values in expected.items():
        found = np.frombuffer(raw[name], np.float32).reshape(values.shape)
        np.testing.assert_allclose(found, values, rtol=1e-5, atol=1e-5)
    assert np.frombuffer(raw["conformal_set"], np.bool_).shape == (9,)


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (grpc_request([1, 1, 2, 2], b"\0" * 7), grpc.StatusCode.INVALID_ARGUMENT),
        (grpc_request([2, 2], b"\0" * 8), grpc.StatusCode.INVALID_ARGUMENT),
        (grpc_request([1, 1, 2, 2], b"\0" * 8, "other"), grpc.StatusCode.NOT_FOUND),
    ],
)
def test_grpc_refuses_with_a_status(
    server: Running, request_: pb.ModelInferRequest, code: grpc.StatusCode
) -> None:
    with grpc.insecure_channel(server.grpc) as channel, pytest.raises(grpc.RpcError) as refused:
        GRPCInferenceServiceStub(channel).ModelInfer(request_)
    assert refused.value.code() == code


def test_nothing_listens_when_the_artifact_is_refused(tmp_path: Path) -> None:
    port, grpc_port = free_ports(2)
    command = serve_command(tmp_path, port, grpc_port)
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode != 0
    assert f"{tmp_path} is no sealed artifact" in done.stderr
    assert "ready" not in done.stderr


def test_a_taken_port_is_named(server: Running, artifact: Path) -> None:
    port = server.url.rpartition(":")[2]
    (other,) = free_ports(1)
    command = serve_command(artifact, int(port), other)
    done = subprocess.run(command, capture_output=True, text=True)
    assert f"port {port} cannot be used" in done.stderr

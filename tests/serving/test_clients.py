"""KServe's own clients and the README's examples talk to the server."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from kserve import (
    InferenceGRPCClient,
    InferenceRESTClient,
    InferInput,
    InferRequest,
    RESTConfig,
)
from kserve.protocol.infer_type import RequestedOutput

from tests.serving.conftest import Running
from tests.serving.test_server import NAME, PIXELS, expected  # noqa: F401 - a fixture


def request(*, binary: bool) -> InferRequest:
    tensor = InferInput("pixels", list(PIXELS.shape), "UINT16")
    tensor.set_data_from_numpy(PIXELS, binary_data=binary)
    wanted = [RequestedOutput("logits", {"binary_data": binary})]
    return InferRequest(NAME, [tensor], request_outputs=wanted)


@pytest.mark.parametrize("binary", [False, True])
def test_kserve_over_rest(
    server: Running,
    expected: dict[str, np.ndarray],  # noqa: F811
    binary: bool,
) -> None:
    async def ask() -> None:
        client = InferenceRESTClient(RESTConfig(protocol="v2"))
        assert await client.is_server_live(server.url)
        assert await client.is_server_ready(server.url)
        assert await client.is_model_ready(server.url, NAME)
        answer = await client.infer(server.url, request(binary=binary), model_name=NAME)
        (output,) = answer.outputs
        np.testing.assert_allclose(output.as_numpy(), expected["logits"], rtol=1e-5, atol=1e-5)
        await client.close()

    asyncio.run(ask())


@pytest.mark.parametrize(("kind", "program"), [("bash", "bash"), ("python", sys.executable)])
def test_the_examples_of_the_readme(
    server: Running, repository: Path, kind: str, program: str
) -> None:
    text = (repository / "README.md").read_text()
    blocks = re.findall(rf"^```{kind}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    (example,) = (block for block in blocks if "infer" in block)
    own = example.replace("http://127.0.0.1:8080", server.url).replace("unstained-nsc", NAME)
    done = subprocess.run([program, "-c", own], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    if kind == "bash":
        assert json.loads(done.stdout)["outputs"][0]["shape"] == [1, 3]
    else:
        assert len(done.stdout.split()) >= 3


def test_the_python_example_of_the_readme(artifact: Path, repository: Path) -> None:
    text = (repository / "README.md").read_text()
    blocks = re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    (example,) = (block for block in blocks if "Predictor(" in block)
    own = example.replace("runs/nsc/export/cg_recnet/artifact", str(artifact))
    done = subprocess.run([sys.executable, "-c", own], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert len(re.findall(r"0\.\d+|1\. ", done.stdout)) == 6, done.stdout
    assert done.stdout.count("True") >= 2, "blank images are refused"


def test_kserve_over_grpc(server: Running, expected: dict[str, np.ndarray]) -> None:  # noqa: F811
    async def ask() -> None:
        async with InferenceGRPCClient(server.grpc) as client:
            assert await client.is_server_live()
            assert await client.is_server_ready()
            assert await client.is_model_ready(NAME)
            answer = await client.infer(request(binary=True))
        (output,) = answer.outputs
        np.testing.assert_allclose(output.as_numpy(), expected["logits"], rtol=1e-5, atol=1e-5)

    asyncio.run(ask())

"""KServe's own clients talk to the server, over REST with both forms of tensors, and over gRPC."""

from __future__ import annotations

import asyncio

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

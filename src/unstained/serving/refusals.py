"""Why a request is not answered, in the terms of both transports."""

from __future__ import annotations

from typing import Final

import grpc

CODES: Final = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    401: grpc.StatusCode.UNAUTHENTICATED,
    403: grpc.StatusCode.PERMISSION_DENIED,
    404: grpc.StatusCode.NOT_FOUND,
    413: grpc.StatusCode.RESOURCE_EXHAUSTED,
    429: grpc.StatusCode.RESOURCE_EXHAUSTED,
    500: grpc.StatusCode.INTERNAL,
    503: grpc.StatusCode.UNAVAILABLE,
    504: grpc.StatusCode.DEADLINE_EXCEEDED,
}
"""HTTP status -> status of gRPC."""


class RequestError(Exception):
    """A request that is not answered.

    Args:
        status: of HTTP; a key of `CODES` where gRPC can meet it.
        message: what was wrong and what is expected, for the client.
        retry_after: seconds after which the same request may succeed.
    """

    def __init__(self, status: int, message: str, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.retry_after = retry_after

    @property
    def headers(self) -> dict[str, str]:
        """Of the answer over HTTP."""
        return {} if self.retry_after is None else {"Retry-After": str(self.retry_after)}


def invalid(message: str) -> RequestError:
    """The client's error (400)."""
    return RequestError(400, message)

"""Who may ask: token, TLS, and what configuration is refused."""

from __future__ import annotations

import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb
from kserve.protocol.grpc.grpc_predict_v2_pb2_grpc import GRPCInferenceServiceStub
from typer.testing import CliRunner

from tests.serving.conftest import Running, start_server
from unstained.cli import app
from unstained.errors import ParameterError, UnstainedError
from unstained.serving.access import Access, token_of
from unstained.serving.limits import Limits, limits_of
from unstained.serving.refusals import RequestError

TOKEN = "a-token-of-some-length"


def own_certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that signs itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    certificate, private = folder / "certificate.pem", folder / "key.pem"
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return certificate, private


@pytest.fixture(scope="module")
def guarded(artifact: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server with a token and TLS."""
    folder = tmp_path_factory.mktemp("guarded")
    certificate, key = own_certificate(folder)
    (folder / "token").write_text(f"{TOKEN}\n")
    tls = ("--tls-certificate", str(certificate), "--tls-key", str(key))
    more = (*tls, "--token-file", str(folder / "token"))
    running = start_server(artifact, folder / "log", more=more, trusted=certificate)
    yield running
    running.stop()
    assert TOKEN not in running.log.read_text()


def status(server: Running, path: str, **headers: str) -> tuple[int, str]:
    """Status of an answer, and how a browser is asked for the token."""
    context = ssl.create_default_context(cafile=server.log.with_name("certificate.pem"))
    request = urllib.request.Request(server.url + path, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=20, context=context) as answer:
            return answer.status, ""
    except urllib.error.HTTPError as error:
        return error.code, error.headers["WWW-Authenticate"]


def test_rest_asks_for_the_token_but_not_probes(guarded: Running) -> None:
    for probe in ("live", "ready"):
        assert status(guarded, f"/v2/health/{probe}") == (200, "")
    asked = (401, 'Basic realm="unstained", charset="UTF-8"')
    for path in ("/v2", "/metrics", "/openapi.json", "/ui", "/nothing"):
        assert status(guarded, path) == asked
        assert status(guarded, path, Authorization="Bearer another-token-of-length") == asked
    assert status(guarded, "/v2", Authorization=f"Bearer {TOKEN}") == (200, "")


def test_grpc_asks_for_the_token_but_not_probes(guarded: Running) -> None:
    certificate = guarded.log.with_name("certificate.pem").read_bytes()
    credentials = grpc.ssl_channel_credentials(certificate)
    with grpc.secure_channel(guarded.grpc, credentials) as channel:
        stub = GRPCInferenceServiceStub(channel)
        assert stub.ServerReady(pb.ServerReadyRequest()).ready
        with pytest.raises(grpc.RpcError) as refused:
            stub.ServerMetadata(pb.ServerMetadataRequest())
        assert refused.value.code() == grpc.StatusCode.UNAUTHENTICATED
        told = (("authorization", f"Bearer {TOKEN}"),)
        answer = stub.ServerMetadata(pb.ServerMetadataRequest(), metadata=told)
        assert answer.name == "unstained"


@pytest.mark.parametrize(
    ("given", "good"),
    [
        (f"Bearer {TOKEN}", True),
        (f"bearer {TOKEN}", True),
        ("Basic bGFiOmEtdG9rZW4tb2Ytc29tZS1sZW5ndGg=", True),  # lab:<token>, as a browser sends it
        (None, False),
        ("", False),
        (TOKEN, False),
        (f"Bearer {TOKEN}x", False),
        ("Basic !", False),
        ("Basic bGFi", False),
    ],
)
def test_headers(given: str | None, good: bool) -> None:
    if good:
        Access(TOKEN).require(given)
        return
    with pytest.raises(RequestError, match="Bearer") as refused:
        Access(TOKEN).require(given)
    assert refused.value.status == 401


def test_without_a_token_none_is_asked_for() -> None:
    Access(None).require(None)


@pytest.mark.parametrize("token", ["", "short", "with a space in it, long", "café-café-café-café"])
def test_what_is_no_token_is_refused(tmp_path: Path, token: str) -> None:
    (tmp_path / "token").write_text(token)
    for file, environment in ((tmp_path / "token", {}), (None, {"UNSTAINED_TOKEN": token})):
        with pytest.raises(UnstainedError, match="holds no token") as refused:
            token_of(file, environment)
        assert "openssl rand" in refused.value.remedy


def test_tokens_are_read(tmp_path: Path) -> None:
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    assert token_of(tmp_path / "token", {"UNSTAINED_TOKEN": "x"}) == TOKEN
    assert token_of(None, {"UNSTAINED_TOKEN": TOKEN}) == TOKEN
    assert token_of(None, {}) is None
    with pytest.raises(UnstainedError, match="cannot be read"):
        token_of(tmp_path / "absent", {})


def test_limits_are_read_from_the_environment() -> None:
    found = limits_of({"UNSTAINED_LIMIT_CELLS": "7", "UNSTAINED_LIMIT_DRAIN_SECONDS": "0"})
    assert found == Limits(cells=7, drain_seconds=0)
    for name, value, said in (
        ("CELS", "7", "no such limit"),
        ("CELLS", "0", "at least 1"),
        ("CELLS", "many", "whole number"),
        ("CELLS", "1.5", "whole number"),
    ):
        with pytest.raises(UnstainedError, match=said):
            limits_of({f"UNSTAINED_LIMIT_{name}": value})


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "a study's champion or version, or an artifact"),
        (["nsc", "--artifact", "x"], "a study's champion or version, or an artifact"),
        (["nsc", "--version", "1", "--alias", "a"], "name one model each"),
        (["nsc", "--tls-key", "x"], "a certificate and its key"),
    ],
)
def test_command_lines_that_say_too_much_or_too_little(words: list[str], said: str) -> None:
    with pytest.raises(ParameterError, match=said):
        CliRunner().invoke(app, ["serve", *words], catch_exceptions=False)

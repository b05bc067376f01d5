"""Failures between us and the server: one message that says what is wrong and what to do."""

from __future__ import annotations

import datetime
import socket
import ssl
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from pipelines.cluster import ClusterError
from pipelines.cluster.connection import Connection
from pipelines.cluster.errors import TransientError
from pipelines.cluster.package import Package
from pipelines.cluster.registration import Registration, register
from pipelines.cluster.settings import from_environment
from tests.pipelines.cluster.contract_server import ContractServer
from unstained.errors import ParameterError


def reach(package: Path) -> Registration:
    """Connect and register."""
    return register(
        Connection(from_environment()),
        Package.read(package),
        pipeline="training",
        version="1f2e",
        experiment="nsc",
    )


@pytest.mark.parametrize(
    ("how", "message", "remedy"),
    [
        ({"status": 401}, "answers 401: injected failure", "KFP_TOKEN"),
        ({"status": 403}, "answers 403", "KFP_NAMESPACE"),
        ({"status": 302, "body": b""}, "answers 302", "KFP_TOKEN"),
        ({"status": 404, "body": b"<html>no</html>"}, "no Kubeflow Pipelines API", "apis/v2beta1"),
        ({"status": 503}, "answers 503", "server's log"),
        ({"status": 200, "body": b"<html>log in</html>"}, "not one of the", "login page"),
        ({"status": 200, "body": b"\xff\xfe"}, "not one of the", "login page"),
        ({"status": 200, "body": b"[]"}, "not one of the", "login page"),
        ({"status": 200, "body": b""}, "not one of the", "login page"),
        ({"drop": True}, "no whole answer", "KFP_TIMEOUT_S"),
    ],
)
@pytest.mark.parametrize("path", ["/healthz", "/pipelines"])
def test_every_refusal_is_explained(
    server: ContractServer,
    package: Path,
    path: str,
    how: dict[str, Any],
    message: str,
    remedy: str,
) -> None:
    if (path, how.get("status")) == ("/pipelines", 404):
        message, remedy = "answers 404: a web page", "run the same command again"
    server.fail("GET", path, **how)
    with pytest.raises(ClusterError) as caught:
        reach(package)
    assert message in caught.value.message
    assert remedy in caught.value.remedy
    assert "<" not in caught.value.message
    assert server.state.pipelines == {}


@pytest.mark.parametrize(
    ("path", "body", "said"),
    [
        ("/pipelines", b'{"code": 3, "message": "Invalid input error: the name is too long"}', ""),
        (
            "/pipelines/upload_version",
            b'{"error_message": "Invalid input error", "error_details": "the name is too long"}',
            "Invalid input error; ",
        ),
        ("/experiments", b"the name is too long", ""),
    ],
)
def test_the_servers_own_words_are_passed_on(
    server: ContractServer, package: Path, path: str, body: bytes, said: str
) -> None:
    server.fail("POST", path, status=400, body=body)
    with pytest.raises(ClusterError, match=f"answers 400: .*{said}.*the name is too long"):
        reach(package)
    assert server.requests[-1].method == "GET"  # a refused request is not repeated


def test_a_long_message_is_cut(server: ContractServer, package: Path) -> None:
    server.fail("POST", "/pipelines", status=400, body=b"stack " * 5000)
    with pytest.raises(ClusterError) as caught:
        reach(package)
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize("path", ["/pipelines", "/experiments", "/pipelines/upload_version"])
@pytest.mark.parametrize("status", [409, 500])
def test_a_creation_that_always_fails_ends(
    server: ContractServer, package: Path, path: str, status: int
) -> None:
    server.fail("POST", path, status=status)
    with pytest.raises(ClusterError, match=f"answers {status}"):
        reach(package)


def test_a_server_that_hangs(
    server: ContractServer, package: Path, environment: pytest.MonkeyPatch
) -> None:
    environment.setenv("KFP_TIMEOUT_S", "0.2")
    server.fail("GET", "/healthz", hang=True)
    with pytest.raises(TransientError, match=r"no whole answer within 0\.2 s"):
        reach(package)


def test_nothing_listens(package: Path, environment: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    environment.setenv("KFP_HOST", f"http://127.0.0.1:{port}")
    with pytest.raises(ClusterError, match="nothing answers at") as caught:
        reach(package)
    assert "port-forward" in caught.value.remedy


def test_a_host_that_does_not_exist(package: Path, environment: pytest.MonkeyPatch) -> None:
    environment.setenv("KFP_HOST", "http://kubeflow.invalid")
    with pytest.raises(ClusterError, match=r"nothing answers at http://kubeflow\.invalid"):
        reach(package)


def test_a_wrong_token_is_refused_and_never_shown(
    start: Callable[..., ContractServer], package: Path, environment: pytest.MonkeyPatch
) -> None:
    start(token="right")
    environment.setenv("KFP_TOKEN", "wrong-and-secret")
    with pytest.raises(ClusterError, match="answers 401") as caught:
        reach(package)
    assert "wrong-and-secret" not in f"{caught.value} {from_environment()!r}"


def test_several_users_need_a_namespace(
    start: Callable[..., ContractServer], package: Path
) -> None:
    server = start(multi_user=True)
    with pytest.raises(ClusterError, match="KFP_NAMESPACE is not set"):
        reach(package)
    assert [request.path for request in server.requests] == ["/healthz"]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Certificate and key of 127.0.0.1, signed by itself."""
    folder = tmp_path_factory.mktemp("tls")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "unstained test")])
    begin = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    signed = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(begin + datetime.timedelta(days=36500))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    (folder / "key.pem").write_bytes(private)
    return folder / "cert.pem", folder / "key.pem"


@pytest.fixture
def secure(start: Callable[..., ContractServer], certificate: tuple[Path, Path]) -> ContractServer:
    """A server on HTTPS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    return start(tls=context)


def test_an_unknown_authority_is_refused(secure: ContractServer, package: Path) -> None:
    with pytest.raises(ClusterError, match="no trusted connection") as caught:
        reach(package)
    assert "KFP_CA_CERT" in caught.value.remedy
    assert secure.requests == []


def test_a_named_authority_is_trusted(
    secure: ContractServer,
    package: Path,
    certificate: tuple[Path, Path],
    environment: pytest.MonkeyPatch,
) -> None:
    environment.setenv("KFP_CA_CERT", str(certificate[0]))
    assert reach(package).version_id in secure.state.versions


def test_https_to_a_plain_server(
    server: ContractServer, package: Path, environment: pytest.MonkeyPatch
) -> None:
    environment.setenv("KFP_HOST", server.address.replace("http", "https"))
    with pytest.raises(ClusterError, match="no trusted connection") as caught:
        reach(package)
    assert "http://" in caught.value.remedy


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({}, "KFP_HOST is not set"),
        ({"KFP_HOST": "localhost:8888"}, "KFP_HOST is 'localhost:8888'"),
        ({"KFP_HOST": "https://h/pipeline/#/runs"}, "no address of a server"),
        ({"KFP_HOST": "http://h", "KFP_UI_HOST": "h"}, "KFP_UI_HOST"),
        ({"KFP_HOST": "http://h", "KFP_CA_CERT": "none.pem"}, "KFP_CA_CERT names none.pem"),
        ({"KFP_HOST": "http://h", "KFP_TOKEN_FILE": "none"}, "KFP_TOKEN_FILE names none"),
        ({"KFP_HOST": "http://h", "KFP_TOKEN": "Bearer x"}, "KFP_TOKEN holds white space"),
        ({"KFP_HOST": "http://h", "KFP_TIMEOUT_S": "soon"}, "KFP_TIMEOUT_S is 'soon'"),
        ({"KFP_HOST": "http://h", "KFP_TIMEOUT_S": "0"}, "KFP_TIMEOUT_S"),
    ],
)
def test_a_wrong_environment_is_refused(
    environment: pytest.MonkeyPatch, variables: dict[str, str], message: str
) -> None:
    for name, value in variables.items():
        environment.setenv(name, value)
    with pytest.raises(ParameterError, match=message):
        from_environment()


def test_two_tokens_are_refused(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("x")
    environment.setenv("KFP_HOST", "http://h")
    environment.setenv("KFP_TOKEN", "x")
    environment.setenv("KFP_TOKEN_FILE", str(tmp_path / "token"))
    with pytest.raises(ParameterError, match="both set"):
        from_environment()

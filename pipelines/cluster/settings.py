"""Where the cluster is and who we are: deployment facts, from the environment alone.

| variable | meaning |
|---|---|
| KFP_HOST | address of the API: http://127.0.0.1:8888, https://kubeflow.example.org/pipeline |
| KFP_UI_HOST | address of the web interface where it differs from KFP_HOST |
| KFP_NAMESPACE | profile namespace; needed where Kubeflow serves several users |
| KFP_TOKEN, KFP_TOKEN_FILE | bearer token, or a file that holds one and may be renewed |
| KFP_CA_CERT | certificates to trust instead of the public ones |
| KFP_SERVICE_ACCOUNT | service account of the pods; without it that of k8s/, `unstained-pipeline` |
| KFP_TIMEOUT_S | seconds to wait for each answer, 30 |
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, field
from pathlib import Path

from unstained.errors import ParameterError

TIMEOUT_S = 30.0
SERVICE_ACCOUNT = "unstained-pipeline"
"""May do what tasks need. Kubeflow's own default, pipeline-runner, reads every Secret."""


@dataclass(frozen=True)
class Settings:
    """What the environment says about the cluster; the token never appears in its text."""

    host: str
    ui: str
    namespace: str | None
    service_account: str
    token: str | None = field(repr=False)
    token_file: Path | None
    ca_cert: Path | None
    timeout_s: float


def from_environment() -> Settings:
    """Read and check the variables.

    Raises:
        ParameterError: KFP_HOST is missing, or a value cannot be meant.
    """
    token, token_file = _value("KFP_TOKEN"), _file("KFP_TOKEN_FILE")
    if token and token_file:
        raise ParameterError("KFP_TOKEN and KFP_TOKEN_FILE are both set", "unset one of them")
    if token and any(character.isspace() for character in token):
        raise ParameterError(
            "KFP_TOKEN holds white space", "set the bare token, without the word Bearer"
        )
    host = _address("KFP_HOST")
    if host is None:
        raise ParameterError(
            "KFP_HOST is not set: no address of a Kubeflow Pipelines API",
            "export KFP_HOST=http://127.0.0.1:8888 after `kubectl port-forward -n unstained "
            "service/ml-pipeline 8888`, or the address of your cluster",
        )
    return Settings(
        host=host,
        ui=_address("KFP_UI_HOST") or host,
        namespace=_value("KFP_NAMESPACE"),
        service_account=_value("KFP_SERVICE_ACCOUNT") or SERVICE_ACCOUNT,
        token=token,
        token_file=token_file,
        ca_cert=_file("KFP_CA_CERT"),
        timeout_s=_seconds("KFP_TIMEOUT_S"),
    )


def _value(name: str) -> str | None:
    return os.environ.get(name, "").strip() or None


def _address(name: str) -> str | None:
    text = _value(name)
    if text is None:
        return None
    scheme, separator, rest = text.partition("://")
    if scheme not in ("http", "https") or not separator or not rest or set(rest) & set("#?@ "):
        raise ParameterError(
            f"{name} is {text!r}, which is no address of a server",
            "write it as http://HOST:PORT or https://HOST/PATH, without '#', '?' or a user name",
        )
    return text.rstrip("/")


def _file(name: str) -> Path | None:
    text = _value(name)
    if text is None:
        return None
    if not Path(text).is_file():
        raise ParameterError(f"{name} names {text}, which is no file", f"correct or unset {name}")
    return Path(text)


def _seconds(name: str) -> float:
    text = _value(name)
    try:
        seconds = TIMEOUT_S if text is None else float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise ParameterError(f"{name} is {text!r}, not a number of seconds", f"e.g. {name}=30")
    return seconds

"""Settings of an overlay: settings/cluster.env, the one file of a cluster that people fill in.

Three programs read it: kustomize, the runbook's shell and this one. What they would read in other
ways (quotes, `$`, blanks, carriage returns, ports with zeros before them) is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Final
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from unstained.config.base import Params, parse
from unstained.errors import ParameterError

PLACEHOLDER: Final = re.compile(
    r"change-me|(^|[/.])(example(\.(com|net|org))?|invalid)(?=[:/@]|$)", re.IGNORECASE
)
"""`change-me`, and the names that RFC 2606 reserves for documents."""

PORTS: Final = {"http": 80, "https": 443}

LABEL: Final = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
NAME: Final = rf"{LABEL}(\.{LABEL})*"
"""What Kubernetes calls a DNS label and a DNS subdomain (RFC 1123)."""

BUCKET: Final = r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]"


def _form(pattern: str, what: str) -> AfterValidator:
    """A validator that says in words what a text is not."""
    form = re.compile(pattern)

    def check(text: str) -> str:
        if not form.fullmatch(text):
            raise PydanticCustomError("form", "{text} is no {what}", {"text": text, "what": what})
        return text

    return AfterValidator(check)


Port = Annotated[int, Field(ge=1, le=65535, strict=True)]
Class = Annotated[str, _form(NAME, "name of a class: small letters, digits, '-' and '.'")]
Namespace = Annotated[str, _form(LABEL, "namespace: small letters, digits and '-'")]
Region = Annotated[str, _form(r"[A-Za-z0-9_-]+", "region")]
Bucket = Annotated[
    str, _form(BUCKET, "bucket's name: 3 to 63 small letters, digits, '-' and '.', without s3://")
]
Place = Annotated[
    str, _form(rf"s3://{BUCKET}(/[\w.-]+)*", "place: s3://bucket or s3://bucket/prefix")
]
Endpoint = Annotated[
    str, _form(rf"https?://{NAME}(:[1-9]\d{{0,4}})?", "endpoint: http(s)://host or with :port")
]
Host = Annotated[
    str,
    _form(rf"({LABEL}\.)+[a-z]([a-z0-9-]*[a-z0-9])?", "host's name: no address, scheme, port or *"),
]


class ClusterSettings(Params):
    """settings/cluster.env of an overlay; keys there are in capitals."""

    storage_class: Class
    shared_storage_class: Class
    s3_endpoint: Endpoint
    s3_port: Port
    s3_region: Region
    data_remote: Place
    model_store: Place
    mlflow_artifacts: Place
    backup_endpoint: Endpoint
    backup_port: Port
    backup_region: Region
    backup_bucket: Bucket
    api_server_port: Port
    dns_namespace: Namespace
    mlflow_host: Host | None = None
    ingress_class: Class | None = None
    ingress_namespace: Namespace | None = None


def typed(written: dict[str, str], path: Path) -> ClusterSettings:
    """Settings in their forms.

    Args:
        written: see `read_settings`.
        path: of the file, for messages.

    Raises:
        ParameterError: a setting is unknown, missing or of another form.
    """
    values = {
        key.lower(): int(v) if key.endswith("_PORT") and re.fullmatch(r"[1-9][0-9]*", v) else v
        for key, v in written.items()
    }
    return parse(ClusterSettings, values, str(path))


def read_settings(path: Path) -> dict[str, str]:
    """Keys and values of a file of KEY=value lines, as kustomize reads it.

    Raises:
        ParameterError: a line is neither, a key comes twice, or the file is no UTF-8.
    """
    found: dict[str, str] = {}
    try:
        lines = path.read_bytes().decode("utf-8").split("\n")
    except UnicodeDecodeError as error:
        raise ParameterError(
            f"{path} is not UTF-8: {error.reason} at byte {error.start}", "save it as UTF-8"
        ) from None
    for number, line in enumerate(lines, 1):
        if not line or line.startswith("#"):
            continue
        key, separator, value = line.partition("=")
        new = separator and re.fullmatch(r"[A-Z][A-Z0-9_]*", key) and key not in found
        if not new or "\r" in value:
            raise ParameterError(
                f"line {number} of {path} is no new KEY=value: {line!r}",
                "write one KEY=value a line, keys in capitals, lines ending as in Unix, and "
                "comments on lines of their own",
            )
        found[key] = value
    return found


def unfilled(written: dict[str, str]) -> Iterator[str]:
    """What nobody filled in."""
    for key, value in written.items():
        if PLACEHOLDER.search(value):
            yield f"{key} is still {value}"


def contradictions(settings: ClusterSettings) -> Iterator[str]:
    """What cannot be meant, by the settings alone."""
    for name in ("s3", "backup"):
        endpoint, port = getattr(settings, f"{name}_endpoint"), getattr(settings, f"{name}_port")
        address = urlsplit(endpoint)
        said = address.netloc.partition(":")[2]
        if int(said or PORTS[address.scheme]) != port:
            yield f"{name.upper()}_PORT is {port}, and {name.upper()}_ENDPOINT is {endpoint}"
        if re.fullmatch(r"localhost|127\..*|0\.0\.0\.0", address.hostname or ""):
            yield f"{name.upper()}_ENDPOINT {endpoint} would be each pod itself"
    kept = (settings.data_remote, settings.model_store, settings.mlflow_artifacts)
    if settings.backup_bucket in {urlsplit(place).netloc for place in kept}:
        yield f"BACKUP_BUCKET {settings.backup_bucket} is a bucket that it is to protect"


def notes(settings: ClusterSettings) -> Iterator[str]:
    """What is allowed and unwise."""
    if settings.backup_endpoint == settings.s3_endpoint:
        yield "backups lie at the service that they protect: what takes one takes both"

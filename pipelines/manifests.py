"""What an overlay of k8s/ applies, and what keeps it from that: values nobody filled in."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import urlsplit

import yaml
from pydantic import Field

from unstained.config.base import Params, parse
from unstained.errors import ParameterError

SETTINGS: Final = "settings/cluster.env"
PLACEHOLDERS: Final = ("change-me", ".example.", "example.org")
UNCHOSEN: Final = "sha256:" + "0" * 64
PORTS: Final = {"http": 80, "https": 443}

Port = Annotated[int, Field(ge=1, le=65535)]
Endpoint = Annotated[str, Field(pattern=r"^https?://[^\s/@]+$")]
Place = Annotated[str, Field(pattern=r"^s3://[^\s/]+(/\S*)?$")]
Word = Annotated[str, Field(pattern=r"^\S+$")]


class ClusterSettings(Params):
    """settings/cluster.env of an overlay; keys there are in capitals."""

    storage_class: Word
    shared_storage_class: Word
    s3_endpoint: Endpoint
    s3_port: Port
    s3_region: Word
    data_remote: Place
    model_store: Place
    mlflow_artifacts: Place
    backup_endpoint: Endpoint
    backup_port: Port
    backup_region: Word
    backup_bucket: Word
    api_server_port: Port
    dns_namespace: Word
    mlflow_host: Word | None = None
    ingress_class: Word | None = None
    ingress_namespace: Word | None = None


@dataclass(frozen=True)
class Application:
    """What would be applied.

    Attributes:
        objects: kind and name, in the order of the manifests.
        images: each with its digest.
        settings: key and value.
        notes: what is allowed and unwise.
    """

    objects: tuple[str, ...]
    images: tuple[str, ...]
    settings: tuple[str, ...]
    notes: tuple[str, ...]


def check_overlay(root: Path, overlay: str) -> Application:
    """See that an overlay is filled in.

    Args:
        root: a checkout of the project.
        overlay: a directory of k8s/overlays.

    Raises:
        ParameterError: there is no such overlay, a setting is of the wrong form, kustomize refuses
            the manifests, or something is still a placeholder or contradicts another setting.
    """
    folder = root / "k8s" / "overlays" / overlay
    known = sorted(path.parents[1].name for path in root.glob(f"k8s/overlays/*/{SETTINGS}"))
    if overlay not in known:
        raise ParameterError(
            f"there is no overlay {overlay!r} in k8s/overlays", f"use one of: {', '.join(known)}"
        )
    written = read_settings(folder / SETTINGS)
    lowered = {key.lower(): int(v) if v.isdecimal() else v for key, v in written.items()}
    settings = parse(ClusterSettings, lowered, str(folder / SETTINGS))
    objects = render(folder)
    images = sorted(set(_images(objects)))
    wrong = [*_unfilled(written), *_unchosen(images), *_contradictions(settings)]
    if wrong:
        raise ParameterError(
            f"the overlay {overlay} is not filled in: {'; '.join(wrong)}",
            f"edit k8s/overlays/{overlay}/{SETTINGS}, and name images by digest in "
            "k8s/images/kustomization.yaml",
        )
    return Application(
        tuple(f"{item['kind']} {item['metadata']['name']}" for item in objects),
        tuple(images),
        tuple(f"{key}={value}" for key, value in written.items()),
        tuple(_notes(settings)),
    )


def read_settings(path: Path) -> dict[str, str]:
    """Keys and values of a file of KEY=value lines, as kustomize reads it.

    Raises:
        ParameterError: a line is neither, or a key comes twice.
    """
    found: dict[str, str] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        key, separator, value = line.partition("=")
        if not separator or not key.isidentifier() or key in found:
            raise ParameterError(
                f"line {number} of {path} is no new KEY=value: {line!r}",
                "write one KEY=value a line, and comments on lines of their own",
            )
        found[key] = value
    return found


def render(folder: Path) -> list[dict[str, Any]]:
    """The objects of a kustomization.

    Raises:
        ParameterError: kubectl is not there, or refuses the kustomization.
    """
    if not shutil.which("kubectl"):
        raise ParameterError("kubectl is not there", "install it: it renders the manifests")
    done = subprocess.run(
        ["kubectl", "kustomize", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise ParameterError(
            f"kustomize refuses {folder}: {done.stderr.strip()[-400:]}", "correct what it names"
        )
    return list(yaml.load_all(done.stdout, Loader=yaml.CSafeLoader))


def _images(node: Any) -> Iterator[str]:
    if isinstance(node, list):
        for child in node:
            yield from _images(child)
    elif isinstance(node, dict):
        for key, child in node.items():
            if key == "image" and isinstance(child, str):
                yield child
            yield from _images(child)


def _unfilled(written: dict[str, str]) -> Iterator[str]:
    for key, value in written.items():
        if any(word in value for word in PLACEHOLDERS):
            yield f"{key} is still {value}"


def _unchosen(images: Sequence[str]) -> Iterator[str]:
    for image in images:
        name, _, digest = image.partition("@")
        if digest == UNCHOSEN:
            yield f"no digest was chosen for the image {name}"
        elif any(word in name for word in PLACEHOLDERS):
            yield f"the image {name} is at a registry that does not exist"


def _contradictions(settings: ClusterSettings) -> Iterator[str]:
    for name in ("s3", "backup"):
        endpoint, port = getattr(settings, f"{name}_endpoint"), getattr(settings, f"{name}_port")
        address = urlsplit(endpoint)
        if (address.port or PORTS[address.scheme]) != port:
            yield f"{name.upper()}_PORT is {port}, and {name.upper()}_ENDPOINT is {endpoint}"
    kept = (settings.data_remote, settings.model_store, settings.mlflow_artifacts)
    if settings.backup_bucket in {urlsplit(place).netloc for place in kept}:
        yield f"BACKUP_BUCKET {settings.backup_bucket} is a bucket that it is to protect"


def _notes(settings: ClusterSettings) -> Iterator[str]:
    if settings.backup_endpoint == settings.s3_endpoint:
        yield "backups lie at the service that they protect: what takes one takes both"

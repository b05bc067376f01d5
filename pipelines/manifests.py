"""What an overlay of k8s/ applies, and what keeps it from that: values nobody filled in."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import yaml

from pipelines.overlay import (
    PLACEHOLDER,
    ClusterSettings,
    contradictions,
    notes,
    read_settings,
    typed,
    unfilled,
)
from unstained.errors import ParameterError

if TYPE_CHECKING:
    from pipelines.deployment import Deployment

SETTINGS: Final = "settings/cluster.env"
PIPELINE: Final = "pipeline.yaml"
DIGEST: Final = re.compile(r"[^\s@]+@sha256:[0-9a-f]{64}")
Object = dict[str, Any]
UNCHOSEN: Final = "sha256:" + "0" * 64


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
    from pipelines.deployment import load_deployment

    folder = root / "k8s" / "overlays" / overlay
    known = sorted(path.parents[1].name for path in root.glob(f"k8s/overlays/*/{SETTINGS}"))
    if overlay not in known:
        raise ParameterError(
            f"there is no overlay {overlay!r} in k8s/overlays", f"use one of: {', '.join(known)}"
        )
    written = read_settings(folder / SETTINGS)
    settings = typed(written, folder / SETTINGS)
    heeded = _heeded(root, folder)
    if lacking := sorted(heeded - written.keys()):
        raise ParameterError(
            f"{folder / SETTINGS} lacks {', '.join(lacking)}", "add a line KEY=value for each"
        )
    objects = render(folder)
    images = sorted(set(_images(objects)))
    wrong = [
        *unfilled(written),
        *_unchosen(images),
        *contradictions(settings),
        *(f"{key} does nothing in this overlay" for key in written if key not in heeded),
        *_unheard(settings, objects),
        *_beyond_the_quota(load_deployment(root, overlay), objects),
    ]
    if wrong:
        raise ParameterError(
            f"the overlay {overlay} is not filled in: {'; '.join(wrong)}",
            f"edit {SETTINGS} and {PIPELINE} in k8s/overlays/{overlay}, and name images by digest "
            "in k8s/images/kustomization.yaml",
        )
    return Application(
        tuple(f"{item['kind']} {item['metadata']['name']}" for item in objects),
        tuple(images),
        tuple(f"{key}={value}" for key, value in written.items()),
        tuple(notes(settings)),
    )


def render(folder: Path) -> list[Object]:
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


def _unchosen(images: Sequence[str]) -> Iterator[str]:
    for image in images:
        name, _, digest = image.partition("@")
        if digest == UNCHOSEN:
            yield f"no digest was chosen for the image {name}"
        elif not DIGEST.fullmatch(image):
            yield f"the image {image} is not named by its digest"
        elif PLACEHOLDER.search(name):
            yield f"the image {name} is at a registry that does not exist"


def _heeded(root: Path, folder: Path) -> set[str]:
    """Settings that kustomize puts anywhere: by the component of all overlays, or by this one."""
    places = (root / "k8s" / "components" / "settings", folder)
    texts = [(place / "kustomization.yaml").read_text(encoding="utf-8") for place in places]
    return set(re.findall(r"fieldPath: data\.([A-Z0-9_]+)", "".join(texts)))


def _unheard(settings: ClusterSettings, objects: Sequence[Object]) -> Iterator[str]:
    """Endpoints at a Service of the overlay that does not listen there."""
    listening = {
        item["metadata"]["name"]: {port["port"] for port in item["spec"]["ports"]}
        for item in objects
        if item["kind"] == "Service"
    }
    for name in ("s3", "backup"):
        endpoint, port = getattr(settings, f"{name}_endpoint"), getattr(settings, f"{name}_port")
        service = str(urlsplit(endpoint).hostname).partition(".")[0]
        ports = listening.get(service)
        if ports and port not in ports:
            heard = ", ".join(map(str, sorted(ports)))
            yield f"{name.upper()}_ENDPOINT is {endpoint}, and {service} listens on {heard}"


def _beyond_the_quota(deployment: Deployment, objects: Sequence[Object]) -> Iterator[str]:
    """Sizes of pipeline tasks that could never start: Argo waits for them without end."""
    from kubernetes.utils.quantity import parse_quantity

    hard: Object = next((i["spec"]["hard"] for i in objects if i["kind"] == "ResourceQuota"), {})
    asked: list[tuple[str, str, str | int]] = [
        (f"a {size} task", kind, getattr(getattr(deployment, size), kind))
        for size in ("light", "heavy")
        for kind in ("cpu", "memory")
    ]
    if gpus := deployment.accelerators:
        asked.append(("a training task", gpus.resource, gpus.count))
    for who, kind, amount in asked:
        allowed = hard.get(f"requests.{kind}")
        try:
            over = allowed is not None and parse_quantity(amount) > parse_quantity(allowed)
        except ValueError:
            yield f"{amount!r}, {kind} of {who} in {PIPELINE}, is no quantity"
        else:
            if over:
                yield f"{who} asks for {amount} {kind}, and the quota allows {allowed}"

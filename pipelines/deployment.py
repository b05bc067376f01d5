"""Where pipelines run: images, resources, volumes and retries of one cluster.

Each overlay of k8s/ has its settings in pipeline.yaml beside its manifests. The image is the one
that k8s/images names for all that runs, or UNSTAINED_TRAIN_IMAGE where that is set.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from components.base import UNBUILT_IMAGE
from pipelines.manifests import DIGEST
from unstained.config.base import Count, Params, parse
from unstained.config.document import read_document
from unstained.errors import ParameterError
from unstained.pipeline.freshness import code_digest


class Toleration(Params):
    """A taint that GPU tasks accept."""

    key: str
    operator: Literal["Exists", "Equal"]
    effect: Literal["NoSchedule", "NoExecute", "PreferNoSchedule"]
    value: str | None = None


class Accelerators(Params):
    """GPUs of training tasks."""

    resource: str = Field(description="extended resource, e.g. nvidia.com/gpu")
    count: Count
    node_selector: dict[str, str]
    tolerations: tuple[Toleration, ...]


class Resources(Params):
    """What a task asks for, and gets at the most."""

    cpu: str
    memory: str


class Retries(Params):
    """Second attempts of a task that failed or was pre-empted."""

    count: Annotated[int, Field(ge=0)]
    backoff: str = Field(description="wait before the first one, e.g. 60s")
    factor: float
    longest: str = Field(description="longest wait, e.g. 3600s")


class Deployment(Params):
    """Settings of one cluster."""

    image: str
    config_map: str = Field(description="addresses, as environment variables")
    secrets: dict[str, dict[str, str]] = Field(description="secret -> key -> environment variable")
    state_claim: str | None = Field(description="volume for checkpoints and fetched stores")
    ledger_claim: str | None = Field(description="volume of the promotion ledger")
    work_space: str = Field(description="size of a task's /tmp and home, e.g. 20Gi")
    shared_memory: str = Field(description="size of /dev/shm of training tasks")
    light: Resources
    heavy: Resources
    accelerators: Accelerators | None
    retries: Retries

    def code(self, stage: str) -> str:
        """Digest of the code that a stage's result depends on, for the key of Kubeflow's cache.

        Empty while no image is named: nobody can say which code it holds.
        """
        return "" if self.image == UNBUILT_IMAGE else code_digest(stage)

    def without_cluster(self) -> Deployment:
        """The same for tasks that run as processes here: no volumes, no second attempts."""
        retries = self.retries.model_copy(update={"count": 0})
        gone = {"state_claim": None, "ledger_claim": None, "retries": retries}
        return self.model_copy(update=gone)


def load_deployment(root: Path, overlay: str) -> Deployment:
    """Settings of an overlay.

    Raises:
        ParameterError: there is no such overlay, its pipeline.yaml breaks the schema, or the image
            is not named by its digest.
    """
    known = sorted(path.parent.name for path in root.glob("k8s/overlays/*/pipeline.yaml"))
    if overlay not in known:
        raise ParameterError(
            f"there is no overlay {overlay!r} with a pipeline.yaml in k8s/overlays",
            f"use one of: {', '.join(known)}",
        )
    path = root / "k8s" / "overlays" / overlay / "pipeline.yaml"
    content = dict(read_document(path).content)
    content["image"] = os.environ.get("UNSTAINED_TRAIN_IMAGE") or _chosen_image(root)
    deployment = parse(Deployment, content, str(path))
    if not DIGEST.fullmatch(deployment.image):
        raise ParameterError(
            f"the image {deployment.image!r} is not named by its digest",
            "set UNSTAINED_TRAIN_IMAGE to NAME@sha256:... as the push printed it; a tag can move, "
            "and Kubeflow's cache would not notice",
        )
    return deployment


def _chosen_image(root: Path) -> str:
    """NAME@DIGEST of unstained-train in k8s/images, or NAME:TAG, which the caller refuses."""
    images = read_document(root / "k8s" / "images" / "kustomization.yaml").content["images"]
    chosen = next(image for image in images if image["name"] == "unstained-train")
    name = chosen.get("newName", chosen["name"])
    if "digest" in chosen:
        return f"{name}@{chosen['digest']}"
    return f"{name}:{chosen.get('newTag', 'latest')}"


def require_built(root: Path, overlay: str) -> None:
    """Refuse to send a pipeline to a cluster while its image is the placeholder.

    Raises:
        ParameterError: no image was named, see `load_deployment`.
    """
    if load_deployment(root, overlay).image == UNBUILT_IMAGE:
        raise ParameterError(
            "no image of this project is named",
            "build and push the Dockerfile's target `train`, then set "
            "UNSTAINED_TRAIN_IMAGE=NAME@sha256:... as the push printed it, or name it in "
            "k8s/images/kustomization.yaml",
        )

"""Compiles graphs to the intermediate representation that Kubeflow runs."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from kfp import compiler
from kfp.compiler.compiler_utils import KubernetesManifestOptions
from kfp.dsl.base_component import BaseComponent

from components.base import UNBUILT_IMAGE
from pipelines.deployment import Deployment
from pipelines.monitoring import monitoring
from pipelines.promotion import promotion
from pipelines.training import training
from unstained.errors import ParameterError
from unstained.files import file_sha256, write_text
from unstained.temporary import temporary_folder

GRAPHS: Final[Mapping[str, Callable[[Deployment, dict[str, Any]], BaseComponent]]] = {
    "training": training,
    "promotion": promotion,
    "monitoring": monitoring,
}

NAMESPACE: Final = "unstained"
"""Of k8s/, where Kubeflow Pipelines runs."""

HEADER: Final = "# Compiled by `unstained pipeline compile` from pipelines/ and params.yaml.\n"


@dataclass(frozen=True)
class Compiled:
    """A compiled graph.

    Attributes:
        path: the YAML file.
        arguments: those of the given arguments that the graph has.
        version: sha256 of the file, shortened: names a pipeline version on a cluster.
    """

    path: Path
    arguments: dict[str, Any]
    version: str


def compile_graph(
    name: str, deployment: Deployment, given: dict[str, Any], target: Path
) -> Compiled:
    """Write a graph as YAML; equal arguments, equal bytes.

    Args:
        name: key of GRAPHS.
        deployment: where it runs.
        given: default of every argument of the graph, see `pipelines.arguments`.
        target: file to write.

    Raises:
        ParameterError: there is no such graph.
    """
    if name not in GRAPHS:
        raise ParameterError(f"there is no pipeline {name!r}", f"use one of: {', '.join(GRAPHS)}")
    graph = GRAPHS[name](deployment, given)
    _write(graph, deployment, target)
    arguments = {key: given[key] for key in graph.component_spec.inputs}
    return Compiled(target, arguments, file_sha256(target)[:16])


def compile_resources(
    name: str, deployment: Deployment, given: dict[str, Any], target: Path
) -> Compiled:
    """Write a graph as resources Pipeline and PipelineVersion, for a repository that is applied.

    The version's name ends in the hash that `compile_graph` gives: another graph is another
    resource, and one that is there is never changed.

    Args:
        name: key of GRAPHS.
        deployment: where it runs.
        given: see `compile_graph`.
        target: file to write.

    Raises:
        ParameterError: there is no such graph.
    """
    with temporary_folder() as folder:
        plain = compile_graph(name, deployment, given, folder / "graph.yaml")
    options = KubernetesManifestOptions(
        pipeline_name=f"unstained-{name}",
        pipeline_version_name=f"unstained-{name}-{plain.version}",
        namespace=NAMESPACE,
        include_pipeline_manifest=True,
    )
    _write(GRAPHS[name](deployment, given), deployment, target, options)
    return Compiled(target, plain.arguments, plain.version)


def _write(
    graph: BaseComponent,
    deployment: Deployment,
    target: Path,
    options: KubernetesManifestOptions | None = None,
) -> None:
    """Compile a graph, as plain YAML or as resources, with the deployment's image."""
    with temporary_folder() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        path = folder / "graph.yaml"
        compiler.Compiler().compile(
            graph,
            str(path),
            kubernetes_manifest_options=options,
            kubernetes_manifest_format=options is not None,
        )
        text = path.read_text(encoding="utf-8")
    target.parent.mkdir(parents=True, exist_ok=True)
    write_text(target, HEADER + _body(text).replace(UNBUILT_IMAGE, deployment.image))


def _body(text: str) -> str:
    """The YAML without kfp's comments, which print mappings in an order that differs by process."""
    lines = text.splitlines(keepends=True)
    return "".join(line for line in lines if not line.startswith("#"))

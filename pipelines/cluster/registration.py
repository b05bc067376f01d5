"""Put a pipeline, its version and an experiment on the server, each once however often asked."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import kfp_server_api as api

from pipelines.cluster.connection import Connection
from pipelines.cluster.errors import ClusterError
from pipelines.cluster.package import Package


@dataclass(frozen=True)
class Registration:
    """Ids on the server that a run or a schedule refers to."""

    pipeline_id: str
    version_id: str
    experiment_id: str

    def reference(self) -> Any:
        """The version in the API's form."""
        return api.V2beta1PipelineVersionReference(
            pipeline_id=self.pipeline_id, pipeline_version_id=self.version_id
        )


def register(
    connection: Connection, package: Package, *, pipeline: str, version: str, experiment: str
) -> Registration:
    """Make sure that all three exist.

    Args:
        connection: to the server.
        package: what the version holds.
        pipeline: name of the pipeline.
        version: name of the version; the caller's hash of its content.
        experiment: name of the experiment that groups runs.

    Raises:
        ClusterError: the server refuses, or the version's name is taken by another content.
    """
    pipeline_id = _pipeline(connection, pipeline)
    return Registration(
        pipeline_id=pipeline_id,
        version_id=_version(connection, pipeline_id, version, package),
        experiment_id=_experiment(connection, experiment),
    )


def only(what: str, found: Iterator[Any]) -> Any | None:
    """The single entry of a search by a unique name, or None.

    Raises:
        ClusterError: there are several.
    """
    entries = list(found)
    if len(entries) > 1:
        raise ClusterError(
            f"the server holds {len(entries)} {what}",
            "delete or rename all but one in the web interface",
        )
    return entries[0] if entries else None


def _pipeline(connection: Connection, name: str) -> str:
    what = f"register the pipeline {name!r}"
    service, namespace = connection.pipelines, connection.settings.namespace

    def find() -> str | None:
        pipelines = connection.listed(
            what,
            service.pipeline_service_list_pipelines,
            "pipelines",
            ("name", name),
            namespace=namespace,
        )
        entry = only(f"pipelines named {name!r}", pipelines)
        return None if entry is None else connection.identity(what, entry.pipeline_id)

    def create() -> str:
        # Without a version: uploading a package here would name its version after the pipeline.
        body = api.V2beta1Pipeline(name=name, display_name=name, namespace=namespace)
        answer = connection.once(what, service.pipeline_service_create_pipeline, body)
        return connection.identity(what, answer.pipeline_id)

    return connection.find_or_create(find, create)


def _version(connection: Connection, pipeline_id: str, name: str, package: Package) -> str:
    what = f"register the version {name!r} of {package.path}"

    def find() -> str | None:
        versions = connection.listed(
            what,
            connection.pipelines.pipeline_service_list_pipeline_versions,
            "pipeline_versions",
            ("name", name),
            pipeline_id=pipeline_id,
        )
        entry = only(f"versions named {name!r}", versions)
        if entry is None:
            return None
        if not package.same_as(entry.pipeline_spec):
            raise ClusterError(
                f"the version {name!r} exists on the server and is not {package.path}",
                "delete that version in the web interface, or compile again for a new name",
            )
        return connection.identity(what, entry.pipeline_version_id)

    def create() -> str:
        answer = connection.once(
            what,
            connection.uploads.upload_pipeline_version,
            str(package.path),
            name=name,
            pipelineid=pipeline_id,
        )
        return connection.identity(what, answer.pipeline_version_id)

    return connection.find_or_create(find, create)


def _experiment(connection: Connection, name: str) -> str:
    what = f"create or find the experiment {name!r}"
    service, namespace = connection.experiments, connection.settings.namespace

    def find() -> str | None:
        experiments = connection.listed(
            what,
            service.experiment_service_list_experiments,
            "experiments",
            ("display_name", name),
            namespace=namespace,
        )
        entry = only(f"experiments named {name!r}", experiments)
        if entry is None:
            return None
        if entry.storage_state == "ARCHIVED":
            raise ClusterError(
                f"the experiment {name!r} is archived and takes no runs",
                "restore it in the web interface, or name another experiment",
            )
        return connection.identity(what, entry.experiment_id)

    def create() -> str:
        body = api.V2beta1Experiment(display_name=name, namespace=namespace)
        answer = connection.once(what, service.experiment_service_create_experiment, body)
        return connection.identity(what, answer.experiment_id)

    return connection.find_or_create(find, create)

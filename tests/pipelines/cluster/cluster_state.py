"""What a Kubeflow Pipelines server holds, and how it answers; only what submission uses.

Names are unique where the real server has them unique, references must exist, packages must parse
as pipelines, and runtime parameters must fit them.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import yaml
from google.protobuf import json_format
from kfp.pipeline_spec.pipeline_spec_pb2 import PipelineSpec, PlatformSpec

from tests.pipelines.cluster.description import Operation, Violation

NOW = "2026-01-02T03:04:05Z"
PYTHON_TYPES = {
    "STRING": str,
    "LIST": list,
    "STRUCT": dict,
    "NUMBER_INTEGER": int,
    "BOOLEAN": bool,
}
Query = dict[str, str]


class Refusal(Exception):  # noqa: N818
    """An answer other than 200."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


@dataclass
class Plan:
    """How runs go: the states that successive reads find, and what goes wrong."""

    states: list[str] = field(default_factory=lambda: ["PENDING", "RUNNING", "SUCCEEDED"])
    details: dict[str, Any] = field(default_factory=dict)


class ClusterState:
    """Pipelines, versions, experiments, runs and schedules by id.

    Args:
        multi_user: insist on a namespace.
    """

    def __init__(self, multi_user: bool) -> None:
        self.multi_user = multi_user
        self.plan = Plan()
        self.pipelines: dict[str, dict[str, Any]] = {}
        self.versions: dict[str, dict[str, Any]] = {}
        self.experiments: dict[str, dict[str, Any]] = {}
        self.runs: dict[str, dict[str, Any]] = {}
        self.schedules: dict[str, dict[str, Any]] = {}
        self._reads: dict[str, int] = {}
        self._count = 0

    def carry_out(self, operation: Operation, query: Query, content: Any) -> Any:
        """Do what a request that the description allows asks for.

        Returns:
            The answer.

        Raises:
            Refusal: the real server would refuse.
            Violation: the operation is none that submission needs.
        """
        handlers: dict[str, Callable[[Operation, Query, Any], Any]] = {
            "HealthzService_GetHealthz": lambda *_: {"multi_user": self.multi_user},
            "PipelineService_ListPipelines": self._list_pipelines,
            "PipelineService_CreatePipeline": self._create_pipeline,
            "PipelineService_ListPipelineVersions": self._list_versions,
            "UploadPipelineVersion": self._upload_version,
            "ExperimentService_ListExperiments": self._list_experiments,
            "ExperimentService_CreateExperiment": self._create_experiment,
            "RunService_ListRuns": self._list_runs,
            "RunService_CreateRun": self._create_run,
            "RunService_GetRun": self._get_run,
            "RecurringRunService_ListRecurringRuns": self._list_schedules,
            "RecurringRunService_CreateRecurringRun": self._create_schedule,
            "RecurringRunService_GetRecurringRun": self._get_schedule,
            "RecurringRunService_DeleteRecurringRun": self._delete_schedule,
            "RecurringRunService_EnableRecurringRun": self._switch_schedule,
            "RecurringRunService_DisableRecurringRun": self._switch_schedule,
        }
        if operation.name not in handlers:
            raise Violation(f"{operation.name} is not what submission needs")
        return handlers[operation.name](operation, query, content)

    def _new_id(self, kind: str) -> str:
        self._count += 1
        return f"{kind}-{self._count:04d}"

    def _namespace(self, given: str | None) -> str:
        if self.multi_user and not given:
            raise Refusal(400, "Invalid input error: namespace is required")
        return given or ""

    # Pipelines and versions

    def _list_pipelines(self, _: Operation, query: Query, __: Any) -> Any:
        namespace = self._namespace(query.get("namespace"))
        found = [p for p in self.pipelines.values() if p.get("namespace", "") == namespace]
        return _page("pipelines", found, query)

    def _create_pipeline(self, _: Operation, __: Any, body: dict[str, Any]) -> Any:
        self._namespace(body.get("namespace"))
        taken = {(p["name"], p.get("namespace")) for p in self.pipelines.values()}
        if (body["name"], body.get("namespace")) in taken:
            raise Refusal(409, f"Already exist error: the pipeline {body['name']} exists")
        identity = self._new_id("pipeline")
        self.pipelines[identity] = body | {"pipeline_id": identity, "created_at": NOW}
        return self.pipelines[identity]

    def _list_versions(self, operation: Operation, query: Query, _: Any) -> Any:
        owner = operation.path["pipeline_id"]
        if owner not in self.pipelines:
            raise Refusal(404, f"Pipeline {owner} not found")
        found = [v for v in self.versions.values() if v["pipeline_id"] == owner]
        return _page("pipeline_versions", found, query)

    def _upload_version(self, _: Operation, query: Query, package: bytes) -> Any:
        if query.get("pipelineid") not in self.pipelines:
            raise Refusal(400, "Failed to create a pipeline version. Error reading pipeline id")
        documents = list(yaml.safe_load_all(package))
        pipeline = json_format.ParseDict(documents[0], PipelineSpec())
        spec = json_format.MessageToDict(pipeline)
        if len(documents) == 2:
            platform = json_format.ParseDict(documents[1], PlatformSpec())
            spec = {"pipeline_spec": spec, "platform_spec": json_format.MessageToDict(platform)}
        for version in self.versions.values():
            if (version["pipeline_id"], version["name"]) == (query["pipelineid"], query["name"]):
                raise Refusal(409, "Failed to create a pipeline version")
        identity = self._new_id("version")
        self.versions[identity] = {
            "pipeline_id": query["pipelineid"],
            "pipeline_version_id": identity,
            "name": query["name"],
            "display_name": query.get("display_name", query["name"]),
            "created_at": NOW,
            "pipeline_spec": spec,
        }
        return self.versions[identity]

    # Experiments

    def _list_experiments(self, _: Operation, query: Query, __: Any) -> Any:
        namespace = self._namespace(query.get("namespace"))
        found = [e for e in self.experiments.values() if e.get("namespace", "") == namespace]
        return _page("experiments", found, query)

    def _create_experiment(self, _: Operation, __: Any, body: dict[str, Any]) -> Any:
        self._namespace(body.get("namespace"))
        if any(e["display_name"] == body["display_name"] for e in self.experiments.values()):
            raise Refusal(409, f"Already exist error: experiment {body['display_name']}")
        identity = self._new_id("experiment")
        made = {"experiment_id": identity, "created_at": NOW, "storage_state": "AVAILABLE"}
        self.experiments[identity] = body | made
        return self.experiments[identity]

    # Runs

    def _check_job(self, body: dict[str, Any]) -> None:
        if body.get("experiment_id") not in self.experiments:
            raise Refusal(400, f"Experiment {body.get('experiment_id')} not found")
        reference = body.get("pipeline_version_reference", {})
        version = self.versions.get(reference.get("pipeline_version_id", ""))
        if version is None or version["pipeline_id"] != reference.get("pipeline_id"):
            raise Refusal(400, "Invalid input error: no such pipeline version")
        spec = version["pipeline_spec"].get("pipeline_spec", version["pipeline_spec"])
        declared = spec["root"]["inputDefinitions"]["parameters"]
        given = body.get("runtime_config", {}).get("parameters", {})
        for name, value in given.items():
            if name not in declared:
                raise Refusal(400, f"Invalid input error: unknown parameter {name}")
            kind = declared[name]["parameterType"]
            if not isinstance(value, PYTHON_TYPES[kind]):
                raise Refusal(400, f"Invalid input error: {name} is no {kind}")
        absent = {n for n, p in declared.items() if not p.get("isOptional")} - set(given)
        if absent:
            raise Refusal(400, f"Invalid input error: parameters {sorted(absent)} are missing")

    def _list_runs(self, _: Operation, query: Query, __: Any) -> Any:
        owner = query.get("experiment_id")
        found = [r for r in self.runs.values() if owner in (None, r["experiment_id"])]
        return _page("runs", found, query)

    def _create_run(self, _: Operation, __: Any, body: dict[str, Any]) -> Any:
        self._check_job(body)
        identity = self._new_id("run")
        self.runs[identity] = body | {
            "run_id": identity,
            "state": "PENDING",
            "created_at": NOW,
            "storage_state": "AVAILABLE",
        }
        return self.runs[identity]

    def _get_run(self, operation: Operation, _: Any, __: Any) -> Any:
        identity = operation.path["run_id"]
        if identity not in self.runs:
            raise Refusal(404, f"Run {identity} not found")
        read = self._reads.get(identity, 0)
        self._reads[identity] = read + 1
        last = read >= len(self.plan.states) - 1
        run = self.runs[identity]
        run["state"] = self.plan.states[-1 if last else read]
        return run | (self.plan.details if last else {})

    # Schedules

    def _list_schedules(self, _: Operation, query: Query, __: Any) -> Any:
        self._namespace(query.get("namespace"))
        return _page("recurringRuns", list(self.schedules.values()), query)

    def _create_schedule(self, _: Operation, __: Any, body: dict[str, Any]) -> Any:
        self._check_job(body)
        if body.get("mode") not in ("ENABLE", "DISABLE"):
            raise Refusal(400, "Invalid input error: mode is required")
        if not 1 <= int(body["max_concurrency"]) <= 10:
            raise Refusal(400, "Invalid input error: max concurrency is out of range")
        if len(body["trigger"]) != 1:
            raise Refusal(400, "Invalid input error: one trigger is required")
        identity = self._new_id("schedule")
        made = {"recurring_run_id": identity, "created_at": NOW, "status": f"{body['mode']}D"}
        self.schedules[identity] = body | made
        if not body.get("no_catchup"):  # protobuf leaves false values out of its JSON
            self.schedules[identity].pop("no_catchup", None)
        return self.schedules[identity]

    def _schedule(self, operation: Operation) -> dict[str, Any]:
        identity = operation.path["recurring_run_id"]
        if identity not in self.schedules:
            raise Refusal(404, f"Recurring run {identity} not found")
        return self.schedules[identity]

    def _get_schedule(self, operation: Operation, _: Any, __: Any) -> Any:
        return self._schedule(operation)

    def _delete_schedule(self, operation: Operation, _: Any, __: Any) -> Any:
        del self.schedules[self._schedule(operation)["recurring_run_id"]]
        return {}

    def _switch_schedule(self, operation: Operation, _: Any, __: Any) -> Any:
        mode = "ENABLE" if "Enable" in operation.name else "DISABLE"
        self._schedule(operation).update(mode=mode, status=f"{mode}D")
        return {}


def _page(field_name: str, entries: list[dict[str, Any]], query: Query) -> dict[str, Any]:
    """One page of the entries that the filter lets through; two entries a page at most."""
    predicates = json.loads(query["filter"])["predicates"] if "filter" in query else []
    for predicate in predicates:
        if predicate["operation"] != "EQUALS":
            raise Refusal(400, f"Invalid input error: {predicate['operation']} is not supported")
        entries = [e for e in entries if e.get(predicate["key"]) == predicate["string_value"]]
    start = int(query.get("page_token") or 0)
    end = start + min(2, int(query.get("page_size", 2)))
    page: dict[str, Any] = {field_name: entries[start:end], "total_size": len(entries)}
    return page | ({"next_page_token": str(end)} if end < len(entries) else {})

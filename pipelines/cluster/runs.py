"""Start a run of a compiled pipeline and wait for its end."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import kfp_server_api as api

from pipelines.cluster.connection import Connection
from pipelines.cluster.errors import ClusterError, GarbledError, TransientError
from pipelines.cluster.package import Package
from pipelines.cluster.registration import Registration, register
from pipelines.cluster.settings import from_environment

POLL_S = 5.0
LONGEST_PAUSE_S = 60.0

FINAL = ("SUCCEEDED", "FAILED", "CANCELED", "SKIPPED")
FAILED, CANCELED, TIMED_OUT = 1, 21, 124  # 124 as timeout(1) has it


@dataclass(frozen=True)
class RunOutcome:
    """What became of a run.

    Attributes:
        state: the last state known, as the API names it.
        run_id: its id.
        url: its page in the web interface.
        error: what the failed tasks said, where the server tells.
        waited: whether anybody waited for the end.
    """

    state: str
    run_id: str
    url: str
    error: str | None
    waited: bool

    @property
    def timed_out(self) -> bool:
        """Whether waiting ended before the run did."""
        return self.waited and self.state not in FINAL

    @property
    def exit_code(self) -> int:
        """Exit status: 0 succeeded or not waited for, 1 failed, 21 cancelled, 124 still running."""
        if not self.waited or self.state == "SUCCEEDED":
            return 0
        if self.timed_out:
            return TIMED_OUT
        return CANCELED if self.state == "CANCELED" else FAILED


def submit(
    package: Path,
    *,
    pipeline: str,
    version: str,
    experiment: str,
    run_name: str,
    arguments: Mapping[str, Any],
    wait: bool,
    timeout_s: float,
    on_status: Callable[[str], None],
) -> RunOutcome:
    """Register a package where needed and start one run of it.

    Args:
        package: compiled pipeline.
        pipeline: name of the pipeline on the server, created where it does not exist.
        version: name of this version: a hash of the package. One that exists is used again.
        experiment: experiment of the run, created where it does not exist.
        run_name: name of the run.
        arguments: values of the pipeline's parameters.
        wait: wait for the end of the run.
        timeout_s: give up waiting after so many seconds; the run goes on.
        on_status: takes one line at a time.

    Returns:
        The outcome; a run that fails is an outcome, not an error.

    Raises:
        ParameterError: the package, an argument or the environment is wrong.
        ClusterError: the server refuses, is unreachable or answers something else.
    """
    content = Package.read(package)
    values = content.fitted(arguments)
    connection = Connection(from_environment())
    place = register(connection, content, pipeline=pipeline, version=version, experiment=experiment)
    run = _start(connection, place, run_name, values)
    url = f"{connection.settings.ui}/#/runs/details/{run.run_id}"
    on_status(f"run {run_name!r}: {url}")
    if wait:
        run = _wait(connection, run, url, timeout_s, on_status)
    return RunOutcome(
        state=run.state or "PENDING",
        run_id=run.run_id,
        url=url,
        error=failure_text(run),
        waited=wait,
    )


def failure_text(run: Any) -> str | None:
    """What went wrong in a run: the tasks that failed with their messages, else the run's own.

    Args:
        run: as the API describes it.
    """
    if run.state not in ("FAILED", "CANCELED"):
        return None
    tasks = (run.run_details and run.run_details.task_details) or []
    failed = [task for task in tasks if task.state == "FAILED"]
    told = [f"{_name(task)}: {task.error.message}" for task in failed if _told(task)]
    history = [status for status in run.state_history or [] if _told(status)]
    if told:
        return "; ".join(told)
    if _told(run):
        return str(run.error.message)
    if history:
        return str(history[-1].error.message)
    return ", ".join(f"{_name(task)} failed" for task in failed) or None


def _start(connection: Connection, place: Registration, name: str, values: dict[str, Any]) -> Any:
    what = f"start the run {name!r}"
    # Names of runs are not unique: the mark tells our run from others after a lost answer.
    mark = f"submitted by unstained, {uuid.uuid4().hex}"
    body = api.V2beta1Run(
        display_name=name,
        description=mark,
        experiment_id=place.experiment_id,
        pipeline_version_reference=place.reference(),
        runtime_config=api.V2beta1RuntimeConfig(parameters=values),
        service_account=connection.settings.service_account,
    )

    def find() -> Any | None:
        runs = connection.listed(
            what,
            connection.runs.run_service_list_runs,
            "runs",
            ("display_name", name),
            experiment_id=place.experiment_id,
        )
        return next((run for run in runs if run.description == mark), None)

    def create() -> Any:
        return connection.once(what, connection.runs.run_service_create_run, body)

    try:
        run = connection.find_or_create(find, create, repeat_unsure=False)
    except TransientError as error:
        if not error.unsure:
            raise
        raise ClusterError(
            f"{error.message}; it is not known whether the run was started",
            f"look for it at {connection.settings.ui}/#/runs before you submit again",
        ) from error
    connection.identity(what, run.run_id)
    return run


def _wait(
    connection: Connection, run: Any, url: str, timeout_s: float, on_status: Callable[[str], None]
) -> Any:
    deadline = time.monotonic() + timeout_s
    what, pause, said = "read the run's state", POLL_S, ""
    while run.state not in FINAL:
        remaining = deadline - time.monotonic()
        if remaining <= 0:
            on_status(f"still {run.state or 'PENDING'} after {timeout_s:g} s; the run goes on")
            return run
        time.sleep(min(pause, remaining))
        try:
            answer = connection.once(what, connection.runs.run_service_get_run, run.run_id)
            connection.identity(what, answer.run_id)
            run = answer
            pause, status = POLL_S, str(run.state or "PENDING")
        except (TransientError, GarbledError) as error:
            # A restart of the server or its proxy must not lose a run of many hours.
            pause, status = min(2 * pause, LONGEST_PAUSE_S), f"{error.message}; asking again"
        except ClusterError as error:
            raise ClusterError(
                f"{error.message}; waiting ended, the run was not touched",
                f"{error.remedy}; the run is at {url}",
            ) from error
        if status != said:
            on_status(status)
            said = status
    return run


def _told(entry: Any) -> bool:
    return bool(entry.error and entry.error.message)


def _name(task: Any) -> str:
    return str(task.display_name or task.task_id or "a task")

"""Recurring runs of a compiled pipeline, replaced without a gap that lasts and without a double.

The API cannot change a schedule, only create, enable, disable and delete one. A replacement goes

1. create the new one, disabled;
2. disable the old one;
3. enable the new one;
4. delete the old one, leaving its runs alone.

so two are never active at a time. When step 2 or 3 fails, after its repetitions, the new one is
deleted and the old one enabled again, unless it turns out that the new one is active. When step 4
fails, the old one stays, disabled. Should the server vanish between 2 and 3 and stay away, neither
is active: the error says so, and the same command, run again, starts from whatever it finds.
"""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import kfp_server_api as api

from pipelines.cluster.connection import Connection
from pipelines.cluster.cron import check_cron
from pipelines.cluster.errors import ClusterError, NotFoundError, TransientError
from pipelines.cluster.package import Package
from pipelines.cluster.registration import Registration, register
from pipelines.cluster.settings import from_environment
from unstained.errors import ParameterError

MOST_CONCURRENT = 10
ENABLE, DISABLE = "ENABLE", "DISABLE"


@dataclass(frozen=True)
class Schedule:
    """A recurring run on the server.

    Attributes:
        recurring_run_id: its id.
        url: its page in the web interface.
        created: False when one with exactly these settings was there already and was left alone.
        replaced: ids of schedules that were deleted for it.
        leftover: ids of schedules that it replaces, disabled, which could not be deleted.
    """

    recurring_run_id: str
    url: str
    created: bool
    replaced: tuple[str, ...]
    leftover: tuple[str, ...]


def schedule(
    package: Path,
    *,
    pipeline: str,
    version: str,
    experiment: str,
    job_name: str,
    arguments: Mapping[str, Any],
    cron: str | None = None,
    interval_s: int | None = None,
    max_concurrency: int = 1,
    catchup: bool = False,
    enabled: bool = True,
) -> Schedule:
    """Register a package where needed and let it run again and again.

    A schedule of the same name and pipeline is replaced; one that is the same in everything is
    left alone, so that its interval does not start anew.

    Args:
        package: compiled pipeline.
        pipeline: name of the pipeline on the server.
        version: name of this version: a hash of the package.
        experiment: experiment of the runs.
        job_name: name of the schedule.
        arguments: values of the pipeline's parameters.
        cron: six fields, seconds first, in UTC; or
        interval_s: seconds between starts; exactly one of the two.
        max_concurrency: runs at a time, 1 to 10.
        catchup: start the runs that were missed, too.
        enabled: start runs; False only keeps the schedule.

    Returns:
        The schedule.

    Raises:
        ParameterError: the package, an argument, the times or the environment is wrong; nothing
            was sent.
        ClusterError: the server refuses, is unreachable or answers something else.
    """
    trigger = _trigger(cron, interval_s)
    concurrency = _concurrency(max_concurrency)
    content = Package.read(package)
    values = content.fitted(arguments)
    connection = Connection(from_environment())
    place = register(connection, content, pipeline=pipeline, version=version, experiment=experiment)
    wanted = api.V2beta1RecurringRun(
        display_name=job_name,
        experiment_id=place.experiment_id,
        pipeline_version_reference=place.reference(),
        runtime_config=api.V2beta1RuntimeConfig(parameters=values),
        service_account=connection.settings.service_account,
        max_concurrency=concurrency,
        no_catchup=not catchup,
        trigger=trigger,
        mode=ENABLE if enabled else DISABLE,
    )
    return _Replacement(connection, place, wanted).carry_out()


def _trigger(cron: str | None, interval_s: int | None) -> Any:
    if cron is not None and interval_s is None:
        return api.V2beta1Trigger(cron_schedule=api.V2beta1CronSchedule(cron=check_cron(cron)))
    if interval_s is not None and cron is None:
        if interval_s < 1:
            raise ParameterError(f"the interval is {interval_s} s", "choose at least one second")
        periodic = api.V2beta1PeriodicSchedule(interval_second=str(interval_s))
        return api.V2beta1Trigger(periodic_schedule=periodic)
    raise ParameterError("a schedule needs either a cron expression or an interval", "give one")


def _concurrency(number: int) -> str:
    """As the API carries 64-bit integers: in a string."""
    if not 1 <= number <= MOST_CONCURRENT:
        raise ParameterError(f"max_concurrency is {number}", f"choose 1 to {MOST_CONCURRENT}")
    return str(number)


class _Replacement:
    """From the schedules of one name to the single wanted one."""

    def __init__(self, connection: Connection, place: Registration, wanted: Any) -> None:
        self.connection = connection
        self.place = place
        self.wanted = wanted
        self.what = f"schedule {wanted.display_name!r}"

    def carry_out(self) -> Schedule:
        """Reuse, create or replace; see the module."""
        present = self._present()
        if len(present) == 1 and _essence(present[0]) == _essence(self.wanted):
            return self._result(present[0].recurring_run_id, created=False)
        active = [old.recurring_run_id for old in present if old.mode == ENABLE]
        switch = bool(active) and self.wanted.mode == ENABLE
        new = self._create(DISABLE if switch else self.wanted.mode)
        if switch:
            self._switch(active, new)
        replaced, leftover = self._delete_all([old.recurring_run_id for old in present])
        if self.wanted.mode == DISABLE and set(leftover) & set(active):
            raise ClusterError(
                f"{self.what}: the new schedule {new} is there, disabled as asked, but the old "
                f"{', '.join(leftover)} could not be deleted and may still start runs",
                "run the same command again, or delete it in the web interface",
            )
        return self._result(new, created=True, replaced=replaced, leftover=leftover)

    def _present(self) -> list[Any]:
        found = self.connection.listed(
            self.what,
            self.connection.schedules.recurring_run_service_list_recurring_runs,
            "recurring_runs",
            ("display_name", self.wanted.display_name),
            namespace=self.connection.settings.namespace,
        )
        # On a server that several people share, another pipeline's schedule of that name stays.
        return [
            old
            for old in found
            if old.pipeline_version_reference
            and old.pipeline_version_reference.pipeline_id == self.place.pipeline_id
        ]

    def _create(self, mode: str) -> str:
        mark = f"scheduled by unstained, {uuid.uuid4().hex}"
        body = api.V2beta1RecurringRun(
            **{name: getattr(self.wanted, name) for name in self.wanted.openapi_types}
        )
        body.description, body.mode = mark, mode

        def find() -> str | None:
            made = [old for old in self._present() if old.description == mark]
            return made[0].recurring_run_id if made else None

        def create() -> str:
            service = self.connection.schedules
            answer = self.connection.once(
                self.what, service.recurring_run_service_create_recurring_run, body
            )
            return self.connection.identity(self.what, answer.recurring_run_id)

        try:
            return self.connection.find_or_create(find, create, repeat_unsure=False)
        except TransientError as error:
            if not error.unsure:
                raise
            raise ClusterError(
                f"{error.message}; it is not known whether the schedule was created",
                "run the same command again: it finds what is there and replaces it",
            ) from error

    def _switch(self, active: list[str], new: str) -> None:
        try:
            for old in active:
                self._change("disable", old)
            self._change("enable", new)
        except ClusterError as error:
            if not self._undone(active, new, error):
                return
            raise ClusterError(
                f"{error.message}; the old schedule is active again and the new one is gone",
                error.remedy,
            ) from error

    def _undone(self, active: list[str], new: str, cause: ClusterError) -> bool:
        """Back to the old schedules; False when the new one is active after all."""
        try:
            if self._get(new).mode == ENABLE:
                return False
            # Deleting it first rules out that a late answer to `enable` makes two active.
            with contextlib.suppress(ClusterError):
                self._delete(new)
            for old in active:
                self._change("enable", old)
        except ClusterError as error:
            raise ClusterError(
                f"{cause.message}; putting the old schedule back failed, too: {error.message}; "
                f"it is possible that no schedule {self.wanted.display_name!r} is active now",
                "run the same command as soon as the server answers: it finishes the replacement",
            ) from cause
        return True

    def _delete_all(self, ids: list[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
        leftover = []
        for old in ids:
            try:
                self._delete(old)
            except ClusterError:
                leftover.append(old)
        return tuple(old for old in ids if old not in leftover), tuple(leftover)

    def _get(self, recurring_run_id: str) -> Any:
        service = self.connection.schedules
        return self.connection.call(
            self.what, service.recurring_run_service_get_recurring_run, recurring_run_id
        )

    def _change(self, verb: str, recurring_run_id: str) -> None:
        service = self.connection.schedules
        operations = {
            "enable": service.recurring_run_service_enable_recurring_run,
            "disable": service.recurring_run_service_disable_recurring_run,
        }
        self.connection.call(self.what, operations[verb], recurring_run_id)

    def _delete(self, recurring_run_id: str) -> None:
        operation = self.connection.schedules.recurring_run_service_delete_recurring_run
        # NotFoundError: gone already, by an earlier attempt whose answer was lost.
        with contextlib.suppress(NotFoundError):
            # ORPHAN: runs under way belong to the schedule and would be deleted with it.
            self.connection.call(
                self.what, operation, recurring_run_id, propagation_policy="ORPHAN"
            )

    def _result(
        self,
        recurring_run_id: str,
        *,
        created: bool,
        replaced: tuple[str, ...] = (),
        leftover: tuple[str, ...] = (),
    ) -> Schedule:
        url = f"{self.connection.settings.ui}/#/recurringrun/details/{recurring_run_id}"
        return Schedule(recurring_run_id, url, created, replaced, leftover)


def _essence(recurring: Any) -> tuple[Any, ...]:
    """What makes two schedules the same; the server leaves empty and false values out."""
    reference, config, trigger = (
        recurring.pipeline_version_reference,
        recurring.runtime_config,
        recurring.trigger,
    )
    cron = trigger and trigger.cron_schedule
    periodic = trigger and trigger.periodic_schedule
    return (
        recurring.display_name,
        recurring.experiment_id,
        reference and (reference.pipeline_id, reference.pipeline_version_id),
        (config and config.parameters) or {},
        cron and (cron.cron, cron.start_time, cron.end_time),
        periodic and (periodic.interval_second, periodic.start_time, periodic.end_time),
        str(recurring.max_concurrency),
        bool(recurring.no_catchup),
        recurring.mode,
    )

"""Schedules: one of a name, never two active, never none left by a failure."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipelines.cluster import ClusterError, Schedule, schedule
from pipelines.cluster.cron import check_cron
from tests.pipelines.cluster.conftest import ARGUMENTS
from tests.pipelines.cluster.contract_server import ContractServer
from unstained.errors import ParameterError

Go = Callable[..., Schedule]
OTHER = ARGUMENTS | {"study": "cellcycle"}


@pytest.fixture
def go(package: Path) -> Go:
    """`schedule` with everything filled in."""

    def call(**other: Any) -> Schedule:
        usual = {
            "package": package,
            "pipeline": "unstained-monitoring",
            "version": "1f2e",
            "experiment": "monitoring",
            "job_name": "nsc weekly",
            "arguments": ARGUMENTS,
        }
        when = {} if "interval_s" in other or "cron" in other else {"cron": "0 30 3 * * mon"}
        return schedule(**(usual | when | other))

    return call


def active(server: ContractServer) -> list[str]:
    """Ids of the schedules that start runs."""
    return [key for key, entry in server.state.schedules.items() if entry["mode"] == "ENABLE"]


def test_a_schedule_arrives_whole_and_typed(
    go: Go, server: ContractServer, capfd: pytest.CaptureFixture[str]
) -> None:
    made = go()
    (sent,) = server.sent("POST", "/recurringruns")
    (version,) = server.state.versions.values()
    assert sent.body["display_name"] == "nsc weekly"
    assert sent.body["runtime_config"] == {"parameters": ARGUMENTS}
    assert sent.body["trigger"] == {"cron_schedule": {"cron": "0 30 3 * * mon"}}
    assert sent.body["max_concurrency"] == "1"
    assert sent.body["no_catchup"] is True
    assert sent.body["mode"] == "ENABLE"
    assert (
        sent.body["pipeline_version_reference"]["pipeline_version_id"]
        == version["pipeline_version_id"]
    )
    assert made.url == f"{server.address}/#/recurringrun/details/{made.recurring_run_id}"
    assert made.created
    assert made.replaced == ()
    assert capfd.readouterr() == ("", "")


def test_an_interval_with_other_settings(go: Go, server: ContractServer) -> None:
    go(interval_s=3600, max_concurrency=3, catchup=True, enabled=False)
    (sent,) = server.sent("POST", "/recurringruns")
    assert sent.body["trigger"] == {"periodic_schedule": {"interval_second": "3600"}}
    assert sent.body["max_concurrency"] == "3"
    assert sent.body["no_catchup"] is False
    assert sent.body["mode"] == "DISABLE"


@pytest.mark.parametrize(
    "settings",
    [{}, {"interval_s": 60, "catchup": True}, {"enabled": False}, {"max_concurrency": 2}],
)
def test_the_same_schedule_is_left_alone(
    go: Go, server: ContractServer, settings: dict[str, Any]
) -> None:
    first = go(**settings)
    again = go(**settings)
    assert again.recurring_run_id == first.recurring_run_id
    assert not again.created
    assert len(server.sent("POST", "/recurringruns.*")) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"arguments": OTHER},
        {"cron": "0 0 4 * * *"},
        {"interval_s": 60},
        {"max_concurrency": 2},
        {"catchup": True},
        {"experiment": "elsewhere"},
    ],
)
def test_a_changed_schedule_replaces_the_old_one(
    go: Go, server: ContractServer, change: dict[str, Any]
) -> None:
    old = go()
    new = go(**change)
    assert new.created
    assert new.replaced == (old.recurring_run_id,)
    assert list(server.state.schedules) == active(server) == [new.recurring_run_id]
    assert max(server.active_schedules) == 1
    (delete,) = server.sent("DELETE", "/recurringruns/.*")
    assert delete.query == {"propagation_policy": "ORPHAN"}


def test_a_changed_pipeline_replaces_the_schedule(
    go: Go, server: ContractServer, changed: Path
) -> None:
    go()
    new = go(package=changed, version="9a8b")
    assert list(server.state.schedules) == [new.recurring_run_id]
    assert len(server.state.versions) == 2


def test_another_pipelines_schedule_of_that_name_stays(go: Go, server: ContractServer) -> None:
    other = go(pipeline="somebody-elses")
    go()
    assert other.recurring_run_id in active(server)
    assert len(server.state.schedules) == 2


def test_disabling_leaves_one_disabled_schedule(go: Go, server: ContractServer) -> None:
    go()
    new = go(enabled=False)
    assert list(server.state.schedules) == [new.recurring_run_id]
    assert active(server) == []
    go()
    assert len(server.state.schedules) == len(active(server)) == 1


STEPS = [
    ("POST", "/recurringruns"),
    ("POST", "/recurringruns/.*:disable"),
    ("POST", "/recurringruns/.*:enable"),
    ("DELETE", "/recurringruns/.*"),
]
# Four times: longer than a request is repeated. A refusal is not repeated, so once is enough.
WAYS: list[dict[str, Any]] = [
    {"status": 500, "times": 1},
    {"status": 500, "times": 4},
    {"status": 500, "times": 4, "after": True},
    {"status": 400, "times": 1},
    {"drop": True, "times": 1},
    {"drop": True, "times": 4},
    {"drop": True, "times": 1, "after": True},
    {"drop": True, "times": 4, "after": True},
]


@pytest.mark.parametrize(("method", "path"), STEPS)
@pytest.mark.parametrize("how", WAYS)
def test_exactly_one_is_active_whichever_step_fails(
    go: Go, server: ContractServer, method: str, path: str, how: dict[str, Any]
) -> None:
    old = go()
    server.fail(method, path, **how)
    try:
        expected = go(arguments=OTHER).recurring_run_id
    except ClusterError:
        expected = old.recurring_run_id
    assert active(server) == [expected]
    assert max(server.active_schedules) == 1
    server.faults.clear()
    final = go(arguments=OTHER)  # what the remedies promise
    assert active(server) == list(server.state.schedules) == [final.recurring_run_id]
    assert max(server.active_schedules) == 1


def test_a_step_that_fails_once_goes_unnoticed(go: Go, server: ContractServer) -> None:
    go()
    for method, path in STEPS:
        server.fail(method, path, status=503, times=1)
    new = go(arguments=OTHER)
    assert list(server.state.schedules) == active(server) == [new.recurring_run_id]


def test_the_old_schedule_comes_back_when_the_new_one_cannot_start(
    go: Go, server: ContractServer
) -> None:
    old = go()
    server.fail("POST", "/recurringruns/.*:enable", status=400, times=1)
    with pytest.raises(ClusterError, match="old schedule is active again"):
        go(arguments=OTHER)
    assert list(server.state.schedules) == active(server) == [old.recurring_run_id]


def test_a_server_that_vanishes_in_between_is_told_and_repaired(
    go: Go, server: ContractServer
) -> None:
    go()
    server.fail("POST", "/recurringruns/.*:enable", status=503)
    server.fail("DELETE", "/recurringruns/.*", status=503)
    with pytest.raises(ClusterError, match="possible that no schedule 'nsc weekly' is active"):
        go(arguments=OTHER)
    server.faults.clear()
    new = go(arguments=OTHER)
    assert list(server.state.schedules) == active(server) == [new.recurring_run_id]


def test_what_cannot_be_deleted_stays_disabled_and_is_named(go: Go, server: ContractServer) -> None:
    old = go()
    server.fail("DELETE", "/recurringruns/.*", status=403)
    new = go(arguments=OTHER)
    assert new.leftover == (old.recurring_run_id,)
    assert active(server) == [new.recurring_run_id]


def test_an_active_schedule_that_cannot_be_deleted_is_no_success_of_disabling(
    go: Go, server: ContractServer
) -> None:
    go()
    server.fail("DELETE", "/recurringruns/.*", status=403)
    with pytest.raises(ClusterError, match="may still start runs"):
        go(enabled=False)


@pytest.mark.parametrize("status", [401, 403, 400, 500])
def test_a_refused_schedule_is_an_error(go: Go, server: ContractServer, status: int) -> None:
    server.fail("POST", "/recurringruns", status=status)
    with pytest.raises(ClusterError, match=f"answers {status}"):
        go()
    assert server.state.schedules == {}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"cron": "0 0 3 * * 1", "interval_s": 60}, "either"),
        ({"cron": None}, "either"),
        ({"interval_s": 0}, "interval is 0 s"),
        ({"max_concurrency": 0}, "max_concurrency is 0"),
        ({"max_concurrency": 11}, "max_concurrency is 11"),
        ({"cron": "0 3 * * *"}, "has 5 fields"),
        ({"arguments": {}}, "needs the parameter"),
    ],
)
def test_wrong_settings_are_refused_before_anything_is_sent(
    go: Go, server: ContractServer, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(ParameterError, match=message):
        go(**settings)
    assert server.requests == []


@pytest.mark.parametrize(
    "expression",
    [
        "0 0 3 * * 1",
        "0 */15 8-18 ? * MON-FRI",
        "30 0 0 29 2 *",
        "0 0 0 1,15 jan-jun/2 ?",
        "0 5/20 * * * *",
        "0 0 0 31 2 mon",  # a Monday in February will do
    ],
)
def test_possible_times(expression: str) -> None:
    assert check_cron(f"  {expression} ") == expression


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("", "has 0 fields"),
        ("@daily", "has 1 fields"),
        ("0 0 3 * * 1 2026", "has 7 fields"),
        ("0 60 3 * * *", "out of range"),
        ("0 0 24 * * *", "out of range"),
        ("0 0 3 0 * *", "out of range"),
        ("0 0 3 * 13 *", "out of range"),
        ("0 0 3 * * 7", "Sunday is 0"),
        ("0 0 3 * * monday", "'monday' is no value"),
        ("0 0 18-8 * * *", "'18-8' is no value"),
        ("0 0/0 3 * * *", "step"),
        ("0 0 3 1, * *", "'' is no value"),
        ("0 -5 3 * * *", "'-5' is no value"),
        ("* 0 3 * * *", "many runs a minute"),
        ("0 0 3 30 2 *", "no date ever fits"),
        ("0 0 3 31 4,6,9,11 ?", "no date ever fits"),
        ("0 0 3 L * *", "'L' is no value"),
        ("0 0 0 * * sat#2", "is no value"),
        ("0,30 0 3 * * *", "many runs a minute"),
    ],
)
def test_impossible_times(expression: str, message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        check_cron(expression)

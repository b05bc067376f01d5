"""Runs: what the server receives, what the caller gets, however the server behaves."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipelines.cluster import ClusterError, RunOutcome, submit
from tests.pipelines.cluster.conftest import ARGUMENTS
from tests.pipelines.cluster.contract_server import ContractServer
from unstained.errors import ParameterError, UnstainedError

Submit = Callable[..., RunOutcome]


@pytest.fixture
def lines() -> list[str]:
    """What `on_status` was told."""
    return []


@pytest.fixture
def go(package: Path, lines: list[str]) -> Submit:
    """`submit` with everything filled in."""

    def call(**other: Any) -> RunOutcome:
        usual = {
            "package": package,
            "pipeline": "unstained-training",
            "version": "1f2e",
            "experiment": "nsc 50 % + more",
            "run_name": "nsc nightly",
            "arguments": ARGUMENTS,
            "wait": True,
            "timeout_s": 20.0,
            "on_status": lines.append,
        }
        return submit(**(usual | other))

    return call


def test_a_run_arrives_whole_and_typed(
    go: Submit,
    server: ContractServer,
    package: Path,
    lines: list[str],
    capfd: pytest.CaptureFixture[str],
) -> None:
    outcome = go()
    (run,) = server.state.runs.values()
    (version,) = server.state.versions.values()
    (experiment,) = server.state.experiments.values()
    (upload,) = server.sent("POST", "/pipelines/upload_version")
    assert outcome.state == "SUCCEEDED"
    assert outcome.exit_code == 0
    assert outcome.error is None
    assert outcome.url == f"{server.address}/#/runs/details/{run['run_id']}"
    assert run["display_name"] == "nsc nightly"
    assert run["runtime_config"]["parameters"] == ARGUMENTS
    assert run["pipeline_version_reference"] == {
        "pipeline_id": version["pipeline_id"],
        "pipeline_version_id": version["pipeline_version_id"],
    }
    assert run["experiment_id"] == experiment["experiment_id"]
    assert experiment["display_name"] == "nsc 50 % + more"
    assert version["name"] == "1f2e"
    assert upload.body == package.read_bytes()
    assert outcome.url in lines[0]
    assert lines[1:] == ["PENDING", "RUNNING", "SUCCEEDED"]
    assert capfd.readouterr() == ("", "")


def test_the_users_kfp_configuration_is_not_read(go: Submit, server: ContractServer) -> None:
    go()
    assert all("cookie" not in request.headers for request in server.requests)
    assert all("namespace" not in request.query for request in server.requests)


def test_the_same_package_is_one_version_and_a_changed_one_a_second(
    go: Submit, server: ContractServer, changed: Path
) -> None:
    go()
    go()
    go(package=changed, version="9a8b")
    go(package=changed, version="9a8b")
    assert [p["name"] for p in server.state.pipelines.values()] == ["unstained-training"]
    assert [v["name"] for v in server.state.versions.values()] == ["1f2e", "9a8b"]
    assert len(server.state.experiments) == 1
    used = [
        run["pipeline_version_reference"]["pipeline_version_id"]
        for run in server.state.runs.values()
    ]
    first, second = server.state.versions
    assert used == [first, first, second, second]


def test_a_version_name_that_means_another_package_is_refused(
    go: Submit, server: ContractServer, changed: Path
) -> None:
    go()
    with pytest.raises(ClusterError, match="'1f2e' exists on the server and is not"):
        go(package=changed)
    assert len(server.state.runs) == 1


def test_what_the_environment_says_reaches_the_server(
    go: Submit,
    start: Callable[..., ContractServer],
    environment: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    server = start(token="fresh", multi_user=True)
    (tmp_path / "token").write_text("fresh\n")
    environment.setenv("KFP_TOKEN_FILE", str(tmp_path / "token"))
    environment.setenv("KFP_NAMESPACE", "lab")
    environment.setenv("KFP_SERVICE_ACCOUNT", "default-editor")
    environment.setenv("KFP_UI_HOST", "https://kubeflow.example.org/pipeline/")
    outcome = go()
    (run,) = server.state.runs.values()
    assert run["service_account"] == "default-editor"
    assert outcome.url == f"https://kubeflow.example.org/pipeline/#/runs/details/{run['run_id']}"
    for made in (server.state.pipelines, server.state.experiments):
        assert [entry["namespace"] for entry in made.values()] == ["lab"]


def test_tasks_run_as_the_account_with_few_rights(go: Submit, server: ContractServer) -> None:
    go(wait=False)
    (run,) = server.state.runs.values()
    assert run["service_account"] == "unstained-pipeline"


def test_not_waiting_returns_at_once(go: Submit, server: ContractServer) -> None:
    outcome = go(wait=False)
    assert (outcome.state, outcome.exit_code, outcome.timed_out) == ("PENDING", 0, False)
    assert server.sent("GET", "/runs/.*") == []


def task(name: str, state: str, message: str | None = None) -> dict[str, Any]:
    """One entry of a run's tasks."""
    error = {"error": {"code": 2, "message": message}} if message else {}
    return {"display_name": name, "state": state, **error}


@pytest.mark.parametrize(
    ("states", "details", "exit_code", "error"),
    [
        (
            ["RUNNING", "FAILED"],
            {
                "run_details": {
                    "task_details": [
                        task("validate", "SUCCEEDED"),
                        task("train-2", "FAILED", "out of memory"),
                        task("root", "FAILED"),
                    ]
                },
                "error": {"code": 2, "message": "one task failed"},
            },
            1,
            "train-2: out of memory",
        ),
        (["FAILED"], {"error": {"code": 2, "message": "no such image"}}, 1, "no such image"),
        (
            ["FAILED"],
            {"state_history": [{"state": "FAILED", "error": {"code": 2, "message": "quota"}}]},
            1,
            "quota",
        ),
        (
            ["FAILED"],
            {"run_details": {"task_details": [task("split", "FAILED")]}},
            1,
            "split failed",
        ),
        (["FAILED"], {}, 1, None),
        (["CANCELING", "CANCELED"], {}, 21, None),
        (["SKIPPED"], {}, 1, None),
    ],
)
def test_runs_that_do_not_succeed(
    go: Submit,
    server: ContractServer,
    states: list[str],
    details: dict[str, Any],
    exit_code: int,
    error: str | None,
) -> None:
    server.state.plan.states = states
    server.state.plan.details = details
    outcome = go()
    assert (outcome.state, outcome.exit_code, outcome.error) == (states[-1], exit_code, error)


def test_waiting_ends_and_the_run_goes_on(
    go: Submit, server: ContractServer, lines: list[str]
) -> None:
    server.state.plan.states = ["RUNNING"]
    outcome = go(timeout_s=0.2)
    assert (outcome.state, outcome.exit_code, outcome.timed_out) == ("RUNNING", 124, True)
    assert "the run goes on" in lines[-1]
    assert server.sent("POST", "/runs/.*") == []


@pytest.mark.parametrize(
    "how",
    [
        {"status": 503},
        {"status": 500},
        {"status": 429},
        {"drop": True},
        {"status": 200, "body": b"<html>back soon</html>"},
        {"status": 200, "body": b"{}"},
        {"status": 502, "body": b"\xff\xfe<html>"},
    ],
)
def test_a_server_that_fails_for_a_while_does_not_lose_the_run(
    go: Submit, server: ContractServer, lines: list[str], how: dict[str, Any]
) -> None:
    server.fail("GET", "/runs/.*", times=6, **how)
    assert go().state == "SUCCEEDED"
    assert len(server.state.runs) == 1
    assert sum("asking again" in line for line in lines) == 1


def test_a_read_that_hangs_is_asked_again(
    go: Submit, server: ContractServer, environment: pytest.MonkeyPatch
) -> None:
    environment.setenv("KFP_TIMEOUT_S", "0.5")
    server.fail("GET", "/runs/.*", times=1, hang=True)
    assert go().state == "SUCCEEDED"


@pytest.mark.parametrize(("status", "word"), [(401, "KFP_TOKEN"), (404, "deleted")])
def test_waiting_that_cannot_go_on_names_the_run(
    go: Submit, server: ContractServer, status: int, word: str
) -> None:
    server.fail("GET", "/runs/.*", status=status)
    with pytest.raises(ClusterError, match="the run was not touched") as caught:
        go()
    assert word in caught.value.remedy
    assert f"{server.address}/#/runs/details/" in caught.value.remedy


CREATIONS = ["/pipelines", "/pipelines/upload_version", "/experiments", "/runs"]


@pytest.mark.parametrize("path", CREATIONS)
@pytest.mark.parametrize("how", [{"status": 503}, {"status": 500, "after": True}])
def test_each_thing_is_made_once_although_the_first_attempt_fails(
    go: Submit, server: ContractServer, path: str, how: dict[str, Any]
) -> None:
    server.fail("POST", path, times=1, **how)
    assert go().exit_code == 0
    state = server.state
    assert [len(k) for k in (state.pipelines, state.versions, state.experiments, state.runs)] == [
        1,
        1,
        1,
        1,
    ]


@pytest.mark.parametrize("path", CREATIONS)
def test_a_lost_answer_to_a_creation_is_found_again(
    go: Submit, server: ContractServer, path: str
) -> None:
    server.fail("POST", path, times=1, drop=True, after=True)
    assert go().exit_code == 0
    assert len(server.sent("POST", path)) == 1


def test_a_run_whose_start_is_uncertain_is_never_started_twice(
    go: Submit, server: ContractServer
) -> None:
    server.fail("POST", "/runs", drop=True, times=1)
    with pytest.raises(ClusterError, match="not known whether the run was started") as caught:
        go()
    assert f"{server.address}/#/runs" in caught.value.remedy
    assert server.state.runs == {}


def test_somebody_else_may_create_the_same_things_at_the_same_time(
    go: Submit, server: ContractServer
) -> None:
    for path in CREATIONS[:3]:
        server.fail("POST", path, times=1, status=409, after=True)
    assert go().exit_code == 0
    assert len(server.state.versions) == len(server.state.experiments) == 1


def test_names_are_found_behind_the_first_page(go: Submit, server: ContractServer) -> None:
    for _ in range(5):
        go(wait=False)
    server.fail("POST", "/runs", times=1, drop=True, after=True)
    assert go().run_id == list(server.state.runs)[-1]


def test_an_archived_experiment_is_refused(go: Submit, server: ContractServer) -> None:
    go()
    next(iter(server.state.experiments.values()))["storage_state"] = "ARCHIVED"
    with pytest.raises(ClusterError, match="archived"):
        go()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (ARGUMENTS | {"modles": []}, "no parameter 'modles'"),
        ({"study": "nsc"}, "needs the parameter 'params'"),
        (ARGUMENTS | {"models": "cg_recnet"}, "'models' takes LIST, not str"),
        (ARGUMENTS | {"study": 3}, "'study' takes STRING, not int"),
        (ARGUMENTS | {"params": [1]}, "'params' takes STRUCT, not list"),
        (ARGUMENTS | {"params": {"rate": float("nan")}}, "'params' is not JSON"),
        (ARGUMENTS | {"params": {"path": Path()}}, "'params' is not JSON"),
        (ARGUMENTS | {"params": {"seeds": [2**53 + 1]}}, "9007199254740993"),
    ],
)
def test_wrong_arguments_are_refused_before_anything_is_sent(
    go: Submit, server: ContractServer, arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(ParameterError, match=message):
        go(arguments=arguments)
    assert server.requests == []


def test_a_default_may_be_left_out(go: Submit, server: ContractServer) -> None:
    go(arguments={"study": "nsc", "params": {}})
    (run,) = server.state.runs.values()
    assert run["runtime_config"]["parameters"] == {"study": "nsc", "params": {}}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("missing.yaml", None),
        ("training.txt", "root: {}"),
        ("broken.yaml", "root: ["),
        ("other.yaml", "apiVersion: v1\nkind: ConfigMap\n"),
        ("words.yaml", "just words"),
    ],
)
def test_what_is_no_package_is_refused(
    go: Submit, environment: pytest.MonkeyPatch, tmp_path: Path, name: str, text: str | None
) -> None:
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(UnstainedError, match=name) as caught:
        go(package=tmp_path / name)
    assert "pipeline compile" in caught.value.remedy

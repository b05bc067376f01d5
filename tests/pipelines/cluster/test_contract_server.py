"""The judge judges: requests that the description does not allow are refused and remembered."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import urllib3

from tests.pipelines.cluster.contract_server import PREFIX, ContractServer
from tests.pipelines.cluster.description import Description

RUN = {"display_name": "x", "runtime_config": {}}
JOB = {"display_name": "x", "max_concurrency": "1", "trigger": {}, "mode": "ENABLE"}


@pytest.fixture
def judge(description: Description) -> Iterator[ContractServer]:
    """A server whose violations are wanted."""
    with ContractServer(description) as server:
        yield server


@pytest.mark.parametrize(
    ("method", "path", "body", "why"),
    [
        ("GET", "/nothing", None, "is not described"),
        ("PUT", "/runs", RUN, "is not described"),
        ("GET", "/pipelines?pagesize=3", None, "'pagesize' is not described"),
        ("GET", "/pipelines?page_size=three", None, "no integer"),
        ("GET", "/pipelines?page_size=1&page_size=2", None, "repeated"),
        ("GET", "/pipelines?filter=%7B%22predicate%22%3A%5B%5D%7D", None, "'predicate' was"),
        ("DELETE", "/recurringruns/x?propagation_policy=KEEP", None, "none of the values"),
        ("POST", "/runs", RUN | {"name": "x"}, "'name' was unexpected"),
        ("POST", "/runs", RUN | {"runtime_config": {"params": {}}}, "'params' was unexpected"),
        ("POST", "/runs", RUN | {"display_name": 3}, "is not of type 'string'"),
        ("POST", "/runs", RUN | {"state": "SUCCEEDED"}, "state is for the server to fill"),
        ("POST", "/runs", {"display_name": "x"}, "runtime_config is required"),
        ("POST", "/recurringruns", JOB | {"max_concurrency": 1}, "is not of type 'string'"),
        ("POST", "/recurringruns", JOB | {"max_concurrency": "one"}, "is not a 'int64'"),
        ("POST", "/recurringruns", JOB | {"mode": "ON"}, "'ON' is not one of"),
        ("POST", "/pipelines/upload_version", {"file": "x"}, "the form is 'application/json'"),
        ("POST", "/recurringruns/x:enable", {"a": 1}, "takes no body"),
        ("GET", "/experiments/x", None, "not what submission needs"),
    ],
)
def test_violations(
    judge: ContractServer, method: str, path: str, body: dict[str, Any] | None, why: str
) -> None:
    answer = urllib3.request(
        method,
        f"{judge.address}{PREFIX}{path}",
        body=None if body is None else json.dumps(body),
        headers={"content-type": "application/json"},
    )
    assert answer.status == 400
    assert len(judge.violations) == 1
    assert why in judge.violations[0]


@pytest.mark.parametrize(
    ("field", "file_name", "content", "why"),
    [
        ("file", "p.yaml", "root: {}", "described are ['uploadfile']"),
        ("uploadfile", "p.txt", "root: {}", "cannot tell"),
        ("uploadfile", "p.yaml", "rooot: {}", 'no field named "rooot"'),
    ],
)
def test_uploads(judge: ContractServer, field: str, file_name: str, content: str, why: str) -> None:
    judge.state.pipelines["p"] = {}
    urllib3.request(
        "POST",
        f"{judge.address}{PREFIX}/pipelines/upload_version?pipelineid=p&name=v",
        fields={field: (file_name, content)},
    )
    assert len(judge.violations) == 1
    assert why in judge.violations[0]


def test_answers_are_judged_too(judge: ContractServer) -> None:
    judge.state.runs["r"] = {"run_id": "r", "experiment": "misspelt"}
    urllib3.request("GET", f"{judge.address}{PREFIX}/runs/r")
    assert "answer of RunService_GetRun" in judge.violations[0]

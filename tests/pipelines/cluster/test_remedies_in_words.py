"""Remedies of pipelines on a cluster: what a message advises is done, and the request arrives.

The server is the contract server; no cluster is needed. The command runs in this process.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import pytest
from typer.testing import CliRunner

from tests.pipelines.cluster.contract_server import ContractServer
from tests.pipelines.cluster.test_command import IMAGE, project
from unstained.cli import app
from unstained.errors import UnstainedError
from unstained.sources import set_source

__all__ = ["project"]

SUBMIT = ("submit", "monitoring", "--study", "nsc", "--overlay", "gpu")
SCHEDULE = ("schedule", "monitoring")
MANY = {"multi_user": True}
CLOSED = "http://127.0.0.1:9"


class Desk:
    """A person with a project, an environment and a server."""

    def __init__(
        self, root: Path, environment: pytest.MonkeyPatch, start: Callable[..., ContractServer]
    ) -> None:
        self.root, self.environment, self.start = root, environment, start
        self.words: list[str] = [*SUBMIT]

    def instead(self, word: str, other: str) -> None:
        self.words[self.words.index(word)] = other

    def run(self) -> None:
        done = CliRunner().invoke(app, ["pipeline", *self.words])
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        assert done.exit_code == 0, done.output


@pytest.fixture
def desk(
    project: Path,
    environment: pytest.MonkeyPatch,
    start: Callable[..., ContractServer],
    quick_compiler: None,
) -> Desk:
    environment.chdir(project)
    environment.setenv("UNSTAINED_TRAIN_IMAGE", IMAGE)
    return Desk(project, environment, start)


class Case(NamedTuple):
    """What is wrong, what is said, what is done; `server` says what kind of server answers."""

    spoil: Callable[[Desk], object]
    said: str
    advice: str
    do: Callable[[Desk], object]
    server: Mapping[str, object] = MappingProxyType({})


def words(*typed: str) -> Callable[[Desk], None]:
    def type_them(desk: Desk) -> None:
        desk.words = [*typed]

    return type_them


def set_to(name: str, value: str) -> Callable[[Desk], None]:
    return lambda desk: desk.environment.setenv(name, value)


def unset(name: str) -> Callable[[Desk], None]:
    return lambda desk: desk.environment.delenv(name)


def both(*deeds: Callable[[Desk], object]) -> Callable[[Desk], None]:
    def all_of_them(desk: Desk) -> None:
        for deed in deeds:
            deed(desk)

    return all_of_them


def with_files_here(desk: Desk) -> None:
    """A study whose images lie on this machine."""
    (desk.root / "cells").mkdir()
    set_source(desk.root / "params.yaml", "nsc", str(desk.root / "cells"))


def token_file(desk: Desk) -> None:
    (desk.root / "token").write_text("fresh\n")
    desk.environment.setenv("KFP_TOKEN_FILE", str(desk.root / "token"))


def archived(desk: Desk) -> None:
    desk.run()
    for experiment in desk.server.state.experiments.values():
        experiment["storage_state"] = "ARCHIVED"


def restored(desk: Desk) -> None:
    for experiment in desk.server.state.experiments.values():
        experiment["storage_state"] = "AVAILABLE"


CASES = {
    "no such pipeline": Case(
        words("submit", "monitor"),
        "there is no pipeline 'monitor'",
        "monitoring",
        lambda desk: desk.instead("monitor", "monitoring"),
    ),
    "no such overlay": Case(
        lambda desk: desk.instead("gpu", "gpus"),
        "there is no overlay 'gpus'",
        "use one of: gpu",
        lambda desk: desk.instead("gpus", "gpu"),
    ),
    "no such study": Case(
        lambda desk: desk.instead("nsc", "ncs"),
        "no study 'ncs'",
        "nsc",
        lambda desk: desk.instead("ncs", "nsc"),
    ),
    "no image": Case(
        unset("UNSTAINED_TRAIN_IMAGE"),
        "no image of this project is named",
        "then set UNSTAINED_TRAIN_IMAGE=NAME@sha256:",
        set_to("UNSTAINED_TRAIN_IMAGE", IMAGE),
    ),
    "an image by its tag": Case(
        set_to("UNSTAINED_TRAIN_IMAGE", "registry.example.org/lab/train:latest"),
        "is not named by its digest",
        "set UNSTAINED_TRAIN_IMAGE to NAME@sha256:",
        set_to("UNSTAINED_TRAIN_IMAGE", IMAGE),
    ),
    "images of this machine": Case(
        with_files_here,
        "which a cluster does not see",
        "--repository GIT_ADDRESS --revision COMMIT",
        lambda desk: desk.words.extend(
            ("--repository", "https://git.example.org/lab.git", "--revision", "0123abc")
        ),
    ),
    "no address": Case(
        unset("KFP_HOST"),
        "KFP_HOST is not set",
        "export KFP_HOST=",
        lambda desk: desk.environment.setenv("KFP_HOST", desk.server.address),
    ),
    "an address without its scheme": Case(
        set_to("KFP_HOST", "127.0.0.1:8888"),
        "which is no address of a server",
        "write it as http://HOST:PORT",
        lambda desk: desk.environment.setenv("KFP_HOST", desk.server.address),
    ),
    "nobody at home": Case(
        set_to("KFP_HOST", CLOSED),
        "nothing answers at",
        "check KFP_HOST",
        lambda desk: desk.environment.setenv("KFP_HOST", desk.server.address),
    ),
    "two tokens": Case(
        both(token_file, set_to("KFP_TOKEN", "fresh")),
        "KFP_TOKEN and KFP_TOKEN_FILE are both set",
        "unset one of them",
        unset("KFP_TOKEN"),
        {"token": "fresh"},
    ),
    "a header for a token": Case(
        set_to("KFP_TOKEN", "Bearer fresh"),
        "KFP_TOKEN holds white space",
        "set the bare token, without the word Bearer",
        set_to("KFP_TOKEN", "fresh"),
        {"token": "fresh"},
    ),
    "an old token": Case(
        set_to("KFP_TOKEN", "stale"),
        "answers 401",
        "set KFP_TOKEN (or KFP_TOKEN_FILE) to a token that is valid now",
        both(unset("KFP_TOKEN"), token_file),
        {"token": "fresh"},
    ),
    "no file of a token": Case(
        set_to("KFP_TOKEN_FILE", "/nowhere/token"),
        "KFP_TOKEN_FILE names /nowhere/token, which is no file",
        "correct or unset KFP_TOKEN_FILE",
        token_file,
        {"token": "fresh"},
    ),
    "no namespace": Case(
        lambda _: None,
        "serves several users, and KFP_NAMESPACE is not set",
        "export KFP_NAMESPACE=<your profile's namespace>",
        set_to("KFP_NAMESPACE", "lab"),
        MANY,
    ),
    "no seconds": Case(
        set_to("KFP_TIMEOUT_S", "30s"),
        "not a number of seconds",
        "e.g. KFP_TIMEOUT_S=30",
        set_to("KFP_TIMEOUT_S", "30"),
    ),
    "an archived experiment": Case(
        archived, "is archived and takes no runs", "restore it in the web interface", restored
    ),
    "another experiment": Case(
        archived,
        "is archived and takes no runs",
        "or name another experiment",
        lambda desk: desk.words.extend(("--experiment", "night")),
    ),
    "no time": Case(
        words(*SCHEDULE),
        "a schedule needs either a cron expression or an interval",
        "give one",
        lambda desk: desk.words.extend(("--every", "3600")),
    ),
    "a crontab's five fields": Case(
        words(*SCHEDULE, "--cron", "0 6 * * 1"),
        "has 5 fields",
        "'0 0 3 * * 1' is Mondays at 3:00 UTC",
        lambda desk: desk.instead("0 6 * * 1", "0 0 3 * * 1"),
    ),
    "no interval": Case(
        words(*SCHEDULE, "--every", "0"),
        "the interval is 0 s",
        "choose at least one second",
        lambda desk: desk.instead("0", "1"),
    ),
}


QUICK = ("no image", "no address", "two tokens", "no namespace", "no time")
"""The others take seconds each: a graph is compiled for every command."""


@pytest.mark.parametrize(
    "name", [n if n in QUICK else pytest.param(n, marks=pytest.mark.minutes) for n in CASES]
)
def test_what_the_remedy_says_helps(desk: Desk, name: str) -> None:
    case = CASES[name]
    desk.server = desk.start(**case.server)
    desk.server.state.plan.states[:] = ["SUCCEEDED"]
    case.spoil(desk)
    with pytest.raises(UnstainedError) as error:
        desk.run()
    assert case.said in error.value.message
    assert case.advice in error.value.remedy
    case.do(desk)
    desk.run()
    assert desk.server.state.runs or desk.server.state.schedules

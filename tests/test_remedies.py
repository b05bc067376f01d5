"""What messages tell a user to type exists: commands with their options, stages, targets, keys."""

from __future__ import annotations

import importlib.util
import re
import subprocess
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from dvc.cli.parser import get_main_parser

from tests.conftest import ROOT
from tests.remedies import (
    HOLE,
    Said,
    commands,
    keys,
    outside_of_commands,
    resolves,
    strings,
    unquoted,
)
from unstained.cli import app
from unstained.pipeline.catalogue import BASELINES, OPERATIONS, STAGES

RUN_BY_HAND = (*STAGES, *OPERATIONS, *BASELINES)
ELLIPSIS = "..."


@cache
def cli() -> Any:
    return typer.main.get_command(app)


def check_unstained(words: Sequence[str]) -> None:
    """Parsed by the command line itself; nothing runs."""
    group, arguments = cli(), [word for word in words if word not in ("--debug", "--help")]
    if arguments in ([], [ELLIPSIS]):
        return
    while hasattr(group, "commands"):
        name, *arguments = arguments
        assert name in group.commands, name
        group = group.commands[name]
    stage = arguments[0] if group.name == "run" and arguments else HOLE
    assert stage in (HOLE, "STAGE", *RUN_BY_HAND)
    numbered = ("--fold", "--seed", "--version")
    numbers = ["0" if before in numbered else word for before, word in pairs(arguments)]
    group.make_context(group.name, numbers)


def pairs(words: Sequence[str]) -> list[tuple[str, str]]:
    return list(zip(["", *words], words, strict=False))


def check_dvc(words: Sequence[str]) -> None:
    asked = get_main_parser().parse_args(list(words))
    for target in asked.targets if words[0] == "repro" else ():
        file, _, name = target.rpartition(":") if ":" in target else ("", "", target)
        if (ROOT / target).is_file() or HOLE in target.partition("@")[0]:
            continue
        stages = yaml.safe_load((ROOT / (file or "dvc.yaml")).read_text())["stages"]
        assert name.partition("@")[0] in stages


def check_make(words: Sequence[str]) -> None:
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert set(words) <= set(targets)


def check_git(words: Sequence[str]) -> None:
    listed = subprocess.run(
        ["git", "--list-cmds=main"], capture_output=True, text=True, check=True
    ).stdout
    assert words[0] in listed.split()


def check_mlflow(words: Sequence[str]) -> None:
    """By name in its source: to import its command line takes seconds."""
    found = importlib.util.find_spec("mlflow")
    assert found is not None
    assert found.origin is not None
    home = Path(found.origin).parent
    files = ("cli/__init__.py", "experiments.py", "store/fs2db/cli.py")
    text = "".join((home / name).read_text(encoding="utf-8") for name in files)
    named = [word.removesuffix(HOLE) for word in words if "/" not in word]
    assert [
        word for word in named if word not in ("", "DIRECTORY") and f'"{word}"' not in text
    ] == []


CHECKS: dict[str, Callable[[Sequence[str]], None]] = {
    "unstained": check_unstained,
    "dvc": check_dvc,
    "make": check_make,
    "git": check_git,
    "mlflow": check_mlflow,
}


def test_every_command_that_is_told_exists() -> None:
    checked: dict[str, int] = dict.fromkeys(CHECKS, 0)
    for said in strings():
        for program, *words in commands(said):
            if program in CHECKS:
                try:
                    CHECKS[program](words)
                except Exception as error:
                    pytest.fail(f"{said.place}: {program} {' '.join(words)}: {error!r}")
                checked[program] += 1
    assert all(checked.values()), "the collector sees commands of each program"
    assert checked["unstained"] > 20


def test_every_command_stands_between_backticks() -> None:
    """Nobody sees otherwise where it ends, and the test above does not see it."""
    assert [(said.place, found) for said in strings() for found in unquoted(said)] == []


def test_stages_are_told_as_commands() -> None:
    """'run `train` again' is nothing that can be typed."""
    names = "|".join(sorted({*RUN_BY_HAND}))
    pattern = re.compile(rf"\brun (?:the )?(?:stage )?`?(?:{names})`?(?: stage)? again")
    assert [said for said in strings() if pattern.search(said.text)] == []


def test_every_key_that_is_told_exists() -> None:
    told = [(said.place, key) for said in strings() for key in keys(said)]
    assert [(place, ".".join(key)) for place, key in told if not resolves(key)] == []
    assert len(told) > 100


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("set split.fractions", True),
        ("studies.<study>.data.tasks", True),
        ("studies.<study>.data.tasks.HOLE.names", True),
        ("tune.network_space", True),
        ("studies.<study>.models.<model>.grey_as", True),
        ("studies.<study>.data.classes", False),
        ("studies.<study>.models.<model>.gray_as", False),
        ("data.source", False),
        ("train.epoch", False),
        ("model.image", True),
    ],
)
def test_the_resolver_tells_keys_apart(text: str, found: bool) -> None:
    (key,) = keys(Said("here", text))
    assert resolves(key) is found


def test_every_option_that_is_told_exists() -> None:
    known = {
        option for command in every_command(cli()) for p in command.params for option in p.opts
    }
    told = [
        (said.place, option)
        for said in strings()
        if said.place.startswith("src/")
        for option in re.findall(r"(?<![\w-])--[a-z][a-z0-9-]+", outside_of_commands(said.text))
        if option != said.text  # an argument of another program
    ]
    assert [(place, option) for place, option in told if option not in known] == []
    assert len(told) > 20


def every_command(group: Any) -> list[Any]:
    inner = getattr(group, "commands", {}).values()
    return [group, *(found for one in inner for found in every_command(one))]

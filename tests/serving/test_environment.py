"""Serving works in the environment of `make repro`, and says what is missing in another."""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

import pytest

from unstained.cli.serve import serve
from unstained.errors import UnstainedError


def names(requirements: list[str]) -> set[str]:
    return {re.split(r"[<>=\[; ]", requirement)[0] for requirement in requirements}


def test_the_run_environment_holds_all_that_serving_needs(repository: Path) -> None:
    content = tomllib.loads((repository / "pyproject.toml").read_text())
    serving = names(content["dependency-groups"]["serve"])
    assert serving <= names(content["project"]["dependencies"])
    locked = (repository / "requirements.lock").read_text()
    assert all(re.search(rf"^{name}==", locked, re.MULTILINE) for name in serving)


def test_a_missing_package_is_named_with_a_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "unstained.serving.running", raising=False)
    monkeypatch.setitem(sys.modules, "uvloop", None)
    with pytest.raises(UnstainedError, match="lacks the package uvloop") as found:
        serve(artifact=tmp_path)
    assert "make setup" in found.value.remedy

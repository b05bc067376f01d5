"""What `--help` prints."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest
from typer.testing import CliRunner

from unstained.cli import app


@pytest.mark.parametrize("command", ["predict", "init", "grid"])
def test_a_help_has_no_short_lines_within_a_sentence(command: str) -> None:
    """Lines are as long as the screen lets them, wherever the code breaks them."""
    columns = 80
    said = CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": str(columns)}).stdout
    (above, _) = re.split(r"╭─ (?:Arguments|Options)", said, maxsplit=1)
    lines = [line.strip() for line in above.splitlines()]
    for line, after in pairwise(lines):
        if line and after:
            assert len(line) + 1 + len(after.split()[0]) > columns - 2

"""The screen shows tasks, errors with remedies and what took time; the file has everything."""

from __future__ import annotations

import io

import pytest

from pipelines.narration import Narration, story


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("06:48:31.821 - INFO - Executing task 'train'", "train: started"),
        ("06:48 - INFO - Task 'train' finished with status SUCCESS", "train: success"),
        ("06:48 - ERROR - Task 'train' finished with status FAILURE", "train: failure"),
        ("        error: there is no bucket", "    error: there is no bucket"),
        ("          -> create it", "    -> create it"),
        ("    predict: 532 cells in 2.0 s (261.9/s)", "    predict: 532 cells in 2.0 s (261.9/s)"),
        ('    "executorInput": {', None),
        ("06:48 - INFO - Task 'train' outputs:", None),
        ("", None),
    ],
)
def test_lines(line: str, said: str | None) -> None:
    assert story(line) == said


def test_the_file_has_everything_and_colours_do_not_matter() -> None:
    log, screen = io.StringIO(), io.StringIO()
    stream = Narration(log, screen)
    for piece in ("Executing task \x1b[96m'tu", "ne'\x1b[0m\n{\n", "error: no\n  -> do\nhalf"):
        stream.write(piece)
    assert screen.getvalue() == "tune: started\n    error: no\n    -> do\n"
    assert log.getvalue().endswith("half")
    assert "{" in log.getvalue()

"""What the Kubeflow UI shows of a stage: curves of classes, and none where there are no classes."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from unstained.pipeline.contract import Report
from unstained.pipeline.display import show


class Shown(SimpleNamespace):
    """Display artifacts that keep what they are given."""

    def __init__(self, path: Path) -> None:
        super().__init__(path=str(path), numbers={}, drawn=[])

    def log_metric(self, name: str, value: float) -> None:
        self.numbers[name] = value

    def log_confusion_matrix(self, *given: Any) -> None:
        self.drawn.append(given)


def test_a_study_without_classes_has_numbers_and_notes_and_no_curves(tmp_path: Path) -> None:
    (tmp_path / "confusion.csv").write_text("model,actual,predicted\n")
    shown = Shown(tmp_path / "shown" / "notes.md")
    report = Report({"mae": 0.12, "missing": float("nan"), "model": "x"}, ("few movies",))
    show(report, tmp_path, {"metrics": shown, "curves": shown, "summary": shown})
    assert shown.numbers == {"mae": pytest.approx(0.12)}
    assert shown.drawn == []
    text = Path(shown.path).read_text()
    assert "| mae | 0.12 |" in text
    assert "- few movies" in text

"""What evaluation fitted on validation cells, as an artifact's calibration.json holds it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from unstained.artifact.intervals import Interval
from unstained.errors import MADE_AGAIN, StageInputError
from unstained.files import read_json
from unstained.tasks.study import Tasks


@dataclass(frozen=True)
class Calibration:
    """What evaluation fitted on validation cells, for one classes task.

    Attributes:
        temperature: softmax temperature.
        thresholds: (K,) a class is in the conformal set where 1 - probability <= its threshold.
        alpha: error rate that the sets are made for.
        confusion: (K, K) validation cells of each class, by the class that they were called.
    """

    temperature: float
    thresholds: tuple[float, ...]
    alpha: float
    confusion: tuple[tuple[int, ...], ...]

    def as_json(self) -> dict[str, Any]:
        """Plain content."""
        confusion = [list(row) for row in self.confusion]
        return {**asdict(self), "thresholds": list(self.thresholds), "confusion": confusion}


Calibrations = Mapping[str, Calibration]
"""By classes task."""


def read_calibrations(path: Path, tasks: Tasks) -> dict[str, Calibration]:
    """Read what `evaluate` wrote for one model: content by classes task.

    Raises:
        StageInputError: the file or a task is missing, or made for another number of classes.
    """
    try:
        content = read_json(path)
        found = {
            task.name: Calibration(
                float(content[task.name]["temperature"]),
                tuple(float(value) for value in content[task.name]["thresholds"]),
                float(content[task.name]["alpha"]),
                tuple(tuple(int(n) for n in row) for row in content[task.name]["confusion"]),
            )
            for task in tasks.classes
        }
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        raise StageInputError(f"{path} is missing or no calibration", MADE_AGAIN) from None
    for task in tasks.classes:
        if len(found[task.name].thresholds) != task.width:
            raise StageInputError(
                f"{path} holds {len(found[task.name].thresholds)} thresholds for {task.width} "
                "classes: the model or the study has changed",
                MADE_AGAIN,
            )
    return found


def calibration_content(
    calibrations: Calibrations, intervals: Mapping[str, Interval]
) -> dict[str, Any]:
    """Content of the artifact's calibration.json."""
    classes = {name: calibration.as_json() for name, calibration in calibrations.items()}
    return classes | {name: interval.as_json() for name, interval in intervals.items()}

"""A search in a process of its own, for tests that kill it.

Usage: python -m tests.learning.tuning_process EXECUTOR FOLDER TRIALS CONCURRENT DELAY

Every trial appends its parameter to FOLDER/started before it begins, and FOLDER/journal.jsonl is
the search's journal.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unstained.config.learning import TuneParams
from unstained.config.search_space import Choices, Range
from unstained.learning.search import Report, Search
from unstained.learning.tuning import search

EPOCHS = 4
SPACE = {
    "train.x": Range(low=0, high=1),
    "train.y": Range(low=1e-3, high=10, log=True),
    "train.z": Choices(choices=(["far"], ["far", "near"])),
}
DEFAULTS = {"train.x": 0.9, "train.y": 0.05, "train.z": ["far"]}


@dataclass(frozen=True)
class Bowl:
    """Loss with its minimum at x = 0.3, y = 1, z with two parts; falls with every epoch."""

    started: Path
    delay: float = 0.0

    def __call__(self, params: Mapping[str, Any], report: Report) -> None:
        with self.started.open("a") as file:
            file.write(f"{params['train.x']!r}\n")
        for epoch in range(1, EPOCHS + 1):
            time.sleep(self.delay)
            loss = (params["train.x"] - 0.3) ** 2 + abs(params["train.y"] - 1) / 100
            loss += 1 / epoch + 0.01 / len(params["train.z"])
            if not report(epoch, loss):
                return


def tune(executor: str, trials: int, concurrent: int = 1) -> TuneParams:
    """Parameters of a small search."""
    return TuneParams.model_validate(
        {
            "executor": executor,
            "trials": trials,
            "epochs": EPOCHS,
            "grace_epochs": 1,
            "reduction_factor": 2,
            "max_cells": 1,
            "concurrent": concurrent,
            "network_space": {},
        }
    )


def bowl_search(
    executor: str, folder: Path, trials: int, concurrent: int = 1, delay: float = 0.0
) -> Search:
    """A search for the bowl's minimum."""
    return Search(
        space=SPACE,
        defaults=DEFAULTS,
        objective=Bowl(folder / "started", delay),
        tune=tune(executor, trials, concurrent),
        seed=7,
        journal=folder / "journal.jsonl",
    )


if __name__ == "__main__":
    name, place, count, at_once, wait = sys.argv[1:]
    search(bowl_search(name, Path(place), int(count), int(at_once), float(wait)))

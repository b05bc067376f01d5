"""Journal of finished trials: one JSON line each, on disk before the trial counts as finished.

A search that is killed at any moment reads the journal when it starts again and repeats no finished
trial. Every line carries the digest of the search's configuration, so trials of another search are
never mistaken for its own.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from unstained.errors import TrainingError

State = Literal["completed", "pruned", "diverged"]


@dataclass(frozen=True)
class TrialRecord:
    """A finished trial.

    Attributes:
        trial: its number, from 0; trial 0 has the parameters of params.yaml.
        state: 'completed' (ran to its end), 'pruned' (stopped by successive halving) or 'diverged'
            (the loss became infinite or NaN).
        value: the lowest loss that it reported; None where the first one was not finite.
        epochs: the last epoch that it reported.
        params: dotted parameter -> value, as JSON has it.
        history: (epoch, loss) of every finite report.
    """

    trial: int
    state: State
    value: float | None
    epochs: int
    params: Mapping[str, Any]
    history: tuple[tuple[int, float], ...]

    def as_json(self) -> dict[str, Any]:
        """Plain content, for the journal and the registry."""
        return {**asdict(self), "history": [list(point) for point in self.history]}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> TrialRecord:
        """The inverse of `as_json`."""
        history = tuple((int(epoch), float(loss)) for epoch, loss in content["history"])
        return cls(**{**content, "history": history})


class Journal:
    """Append-only file of finished trials.

    Args:
        path: the file; created with its directory on the first append.
        config: digest of everything that defines the search.
    """

    def __init__(self, path: Path, config: str) -> None:
        self.path = path
        self.config = config

    def read(self) -> dict[int, TrialRecord]:
        """Finished trials of this search by number; a torn last line is no trial.

        Raises:
            TrainingError: a line before the last one is damaged.
        """
        if not self.path.exists():
            return {}
        lines = self.path.read_bytes().split(b"\n")
        records: dict[int, TrialRecord] = {}
        for number, line in enumerate(lines, start=1):
            entry = _parse(line)
            if entry is None and number < len(lines):
                raise TrainingError(
                    f"line {number} of the trial journal {self.path} is damaged",
                    "delete the file; the search then starts from its first trial",
                )
            if entry is not None and entry.pop("config") == self.config:
                record = TrialRecord.from_json(entry)
                records[record.trial] = record
        return records

    def append(self, record: TrialRecord) -> None:
        """Add a trial; it is on the disk when this returns."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        line = json.dumps({"config": self.config, **record.as_json()}, allow_nan=False)
        with self.path.open("ab+") as file:
            _end_last_line(file)
            file.write(line.encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())


def _parse(line: bytes) -> dict[str, Any] | None:
    """The content of a line, or None where it is torn or damaged."""
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    return entry if isinstance(entry, dict) and "config" in entry else None


def _end_last_line(file: Any) -> None:
    """Complete a last line that lacks only its newline, and cut off one that is torn."""
    file.seek(0)
    content = file.read()
    kept, _, last = content.rpartition(b"\n")
    if not last:
        return
    if _parse(last) is not None:
        file.write(b"\n")
    else:
        file.truncate(len(kept) + 1 if kept else 0)

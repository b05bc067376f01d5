"""Checkpoints: tensors as safetensors beside a small JSON file, nothing pickled.

state.json is written last and names the tensor files with their digests, so whatever moment a run
is killed at, the directory holds one consistent checkpoint: the new or the one before it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from safetensors.torch import load_file, save_file

from unstained.files import file_sha256, read_json, whole_file, write_json

STATE: Final = "state.json"
COST_SHARE: Final = 0.02
"""Part of the time that writing checkpoints may take."""

Tensors = Mapping[str, torch.Tensor]


@dataclass(frozen=True)
class Checkpoint:
    """What is needed to go on.

    Attributes:
        state: JSON content.
        tensors: weights, averages, optimiser state, losses of the running epoch.
        best: the weights to return so far; empty before the first validation.
    """

    state: dict[str, Any]
    tensors: Tensors
    best: Tensors


class CheckpointStore:
    """The checkpoint of one run in a directory of its own.

    Args:
        directory: private to the run; made when needed.
        fingerprint: of everything that determines the run. A checkpoint with another one is
            ignored and overwritten.
        seconds: between two checkpoints within an epoch, more where writing is slow; 0 writes
            after every step.
    """

    def __init__(self, directory: Path, fingerprint: str, seconds: float) -> None:
        self.directory = directory
        self.fingerprint = fingerprint
        self.seconds = seconds
        self._written = time.monotonic()
        self._cost = 0.0
        self._best: dict[str, str] = {}
        self._best_epoch = -1

    def due(self) -> bool:
        """Whether it is time for a checkpoint within an epoch."""
        wait = max(self.seconds, self._cost / COST_SHARE if self.seconds else 0.0)
        return time.monotonic() - self._written >= wait

    def save(self, checkpoint: Checkpoint, best_epoch: int) -> None:
        """Write a checkpoint; it replaces the former one as a whole.

        Args:
            checkpoint: what to write.
            best_epoch: epoch of `checkpoint.best`, which is only written when it changes.

        Raises:
            UnstainedError: the disk is full.
        """
        start = time.monotonic()
        self.directory.mkdir(parents=True, exist_ok=True)
        state = checkpoint.state
        name = f"run-{state['epoch']:05d}-{state['step']:07d}"
        files = {"tensors": self._write(name, checkpoint.tensors)}
        if checkpoint.best and best_epoch != self._best_epoch:
            self._best = self._write(f"best-{best_epoch:05d}", checkpoint.best)
            self._best_epoch = best_epoch
        if self._best:
            files["best"] = self._best
        content = {"fingerprint": self.fingerprint, "files": files, "state": state}
        write_json(self.directory / STATE, content)
        keep = {STATE, *(file["name"] for file in files.values())}
        for path in self.directory.iterdir():
            if path.name not in keep:
                path.unlink(missing_ok=True)
        self._written = time.monotonic()
        self._cost = self._written - start

    def load(self) -> Checkpoint | None:
        """The checkpoint, or None where there is none that is whole and of this run."""
        path = self.directory / STATE
        if not path.exists():
            return None
        try:
            content = read_json(path)
            if content["fingerprint"] != self.fingerprint:
                logging.getLogger(__name__).warning(
                    "%s belongs to another run (other data, parameters or versions): "
                    "training starts from its first step",
                    path,
                )
                return None
            files = content["files"]
            tensors = self._read(files["tensors"])
            best = self._read(files["best"]) if "best" in files else {}
        except (OSError, ValueError, KeyError, TypeError) as error:
            logging.getLogger(__name__).warning(
                "%s is damaged (%s): training starts from its first step", path, error
            )
            return None
        self._best, self._best_epoch = files.get("best", {}), content["state"]["best_epoch"]
        return Checkpoint(content["state"], tensors, best)

    def _write(self, name: str, tensors: Tensors) -> dict[str, str]:
        path = self.directory / f"{name}.safetensors"
        plain = {key: value.detach().cpu().contiguous() for key, value in tensors.items()}
        with whole_file(path) as temporary:
            save_file(plain, temporary)
        return {"name": path.name, "sha256": file_sha256(path)}

    def _read(self, file: Mapping[str, str]) -> Tensors:
        path = self.directory / file["name"]
        if file_sha256(path) != file["sha256"]:
            raise ValueError(f"{path.name} was changed or cut off")
        tensors: Tensors = load_file(path)
        return tensors

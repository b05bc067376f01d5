"""A simulated study on disk: its parts are whole or absent, and a killed simulation goes on."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from pathlib import Path
from threading import Event
from typing import Any, Final, TypeVar

import torch

from unstained.files import read_json, write_json
from unstained.progress import progress

PLAN: Final = "plan.json"
DONE: Final = "simulation.json"
T = TypeVar("T")


class StoppedError(Exception):
    """Another part failed or the user interrupted; nothing of this one is kept."""


def digest_of(content: Mapping[str, Any]) -> str:
    """Sha256 of everything that determines a simulated study, as plain data."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def is_done(destination: Path, digest: str) -> bool:
    """Whether this very study is there already."""
    return _digest_in(destination / DONE) == digest


def finish(destination: Path, digest: str, seed: int) -> None:
    """Note that the study is whole."""
    write_json(destination / DONE, {"digest": digest, "seed": seed})


def prepare(destination: Path, digest: str, partial: str = ".*.partial") -> None:
    """Keep what an interrupted simulation of the same study has finished; remove anything else.

    Args:
        destination: gets the directories `images` and `truth`.
        digest: of what decides every byte.
        partial: pattern of what a killed one leaves behind in these directories.
    """
    images, truth = destination / "images", destination / "truth"
    if _digest_in(destination / PLAN) != digest:
        (destination / DONE).unlink(missing_ok=True)
        (destination / PLAN).unlink(missing_ok=True)
        for directory in (images, truth):
            if directory.exists():
                shutil.rmtree(directory)
        write_json(destination / PLAN, {"digest": digest})
    for directory in (images, truth):
        directory.mkdir(parents=True, exist_ok=True)
        for left in sorted(directory.glob(partial)):
            shutil.rmtree(left) if left.is_dir() else left.unlink()


def _digest_in(record: Path) -> str | None:
    return str(read_json(record)["digest"]) if record.is_file() else None


def in_threads(parts: Sequence[T], cells: int, simulate: Callable[[T, Event], int]) -> None:
    """Simulate parts in threads: torch, numpy and the file system work outside the interpreter.

    Args:
        parts: each is simulated once.
        cells: in all of them.
        simulate: writes one and tells its cells; raises StoppedError when the event is set.
    """
    stop = Event()
    threads = torch.get_num_threads()
    pool = ThreadPoolExecutor(os.cpu_count() or 1, initializer=torch.set_num_threads, initargs=(1,))
    try:
        with progress("simulate", cells, "cells") as advance:
            running: list[Future[int]] = [pool.submit(simulate, part, stop) for part in parts]
            for done in as_completed(running):
                advance(done.result())
    finally:
        stop.set()
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(threads)

"""Ray for one command: a cluster by RAY_ADDRESS, or one that is started here and ends with it."""

from __future__ import annotations

import os
import shlex
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

import ray

from unstained.errors import TrainingError
from unstained.learning.orphans import no_orphans
from unstained.learning.ray_folder import ray_folder
from unstained.learning.ray_privacy import for_this_user_alone

OBJECT_STORE_BYTES: Final = 80_000_000
"""Ray's smallest object store: workers exchange numbers, never cells."""

CONNECT_SECONDS: Final = 10.0

QUIET: Final[dict[str, Any]] = {"logging_level": "ERROR", "log_to_driver": False}

ENVIRONMENT: Final = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
}
"""Quiet, offline, and Ctrl-C stops Ray Tune instead of asking it to wind down."""


@contextmanager
def ray_session() -> Iterator[Path]:
    """Ray while the block runs: the one in this process, that of RAY_ADDRESS, or a private one.

    A private one ends with this process, however it ends, and answers this user on this machine.

    Yields:
        An empty folder for the block's own files; it goes when the block ends.

    Raises:
        TrainingError: RAY_ADDRESS cannot be reached.
    """
    with _environment(), ray_folder() as folder, _cluster(folder):
        yield folder


def last_line(error: BaseException) -> str:
    """The last line of an error's text: Ray puts a worker's traceback before it."""
    lines = str(error).strip().splitlines()
    return lines[-1].strip() if lines else type(error).__name__


@contextmanager
def _cluster(folder: Path) -> Iterator[None]:
    if ray.is_initialized():
        yield
        return
    address = os.environ.get("RAY_ADDRESS")
    with ExitStack() as ending:
        if not address:
            ending.enter_context(for_this_user_alone())
            ending.enter_context(no_orphans(folder))
        ending.callback(ray.shutdown)
        with _own_signals():
            if address:
                _connect(address)
            else:
                _start(folder)
        yield


def _start(folder: Path) -> None:
    """A private Ray."""
    ray.init(
        address="local",
        num_cpus=len(os.sched_getaffinity(0)),
        object_store_memory=OBJECT_STORE_BYTES,
        include_dashboard=False,
        _temp_dir=str(folder / "ray"),
        runtime_env=_quoted_interpreter(),
        **QUIET,
    )


def _quoted_interpreter() -> dict[str, str] | None:
    """The interpreter as a shell takes it, where its path has spaces or parentheses.

    Ray hands a worker's command to a shell and quotes all of it but the interpreter.
    """
    quoted = shlex.quote(sys.executable)
    return None if quoted == sys.executable else {"py_executable": quoted}


@contextmanager
def _own_signals() -> Iterator[None]:
    """Undo what the block does to SIGTERM: Ray would exit with a status of its own."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handler = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, handler)


def _connect(address: str) -> None:
    if address.startswith("ray://"):
        raise TrainingError(
            f"RAY_ADDRESS is {address}, an address for Ray's client, which knows no files here",
            "run on a node of the cluster with RAY_ADDRESS=host:6379, or submit it as a Ray job",
        )
    host, _, port = address.rpartition(":")
    try:
        if port.isdigit():  # ray.init itself would go on trying for ten minutes
            socket.create_connection((host, int(port)), CONNECT_SECONDS).close()
        ray.init(address=address, **QUIET)
    except (OSError, RuntimeError, ValueError) as error:
        raise TrainingError(
            f"no Ray cluster answers at RAY_ADDRESS={address}: {last_line(error)}",
            "start the cluster, correct RAY_ADDRESS, or unset it to start Ray here",
        ) from error


@contextmanager
def _environment() -> Iterator[None]:
    """ENVIRONMENT while the block runs; what the user has set stays."""
    added = {name: value for name, value in ENVIRONMENT.items() if name not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            del os.environ[name]

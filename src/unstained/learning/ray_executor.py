"""Trials on Ray: a cluster by RAY_ADDRESS, or one that is started here and ends with the search.

On a cluster of several machines, the files that the objective opens must lie at the same paths
everywhere (a shared file system). The journal is written by this process alone.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import ray
from ray import tune as ray_tune
from ray.tune.schedulers import ASHAScheduler
from ray.tune.search import ConcurrencyLimiter
from ray.tune.search.optuna import OptunaSearch

from unstained.errors import TrainingError
from unstained.learning.journal import TrialRecord
from unstained.learning.tuning import Course, Objective, Search

LONGEST_SOCKET_FOLDER: Final = 40
"""Ray puts sockets about 65 characters below its folder; a socket's path has 107 at most."""

OBJECT_STORE_BYTES: Final = 80_000_000
"""Ray's smallest object store: trials exchange numbers, never cells."""

CONNECT_SECONDS: Final = 10.0

ENVIRONMENT: Final = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
}
"""Quiet, offline, and Ctrl-C stops the search instead of asking it to wind down."""


def run_on_ray(
    problem: Search,
    finished: Mapping[int, TrialRecord],
    keep: Callable[[TrialRecord], None],
) -> None:
    """Run the missing trials, `tune.concurrent` at a time.

    Raises:
        TrainingError: a trial failed, or RAY_ADDRESS cannot be reached.
    """
    with _environment(), _own_folder(problem.journal) as folder, _cluster(folder):
        recorder = _Recorder(problem, finished, keep)
        tuner = ray_tune.Tuner(
            _trainable(problem.objective, problem.tune.concurrent),
            tune_config=ray_tune.TuneConfig(
                num_samples=problem.tune.trials - len(finished),
                search_alg=ConcurrencyLimiter(_optuna(problem, finished), problem.tune.concurrent),
                scheduler=_asha(problem, finished),
                reuse_actors=True,
            ),
            run_config=ray_tune.RunConfig(
                name="trials",
                storage_path=str(folder / "results"),
                callbacks=[recorder],
                failure_config=ray_tune.FailureConfig(fail_fast=True),
                verbose=0,
            ),
        )
        results = tuner.fit()
    if results.errors:
        raise TrainingError(
            f"a trial failed: {_last_line(results.errors[0])}",
            "correct the cause and run again; finished trials are kept and not repeated",
        )


def _trainable(objective: Objective, concurrent: int) -> Any:
    """The objective as a Ray trainable with its share of the cluster's processors."""
    total = ray.cluster_resources()  # type: ignore[no-untyped-call]
    cpus = max(1, int(total.get("CPU", 1)) // concurrent)
    share = {"cpu": cpus, "gpu": total.get("GPU", 0) / concurrent}
    return ray_tune.with_resources(_Trainable(objective, cpus).run, share)


@dataclass(frozen=True)
class _Trainable:
    """What runs in a worker."""

    objective: Objective
    threads: int

    def run(self, config: dict[str, float]) -> None:
        # torch reads this when it is first imported; a worker serves one search only.
        os.environ["OMP_NUM_THREADS"] = str(self.threads)
        course = Course(0, config)

        def report(epoch: int, loss: float) -> bool:
            course.add(epoch, loss)
            # The best value so far, as inline; Ray ends this thread here if ASHA stops the trial.
            ray_tune.report({"value": course.value, "loss": loss, "epoch": epoch, "end": False})
            return not course.diverged

        self.objective(config, report)
        if not course.epochs:
            course.finish()
        ray_tune.report({"value": course.value, "epoch": course.epochs, "end": True})


class _Recorder(ray_tune.Callback):
    """Numbers trials as they start and keeps them when they finish.

    Trials that are proposed together start in any order: 0 is told by its parameters.
    """

    def __init__(
        self,
        problem: Search,
        finished: Mapping[int, TrialRecord],
        keep: Callable[[TrialRecord], None],
    ) -> None:
        numbers = range(1, problem.tune.trials)
        self._free = iter([number for number in numbers if number not in finished])
        self._defaults = dict(problem.defaults) if 0 not in finished else None
        self._epochs = problem.tune.epochs
        self._keep = keep
        self._courses: dict[str, Course] = {}
        self._ended: set[str] = set()

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Ray saves the tuner for a restore of its own, and the journal is ours."""
        return {}

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        params = dict(trial.config)
        number = 0 if params == self._defaults else next(self._free)
        self._courses[trial.trial_id] = Course(number, params)

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        if result["end"] or result["epoch"] >= self._epochs:
            self._ended.add(trial.trial_id)
        if not result["end"]:
            self._courses[trial.trial_id].add(result["epoch"], result["loss"])

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        course = self._courses.pop(trial.trial_id)
        course.pruned = trial.trial_id not in self._ended
        self._keep(course.finish())


def _optuna(problem: Search, finished: Mapping[int, TrialRecord]) -> OptunaSearch:
    """Optuna's proposals, told of the finished trials."""
    searcher = OptunaSearch(
        problem.distributions(),
        metric="value",
        mode="min",
        sampler=problem.sampler(len(finished)),
        points_to_evaluate=[] if 0 in finished else [dict(problem.defaults)],
    )
    for record in finished.values():
        searcher.add_evaluated_point(dict(record.params), _replay(record)[-1][1])
    return searcher


def _asha(problem: Search, finished: Mapping[int, TrialRecord]) -> ASHAScheduler:
    """Successive halving, told of the finished trials: they stay the yardstick of new ones."""
    tune = problem.tune
    scheduler = ASHAScheduler(
        time_attr="epoch",
        metric="value",
        mode="min",
        max_t=tune.epochs,
        grace_period=min(tune.grace_epochs, tune.epochs),
        reduction_factor=tune.reduction_factor,
    )
    # Its methods declare a controller and a trial, but use the trial's id alone.
    replay: Any = scheduler
    for record in finished.values():
        trial = SimpleNamespace(trial_id=f"finished-{record.trial}")
        replay.on_trial_add(None, trial)
        for epoch, value in _replay(record):
            result = {"epoch": epoch, "value": value}
            replay.on_trial_result(None, trial, result)
        replay.on_trial_complete(None, trial, result)
    return scheduler


def _replay(record: TrialRecord) -> list[tuple[int, float]]:
    """(epoch, best value so far) as the trial reported them."""
    course = Course(record.trial, record.params)
    points = []
    for epoch, loss in record.history:
        course.add(epoch, loss)
        points.append((epoch, course.value))
    if record.state == "diverged":
        course.add(record.epochs, float("nan"))
        points.append((record.epochs, course.value))
    return points


@contextmanager
def _cluster(folder: Path) -> Iterator[None]:
    """Ray while the block runs: the one in this process, that of RAY_ADDRESS, or a private one.

    A private one ends with this process, however it ends: Ray's children ask the kernel to be
    killed with their parent. After a kill, two idle agents of Ray notice only a minute later.
    """
    if ray.is_initialized():
        yield
        return
    quiet: dict[str, Any] = {"logging_level": "ERROR", "log_to_driver": False}
    address = os.environ.get("RAY_ADDRESS")
    try:
        if address:
            _connect(address, quiet)
        else:
            ray.init(
                address="local",
                num_cpus=len(os.sched_getaffinity(0)),
                object_store_memory=OBJECT_STORE_BYTES,
                include_dashboard=False,
                _temp_dir=str(folder),
                **quiet,
            )
        yield
    finally:
        ray.shutdown()


def _connect(address: str, quiet: Mapping[str, Any]) -> None:
    if address.startswith("ray://"):
        raise TrainingError(
            f"RAY_ADDRESS is {address}, an address for Ray's client, which cannot keep the journal",
            "run on a node of the cluster with RAY_ADDRESS=host:6379, or submit it as a Ray job",
        )
    host, _, port = address.rpartition(":")
    try:
        if port.isdigit():  # ray.init itself would go on trying for ten minutes
            socket.create_connection((host, int(port)), CONNECT_SECONDS).close()
        ray.init(address=address, **quiet)
    except (OSError, RuntimeError, ValueError) as error:
        raise TrainingError(
            f"no Ray cluster answers at RAY_ADDRESS={address}: {_last_line(error)}",
            "start the cluster, correct RAY_ADDRESS, or unset it to start Ray here",
        ) from error


def private_folder(journal: Path) -> Path:
    """Folder for the sockets and files of a Ray that is started for the search of `journal`.

    The same for the same journal, so that what a killed run left there is removed by the next one.
    """
    name = "unstained-ray-" + hashlib.sha256(str(journal.resolve()).encode()).hexdigest()[:8]
    place = tempfile.gettempdir()
    short = len(place) + len(name) < LONGEST_SOCKET_FOLDER
    return Path(place if short else "/tmp") / name  # noqa: S108


@contextmanager
def _own_folder(journal: Path) -> Iterator[Path]:
    """`private_folder`, empty, for this user alone, while the block runs."""
    folder = private_folder(journal)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


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


def _last_line(error: BaseException) -> str:
    """The last line of an error's text: Ray puts a worker's traceback before it."""
    lines = str(error).strip().splitlines()
    return lines[-1].strip() if lines else type(error).__name__

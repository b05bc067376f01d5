"""`unstained grid`: replicates as tasks on a real Ray, with tiny models."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import psutil
import pytest
import ray
import torch
from filelock import FileLock
from ruamel.yaml import YAML
from threadpoolctl import threadpool_limits

from tests.demo import RECIPE, command, make_project
from tests.registered import fresh_registry
from unstained.config.document import read_document
from unstained.errors import ParameterError, StageInputError, TrainingError
from unstained.files import read_json
from unstained.pipeline.catalogue import LEARNING, SHIPPING
from unstained.pipeline.contract import Replicate
from unstained.pipeline.dvc_record import record
from unstained.pipeline.grid import PIPELINE, run_grid
from unstained.pipeline.grid_tasks import Work, run_replicate
from unstained.pipeline.runner import run_stage
from unstained.registry.registry import Registry

pytestmark = [pytest.mark.xdist_group("grid"), pytest.mark.usefixtures("quick_exporter")]

UNSTAINED = str(Path(sys.executable).with_name("unstained"))
MODELS = ("plain_cnn", "attention_cnn")
EVERY = [f"{model}/fold{fold}-seed42" for model in MODELS for fold in (0, 2)]
LOCKED = "plain_cnn/fold0-seed42"
SAME = {
    "train": ("model", "history"),
    "evaluate": ("predictions", "calibration", "metrics"),
}
"""Outputs of a replicate's stages that hold neither measured times nor the commit."""

REPORTS = "runs/nsc/replicates/*/*/*/report.json"

SECONDS = 300
"""Longest that anything may take on a loaded machine."""


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    """A Ray in this process, which `run_grid` then uses."""
    ray.init(
        address="local", num_cpus=2, include_dashboard=False, logging_level="ERROR",
        log_to_driver=False, object_store_memory=80_000_000,
    )  # fmt: skip
    yield
    ray.shutdown()


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> Path:
    """A git and DVC project whose cells are packed and split, as DVC knows."""
    root = make_project(tmp_path_factory.mktemp("grid") / "project")
    shutil.copytree(repository / "baselines", root / "baselines")
    change(
        root,
        {
            ("baselines", "models"): list(MODELS),
            ("baselines", "folds"): [0, 2],
            ("baselines", "experiments"): [],
            (*RECIPE, "split", "folds"): 3,
            (*RECIPE, "simulate", "acquisitions_per_class"): 6,
            (*RECIPE, "simulate", "cells_per_acquisition"): 8,
            (*RECIPE, "models", "attention_cnn", "width"): 0.125,
            (*RECIPE, "train", "epochs"): 4,
        },
    )
    for stage in ("ingest", "validate", "split"):
        run_stage(stage, "nsc", root=root)
    fresh_registry(root)
    record(root, "dvc.yaml", ["configure", "ingest@nsc", "validate@nsc", "split@nsc"])
    return root


@pytest.fixture(scope="module")
def failure(prepared: Path, cluster: None) -> TrainingError:
    """What a first run says, in which one replicate cannot be trained."""
    lock = prepared / "state/locks" / f"nsc-train-{LOCKED.replace('/', '-')}.lock"
    with FileLock(lock), pytest.raises(TrainingError) as caught:
        run_grid(prepared)
    return caught.value


@pytest.fixture(scope="module")
def grown(prepared: Path, failure: TrainingError) -> Path:
    """The project after a second run."""
    before = stamps(prepared)
    run_grid(prepared)
    assert {name for name, stamp in stamps(prepared).items() if before[name] != stamp} == {LOCKED}
    return prepared


def change(root: Path, values: Mapping[tuple[str, ...], Any]) -> None:
    """Set parameters in params.yaml; comments go."""
    content: Any = read_document(root / "params.yaml").content
    for keys, value in values.items():
        node = content
        for key in keys[:-1]:
            node = node.setdefault(key, {})
        node[keys[-1]] = value
    yaml = YAML(typ="safe", pure=True)
    yaml.sort_base_mapping_type_on_output = False  # the first task is what a study is about
    with (root / "params.yaml").open("w") as file:
        yaml.dump(content, file)


def home(root: Path, name: str, stage: str = "train") -> Path:
    return root / "runs/nsc/replicates" / stage / name


def stamps(root: Path) -> dict[str, int | None]:
    """When each replicate was finished; None where it is not."""
    reports = {name: home(root, name) / "report.json" for name in EVERY}
    return {name: p.stat().st_mtime_ns if p.exists() else None for name, p in reports.items()}


def results(root: Path, name: str) -> dict[str, str]:
    found = {}
    for stage, keys in SAME.items():
        outputs = read_json(home(root, name, stage) / "report.json")["outputs"]
        found |= {key: outputs[key] for key in keys}
    return found


def copied(root: Path, place: Path, *, runs: tuple[str, ...]) -> Path:
    """A project with the same parameters and some of the finished stages, outside of DVC."""
    place.mkdir()
    shutil.copy(root / "params.yaml", place)
    fresh_registry(place)
    for stage in runs:
        shutil.copytree(root / "runs/nsc" / stage, place / "runs/nsc" / stage)
    return place


def test_a_failure_is_named_and_loses_nothing(prepared: Path, failure: TrainingError) -> None:
    assert failure.message.startswith("1 of 4 replicates failed")
    assert "nsc/plain_cnn fold0-seed42: nsc-train-plain_cnn-fold0-seed42 is already running" in (
        failure.message
    )
    assert "run train nsc --model plain_cnn --fold 0 --seed 42" in failure.remedy
    done = [name for name in EVERY if home(prepared, name, "register").is_dir()]
    assert done == [name for name in EVERY if name != LOCKED]
    assert [v.label for v in Registry(None, prepared).versions("unstained-nsc")] == [
        "v1 (plain_cnn, fold 2, seed 42)",
        "v2 (attention_cnn, fold 0, seed 42)",
        "v3 (attention_cnn, fold 2, seed 42)",
    ]


def test_replicates_are_those_of_one_thread(grown: Path, tmp_path: Path) -> None:
    root = copied(grown, tmp_path / "alone", runs=("ingest", "split"))
    threads = torch.get_num_threads()
    with threadpool_limits(1):
        torch.set_num_threads(1)
        for model in MODELS:
            for stage in SAME:
                run_stage(stage, "nsc", model, root=root, replicate=Replicate(0, 42))
    torch.set_num_threads(threads)
    for model in MODELS:
        name = f"{model}/fold0-seed42"
        assert results(root, name) == results(grown, name)


def test_dvc_finds_everything_done(grown: Path) -> None:
    before = stamps(grown)
    said = command(grown, "dvc", "repro", f"{PIPELINE}:register").stdout
    for model, fold in (name.removesuffix("-seed42").split("/fold") for name in EVERY):
        for stage in (*LEARNING, *SHIPPING):
            name = f"{PIPELINE}:{stage}@nsc-{model}-{fold}-42"
            assert f"Stage '{name}' didn't change, skipping" in said
    assert set(re.findall(r"Running stage '([^'@]+)", said)) <= {
        "configure",
        "holdings",
    }  # always run
    assert stamps(grown) == before


def test_a_second_run_trains_nothing(grown: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = stamps(grown)
    run_grid(grown, study="nsc", concurrent=1)
    assert stamps(grown) == before
    said = capsys.readouterr().out
    assert "4 of 4 replicates are trained" in said
    assert "4 of 4 replicates are registered" in said


def test_a_version_that_the_registry_lost_is_registered_again(
    grown: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = copied(grown, tmp_path / "lost", runs=("ingest", "validate", "split", "replicates"))
    shutil.copy(grown / "mlflow.db", root)
    before, registry = stamps(root), Registry(None, root)
    registry.client.delete_model_version("unstained-nsc", "2")
    run_grid(root)
    assert "3 of 4 replicates are registered" in capsys.readouterr().out
    assert [v.label for v in registry.versions("unstained-nsc") if v.model == "attention_cnn"] == [
        "v3 (attention_cnn, fold 2, seed 42)",
        "v5 (attention_cnn, fold 0, seed 42)",
    ]
    assert read_json(home(root, EVERY[2], "register") / "registration.json")["version"] == 5
    assert stamps(root) == before, "nothing was trained"
    run_grid(root)
    assert "4 of 4 replicates are registered" in capsys.readouterr().out


def test_what_is_affected_is_trained_again(
    grown: Path, cluster: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = copied(grown, tmp_path / "changed", runs=("ingest", "validate", "split", "replicates"))
    change(root, {(*RECIPE, "models", "plain_cnn", "width"): 0.25})
    with (home(root, EVERY[2]) / "history.csv").open("a") as file:
        file.write("\n")
    before = stamps(root)
    run_grid(root, concurrent=1)
    again = {name for name, stamp in stamps(root).items() if stamp != before[name]}
    assert again == {EVERY[0], EVERY[1], EVERY[2]}
    assert results(root, EVERY[1]) != results(grown, EVERY[1])
    assert results(root, EVERY[2]) == results(grown, EVERY[2])
    assert "no DVC project" in capsys.readouterr().out


def test_inputs_of_other_parameters_are_refused(grown: Path, tmp_path: Path) -> None:
    root = copied(grown, tmp_path / "stale", runs=("ingest", "validate", "split"))
    change(root, {(*RECIPE, "split", "folds"): 4})
    with pytest.raises(StageInputError, match="dvc repro split@nsc"):
        run_grid(root)
    with pytest.raises(ParameterError, match="'cellcycle' is not among the active"):
        run_grid(root, study="cellcycle")


def test_a_worker_without_the_project_says_so(
    grown: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    work = Work(tmp_path / "elsewhere", "", "nsc", "plain_cnn", Replicate(0, 42))
    problem = run_replicate(work, ["train"]).problem
    assert problem is not None
    assert "elsewhere is not on" in problem
    other = Work(grown, "other", "nsc", "plain_cnn", Replicate(0, 42))
    problem = run_replicate(other, ["train"]).problem
    assert problem is not None
    assert "is not what it was" in problem


@pytest.mark.minutes
def test_stopped_and_killed_it_leaves_nobody_and_goes_on(
    grown: Path, cluster: None, tmp_path: Path
) -> None:
    root = copied(grown, tmp_path / "killed", runs=("ingest", "validate", "split"))
    change(root, {("baselines", "models"): ["plain_cnn"]})
    process = started(root)
    wait_for_an_epoch(root, process)
    children = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=SECONDS)
    assert process.returncode == 130
    assert "stopped; those that were running go on" in said
    assert not psutil.wait_procs(children, timeout=SECONDS)[1]

    process = started(root)
    wait_for_an_epoch(root, process)
    children = psutil.Process(process.pid).children(recursive=True)
    assert any("Agent" in child.name() for child in children)
    process.kill()
    process.communicate()
    assert not psutil.wait_procs(children, timeout=SECONDS)[1]

    run_grid(root)
    process = started(root)
    said, _ = process.communicate(timeout=SECONDS)
    assert process.returncode == 0, said
    assert "2 of 2 replicates are registered" in said
    assert not list((root / "state/scratch").iterdir())
    for name in EVERY[:2]:
        assert results(root, name) == results(grown, name)


def started(root: Path) -> subprocess.Popen[str]:
    """The command in a process of its own, with a Ray of its own."""
    env = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    words = [UNSTAINED, "grid", "--concurrent", "1"]
    return subprocess.Popen(words, cwd=root, env=env, text=True, stdout=-1)


def wait_for_an_epoch(root: Path, process: subprocess.Popen[str]) -> None:
    """Until a checkpoint was written since the process started, or a stage has ended."""
    begun = psutil.Process(process.pid).create_time()
    deadline = time.monotonic() + SECONDS
    while True:
        marks = [*root.glob("state/scratch/*/checkpoint/state.json"), *root.glob(REPORTS)]
        if any(stamp(mark) > begun for mark in marks):
            return
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.005)


def stamp(path: Path) -> float:
    """When a file was written; 0 where it has gone meanwhile."""
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0

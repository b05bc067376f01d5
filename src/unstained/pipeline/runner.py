"""Runs one stage: parameters and inputs in, a finished directory or nothing out.

`dvc repro` and `unstained run` come through `run_stage`, a Kubeflow task through `pod.run_in_pod`,
and both through `execute`. The stage writes into a directory of its own under state/; only when it
has finished and every declared output is there, the directory is renamed into runs/. What an
interrupted run needs to go on (checkpoints, journals) lies in a scratch directory named by the
fingerprint of code, parameters and inputs.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from unstained.config.project import load_params
from unstained.errors import StageInputError, UnstainedError
from unstained.files import disk_explained, file_sha256, read_json, tree_sha256, write_json
from unstained.pipeline.catalogue import (
    RUNS,
    STATE,
    inputs_of,
    replicates_directory,
    stage_definition,
    stage_directory,
    stage_module,
    takes_replicate,
)
from unstained.pipeline.configure import require_current
from unstained.pipeline.contract import REPORT, Input, Job, Replicate, Report, Stage
from unstained.pipeline.freshness import code_digest
from unstained.pipeline.lock import only_run
from unstained.pipeline.source_files import Memory, require_seen, see
from unstained.pipeline.task import Task, make_task
from unstained.pipeline.working_tree import git_commit, git_remote

if TYPE_CHECKING:
    from unstained.registry.registry import Registry


def content_digest(path: Path) -> str:
    """Digest of an output; a packed store is told by its manifest, which names the data digest."""
    if path.is_file():
        return file_sha256(path)
    manifest = path / "manifest.json"
    return file_sha256(manifest) if manifest.is_file() else tree_sha256(path)


def run_stage(
    name: str,
    study: str,
    model: str | None = None,
    *,
    root: Path,
    replicate: Replicate | None = None,
    params_file: Path | None = None,
    registry: Registry | None = None,
) -> Report:
    """Run one stage of one study, with the parameters of params.yaml.

    Args:
        name: stage.
        study: key of params.yaml `studies`.
        model: an architecture or variant; only for stages that run once a model.
        root: the project's directory; holds params.yaml, runs/ and state/.
        replicate: fold and seed, for a model of `baselines`; None in the main job.
        params_file: another file than root/params.yaml.
        registry: the port to MLflow; by default the server at MLFLOW_TRACKING_URI, or SQLite.

    Returns:
        The stage's report, also written as report.json beside its outputs.

    Raises:
        UnstainedError: parameters, inputs or the stage itself failed; runs/ is as before.
    """
    params_file = params_file or root / "params.yaml"
    task = make_task(load_params(params_file), name, study, model, replicate)
    require_current(root, task)
    return execute(task, root=root, state=root / STATE, registry=registry)


def execute(task: Task, *, root: Path, state: Path, registry: Registry | None = None) -> Report:
    """Run a task on the outputs of earlier stages below root/runs.

    Args:
        task: stage, names and parameters.
        root: holds runs/, where inputs are read and outputs put.
        state: keeps locks and what an interrupted run needs to go on.
        registry: see `run_stage`.

    Returns:
        The stage's report, also written as report.json beside its outputs.

    Raises:
        UnstainedError: inputs or the stage itself failed; runs/ is as before.
    """
    stage = task.stage
    inputs, identities = find_inputs(root, task)
    fingerprint = fingerprint_of(task, identities)
    rank = int(os.environ.get("RANK", "0"))  # under torchrun every worker comes through here
    worker = f"worker{rank}" if rank else None
    which = task.replicate.name if task.replicate else None
    parts = (task.study, stage.name, task.model, which, worker)
    tag = "-".join(part for part in parts if part)
    home = stage_directory(root, stage, task.study, task.model, task.replicate)
    scratch = state / "scratch" / f"{tag}-{fingerprint[:16]}"
    partial = root / STATE / "partial" / tag
    lock = state / "locks" / f"{tag if state == root / STATE else scratch.name}.lock"
    with disk_explained(home), only_run(lock, tag):
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        scratch.mkdir(parents=True, exist_ok=True)
        outputs = {key: partial / output.path for key, output in stage.outputs.items()}
        for path in outputs.values():
            path.parent.mkdir(parents=True, exist_ok=True)
        job = Job(
            study=task.study,
            model=task.model,
            recipe=task.recipe,
            models=task.models,
            scratch=scratch,
            fingerprint=fingerprint,
            registry=registry or _default_registry(root),
            root=root,
            git_commit=git_commit(root),
            git_remote=git_remote(root),
            replicate=task.replicate,
            replicates=task.replicates,
        )
        start = time.monotonic()
        memory, news = _memory(task, root, state)
        report: Report = stage_module(stage.name).run(task.params, inputs, outputs, job)
        report = replace(report, notes=(*news, *report.notes))
        _write_report(partial, stage, report, fingerprint, time.monotonic() - start)
        if rank == 0:
            _put_in_place(partial, home)
            if memory:
                memory.commit()
        shutil.rmtree(partial, ignore_errors=True)
        shutil.rmtree(scratch, ignore_errors=True)
    return report


def find_inputs(root: Path, task: Task) -> tuple[dict[str, Path], dict[str, list[str]]]:
    """Paths of the inputs, and the digests recorded by the stages that wrote them.

    Of a stage that reads raw images, the digest of what lies at the source is with these.

    Raises:
        StageInputError: a stage before this one has not finished.
        SourceError: see `require_seen`.
    """
    paths: dict[str, Path] = {}
    identities: dict[str, list[str]] = {}
    if task.images:
        seen = see(root, task.images)
        identities["source"] = [require_seen(root, task.study, task.images, seen).digest]
    for key, source in inputs_of(task.stage, task.replicate).items():
        producer = stage_definition(source.stage)
        several = source.every_model or source.every_replicate
        models = task.models if several else (task.model,)
        same = task.replicate if takes_replicate(producer) else None
        replicates = task.replicates if source.every_replicate else (same,)
        identities[key] = [
            _recorded_digest(root, producer, source, task.study, model, replicate)
            for model in models
            for replicate in replicates
        ]
        if source.every_replicate:
            paths[key] = replicates_directory(root, producer.name, task.study)
        elif source.every_model:
            paths[key] = root / RUNS / task.study / producer.name
        else:
            home = stage_directory(root, producer, task.study, task.model, same)
            paths[key] = home / producer.outputs[source.output].path
    return paths, identities


def _memory(task: Task, root: Path, state: Path) -> tuple[Memory | None, tuple[str, ...]]:
    """What was ingested last, and what changed since; nothing for a stage that reads no images."""
    if task.images is None:
        return None, ()
    memory = Memory(state, task.study)
    _, news = memory.look(root, task.images)
    return memory, (news,) if news else ()


def _recorded_digest(
    root: Path,
    producer: Stage,
    source: Input,
    study: str,
    model: str | None,
    replicate: Replicate | None,
) -> str:
    home = stage_directory(root, producer, study, model, replicate)
    record = home / REPORT
    command = f"unstained run {producer.name} {study}"
    if producer.per == "model":
        command += f" --model {model}"
    if replicate:
        command += f" --fold {replicate.fold} --seed {replicate.seed}"
    if not record.is_file() or not (home / producer.outputs[source.output].path).exists():
        raise StageInputError(
            f"{home / producer.outputs[source.output].path} is missing: "
            f"stage {producer.name} has not finished",
            f"run `{'unstained grid' if replicate else 'dvc repro'}`, or `{command}`",
        )
    return str(read_json(record)["outputs"][source.output])


def fingerprint_of(task: Task, identities: Mapping[str, list[str]]) -> str:
    """Sha256 of names, code, parameters and inputs: see `Job.fingerprint`."""
    names = {"study": task.study, "recipe": task.recipe, "model": task.model or ""}
    if task.replicate:
        names["replicate"] = task.replicate.name
    code = code_digest(task.stage.name)
    parts = [task.stage.name, names, code, task.params.digest(), dict(identities)]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _write_report(
    partial: Path, stage: Stage, report: Report, fingerprint: str, seconds: float
) -> None:
    digests = {}
    for key, output in stage.outputs.items():
        path = partial / output.path
        if not path.exists():
            raise UnstainedError(
                f"stage {stage.name} ended without writing {output.path}",
                "this is a defect of the stage; please report it",
            )
        digests[key] = content_digest(path)
    content = report.as_json() | {"fingerprint": fingerprint, "outputs": digests}
    content["metrics"]["seconds"] = round(seconds, 1)
    write_json(partial / REPORT, content)


def _put_in_place(partial: Path, home: Path) -> None:
    """Rename the finished directory into runs/.

    Where that is another disk than state/, or mounted for itself, it is copied beside its place
    before.
    """
    home.parent.mkdir(parents=True, exist_ok=True)
    try:
        _exchange(partial, home, partial.with_name(f"{partial.name}.replaced"))
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        beside = home.with_name(f".{home.name}.partial")
        shutil.rmtree(beside, ignore_errors=True)
        try:
            shutil.copytree(partial, beside)
            _exchange(beside, home, home.with_name(f".{home.name}.replaced"))
        finally:
            shutil.rmtree(beside, ignore_errors=True)


def _exchange(finished: Path, home: Path, replaced: Path) -> None:
    """Give a finished directory its place; an older one is moved aside first, then removed.

    Raises:
        OSError: EXDEV, before anything was moved, where these are on several file systems.
    """
    shutil.rmtree(replaced, ignore_errors=True)
    if home.exists():
        home.replace(replaced)
    finished.replace(home)
    shutil.rmtree(replaced, ignore_errors=True)


def _default_registry(root: Path) -> Registry:
    from unstained.registry.registry import Registry

    return Registry(os.environ.get("MLFLOW_TRACKING_URI"), root)

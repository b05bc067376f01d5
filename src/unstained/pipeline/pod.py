"""Runs one stage inside a pod: what a Kubeflow task was given in, its artifacts out.

A pod has no project directory, so one is made for it: artifacts of earlier tasks are linked where
`dvc repro` would have put them, the packed store is fetched through its pointer, and from there on
everything is `runner.execute`, as everywhere. Nothing here knows kfp; artifacts are used by the
few attributes that they have.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from unstained.config.base import parse
from unstained.errors import ParameterError, RegistryError, SourceError, UnstainedError
from unstained.files import write_json
from unstained.garbage import search_rarely
from unstained.pipeline.catalogue import RUNS, STATE, stage_definition
from unstained.pipeline.contract import REPORT, Stage
from unstained.pipeline.display import show
from unstained.pipeline.freshness import HANDED, code_digest, own_code
from unstained.pipeline.runner import content_digest, execute
from unstained.pipeline.source_files import see
from unstained.pipeline.task import Task
from unstained.secrecy import hide_secrets
from unstained.temporary import temporary_folder

if TYPE_CHECKING:
    from unstained.data.remote.pointers import StorePointer

ARTIFACTS: Final = {
    "validate": "validation",
    "split": "partition",
    "tune": "search",
    "train": "trained",
    "evaluate": "evaluation",
    "controls": "record",
    "export": "artifact",
    "register": "registration",
    "compare": "ranking",
    "promote": "decision",
    "report": "pages",
    "monitor": "watch",
}
"""Stage -> name of the artifact that holds its directory, as output and as input of others."""

ARGUMENTS: Final = {"model": "architecture"}
"""Section -> argument, where the argument is called otherwise: `model` is a model's name there."""

LEDGER: Final = "unstained.registry.ledger"
"""A stage that depends on this module asks the ledger who is champion."""

REMOTE: Final = "UNSTAINED_DATA_REMOTE"


def run_in_pod(name: str, given: Mapping[str, Any]) -> None:
    """Run a stage on what a component was called with.

    An error that a user can cause ends the process with one message and the error's status.

    Args:
        name: stage.
        given: the component's arguments by name: study, recipe, code (see `_require_code`), model
            (stages that run once a model), models (a list of names, or of mappings with the name
            as `model`), the stage's sections of params.yaml, `store` (a pointer), input and output
            artifacts, see ARTIFACTS.
    """
    with _one_message():
        stage = stage_definition(name)
        _require_environment(stage)
        _require_code(stage, given)
        with temporary_folder() as root:
            task = _task(stage, given)
            _place_inputs(root, task, given)
            report = execute(task, root=root, state=_state(root))
            home = root / RUNS / task.study / stage.name
            _hand_over(home, Path(given[ARTIFACTS[name]].path))
            show(report, home / (task.model or ""), given)


def ingest_in_pod(given: Mapping[str, Any]) -> dict[str, Any]:
    """Run `ingest`, put the packed store into the data remote, and return its pointer.

    Args:
        given: study, recipe, the stage's sections, `source` (digest of what lies there, see
            `source_files.see`; '' where nobody looked), and `pointer` and `summary` as outputs.

    Returns:
        The pointer as plain data, see `data.remote.pointers.StorePointer`.
    """
    from unstained.data.remote.pointers import push_store

    with _one_message():
        stage = stage_definition("ingest")
        _require_code(stage, given)
        remote = _setting(REMOTE, "the address of the DVC remote, e.g. s3://bucket/prefix")
        with temporary_folder() as root:
            task = _task(stage, given)
            _require_source(root, task, given["source"])
            report = execute(task, root=root, state=_state(root))
            home = root / RUNS / task.study / stage.name
            store, left_out = (home / stage.outputs[key].path for key in ("store", "quarantine"))
            pointer = push_store(store, remote, task.study, left_out)
            show(report, home, given)
    return _publish(pointer, given)


def fetch_in_pod(given: Mapping[str, Any]) -> dict[str, Any]:
    """Find the packed store of a DVC revision and return its pointer; no pixel is copied.

    Args:
        given: study, repository, revision, and `pointer` as output.

    Returns:
        The pointer as plain data, see `data.remote.pointers.StorePointer`.
    """
    from unstained.data.remote.pointers import locate_store

    with _one_message():
        remote = os.environ.get(REMOTE)
        pointer = locate_store(given["repository"], given["revision"], given["study"], remote)
    return _publish(pointer, given)


def nominate_in_pod(given: Mapping[str, Any]) -> None:
    """Hand on the newest registered version of one model, as `register` would have.

    Args:
        given: study, model, register (section), and `registration` as output.
    """
    from unstained.config.register import RegisterParams
    from unstained.registry.registration import registration_content
    from unstained.registry.registry import Registry

    with _one_message():
        params = parse(RegisterParams, whole_numbers(given["register"]), "parameters of register")
        name = params.name_of(given["study"])
        uri = _setting("MLFLOW_TRACKING_URI", "the address of the MLflow server")
        versions = Registry(uri, Path.cwd()).versions(name)
        model = given["model"]
        newest = [v for v in versions if v.model == model and not v.is_replicate][-1:]
        if not newest:
            raise RegistryError(
                f"{name} has no version of the model {given['model']!r}",
                "register one by the pipeline training: `unstained pipeline submit training`",
            )
        place = Path(given["registration"].path) / given["model"]
        place.mkdir(parents=True)
        write_json(place / "registration.json", registration_content(newest[0]))
        digest = content_digest(place / "registration.json")
        write_json(place / REPORT, {"outputs": {"registration": digest}})


def whole_numbers(content: Any) -> Any:
    """Plain data whose integral floats are integers: Kubeflow carries every number as a double."""
    if isinstance(content, Mapping):
        return {key: whole_numbers(value) for key, value in content.items()}
    if isinstance(content, list):
        return [whole_numbers(value) for value in content]
    if isinstance(content, float) and content.is_integer():
        return int(content)
    return content


@contextmanager
def _one_message() -> Iterator[None]:
    """Turn an error that a user can cause into one message and an exit status; hide secrets."""
    hide_secrets()
    search_rarely()
    try:
        yield
    except UnstainedError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201  (a pod's log is its screen)
        raise SystemExit(error.exit_code) from None


def _setting(name: str, meaning: str) -> str:
    value = os.environ.get(name)
    if not value:
        raise ParameterError(
            f"{name} is not set in this pod",
            f"set it to {meaning}, in the ConfigMap unstained-platform",
        )
    return value


def _require_environment(stage: Stage) -> None:
    """A pod's own disk is gone when it ends: what must last needs an address."""
    if HANDED["registry"] in own_code().modules(stage.name):
        _setting("MLFLOW_TRACKING_URI", "the address of the MLflow server")
    if LEDGER in own_code().modules(stage.name):
        _setting("UNSTAINED_LEDGER", "the directory of the mounted ledger volume")


def _require_code(stage: Stage, given: Mapping[str, Any]) -> None:
    """See that the image holds the code that the graph was compiled for.

    Kubeflow's cache knows the result by that code's digest; it is empty where no image was named.
    """
    if given["code"] not in ("", code_digest(stage.name)):
        raise ParameterError(
            f"the image holds other code of the stage {stage.name} than the graph is for",
            "build and push the image from the commit that the graph is compiled from, and name it "
            "in UNSTAINED_TRAIN_IMAGE",
        )


def _require_source(root: Path, task: Task, digest: str) -> None:
    """See that the images are those that Kubeflow's cache knows the result by."""
    seen = see(root, task.images) if task.images else None
    if digest and task.images and (seen is None or seen.digest != digest):
        raise SourceError(
            f"the files at {task.images.source} changed since this run was asked for",
            "start the run again: `unstained pipeline run` or `unstained pipeline submit`",
        )


def _state(root: Path) -> Path:
    """Where checkpoints outlive a pod that was pre-empted: a mounted volume, if there is one."""
    return Path(os.environ.get("UNSTAINED_STATE") or root / STATE)


def _task(stage: Stage, given: Mapping[str, Any]) -> Task:
    """Names and typed parameters of the run."""
    arguments = {key: ARGUMENTS.get(key, key.rstrip("_")) for key in stage.sections}
    sections = {key: whole_numbers(given[name]) or None for key, name in arguments.items()}
    return Task(
        stage=stage,
        study=given["study"],
        model=given["model"] if stage.per == "model" else None,
        recipe=given["recipe"],
        models=tuple(_model_names(given.get("models", ()))),
        params=parse(stage.params, sections, f"parameters of {stage.name}"),
    )


def _model_names(models: Sequence[Any]) -> list[str]:
    return [model["model"] if isinstance(model, Mapping) else model for model in models]


def _place_inputs(root: Path, task: Task, given: Mapping[str, Any]) -> None:
    """Link the artifacts of earlier tasks below root/runs, and fetch the store."""
    runs = root / RUNS / task.study
    for producer in {source.stage for source in task.stage.inputs.values()}:
        if producer == "ingest":
            outputs = {s.output for s in task.stage.inputs.values() if s.stage == producer}
            _place_ingest(runs / producer, given["store"], outputs)
        elif stage_definition(producer).per == "model":
            artifacts = given[ARTIFACTS[producer]]
            for artifact in artifacts if isinstance(artifacts, list) else [artifacts]:
                for directory in Path(artifact.path).iterdir():
                    _link(runs / producer / directory.name, directory)
        else:
            _link(runs / producer, Path(given[ARTIFACTS[producer]].path))


def _link(place: Path, target: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    place.symlink_to(target.resolve(), target_is_directory=True)


def _place_ingest(home: Path, pointer: Mapping[str, Any], outputs: AbstractSet[str]) -> None:
    """What `ingest` gave, as a pointer names it: the store, and the list of what was left out."""
    from unstained.data.remote.pointers import StorePointer, pull_quarantine

    named = StorePointer.from_dict(whole_numbers(pointer))
    home.mkdir(parents=True)
    digests = {"store": named.manifest_sha256}
    _place_store(home / "store", named)
    if "quarantine" in outputs:
        place = home / stage_definition("ingest").outputs["quarantine"].path
        pull_quarantine(named, place)
        digests["quarantine"] = content_digest(place)
    write_json(home / REPORT, {"outputs": digests})


def _place_store(place: Path, named: StorePointer) -> None:
    """Link the store that a pointer names to where `ingest` would have put it.

    Where UNSTAINED_STATE outlives the pod, the store is kept there by its hash, so that the next
    pod on this volume finds it; pods that want it at the same time wait for one to fetch it.
    """
    from filelock import FileLock

    from unstained.data.remote.pointers import pull_store

    kept = _state(place.parents[3]) / "stores" / named.md5
    kept.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(kept.with_suffix(".lock")):
        if not kept.exists():
            pull_store(named, kept)
    place.symlink_to(kept.resolve(), target_is_directory=True)


def _hand_over(home: Path, place: Path) -> None:
    """Copy a stage's directory to where Kubeflow takes the artifact from."""
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(home, place)


def _publish(pointer: StorePointer, given: Mapping[str, Any]) -> dict[str, Any]:
    """Write the pointer as an artifact that the Kubeflow UI describes, and return it.

    What goes on to other tasks leaves the revision out: equal data, equal arguments, and so a hit
    in Kubeflow's cache, whichever commit named them.
    """
    content = pointer.to_dict()
    place = Path(given["pointer"].path)
    place.parent.mkdir(parents=True, exist_ok=True)
    write_json(place, content)
    given["pointer"].metadata.update(content)
    return {key: value for key, value in content.items() if key != "revision"}

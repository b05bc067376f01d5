"""What a run in MLflow holds: parameters, metrics by step, plots, lineage and the ONNX model.

Names are the same for every model, so that MLflow's own comparison of runs shows one column a
metric. Everything is sent in batches.
"""

from __future__ import annotations

import json
import re
import shutil
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from unstained.artifact.artifact import GOLDEN_FILE, MODEL_FILE
from unstained.registry.submission import (
    FINISHED,
    FOLD,
    DatasetFacts,
    Submission,
    milliseconds,
    numbers,
)
from unstained.temporary import temporary_folder

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import LoggedModel
    from mlflow.models import ModelSignature

EXTRA_FILES: Final = "extra_files"
"""Where MLflow's ONNX flavour keeps files that travel with the model."""

EXAMPLE_CELLS: Final = 2
BATCH: Final = 100
METRIC_BATCH: Final = 1000
VERSIONS_TAG: Final = "mlflow.modelVersions"

REFUSED: Final = re.compile(r"[^/\w.\- :]")
"""Characters that MLflow refuses in names of metrics and parameters."""

SPELT: Final = {"+": "plus", "%": "percent", "=": "eq", "<": "lt", ">": "gt"}

T = TypeVar("T")


def shown_names(names: Iterable[str]) -> dict[str, str]:
    """Names as MLflow takes them: 'CD4+ T (naïve)' is 'CD4plus T _naïve_' there.

    Two names never become one: the later one of them gets a number.
    """
    shown: dict[str, str] = {}
    count: Counter[str] = Counter()
    for name in names:
        plain = REFUSED.sub(lambda found: SPELT.get(found[0], "_"), name)
        count[plain] += 1
        shown[name] = f"{plain} {count[plain]}" if count[plain] > 1 else plain
    return shown


def log_params(client: MlflowClient, run_id: str, params: Mapping[str, Any]) -> None:
    """Log parameters."""
    from mlflow.entities import Param

    shown = shown_names(sorted(params))
    for some in batches([Param(shown[k], str(params[k])) for k in shown], BATCH):
        client.log_batch(run_id, params=some)


def log_history(
    client: MlflowClient,
    run_id: str,
    history: Sequence[Mapping[str, float]],
    step: str = "epoch",
    when: int | None = None,
) -> None:
    """Log the metrics of every epoch.

    Args:
        client: the connected client.
        run_id: the run.
        history: one mapping an epoch.
        step: the column that holds its number.
        when: milliseconds since 1970; None means now.
    """
    from mlflow.entities import Metric

    when = when or int(time.time() * 1000)
    shown = shown_names(dict.fromkeys(name for row in history for name in row))
    points = [
        Metric(shown[name], value, when, int(row[step]))
        for row in history
        for name, value in numbers(row).items()
        if name != step
    ]
    for some in batches(points, METRIC_BATCH):
        client.log_batch(run_id, metrics=some)


def log_metrics(
    client: MlflowClient,
    run_id: str,
    metrics: Mapping[str, Any],
    model_id: str | None = None,
    dataset: DatasetFacts | None = None,
) -> None:
    """Log final metrics of the run and, where `model_id` is given, of its model.

    In the order given: MLflow's comparison of runs opens with the first metric of a run. Where
    `dataset` is given, the model's metrics say on which data they were measured.
    """
    from mlflow.entities import Metric

    now = int(time.time() * 1000)
    name_of, digest = (dataset.name, dataset.short_digest) if dataset else (None, None)
    shown = shown_names(metrics)
    points = [
        Metric(shown[name], value, now, 0, model_id, name_of, digest, run_id)
        for name, value in numbers(metrics).items()
    ]
    for some in batches(points, METRIC_BATCH):
        client.log_batch(run_id, metrics=some)


def log_dataset(client: MlflowClient, run_id: str, facts: DatasetFacts) -> None:
    """Log which data the run learned from."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    profile = {
        **facts.profile,
        "data_digest": facts.data_digest,
        "split_digest": facts.split_digest,
        "versioned_by": "dvc",
    }
    dataset = Dataset(
        name=facts.name,
        digest=facts.short_digest,
        source_type="local",
        source=json.dumps({"uri": facts.location}),
        profile=json.dumps(profile, sort_keys=True),
    )
    context = InputTag("mlflow.data.context", "train, val, test")
    client.log_inputs(run_id, [DatasetInput(dataset, [context])])


def log_files(
    client: MlflowClient, run_id: str, submission: Submission, more: Mapping[str, Path]
) -> None:
    """Log report, tables, figures and `more` (path in the run -> file) in one upload."""
    with temporary_folder() as root:
        for name, source in (*submission.files.items(), *more.items()):
            target = root / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
        for name, figure in submission.figures.items():
            target = root / name
            target.parent.mkdir(parents=True, exist_ok=True)
            figure.savefig(target, dpi=120)
        client.log_artifacts(run_id, str(root))


def log_onnx(client: MlflowClient, experiment_id: str, run_id: str, given: Submission) -> str:
    """Log the artifact as a model of MLflow's ONNX flavour, with the final metrics.

    The flavour's own file is model.onnx; all other files of the artifact travel as extra files, so
    the artifact can be put together again from the model alone.

    Returns:
        The logged model's id.
    """
    from mlflow.entities import LoggedModelOutput

    logged: LoggedModel = client.create_logged_model(
        experiment_id,
        name=given.run_name.replace("/", "-"),
        source_run_id=run_id,
        params={name: str(value) for name, value in given.params.items()},
        tags=dict(given.tags),
        model_type="onnx",
    )
    with temporary_folder() as temporary:
        local = temporary / "model"
        _save_flavour(local, given.artifact, logged, run_id)
        client.log_model_artifacts(logged.model_id, str(local))
    client.finalize_logged_model(logged.model_id, "READY")
    client.log_outputs(run_id, [LoggedModelOutput(logged.model_id, 0)])
    first = {name: given.metrics[name] for name in given.headline}
    metrics = first | dict(sorted(given.metrics.items()))
    log_metrics(client, run_id, metrics, logged.model_id, given.dataset)
    return str(logged.model_id)


def link_version(client: MlflowClient, logged_model: str, name: str, version: int) -> None:
    """Let MLflow's pages of run and model show that they became a version."""
    known = client.get_logged_model(logged_model).tags.get(VERSIONS_TAG)
    links = json.loads(known) if known else []
    link = {"name": name, "version": version}
    if not any(old["name"] == name and int(old["version"]) == version for old in links):
        tags = {VERSIONS_TAG: json.dumps([*links, link])}
        client.set_logged_model_tags(logged_model, tags)


def close_run(client: MlflowClient, run_id: str, name: str, version: int) -> None:
    """Let a run show which version it became, and end it. Doing it twice changes nothing."""
    run = client.get_run(run_id)
    tags = run.data.tags
    for output in run.outputs.model_outputs if run.outputs else ():
        link_version(client, output.model_id, name, version)
    if FOLD not in tags:  # fold and seed tell replicates apart, and stand in their runs' names
        client.update_run(run_id, name=f"{tags['study']}/{tags['model']} v{version}")
    client.set_terminated(run_id, "FINISHED", milliseconds(tags, FINISHED))


def restore_run(client: MlflowClient, run_id: str) -> tuple[str, ...]:
    """Take back that a run, or its experiment, was deleted; what was: 'experiment', 'run'.

    A run that was deleted for good (`mlflow gc`) stays so: who needs something of it is told.
    """
    from mlflow.exceptions import MlflowException

    found = []
    try:
        run = client.get_run(run_id).info
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return ()
    if client.get_experiment(run.experiment_id).lifecycle_stage != "active":
        client.restore_experiment(run.experiment_id)
        found.append("experiment")
    if client.get_run(run_id).info.lifecycle_stage != "active":
        client.restore_run(run_id)
        found.append("run")
    return tuple(found)


def remove_unfinished(client: MlflowClient, experiment_id: str, digest: str) -> None:
    """Delete runs of an artifact that were interrupted before they became a version.

    With models that they logged, or had begun to log: MLflow would show them as pending for ever.
    Their files go, too, where the place of artifacts lets them be deleted; MLflow would keep them.
    """
    query = f"tags.artifact_digest = '{digest}' and attributes.status != 'FINISHED'"
    for run in client.search_runs([experiment_id], query):
        logged = f"source_run_id = '{run.info.run_id}'"
        for model in client.search_logged_models([experiment_id], logged):
            _delete_files(model.artifact_location)
            client.delete_logged_model(model.model_id)
        _delete_files(run.info.artifact_uri)
        client.delete_run(run.info.run_id)


def _delete_files(place: str) -> None:
    """Delete what lies at an address of MLflow's, or leave it where that is not allowed."""
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    with suppress(Exception):  # of any client of any place; `mlflow gc` takes what is left
        get_artifact_repository(place).delete_artifacts()  # type: ignore[no-untyped-call]


def _save_flavour(local: Path, artifact: Path, logged: LoggedModel, run_id: str) -> None:
    import mlflow.onnx
    import onnx
    import onnxruntime
    from mlflow.models import Model

    graph = onnx.load(artifact / MODEL_FILE)
    mlflow.onnx.save_model(
        graph,
        str(local),
        mlflow_model=Model(
            artifact_path=logged.artifact_location,
            model_uuid=logged.model_id,
            run_id=run_id,
            model_id=logged.model_id,
        ),
        signature=signature(graph),
        input_example=_input_example(graph, artifact),
        pip_requirements=[
            f"onnx=={onnx.__version__}",
            f"onnxruntime=={onnxruntime.__version__}",
        ],
        onnx_execution_providers=["CPUExecutionProvider"],
        save_as_external_data=False,
        extra_files=[str(p) for p in sorted(artifact.iterdir()) if p.name != MODEL_FILE],
    )
    shutil.copyfile(artifact / MODEL_FILE, local / MODEL_FILE)  # MLflow wrote the graph anew


def signature(graph: Any) -> ModelSignature:
    """Names, types and shapes of an ONNX graph's inputs and outputs; -1 where any size will do."""
    import onnx
    from mlflow.models import ModelSignature
    from mlflow.types import Schema, TensorSpec

    def spec(value: Any) -> TensorSpec:
        tensor = value.type.tensor_type
        dims = tensor.shape.dim
        shape = tuple(d.dim_value if d.HasField("dim_value") else -1 for d in dims)
        return TensorSpec(onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type), shape, value.name)

    return ModelSignature(
        Schema([spec(value) for value in graph.graph.input]),
        Schema([spec(value) for value in graph.graph.output]),
    )


def _input_example(graph: Any, artifact: Path) -> dict[str, Any]:
    """A few real cells from the golden batch, as the graph takes them."""
    from safetensors.numpy import load_file

    golden = load_file(artifact / GOLDEN_FILE)
    return {value.name: golden[value.name][:EXAMPLE_CELLS] for value in graph.graph.input}


def batches(items: Sequence[T], size: int) -> Iterator[list[T]]:
    """Slices of at most `size` items."""
    remaining = iter(items)
    while some := list(islice(remaining, size)):
        yield some

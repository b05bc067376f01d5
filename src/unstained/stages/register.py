"""Register: an exported model becomes a version in MLflow, with everything known about it.

Replicates lie in an experiment of their own, where MLflow's comparison of runs shows them side by
side. A version with a fold is no candidate: `compare` and `promote` leave it out.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from unstained.config.base import Params
from unstained.config.register import RegisterParams
from unstained.config.study import StudyData
from unstained.files import read_json, write_json
from unstained.pipeline.contract import Input, Inputs, Job, Output, Outputs, Report, Stage

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure

    from unstained.predictions import Predictions
    from unstained.registry.submission import Submission

OF_CLASSES: Final = (
    "test_macro_f1",
    "test_accuracy",
    "test_balanced_accuracy",
    "test_roc_auc",
    "test_ece",
)
"""Metrics of the first classes task that a version's description shows."""

NOT_THE_MODELS: Final = ("external", "unlearnt", "training", "class_mean", "interval_of")
"""Numbers of a part that are of other cells, or of no model: metrics.json alone has them."""

OF_MODEL: Final = (
    "parameters",
    "classifier_parameters",
    "multiply_accumulates",
    "temperature",
    "training_cells",
)
"""Numbers in metrics.json that are of the model, not of test cells."""


class RegisterStageParams(Params):
    """Parameters of the stage."""

    data: StudyData
    register_: RegisterParams


STAGE = Stage(
    name="register",
    params=RegisterStageParams,
    sections={"data": "data", "register_": "register"},
    inputs={
        "artifact": Input("export", "artifact"),
        "parity": Input("export", "parity"),
        "history": Input("train", "history"),
        "training": Input("train", "training"),
        "trials": Input("tune", "trials", main=True),
        "metrics": Input("evaluate", "metrics"),
        "predictions": Input("evaluate", "predictions"),
    },
    outputs={
        "registration": Output("registration.json"),
        "summary": Output("summary.json", "metrics"),
    },
    per="model",
    watches="registry",
)


def run(params: RegisterStageParams, inputs: Inputs, outputs: Outputs, job: Job) -> Report:
    """Register the model; an artifact that is a version already stays that version.

    Raises:
        RegistryError: MLflow failed.
        IntegrityError: the artifact is not what was exported, or not what MLflow kept.
    """
    from unstained.registry.registration import registration_content

    submission = make_submission(params, inputs, job)
    version, created = job.registry.register(submission)
    write_json(outputs["registration"], registration_content(version))
    write_json(outputs["summary"], summary(submission.metrics, params.data))
    said = "registered as" if created else "was registered before as"
    note = f"{job.title} {said} {version.uri}"
    return Report({"version": version.version, "created": created}, (note,))


def summary(metrics: Mapping[str, Any], data: StudyData) -> dict[str, Any]:
    """A model's row of `dvc metrics show`: few and narrow columns, the same for every model.

    Args:
        metrics: of the version, see `run_metrics`.
        data: the study; the row is about the metric that chooses between its models.
    """
    from unstained.tasks.study import task_of

    task = task_of(data.primary_task)
    metric = task.metrics[0]
    columns = {
        "value": f"test_task_{task.name}_{metric}",
        "low": f"test_task_{task.name}_{metric}_low",
        "high": f"test_task_{task.name}_{metric}_high",
        "val": f"validation_{metric}",
        "ece": "test_ece",
        "ms": "latency_ms",
    }
    row = {name: metrics.get(key) for name, key in columns.items()}
    return {"metric": metric} | {
        name: None if value is None else round(value, 4) for name, value in row.items()
    }


def headline(data: StudyData) -> tuple[str, ...]:
    """Metrics that a version's description shows: of the primary task, of the others, latency."""
    from unstained.tasks.study import Tasks

    tasks = Tasks.of(data.tasks)
    named: list[str] = []
    for task in sorted(tasks.all, key=lambda task: task.name != data.primary_task.name):
        if task in tasks.classes[:1]:
            named += OF_CLASSES
        else:
            shown = task.metrics if task.name == data.primary_task.name else task.metrics[:1]
            named += [f"test_task_{task.name}_{name}" for name in shown]
    return (*named, "latency_ms")


def make_submission(params: RegisterStageParams, inputs: Inputs, job: Job) -> Submission:
    """Collect what the earlier stages found out about a model."""
    from unstained.artifact.artifact import CARD_FILE
    from unstained.predictions import read_predictions
    from unstained.registry.submission import (
        FINISHED,
        STARTED,
        DatasetFacts,
        Submission,
        flatten,
    )

    model = str(job.model)
    card = read_json(inputs["artifact"] / CARD_FILE)
    evaluation, training = read_json(inputs["metrics"]), read_json(inputs["training"])
    predictions = read_predictions(inputs["predictions"])
    metrics = run_metrics(evaluation, read_json(inputs["parity"]))
    metrics |= {name: training[name] for name in ("epochs", "best_epoch")}
    metrics["training_seconds"] = training["seconds"]
    about = {key: card["params"]["model"][key] for key in ("architecture", "partition")}
    files = {"tables/metrics.json": inputs["metrics"]}
    if job.replicate is None:
        files["tables/trials.csv"] = inputs["trials"]
    return Submission(
        experiment=params.register_.experiment + ("-baselines" if job.replicate else ""),
        name=params.register_.name_of(job.study),
        study=job.study,
        model=model,
        recipe=job.recipe,
        artifact=inputs["artifact"],
        dataset=DatasetFacts(
            name=job.study,
            data_digest=card["data_digest"],
            split_digest=card["split_digest"],
            location=f"runs/{job.study}/ingest/store",
            profile={
                "title": params.data.title,
                "classes": list(params.data.class_names),
                "training_cells": evaluation["training_cells"],
                **about,
            },
        ),
        simulated=bool(card["simulated"]),
        params={
            "study": job.study,
            "model": model,
            "recipe": job.recipe,
            **about,
            **flatten(card["params"]),
        },
        metrics=metrics,
        history=read_history(inputs["history"]),
        tags={
            "git_commit": card["git_commit"],
            STARTED: training["started"],
            FINISHED: training["finished"],
            "params_digest": card["params_digest"],
            "parity_passed": str(bool(card["parity"]["passed"])).lower(),
            "latency_ms": repr(metrics["latency_ms"]),
            **about,
            **_replicate_tags(job, card["params"]["model"]),
        },
        files=files,
        figures=figures(predictions.of("test"), params.data),
        predictions=inputs["predictions"],
        headline=[name for name in headline(params.data) if metrics.get(name) is not None],
        source=source_tags(training),
    )


def _replicate_tags(job: Job, model: Mapping[str, Any]) -> dict[str, str]:
    """Fold, seed, and what a replicate is in the comparison; nothing for the main job."""
    from unstained.registry.submission import FOLD, SEED

    if job.replicate is None:
        return {}
    hidden = model.get("input", {}).get("view") == "background"
    return {
        FOLD: str(job.replicate.fold),
        SEED: str(job.replicate.seed),
        "role": "control" if hidden else "replicate",
    }


def source_tags(training: Mapping[str, Any]) -> dict[str, str]:
    """MLflow's own tags for what a run was made from, of the content of training.json."""
    commit, mark, _ = training["git_commit"].partition("-dirty")
    tags = {
        "mlflow.source.type": "LOCAL",
        "mlflow.source.name": training["entry"],
        "mlflow.source.git.commit": "" if commit == "unknown" else commit,
        "mlflow.source.git.dirty": "true" if mark else "",
        "mlflow.source.git.repoURL": training["git_remote"],
    }
    return {name: value for name, value in tags.items() if value}


def run_metrics(found: Mapping[str, Any], parity: Mapping[str, Any]) -> dict[str, Any]:
    """Flat metrics with names that say which cells: test_, external_, validation_.

    History has val_ metrics of every epoch; validation_ ones are of the model that was kept.

    Args:
        found: the model's part of metrics.json.
        parity: content of parity.json, for `latency_ms`.
    """
    from unstained.registry.submission import flatten

    test, external = (
        {name: value for name, value in part.items() if name not in NOT_THE_MODELS}
        for part in (found, found.get("external", {}))
    )
    metrics: dict[str, Any] = {}
    for name, value in flatten(test, "_").items():
        prefix = "" if name.startswith("validation_") or name in OF_MODEL else "test_"
        metrics[prefix + name] = value
    metrics |= {f"external_{name}": value for name, value in flatten(external, "_").items()}
    metrics["latency_ms"] = parity["latency_ms"]
    return metrics


def read_history(path: Path) -> list[dict[str, float]]:
    """Rows of history.csv, one an epoch; what is empty is left out."""
    import pandas as pd

    rows = pd.read_csv(path).to_dict(orient="records")
    return [
        {str(name): float(value) for name, value in row.items() if not pd.isna(value)}
        for row in rows
    ]


def figures(test: Predictions, data: StudyData) -> dict[str, Figure]:
    """Figures of a model on the test cells whose truth is known, by task.

    Confusion matrices, ROC curves of the first classes task, and predicted against true values and
    shares.
    """
    from unstained.registry.plots import confusion_figure, roc_figure, scatter_figure
    from unstained.statistics.metrics import roc_curve
    from unstained.tasks.study import Tasks

    found: dict[str, Figure] = {}
    tasks = Tasks.of(data.tasks)
    for number, (task, said) in enumerate(zip(tasks.classes, test.by_class.values(), strict=True)):
        told = said.take(said.known)
        end = f"_{task.name}" if number else ""
        picture = confusion_figure(told.labels, told.predicted, task.names)
        found[f"plots/confusion{end}.png"] = picture
        if not number:
            curves = {
                name: roc_curve(told.labels == k, told.probabilities[:, k])
                for k, name in enumerate(task.names)
            }
            found["plots/roc.png"] = roc_figure(curves)
    for name, columns in _numbers(test).items():
        found[f"plots/{name}.png"] = scatter_figure(columns)
    return found


def _numbers(test: Predictions) -> dict[str, dict[str, tuple[np.ndarray, np.ndarray]]]:
    """True and predicted numbers of each value and each part of a whole, by task."""
    found = {}
    for name, value in test.values.items():
        told = value.take(value.known)
        found[name] = {name: (told.truth, told.predicted)}
    for name, share in test.shares.items():
        known = share.take(share.known)
        pairs = zip(share.parts, known.truth.T, known.predicted.T, strict=True)
        found[name] = {part: (truth, predicted) for part, truth, predicted in pairs}
    return found

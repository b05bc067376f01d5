"""Enrol: every replicate of the companions becomes a version of the study's registered model.

They are exported and proven as any model is, and lie in an experiment of their own, where MLflow's
comparison of runs shows them side by side. A version with a fold is no candidate: the stages
`compare` and `promote` leave it out.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unstained.config.base import Params
from unstained.config.evaluate import EvaluateParams
from unstained.config.export import ExportParams
from unstained.config.learning import TrainParams
from unstained.config.models import ModelParams
from unstained.config.register import RegisterParams
from unstained.config.study import StudyData
from unstained.errors import UnstainedError
from unstained.files import read_json, write_text
from unstained.pipeline.contract import Input, Inputs, Job, Output, Outputs, Report, Stage
from unstained.stages.register import figures, headline, read_history, run_metrics

if TYPE_CHECKING:
    import pandas as pd

    from unstained.artifact.card import Origin
    from unstained.artifact.sealing import Made
    from unstained.predictions import ClassPredictions
    from unstained.registry.replicates import Found, Setting
    from unstained.registry.submission import RegisteredVersion, Submission


class EnrolStageParams(Params):
    """Sections of params.yaml that the versions depend on."""

    data: StudyData
    models: dict[str, ModelParams]
    train: TrainParams
    evaluate: EvaluateParams
    export: ExportParams
    register_: RegisterParams


STAGE = Stage(
    name="enrol",
    params=EnrolStageParams,
    sections={
        "data": "data",
        "models": "models",
        "train": "train",
        "evaluate": "evaluate",
        "export": "export",
        "register_": "register",
    },
    inputs={
        "store": Input("ingest", "store"),
        "split": Input("split", "split"),
        "models": Input("replicate", "model", every_replicate=True),
        "predictions": Input("replicate", "predictions", every_replicate=True),
        "numbers": Input("replicate", "numbers", every_replicate=True),
        "history": Input("replicate", "history", every_replicate=True),
    },
    outputs={"enrolment": Output("enrolment.csv")},
    per="study",
)


def run(params: EnrolStageParams, inputs: Inputs, outputs: Outputs, job: Job) -> Report:
    """Export and register every replicate that is no version yet.

    Each is a version or nothing: a run that was killed goes on with the replicate it was at.

    Raises:
        ExportError: a replicate cannot be exported; the message names it.
        StageInputError: a replicate is of other cells or parameters.
        RegistryError: MLflow failed.
    """
    from unstained.data.store.cell_store import CellStore
    from unstained.progress import progress
    from unstained.registry.registration import version_ranges
    from unstained.registry.replicates import Setting
    from unstained.registry.submission import REPLICATE

    setting = Setting(
        study=job.study,
        recipe=job.recipe,
        git_commit=job.git_commit,
        store=CellStore.open(inputs["store"]),
        split=inputs["split"],
        data=params.data,
        export=params.export,
        alpha=params.evaluate.conformal_alpha,
    )
    name = params.register_.name_of(job.study)
    held = {version.tags.get(REPLICATE): version for version in job.registry.versions(name)}
    rows, numbers, created = [], [], 0
    total = len(job.models) * len(job.replicates)
    with progress(f"enrol {job.study}", total, "replicates") as advance:
        for found in _replicates(params, inputs, job, setting):
            with _named(found):
                version, new = _enrol(params, job, setting, found, held)
            rows.append(_row(found, version))
            numbers.append(version.version)
            created += new
            advance(1)
    write_text(outputs["enrolment"], _table(rows))
    versions = version_ranges(numbers)
    note = f"{total} replicates of {job.study} are {versions} of {name}, {created} of them new"
    return Report({"versions": len(set(numbers)), "created": created}, (note,))


def _replicates(
    params: EnrolStageParams, inputs: Inputs, job: Job, setting: Setting
) -> Iterator[Found]:
    """All replicates, models first."""
    from unstained.pipeline.contract import REPORT
    from unstained.predictions import read_predictions
    from unstained.registry.replicates import Found, network_size
    from unstained.stages.replicate import STAGE as TRAINING

    for name in job.models:
        model = params.models[name]
        size = network_size(model, params.data, setting.store.axes.planes)
        for replicate in job.replicates:
            home = inputs["models"] / name / replicate.name
            paths = {key: home / output.path for key, output in TRAINING.outputs.items()}
            yield Found(
                name=name,
                fold=replicate.fold,
                seed=replicate.seed,
                params=model,
                train=model.training(params.train),
                paths=paths,
                fingerprint=read_json(home / REPORT)["fingerprint"],
                numbers=read_json(paths["numbers"]),
                predictions=read_predictions(paths["predictions"]),
                size=size,
            )


@contextmanager
def _named(found: Found) -> Iterator[None]:
    """Let an error say which replicate it is about."""
    try:
        yield
    except UnstainedError as error:
        which = f"{found.name}, fold {found.fold}, seed {found.seed}"
        raise type(error)(f"{which}: {error.message}", error.remedy) from error


def _enrol(
    params: EnrolStageParams,
    job: Job,
    setting: Setting,
    found: Found,
    held: Mapping[str | None, RegisteredVersion],
) -> tuple[RegisteredVersion, bool]:
    """The replicate's version, and whether it was made now."""
    import tempfile

    from unstained.artifact.sealing import make_artifact
    from unstained.registry.replicates import material, replicate_digest

    digest = replicate_digest(setting, found)
    if digest in held:
        job.registry.complete(held[digest])
        return held[digest], False
    with tempfile.TemporaryDirectory(dir=job.scratch) as folder:
        given = material(setting, found)
        made = make_artifact(Path(folder) / "artifact", given, params.export)
        # No batches: of its times a version shows that of one cell alone.
        times = made.timed(given.test, params.export.model_copy(update={"latency_batches": ()}))
        submission = _submission(params, found, given.origin, made, times, digest)
        return job.registry.register(submission)


def _submission(
    params: EnrolStageParams,
    found: Found,
    origin: Origin,
    made: Made,
    times: Mapping[str, float],
    digest: str,
) -> Submission:
    """Everything known about a replicate, named as for models of the recipe."""
    from unstained.registry.submission import (
        FOLD,
        REPLICATE,
        SEED,
        DatasetFacts,
        Submission,
        flatten,
    )

    facts = {
        "partition": found.params.partition,
        "training_cells": found.counts["training_cells"],
        FOLD: found.fold,
    }
    test = found.predictions.of("test")
    metrics = run_metrics(found.scores, times) | found.counts
    metrics |= {name: found.numbers[name] for name in ("epochs", "best_epoch")}
    return Submission(
        experiment=f"{params.register_.experiment}-companions",
        name=params.register_.name_of(origin.study),
        study=origin.study,
        model=found.name,
        recipe=origin.recipe,
        artifact=made.folder,
        dataset=DatasetFacts(
            name=origin.study,
            data_digest=origin.data_digest,
            split_digest=origin.split_digest,
            location=f"runs/{origin.study}/ingest/store",
            profile={"title": params.data.title, "classes": list(params.data.class_names), **facts},
        ),
        simulated=origin.simulated,
        params={
            "study": origin.study,
            "model": found.name,
            "architecture": found.params.architecture,
            "recipe": origin.recipe,
            "partition": found.params.partition,
            **flatten(origin.params),
        },
        metrics=metrics,
        history=read_history(found.paths["history"]),
        tags={
            "role": found.role,
            FOLD: str(found.fold),
            SEED: str(found.seed),
            "partition": found.params.partition,
            "architecture": found.params.architecture,
            "git_commit": origin.git_commit,
            "params_digest": origin.params_digest,
            "fingerprint": found.fingerprint,
            REPLICATE: digest,
            "parity_passed": str(made.parity.passed).lower(),
            "latency_ms": repr(times["latency_ms"]),
        },
        files={
            "tables/numbers.json": found.paths["numbers"],
            "tables/history.csv": found.paths["history"],
        },
        figures=figures(
            test,
            _roc(test.classes, found.name, params.data.class_names),
            found.name,
            params.data,
        ),
        predictions=found.paths["predictions"],
        headline=[name for name in headline(params.data) if metrics.get(name) is not None],
    )


def _roc(test: ClassPredictions, model: str, names: tuple[str, ...]) -> pd.DataFrame:
    """Columns model, class, fpr and tpr on the test cells, one class against the rest."""
    import pandas as pd

    from unstained.statistics.metrics import roc_curve

    curves = []
    for k, name in enumerate(names):
        fpr, tpr = roc_curve(test.labels == k, test.probabilities[:, k])
        curves.append(pd.DataFrame({"model": model, "class": name, "fpr": fpr, "tpr": tpr}))
    return pd.concat(curves)


def _row(found: Found, version: RegisteredVersion) -> dict[str, Any]:
    return {
        "model": found.name,
        "fold": found.fold,
        "seed": found.seed,
        "role": found.role,
        "partition": found.params.partition,
        "version": version.version,
        "run_id": version.run_id,
        "digest": version.digest,
        "predictions_digest": version.tags["predictions_digest"],
        "test_macro_f1": found.numbers["test"]["macro_f1"],
        "test_accuracy": found.numbers["test"]["accuracy"],
        "latency_ms": version.tags["latency_ms"],
        **dict.fromkeys(("classifier_parameters", "multiply_accumulates")),
        **found.counts,
    }


def _table(rows: list[dict[str, Any]]) -> str:
    """One line a replicate."""
    out = io.StringIO()
    writer = csv.DictWriter(out, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()

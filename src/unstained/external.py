"""`unstained evaluate-external`: a registered model on a labelled source that it never saw."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from unstained import __version__
from unstained.answering import Model, fetched_model
from unstained.config.project import load_params
from unstained.errors import SourceError
from unstained.external_source import pack_what_is_told, rules_for
from unstained.files import require_replaceable, write_json, write_text
from unstained.operations import registered_name, registry_of
from unstained.temporary import temporary_folder
from unstained.wording import counted

if TYPE_CHECKING:
    import numpy as np

    from unstained.config.study import StudyData
    from unstained.data.store.cell_store import CellStore
    from unstained.evaluation.external import External
    from unstained.pipeline.contract import Job
    from unstained.predictions import Predictions
    from unstained.registry.registry import Registry
    from unstained.serving.predictor import Predictor
    from unstained.stages.monitor import MonitorStageParams

PAGE: Final = "external.html"
BATCH: Final = 64
"""Cells that are read and judged at once."""


@dataclass(frozen=True)
class Evaluated:
    """What came of it.

    Attributes:
        folder: holds external.html, metrics.json, predictions.parquet, quarantine.csv.
        cells: that were judged.
        external: the numbers.
        notes: what a person should know.
    """

    folder: Path
    cells: int
    external: External
    notes: tuple[str, ...]


def evaluate_external(
    root: Path,
    study: str,
    source: Path,
    out: Path | None = None,
    *,
    which: str | Path | None = None,
    reader: str | None = None,
    registry: Registry | None = None,
) -> Evaluated:
    """Judge the cells of a labelled source and score the answers; nothing is trained or kept.

    The cells are packed beside the project's runs for as long as it takes, by the study's own rules
    of classes and values, and never enter the store that models are trained from.

    Args:
        root: the project's root.
        study: key of params.yaml `studies`.
        source: in a layout that a reader reads, labelled as the study's own data are.
        out: the folder to write; None: runs/<study>/external/<name of the source>.
        which: a version's number or alias, or the directory of an artifact; None: the champion.
        reader: of another layout than the study's.
        registry: by default the server at MLFLOW_TRACKING_URI, or SQLite in `root`.

    Raises:
        ParameterError: there is no such study or reader.
        RegistryError: there is no such version, or the registry does not hold it.
        SourceError: the source cannot be read, or tells nothing that the study asks.
        IntegrityError: the artifact is not what was registered.
        UnstainedError: `out` holds something else.
    """
    from unstained.artifact.artifact import verify_artifact
    from unstained.data.store.cell_store import CellStore
    from unstained.evaluation.external import judge, known_cells
    from unstained.predictions import write_predictions
    from unstained.report.external.page import external_page, masked_note
    from unstained.report.page import render
    from unstained.serving.predictor import ABSTENTION_NAME, Predictor
    from unstained.stages import evaluate, ingest, monitor

    project = load_params(root / "params.yaml")
    content = project.content(study, ())
    params = rules_for(_picked(ingest.STAGE, content), source, reader)
    scored, watched = _picked(evaluate.STAGE, content), _picked(monitor.STAGE, content)
    registry = registry or registry_of(root)
    out = out or root / "runs" / study / "external" / (source.absolute().stem or study)
    require_replaceable(out, PAGE)
    place = root / "state"
    place.mkdir(exist_ok=True)
    with temporary_folder(place=place) as work:
        if isinstance(which, Path):
            model, before = Model(which, verify_artifact(which), ""), None
        else:
            model = fetched_model(root, study, which, work, registry)
            version = registry.version(registered_name(root, study), int(model.label))
            before = registry.predictions(version).of("test")
        job = _job(root, study, project.recipe, work, registry, model.digest)
        packed = pack_what_is_told(params, job)
        store = CellStore.open(packed.store)
        predictor = Predictor(model.artifact, model.digest)
        found, refused = _judged(predictor, store, params.data, source, packed.lacking)
        known = known_cells(found, params.data)
        if not known.any():
            raise SourceError(
                f"{source} tells nothing that study {study} asks of a cell",
                f"`unstained predict {study} {source}` judges cells without labels",
            )
        told = {tensor.name: tensor.notes for tensor in predictor.outputs}
        external = judge(
            found,
            refused,
            list(told[ABSTENTION_NAME]["reasons"].values()),
            _promises(told),
            before,
            params.data,
            scored.evaluate,
            params.common.seed,
        )
        drift = _drift(store, before, found, watched.model_copy(update={"data": params.data}))
        shared = _shared(predictor, external)
        name = predictor.card["name"] + (f", version {model.label}" if model.label else "")
        page = external_page(
            external,
            name,
            (*shared, *drift),
            (
                ("Study, recipe", f"{study}, {project.recipe}"),
                ("Model", name),
                ("Artifact's digest", model.digest),
                ("Labelled cells", str(source)),
                ("Their data hash", store.digest),
                ("Package", f"unstained {__version__}"),
            ),
            unknown=int((~known).sum()),
            simulated=store.manifest["source"] == "simulator",
        )
        results = work / "results"
        results.mkdir()
        write_predictions(results / "predictions.parquet", found)
        write_json(results / "metrics.json", _numbers(external, model, drift))
        shutil.copy(packed.quarantine, results)
        write_text(results / PAGE, render(page))
        _put_in_place(results, out)
    doubts = filter(None, (predictor.signed.doubt,))
    notes = (*masked_note(external), *shared, *doubts, *packed.report.notes, *drift)
    return Evaluated(out, len(found), external, notes)


def _picked(stage: Any, content: Mapping[str, Any]) -> Any:
    from unstained.pipeline.catalogue import pick_params

    return pick_params(stage, content, None)


def _job(
    root: Path, study: str, recipe: str, work: Path, registry: Registry, fingerprint: str
) -> Job:
    from unstained.pipeline.contract import Job
    from unstained.pipeline.working_tree import git_commit

    scratch = work / "scratch"
    scratch.mkdir()
    return Job(study, None, recipe, (), scratch, fingerprint, registry, root, git_commit(root))


def _judged(
    predictor: Predictor,
    store: CellStore,
    data: StudyData,
    source: Path,
    lacking: Collection[str],
) -> tuple[Predictions, np.ndarray]:
    """What a model says of a store's cells, nothing known of `lacking`, and (N, R) reasons against.

    Raises:
        SourceError: the cells are not of the kind that the model was trained on.
    """
    import numpy as np

    from unstained.artifact.artifact import CALIBRATION_FILE
    from unstained.files import read_json
    from unstained.progress import progress
    from unstained.registry.rescore import beside_truth, why_unfit
    from unstained.serving.predictor import ABSTENTION_NAME
    from unstained.summaries.served import ENDS
    from unstained.tasks.study import Tasks

    if reason := why_unfit(predictor.directory, store, data):
        raise SourceError(
            f"the model cannot judge the cells of {source}: {reason}",
            "export the images as those that the model was trained on",
        )
    asked, rows = Tasks.of(data.tasks), np.arange(len(store))
    served = {name for task in asked.all for name in asked.served(task)}
    wanted = [o.name for o in predictor.outputs if o.name in {*served, *ENDS, ABSTENTION_NAME}]
    parts: dict[str, list[np.ndarray]] = {name: [] for name in wanted}
    with progress("evaluate", len(rows), "cells") as advance:
        for some, images in store.iter_images(rows, BATCH):
            answer = predictor.predict(images, wanted)
            for name, values in parts.items():
                values.append(answer[name])
            advance(len(some))
    found = {name: np.concatenate(values) for name, values in parts.items()}
    refused = found.pop(ABSTENTION_NAME)
    numbers = {name: values.astype(np.float64) for name, values in found.items()}
    calibration = read_json(predictor.directory / CALIBRATION_FILE)
    part = np.full(len(rows), "external")
    told = beside_truth(numbers, store, rows, part, data, calibration, lacking)
    if ENDS[0] in numbers:
        bounds = zip(*(numbers[name].T for name in ENDS), strict=True)
        ends = dict(zip(told.values, bounds, strict=True))
        bounded = {name: replace(v, bounds=ends[name]) for name, v in told.values.items()}
        told = replace(told, values=bounded)
    return told, refused


def _promises(told: Mapping[str, Mapping[str, Any]]) -> dict[str, float]:
    """What the model promises: 'refused', 'sets', and how often each value's interval holds it."""
    from unstained.serving.predictor import ABSTENTION_NAME, SET_NAME
    from unstained.summaries.served import ENDS

    found = {"refused": float(told[ABSTENTION_NAME]["false_alarms"])}
    sets = next((notes for name, notes in told.items() if name.startswith(SET_NAME)), None)
    if sets is not None:
        found["sets"] = 1 - float(sets["alpha"])
    if ENDS[0] in told:
        names = [target["name"] for target in told[ENDS[0]]["targets"]]
        alphas = told[ENDS[0]]["alpha"]
        found |= {name: 1 - float(alpha) for name, alpha in zip(names, alphas, strict=True)}
    return found


def _shared(predictor: Predictor, external: External) -> tuple[str, ...]:
    """A warning where groups of the source are, by their names, of the data the model came from."""
    common = {group.name for group in external.groups} & set(predictor.card["groups"])
    if not common:
        return ()
    return (
        f"of {counted(len(external.groups), 'group')} the names of {len(common)} are in the "
        f"model's own data, such as {min(common)}: if these are the same cells, it learned from "
        "some of them, and scores here flatter it",
    )


def _drift(
    store: CellStore,
    before: Predictions | None,
    after: Predictions,
    params: MonitorStageParams,
) -> tuple[str, ...]:
    """What changed since the model's test cells, in sentences; none without these."""
    if before is None:
        return ()
    from unstained.evaluation.watch import compare, find_units, how_compared
    from unstained.stages.monitor import drift_notes

    units = find_units(store, before, after, params.data)
    how = how_compared(before, after, units, params.data)
    seed = params.common.seed
    drift = compare(store, (before, after), units, how, params.monitor, seed)
    return drift_notes(drift, how.basis if how else "none", units, params)


def _numbers(external: External, model: Model, drift: tuple[str, ...]) -> dict[str, Any]:
    """Content of metrics.json."""
    from unstained.evaluation.scores import plain

    tasks = {
        name: {"known": task.known, **task.metrics} for name, task in external.scores.tasks.items()
    }
    found: dict[str, Any] = {
        "version": model.label or None,
        "artifact_digest": model.digest,
        "cells": external.scores.cells,
        "tasks": tasks,
        "classes": {one.name: asdict(one) for one in external.scores.classes if one.support},
        "absent_classes": list(external.absent),
        "groups": [asdict(group) for group in external.groups],
        "covered": [asdict(one) for one in external.covered],
        "refused": asdict(external.refusals),
        "drift": list(drift),
    }
    if external.certainty is not None:
        found["calibration_error"] = external.certainty[0]
    return cast("dict[str, Any]", plain(found))


def _put_in_place(results: Path, out: Path) -> None:
    """Replace what an earlier run wrote, whole."""
    out.parent.mkdir(parents=True, exist_ok=True)
    old = out.with_name(f".{out.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if out.exists():
        out.rename(old)
    shutil.move(results, out)
    shutil.rmtree(old, ignore_errors=True)


def headline(found: Evaluated) -> str:
    """The result in a line."""
    from unstained.report.external.page import told

    external = found.external
    score = f"{external.metric.words} {told(external.score)}"
    before = external.score_before
    tested = "" if before is None else f", {told(before)} on the cells that it was tested on"
    return f"{score} on {counted(found.cells, 'cell')}{tested}"

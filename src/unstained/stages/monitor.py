"""Monitor: does the champion still see the cells that it was tested on?

It is asked about the acquisitions of a packed store that were not in its data. What it says is
compared with what it said of its test cells, and so is how often it is right.
The stage looks at the registry as it is now: it belongs to no run and is not part of `dvc repro`.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Final

from unstained.config import CommonParams, MonitorParams, Params, RegisterParams, StudyData
from unstained.errors import RegistryError, StageInputError
from unstained.files import write_json, write_text
from unstained.pipeline.contract import Input, Inputs, Job, Output, Outputs, Report, Scalar, Stage

if TYPE_CHECKING:
    import numpy as np

    from unstained.data.store.cell_store import CellStore
    from unstained.evaluation.drift import Drift, Sample
    from unstained.evaluation.scores import Scores
    from unstained.predictions import Predictions
    from unstained.registry.submission import RegisteredVersion


SCORE: Final = "balanced_accuracy"
"""Mean recall over the classes that the new cells have: acquisitions may hold few of them."""


class MonitorStageParams(Params):
    """Parameters of the stage."""

    common: CommonParams
    data: StudyData
    register_: RegisterParams
    monitor: MonitorParams


STAGE = Stage(
    name="monitor",
    params=MonitorStageParams,
    sections={
        "common": "common",
        "data": "data",
        "register_": "register",
        "monitor": "monitor",
    },
    inputs={"store": Input("ingest", "store")},
    outputs={"watch": Output("watch.json", "metrics"), "table": Output("watch.csv", "plots")},
    per="study",
)


def run(params: MonitorStageParams, inputs: Inputs, outputs: Outputs, job: Job) -> Report:
    """Compare new cells with the champion's test cells: their composition, and their images.

    Raises:
        RegistryError: there is no champion.
        StageInputError: its artifact cannot judge these cells, or none of them is new.
    """
    import numpy as np
    import pandas as pd

    from unstained.data.store.cell_store import CellStore
    from unstained.evaluation.scores import plain

    store = CellStore.open(inputs["store"])
    version = _champion(job, params)
    before = job.registry.predictions(version).of("test")
    after = _ask(job, version, store, params)
    drift = _compare(store, before, after, params)
    known = np.isin(before.classes.labels, after.classes.labels)
    alike = before.take(np.flatnonzero(known))
    scores = {"before": _scores(alike, params), "now": _scores(after, params)}
    shifts = [asdict(shift) for shift in drift.shifts]
    content = {
        "study": job.study,
        "version": version.version,
        "data_digest": store.digest,
        "cells": len(after),
        "groups": drift.groups,
        "group": params.data.group,
        "smallest_p": drift.smallest_p,
        "shifts": shifts,
        "balanced_accuracy": {k: plain(asdict(s.overall[SCORE])) for k, s in scores.items()},
    }
    write_json(outputs["watch"], content)
    write_text(outputs["table"], pd.DataFrame(shifts).to_csv(index=False, lineterminator="\n"))
    return Report(
        _metrics(version, drift, scores),
        _notes(version, drift, scores, len(set(before.group)), params),
    )


def _champion(job: Job, params: MonitorStageParams) -> RegisteredVersion:
    from unstained.registry.registry import CHAMPION

    name = params.register_.name_of(job.study)
    number = job.registry.alias(name, CHAMPION)
    if number is None:
        raise RegistryError(
            f"{name} has no champion to watch", "promote a version first: `dvc repro`"
        )
    return job.registry.version(name, number)


def _new_rows(store: CellStore, known: set[str], params: MonitorStageParams) -> np.ndarray:
    """Rows of cells of groups that were not in the champion's data; whole groups, at random."""
    import numpy as np

    groups = store.columns("group")["group"].to_numpy()
    names = [name for name in np.unique(groups) if name not in known]
    if not names:
        raise StageInputError(
            "all acquisitions of this store were in the champion's data: nothing is new",
            "ingest new acquisitions, then monitor again",
        )
    generator = np.random.default_rng(params.common.seed)
    chosen, cells = [], 0
    for name in generator.permutation(names):
        chosen.append(name)
        cells += int((groups == name).sum())
        if cells >= params.monitor.max_cells:
            break
    return np.flatnonzero(np.isin(groups, chosen))


def _ask(
    job: Job, version: RegisteredVersion, store: CellStore, params: MonitorStageParams
) -> Predictions:
    """The champion's answers about new cells."""
    import numpy as np

    from unstained.artifact.artifact import CARD_FILE
    from unstained.files import read_json
    from unstained.registry.rescore import artifact_predictions, why_unfit

    with tempfile.TemporaryDirectory() as folder:
        artifact = job.registry.download(version, Path(folder) / "artifact")
        reason = why_unfit(artifact, store, params.data)
        if reason:
            raise StageInputError(
                f"{version.uri} cannot judge these cells: {reason}",
                "train and promote a version on data of this kind",
            )
        rows = _new_rows(store, set(read_json(artifact / CARD_FILE)["groups"]), params)
        part = np.full(len(rows), "new")
        title = f"monitor {job.study}"
        return artifact_predictions(artifact, store, rows, part, params.data, title)


def _sample(found: Predictions, store: CellStore, params: MonitorStageParams) -> Sample:
    """What is watched: statistics of images where the store has them, confidence, predictions."""
    from unstained.evaluation.drift import Sample

    watched = dict(image_statistics(store, found.cell_id))
    watched["confidence"] = found.classes.confidence
    for name in params.data.target_names:
        watched[f"predicted {name}"] = found.values[name].predicted
    return Sample(watched, found.group, found.classes.predicted)


def image_statistics(store: CellStore, cell_id: np.ndarray) -> Mapping[str, np.ndarray]:
    """Background, contrast and focus of cells, from the store's table of cells.

    Args:
        store: the cells.
        cell_id: (N,) names.

    Returns:
        background (counts), contrast (spread of the counts over their background) and focus (power
        of fine structure, as the Laplacian's variance, over that of all structure), (N,) each;
        empty where a cell is not in the store.
    """
    table = store.columns("cell_id", "background", "std", "sharpness").set_index("cell_id")
    if not set(cell_id) <= set(table.index):
        return {}
    rows = table.loc[cell_id]
    background = rows["background"].to_numpy(float)
    contrast = rows["std"].to_numpy(float) / background.clip(min=1.0)
    focus = rows["sharpness"].to_numpy(float) / (contrast**2).clip(min=1e-12)
    return {"background": background, "contrast": contrast, "focus": focus}


def _compare(
    store: CellStore, before: Predictions, after: Predictions, params: MonitorStageParams
) -> Drift:
    from dataclasses import replace

    from unstained.evaluation.drift import compare_samples

    old, new = (_sample(found, store, params) for found in (before, after))
    common = [name for name in new.quantities if name in old.quantities]
    old, new = (replace(s, quantities={k: s.quantities[k] for k in common}) for s in (old, new))
    if (before.classes.labels >= 0).all() and (after.classes.labels >= 0).all():
        old = replace(old, classes=before.classes.labels)
        new = replace(new, classes=after.classes.labels)
    return compare_samples(
        old,
        new,
        permutations=params.monitor.permutations,
        alpha=params.monitor.alpha,
        least=params.monitor.least_distance,
        seed=params.common.seed,
    )


def _scores(found: Predictions, params: MonitorStageParams) -> Scores:
    from unstained.evaluation.scores import score_classes
    from unstained.statistics.intervals import resample_groups

    labels, names = found.classes.labels, params.data.class_names
    resampling = resample_groups(
        found.group, labels, params.monitor.permutations, params.common.seed
    )
    level = 1 - params.monitor.alpha
    return score_classes(labels, found.classes.probabilities, names, resampling, level)


def _metrics(
    version: RegisteredVersion, drift: Drift, scores: Mapping[str, Scores]
) -> dict[str, Scalar]:
    found: dict[str, Scalar] = {
        "champion": version.version,
        "drifted_images": len(drift.drifted("images")),
        "drifted_composition": len(drift.drifted("composition")),
    }
    for key, score in scores.items():
        found[f"{SCORE}_{key}"] = round(score.overall[SCORE].value, 6)
    found["largest_distance"] = round(max(shift.distance for shift in drift.shifts), 6)
    return found


def _notes(
    version: RegisteredVersion,
    drift: Drift,
    scores: Mapping[str, Scores],
    reference_groups: int,
    params: MonitorStageParams,
) -> tuple[str, ...]:
    notes = []
    then, now = (scores[key].overall[SCORE] for key in ("before", "now"))
    if now.high < then.low:
        notes.append(
            f"v{version.version} is right less often: balanced accuracy {now.value:.3f} "
            f"({now.low:.3f} to {now.high:.3f}) on new cells, {then.value:.3f} when it was tested"
        )
    return (*notes, *drift_notes(drift, reference_groups, params))


def drift_notes(drift: Drift, reference_groups: int, params: MonitorStageParams) -> tuple[str, ...]:
    """What changed, by its cause, in sentences.

    Args:
        drift: what was found.
        reference_groups: groups of the champion's test cells.
        params: of the stage.
    """
    from unstained.evaluation.drift import groups_that_would_do

    word = "blocks of tiles" if params.data.group == "block" else "acquisitions"
    notes = []
    if drift.drifted("images"):
        notes.append(
            "cells look otherwise than the test cells of the same classes, in: "
            f"{', '.join(drift.drifted('images'))}; find out what changed at the instrument or in "
            "the preparation, and train again on such cells"
        )
    if drift.drifted("composition"):
        notes.append(
            "the mix of classes is another one than among the test cells; this alone makes no "
            "model wrong, but counts of classes need the correction for composition"
        )
    if drift.unknown:
        names = ", ".join(params.data.class_names[k] for k in drift.unknown)
        notes.append(f"the test cells hold none of class {names}: these are not compared")
    if not drift.drifted("images") and drift.smallest_p > params.monitor.alpha:
        enough = groups_that_would_do(reference_groups, params.monitor.alpha, len(drift.shifts))
        notes.append(
            f"whether images have changed cannot be told from {drift.groups} new {word}: the "
            f"smallest adjusted p-value possible is {drift.smallest_p:.3f}; about {enough} of each "
            "class could tell"
        )
    if not notes:
        notes.append("no drift was found")
    if params.data.group == "block":
        notes.append("blocks of tiles were compared, which are parts of recordings")
    return tuple(notes)

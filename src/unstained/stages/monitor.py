"""Monitor: does the champion still see the cells that it was tested on?

It is asked about the acquisitions of a packed store that were not in its data. What it says is
compared with what it said of its test cells, and so is how right it is where the truth is known.
The stage looks at the registry as it is now: it belongs to no run and is not part of `dvc repro`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Final

from unstained.config.base import Params
from unstained.config.monitor import MonitorParams
from unstained.config.register import RegisterParams
from unstained.config.study import CommonParams, StudyData
from unstained.errors import RegistryError, StageInputError
from unstained.files import write_json, write_text
from unstained.pipeline.contract import Input, Inputs, Job, Output, Outputs, Report, Scalar, Stage
from unstained.temporary import temporary_folder
from unstained.wording import counted

if TYPE_CHECKING:
    import numpy as np

    from unstained.data.store.cell_store import CellStore
    from unstained.evaluation.drift import Drift
    from unstained.evaluation.watch import Units
    from unstained.predictions import Predictions
    from unstained.registry.submission import RegisteredVersion
    from unstained.statistics.intervals import Estimate
    from unstained.statistics.metric import Metric

BASES: Final = {
    "labels": "the true classes",
    "groups": "groups of one commonest predicted class, as the labels of new cells are not known",
    "weights": "all cells, the tested ones weighted to the new composition, which is estimated",
    "none": "all cells",
}
"""Within what images are compared, see `evaluation.drift_basis`."""

CLASSES: Final = "balanced_accuracy"

BLOCKS: Final = ", which are parts of recordings: of other recordings this says nothing"


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
    import pandas as pd

    from unstained.data.store.cell_store import CellStore
    from unstained.evaluation.beside_controls import yardstick
    from unstained.evaluation.scores import plain
    from unstained.evaluation.watch import compare, find_units, how_compared, recordings

    store = CellStore.open(inputs["store"])
    version = _champion(job, params)
    before = _told(job.registry.predictions(version).of("test"))
    after = _ask(job, version, store, params)
    units = find_units(store, before, after, params.data)
    how = how_compared(before, after, units, params.data)
    drift = compare(store, (before, after), units, how, params.monitor, params.common.seed)
    metric = yardstick(params.data)
    scores = {"before": _score(_alike(before, after), metric, params)}
    scores["now"] = _score(after, metric, params)
    shifts = [asdict(shift) for shift in drift.shifts]
    content = {
        "study": job.study,
        "version": version.version,
        "data_digest": store.digest,
        "cells": len(after),
        "groups": len(set(after.group)),
        "group": params.data.group,
        "recordings": recordings(store, after),
        "compared": units.word,
        "within": how.basis if how else "none",
        "smallest_p": drift.smallest_p,
        "shifts": shifts,
        metric.name: {key: plain(asdict(score)) for key, score in scores.items()},
    }
    if how:
        shares = zip(params.data.class_names, how.shares, strict=True)
        content["composition"] = plain({name: float(share) for name, share in shares})
    write_json(outputs["watch"], content)
    write_text(outputs["table"], pd.DataFrame(shifts).to_csv(index=False, lineterminator="\n"))
    notes = (
        *_score_notes(version, metric, scores),
        *drift_notes(drift, how.basis if how else "none", units, params),
    )
    return Report(_metrics(version, drift, metric, scores), notes)


def _told(tested: Predictions) -> Predictions:
    """The tested cells whose class is known; all where none is, or without classes."""
    import numpy as np

    if not tested.by_class or not tested.classes.known.any():
        return tested
    return tested.take(np.flatnonzero(tested.classes.known))


def _alike(before: Predictions, after: Predictions) -> Predictions:
    """Tested cells of the classes that new cells have: acquisitions may hold few of them."""
    import numpy as np

    if not before.by_class or not after.classes.known.any():
        return before
    return before.take(np.flatnonzero(np.isin(before.classes.labels, after.classes.labels)))


def _champion(job: Job, params: MonitorStageParams) -> RegisteredVersion:
    from unstained.registry.ledger import Ledger, ledger_path
    from unstained.registry.settling import look

    name = params.register_.name_of(job.study)
    ledger = Ledger(ledger_path(job.root, job.study))
    champion = look(job.registry, ledger, job.study, name).require_champion()
    if champion is None:
        raise RegistryError(
            f"{name} has no champion to watch",
            f"`dvc repro` promotes the best version that passes the gate; where none did, "
            f"`unstained history {job.study}` says why",
        )
    return champion


def _new_rows(store: CellStore, known: set[str], params: MonitorStageParams) -> np.ndarray:
    """Rows of cells of groups that were not in the champion's data; whole groups, at random."""
    import numpy as np

    groups = store.columns("group")["group"].to_numpy()
    names = [name for name in np.unique(groups) if name not in known]
    if not names:
        raise StageInputError(
            "all acquisitions of this store were in the champion's data: nothing is new",
            "add acquisitions to the source and run `unstained run ingest STUDY`, then this again",
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

    with temporary_folder() as folder:
        artifact = job.registry.download(version, folder / "artifact")
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


def _score(found: Predictions, metric: Metric, params: MonitorStageParams) -> Estimate:
    """How right the champion is, over the cells whose truth is known; NaN where none is."""
    from unstained.statistics.intervals import resample_groups

    said = found.of_task(params.data.primary_task)
    assert said is not None  # noqa: S101  (a champion predicts the primary task, see `compare`)
    sampling = resample_groups(
        found.group, found.strata, params.monitor.permutations, params.common.seed
    )
    return metric.estimate(said.truth, said.predicted, sampling, 1 - params.monitor.alpha)


def _metrics(
    version: RegisteredVersion, drift: Drift, metric: Metric, scores: Mapping[str, Estimate]
) -> dict[str, Scalar]:
    found: dict[str, Scalar] = {
        "champion": version.version,
        "drifted_images": len(drift.drifted("images")),
        "drifted_composition": len(drift.drifted("composition")),
    }
    for key, score in scores.items():
        if not math.isnan(score.value):
            found[f"{metric.name}_{key}"] = round(score.value, 6)
    found["largest_distance"] = round(max(shift.distance for shift in drift.shifts), 6)
    return found


def _score_notes(
    version: RegisteredVersion, metric: Metric, scores: Mapping[str, Estimate]
) -> Iterator[str]:
    then, now = scores["before"], scores["now"]
    worse = now.high < then.low if metric.higher else now.low > then.high
    if worse:
        yield (
            f"v{version.version} is {'right less often' if metric.name == CLASSES else 'worse'}: "
            f"{metric.words} {now.value:.3f} "
            f"({now.low:.3f} to {now.high:.3f}) on new cells, {then.value:.3f} when it was tested"
        )


def drift_notes(
    drift: Drift, basis: str, units: Units, params: MonitorStageParams
) -> tuple[str, ...]:
    """What changed, by its cause, in sentences.

    Args:
        drift: what was found.
        basis: within what images were compared.
        units: what was exchanged.
        params: of the stage.
    """
    from unstained.evaluation.drift import groups_that_would_do

    images, notes = drift.drifted("images"), []
    if images:
        what = "of the same classes, " if basis != "none" else ""
        notes.append(
            f"cells look otherwise than the test cells {what}in: "
            f"{', '.join(images)}; find out what changed at the instrument or in "
            "the preparation, and train again on such cells"
        )
    if drift.drifted("composition"):
        doubt = (
            "; as no label of the new cells is known, a change of the images may make it seem so"
            if images and basis != "labels"
            else ""
        )
        notes.append(
            "the mix of classes is another one than among the test cells; this alone makes no "
            f"model wrong, but counts of classes need the correction for composition{doubt}"
        )
    if drift.unknown:
        names = ", ".join(params.data.class_names[k] for k in drift.unknown)
        notes.append(f"the test cells hold none of class {names}: these are not compared")
    if not images and drift.smallest_p > params.monitor.alpha:
        tested = len(set(units.before.tolist()))
        enough = groups_that_would_do(tested, params.monitor.alpha, len(drift.shifts))
        each = " of each class" if basis in ("labels", "groups") else ""
        new = counted(drift.groups, *(f"new {word}" for word in units.words))
        notes.append(
            f"whether images have changed cannot be told from {new}: the smallest adjusted p-value "
            f"possible is {drift.smallest_p:.3f}; about {enough}{each} could tell"
        )
    if not notes:
        notes.append("no drift was found")
    if basis in ("groups", "weights"):
        notes.append(f"images were compared within {BASES[basis]}")
    if params.data.group == "block":
        notes.append(f"{units.word} were compared{BLOCKS if units.word != 'recordings' else ''}")
    return tuple(notes)

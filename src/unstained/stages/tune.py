"""Tune: search for training or model parameters that lower the validation loss.

Trials train on at most `tune.max_cells` training cells for `tune.epochs` epochs and are scored on
validation cells; test cells are never touched. The groups of the split keep the two apart.
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unstained.config.base import Params
from unstained.config.learning import TrainParams, TuneParams
from unstained.config.models import ModelParams
from unstained.config.networks import NetworkBase
from unstained.config.overrides import apply_overrides, check_space
from unstained.config.search_space import Space
from unstained.config.study import CommonParams, StudyData
from unstained.files import whole_file, write_json
from unstained.pipeline.contract import Input, Inputs, Job, Output, Outputs, Report, Stage

if TYPE_CHECKING:
    import numpy as np

    from unstained.learning.journal import TrialRecord
    from unstained.learning.search import Report as Reporter
    from unstained.learning.search import Search
    from unstained.learning.state import EpochRecord

COLUMNS = ("trial", "state", "value", "epochs")


class TuneSections(Params):
    """Sections of params.yaml that tuning depends on."""

    common: CommonParams
    data: StudyData
    model: ModelParams
    tune: TuneParams
    train: TrainParams


STAGE = Stage(
    name="tune",
    params=TuneSections,
    sections={
        "common": "common",
        "data": "data",
        "model": "models.{model}",
        "tune": "tune",
        "train": "train",
    },
    inputs={"store": Input("ingest", "store"), "split": Input("split", "split")},
    outputs={
        "best": Output("best.json"),
        "trials": Output(
            "trials.csv",
            "plots",
            {
                "x": "trial",
                "y": "value",
                "title": "Validation loss of trials",
                "template": "scatter",
            },
        ),
    },
    per="model",
)


@dataclass(frozen=True)
class FitTrial:
    """Objective of a search: train with given overrides, report the validation loss.

    It carries paths and parameters, never cells, so it is cheap to send to a Ray worker.

    Attributes:
        store: the packed store.
        split: the partition (split.parquet).
        data, model, train: parameters that the overrides are applied to.
        seed: of cell choice, weights and order; the same in every trial.
        max_cells: training cells, and validation cells, used at the most.
    """

    store: Path
    split: Path
    data: StudyData
    model: ModelParams
    train: TrainParams
    seed: int
    max_cells: int

    def __call__(self, overrides: Mapping[str, Any], report: Reporter) -> None:
        """Run one trial; a loss that is not finite is reported as NaN."""
        from unstained.data.splits.parts import part_rows
        from unstained.data.store.cell_store import CellStore
        from unstained.learning.fit import fit
        from unstained.learning.state import DivergedError

        model, train = apply_overrides(self.model, self.train, overrides)
        store = CellStore.open(self.store)
        val = part_rows(store, self.split, "val")
        reached = [0]

        def on_epoch(record: EpochRecord) -> bool:
            reached.append(record.epoch)
            return report(record.epoch, record.val_loss)

        try:
            fit(
                store,
                part_rows(store, self.split, "train"),
                some_of(val, self.max_cells, self.seed),
                data=self.data,
                model=model,
                train=train,
                seed=self.seed,
                on_epoch=on_epoch,
                max_cells=self.max_cells,
            )
        except DivergedError:
            report(reached[-1] + 1, math.nan)


def run(params: TuneSections, inputs: Inputs, outputs: Outputs, job: Job) -> Report:
    """Search, write the best parameters and all trials, and show the trials in MLflow.

    With `tune.trials` 1, or for a model on measured features that no space names, best.json is
    empty and training keeps params.yaml.

    Raises:
        ParameterError: the search space names an unknown parameter or impossible values.
        TrainingError: a trial failed, or all of them diverged.
    """
    is_network = isinstance(params.model, NetworkBase)
    space = params.tune.space_of(str(job.model), is_network)
    if params.tune.trials == 1 or not (space or is_network):
        write_json(outputs["best"], {})
        _write_trials(outputs["trials"], ())
        why = "tune.trials is 1" if space else f"tune.spaces says nothing of {job.model}"
        return Report({"trials": 0}, (f"{why}: the parameters are kept as they are",))
    trials = _search(_pose(params, space, inputs, job), f"tune {job.study}/{job.model}")
    from unstained.learning.tuning import best_trial

    best = best_trial(trials)
    job.registry.log_trials(
        study=job.study,
        model=str(job.model),
        trials=[record.as_json() for record in trials],
        search=job.fingerprint,
    )
    write_json(outputs["best"], dict(best.params))
    _write_trials(outputs["trials"], trials)
    return _report(trials, best)


def _pose(params: TuneSections, space: Space, inputs: Inputs, job: Job) -> Search:
    """The search that params.yaml asks for."""
    from unstained.learning.search import Search

    tune = params.tune
    usual = params.model.training(params.train)
    named = f"spaces.{job.model}" if str(job.model) in tune.spaces else "network_space"
    check_space(params.model, usual, space, f"params.yaml: tune.{named}")
    epochs = tune.epochs if isinstance(params.model, NetworkBase) else 1  # others fit at once
    changes: dict[str, Any] = {"epochs": epochs, "grace_epochs": min(tune.grace_epochs, epochs)}
    # One process a trial, no compilation: short runs side by side gain from neither.
    short = {"epochs": epochs, "patience": epochs, "workers": 1, "compile": "off"}
    train = usual.model_copy(update=short)
    return Search(
        space=space,
        defaults={key: current_value(params.model, usual, key) for key in sorted(space)},
        objective=FitTrial(
            store=inputs["store"].resolve(),
            split=inputs["split"].resolve(),
            data=params.data,
            model=params.model,
            train=train,
            seed=params.common.seed,
            max_cells=tune.max_cells,
        ),
        tune=tune.model_copy(update=changes),
        seed=params.common.seed,
        journal=job.scratch / "trials.jsonl",
    )


def _search(problem: Search, title: str) -> tuple[TrialRecord, ...]:
    from unstained.learning.tuning import search
    from unstained.progress import progress

    missing = problem.tune.trials - len(problem.open_journal().read())
    with progress(title, missing, "trials") as advance:
        return search(problem, lambda record: advance(1))


def current_value(model: ModelParams, train: TrainParams, name: str) -> Any:
    """The value in params.yaml of a dotted parameter that `check_space` has accepted, as JSON."""
    value: Any = {"model": model.model_dump(mode="json"), "train": train.model_dump(mode="json")}
    for key in name.split("."):
        value = value[key]
    return value


def some_of(rows: np.ndarray, most: int, seed: int) -> np.ndarray:
    """`most` of the rows at the most, chosen at random, ascending."""
    import numpy as np

    if len(rows) <= most:
        return rows
    return np.sort(np.random.default_rng([seed, most]).choice(rows, most, replace=False))


def _write_trials(path: Path, trials: Sequence[TrialRecord]) -> None:
    names = sorted(trials[0].params) if trials else []
    with whole_file(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([*COLUMNS, *names])
        for record in trials:
            fixed = [getattr(record, column) for column in COLUMNS]
            tried = [record.params[name] for name in names]
            writer.writerow([*fixed, *(v if _plain(v) else json.dumps(v) for v in tried)])


def _plain(value: Any) -> bool:
    return isinstance(value, str | int | float)


def _report(trials: Sequence[TrialRecord], best: TrialRecord) -> Report:
    states = [record.state for record in trials]
    metrics: dict[str, str | int | float | bool | None] = {
        "trials": len(trials),
        "pruned": states.count("pruned"),
        "diverged": states.count("diverged"),
        "best_trial": best.trial,
        "best_val_loss": best.value,
        "initial_val_loss": trials[0].value,
    }
    notes = []
    if best.trial == 0:
        notes.append("no trial was better than the parameters of params.yaml; they are kept")
    return Report(metrics, tuple(notes))

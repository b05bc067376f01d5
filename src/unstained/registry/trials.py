"""Trials of a parameter search in MLflow: one run a trial, below one parent a search."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from unstained.registry.runs import log_history, log_metrics, log_params

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

PARENT_TAG = "mlflow.parentRunId"
PAGE = 1000

STATUS = {"completed": "FINISHED", "pruned": "FINISHED", "diverged": "FAILED"}
"""MLflow's status of a run, by the trial's state."""


def log_search(
    client: MlflowClient,
    experiment: str,
    study: str,
    model: str,
    search: str,
    trials: Sequence[Mapping[str, Any]],
) -> None:
    """Log the trials of a search that MLflow does not hold yet.

    Args:
        client: the connected client.
        experiment: its id.
        study: key of params.yaml `studies`.
        model: key of the recipe's `models`.
        search: digest of what defines the search.
        trials: see `Registry.log_trials`.
    """
    tags = {"study": study, "model": model, "search": search}
    known = _runs(client, experiment, search)
    parents = [run for run in known if PARENT_TAG not in run.data.tags]
    if parents:
        parent = parents[0].info.run_id
    else:
        parent = client.create_run(
            experiment, tags=tags, run_name=f"tune {study}/{model}"
        ).info.run_id
    finished = {
        run.data.tags["trial"]
        for run in known
        if PARENT_TAG in run.data.tags and run.info.status != "RUNNING"
    }
    for run in known:
        if PARENT_TAG in run.data.tags and run.info.status == "RUNNING":  # was interrupted
            client.delete_run(run.info.run_id)
    for trial in trials:
        if str(trial["trial"]) not in finished:
            _log_trial(client, experiment, parent, tags, trial)
    _close_parent(client, parent, trials)


def _runs(client: MlflowClient, experiment: str, search: str) -> list[Run]:
    found: list[Run] = []
    token: str | None = None
    while True:
        page = client.search_runs(
            [experiment], f"tags.search = '{search}'", max_results=PAGE, page_token=token
        )
        found += page
        token = page.token
        if not token:
            return found


def _log_trial(
    client: MlflowClient,
    experiment: str,
    parent: str,
    tags: Mapping[str, str],
    trial: Mapping[str, Any],
) -> None:
    number = str(trial["trial"])
    run = client.create_run(
        experiment,
        tags={**tags, PARENT_TAG: parent, "trial": number, "state": trial["state"]},
        run_name=f"{tags['study']}/{tags['model']} trial {number}",
    ).info.run_id
    log_params(client, run, trial["params"])
    log_history(client, run, [{"epoch": e, "val_loss": loss} for e, loss in trial["history"]])
    log_metrics(client, run, {"best_val_loss": trial["value"], "epochs": trial["epochs"]})
    client.set_terminated(run, STATUS[trial["state"]])


def _close_parent(client: MlflowClient, parent: str, trials: Sequence[Mapping[str, Any]]) -> None:
    """Summarise the search so far on its parent run."""
    values = {t["trial"]: t["value"] for t in trials if t["value"] is not None}
    summary = {"trials": len(trials)}
    if values:
        best = min(values, key=lambda number: (values[number], number))
        summary |= {"best_val_loss": values[best], "best_trial": best}
    log_metrics(client, parent, summary)
    client.set_terminated(parent, "FINISHED")

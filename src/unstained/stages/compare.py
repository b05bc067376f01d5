"""Compare: all registered versions of a study, tested in pairs on the same test cells.

The stage of that name and `unstained compare STUDY` (`operations`) share `make_leaderboard`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from unstained.config.compare import CompareStageParams
from unstained.errors import NoCandidateError, RegistryError
from unstained.files import write_json, write_text
from unstained.pipeline.contract import Input, Inputs, Job, Output, Outputs, Report, Scalar, Stage

if TYPE_CHECKING:
    from unstained.registry.leaderboard.candidates import Candidate, CellFiles
    from unstained.registry.registry import Registry
    from unstained.registry.settling import Settled
    from unstained.registry.standings import Leaderboard, NotComparable


STAGE = Stage(
    name="compare",
    params=CompareStageParams,
    sections={
        "common": "common",
        "data": "data",
        "register_": "register",
        "evaluate": "evaluate",
        "compare": "compare",
    },
    inputs={
        "registrations": Input("register", "registration", every_model=True),
        "store": Input("ingest", "store"),
        "split": Input("split", "split"),
    },
    outputs={
        "leaderboard": Output("leaderboard.json"),
        "table": Output(
            "leaderboard.csv",
            kind="plots",
            plot={
                "x": "value",
                "y": "version",
                "title": "Registered versions on the same test cells",
                "template": "bar_horizontal",
            },
        ),
    },
    per="study",
)


def run(params: CompareStageParams, inputs: Inputs, outputs: Outputs, job: Job) -> Report:
    """Put the versions of this run into the leaderboard of all versions.

    Raises:
        RegistryError: MLflow failed, or lacks a version that was registered.
        IntegrityError: a version, or the ledger, was rewritten.
    """
    from unstained.registry.leaderboard.candidates import CellFiles
    from unstained.registry.ledger import Ledger, ledger_path
    from unstained.registry.registration import read_registrations, require_as_registered
    from unstained.registry.settling import look
    from unstained.registry.standings import findings

    new = read_registrations(inputs["registrations"], job.models)
    cells = CellFiles(inputs["store"], inputs["split"])
    ledger, name = Ledger(ledger_path(job.root, job.study)), params.register_.name_of(job.study)
    settled = look(job.registry, ledger, job.study, name)
    require_as_registered(job.registry, name, inputs["registrations"], job.models)
    leaderboard = make_leaderboard(job.registry, settled, params, job.study, new, cells)
    write_leaderboard(leaderboard, outputs)
    show_in_mlflow(job.registry, leaderboard)
    leader = leaderboard["entries"][0]
    metrics: dict[str, Scalar] = {
        "leader": leader["version"],
        "champion": leaderboard["champion"],
        "versions": len(leaderboard["entries"]),
        "not_comparable": len(leaderboard["not_comparable"]),
        "replicates_left_out": leaderboard["replicates"],
        leaderboard["metric"]: round(leader["value"], 6),
    }
    return Report(metrics, (*settled.notes, *findings(leaderboard)))


def make_leaderboard(
    registry: Registry,
    settled: Settled,
    params: CompareStageParams,
    study: str,
    new: Sequence[int],
    cells: CellFiles | None = None,
) -> Leaderboard:
    """The leaderboard of a study's candidates: all versions but replicates.

    Args:
        registry: where the versions are.
        settled: who is champion.
        params: metric, resamples, alpha, correction.
        study: key of params.yaml `studies`.
        new: versions of this run, whose leaderboard it is; without any, the newest version's.
        cells: where their cells are. A champion that was evaluated on others is asked about these.

    Raises:
        RegistryError: MLflow failed, holds no version of the study, lacks one of `new`, or these
            were evaluated on different cells.
        IntegrityError: predictions are not the ones that were registered.
    """
    from unstained.registry.leaderboard.candidates import admit, missing_tag, sort_out

    name = params.register_.name_of(study)
    everything = [settled.told(version) for version in registry.versions(name)]
    versions = [version for version in everything if not version.is_replicate]
    ours = {v.version: v.test_cells for v in versions if not missing_tag(v)}
    reference = _reference(registry.uri, name, ours, new)
    candidates, others = sort_out(registry, versions, reference, params.data)
    champion = settled.champion and settled.told(settled.champion)
    if cells is not None and champion is not None:
        admit(registry, champion, cells, candidates, others, params)
    left_out = len(everything) - len(versions)
    number = champion.version if champion else None
    return _table(params, study, number, new, candidates, others, left_out)


def _table(
    params: CompareStageParams,
    study: str,
    champion: int | None,
    new: Sequence[int],
    candidates: Sequence[Candidate],
    others: list[NotComparable],
    replicates: int,
) -> Leaderboard:
    """The table of comparable versions, every entry with its tests."""
    from unstained.registry.leaderboard.scoring import paired_tests, score, versus
    from unstained.tasks.gate import gate_metric

    first, metric = candidates[0], gate_metric(params.data.primary_task, params.compare)
    sign = -1 if metric.higher else 1
    entries = [score(candidate, params, new) for candidate in candidates]
    entries.sort(key=lambda entry: (sign * entry["value"], entry["version"]))
    numbers = [entry["version"] for entry in entries]
    pairs = _pairs(numbers, {numbers[0], champion, *new})
    leaderboard: Leaderboard = {
        "study": study,
        "name": first.version.name,
        "task": params.data.primary_task.name,
        "metric": metric.name,
        "metric_words": metric.words,
        "higher_is_better": metric.higher,
        "alpha": params.compare.alpha,
        "confidence": 1 - params.compare.alpha,
        "correction": params.compare.correction,
        "simulated": first.version.tags["simulated"] == "true",
        "data_digest": first.version.data_digest,
        "split_digest": first.version.split_digest,
        "test_cells": len(first.test),
        "test_groups": len(set(first.test.group)),
        "replicates": replicates,
        "leader": numbers[0],
        "champion": champion,
        "entries": entries,
        "tests": paired_tests(candidates, pairs, params),
        "not_comparable": others,
    }
    to_leader, to_champion = versus(leaderboard, numbers[0]), versus(leaderboard, champion)
    for entry in entries:
        entry["versus_leader"] = to_leader.get(entry["version"])
        entry["versus_champion"] = to_champion.get(entry["version"])
    return leaderboard


def write_leaderboard(leaderboard: Leaderboard, outputs: Mapping[str, Path]) -> None:
    """Write leaderboard.json and leaderboard.csv."""
    from unstained.registry.standings_table import as_csv

    write_json(outputs["leaderboard"], leaderboard)
    write_text(outputs["table"], as_csv(leaderboard))


def show_in_mlflow(registry: Registry, leaderboard: Leaderboard) -> None:
    """Tag every version with its place in the leaderboard."""
    from unstained.registry.standings import place

    held = {version.version: version for version in registry.versions(leaderboard["name"])}
    for entry in leaderboard["entries"]:
        said = place(leaderboard, entry)
        if held[entry["version"]].tags.get("leaderboard") != said:
            registry.tag_version(leaderboard["name"], entry["version"], {"leaderboard": said})


def _reference(
    uri: str, name: str, held: Mapping[int, tuple[str, str]], new: Sequence[int]
) -> tuple[str, str]:
    """Data and split digest that the leaderboard is about."""
    from unstained.registry.connection import public

    if not held:
        raise NoCandidateError(
            f"MLflow at {public(uri)} holds no version of {name} that is a candidate",
            "run `dvc repro`, or set MLFLOW_TRACKING_URI to the registry that holds them",
        )
    missing = [version for version in new if version not in held]
    if missing:
        raise RegistryError(
            f"MLflow at {public(uri)} lacks version {missing[0]} of {name}, which was registered",
            "set MLFLOW_TRACKING_URI as it was, or register again: `dvc repro`",
        )
    cells = {held[version] for version in new} or {held[max(held)]}
    if len(cells) > 1:
        raise RegistryError(
            f"the models of this run of {name} were evaluated on different cells",
            "run `dvc repro`, which brings all of them up to date",
        )
    return cells.pop()


def _pairs(numbers: Sequence[int], centres: set[int | None]) -> list[tuple[int, int]]:
    """Every version against every centre, each pair once, in the order of the table."""
    return [
        (first, second)
        for position, first in enumerate(numbers)
        for second in numbers[position + 1 :]
        if first in centres or second in centres
    ]

"""Validate: expectations over the cell table, and the audit of the cells."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from unstained.config.base import Params
from unstained.config.study import CommonParams, StudyData
from unstained.config.validate import ValidateParams
from unstained.errors import ValidationError
from unstained.files import write_json, write_text
from unstained.pipeline.contract import Input, Inputs, Job, Output, Outputs, Report, Scalar, Stage

if TYPE_CHECKING:
    from unstained.data.audit.audit import Audit
    from unstained.data.audit.shortcuts import ProbeResult
    from unstained.data.store.cell_store import CellStore


class ValidateStageParams(Params):
    """Parameters of the stage."""

    common: CommonParams
    data: StudyData
    validate_: ValidateParams


STAGE = Stage(
    name="validate",
    params=ValidateStageParams,
    sections={"common": "common", "data": "data", "validate_": "validate"},
    inputs={"store": Input("ingest", "store")},
    outputs={
        "clusters": Output("clusters.parquet"),
        "audit": Output("audit.json"),
        "acquisitions": Output("acquisitions.csv"),
        "docs": Output("docs"),
        "shortcuts": Output(
            "shortcuts.csv",
            kind="plots",
            plot={
                "x": "balanced_accuracy",
                "y": "probe",
                "title": "What the label can be told from without the cell",
                "template": "scatter",
            },
        ),
    },
    per="study",
)


def run(params: ValidateStageParams, inputs: Inputs, outputs: Outputs, job: Job) -> Report:
    """Check the table, then audit the cells.

    Raises:
        ValidationError: all cells are external, an expectation does not hold, or a shortcut was
            found and `validate.on_shortcut` is 'fail'. What was found is left in the scratch
            directory, which the message names.
    """
    import pyarrow.parquet as pq

    from unstained.data.audit.acquisition_findings import acquisitions_csv
    from unstained.data.audit.audit import audit_store
    from unstained.data.store.cell_store import CellStore

    store = CellStore.open(inputs["store"])
    if store.columns("external")["external"].all():
        raise ValidationError(
            "all cells of the source are external: there is nothing to learn from",
            f"judge the study's champion on them: `unstained run monitor {job.study}`",
        )
    expectations = _check_expectations(store, params, outputs["docs"], job)
    audit = audit_store(
        store,
        params.data.class_names,
        params.data.canvas,
        params.validate_,
        params.common.seed,
    )
    _refuse_shortcuts(audit, params, job)
    write_json(outputs["audit"], audit.content)
    pq.write_table(audit.clusters, outputs["clusters"])
    write_text(outputs["shortcuts"], shortcuts_csv(audit.probes))
    write_text(outputs["acquisitions"], acquisitions_csv(audit.acquisitions))
    notes = [finding.sentence for finding in audit.findings if finding.severity != "ok"]
    return Report(_metrics(audit, expectations), tuple(notes))


def _check_expectations(store: CellStore, params: ValidateStageParams, docs: Path, job: Job) -> int:
    """Write the Data Docs and return how many expectations hold."""
    from unstained.data.audit.expectations import check_table

    columns = store.schema.names
    minimum = params.validate_.min_cells_per_class
    validation = check_table(store.columns, columns, params.data, minimum)
    if validation.failures:
        kept = job.scratch / "docs" / "index.html"
        write_text(kept, validation.html)
        validation.require(
            "correct the files that are named or take them out of the source (of a class with too "
            "few cells, add some or lower validate.min_cells_per_class; of a target that no cell "
            "has, take its task out of studies.<study>.data.tasks), then run `dvc repro`; the "
            f"Data Docs of this run are in {kept}"
        )
    write_text(docs / "index.html", validation.html)
    return validation.expectations


def _refuse_shortcuts(audit: Audit, params: ValidateStageParams, job: Job) -> None:
    if params.validate_.on_shortcut == "report" or not audit.shortcuts:
        return
    kept = job.scratch / "audit.json"
    write_json(kept, audit.content)
    checks = {f"shortcut: {probe.probe}" for probe in audit.shortcuts}
    listed = "\n  ".join(item.sentence for item in audit.findings if item.check in checks)
    names = ", ".join(probe.probe for probe in audit.shortcuts)
    raise ValidationError(
        f"verdict 'shortcut' for {names}:\n  {listed}",
        "record the classes alike, or accept what was found by setting validate.on_shortcut to "
        f"report; the whole audit is in {kept}",
    )


def shortcuts_csv(probes: Sequence[ProbeResult]) -> str:
    """The shortcut audit as CSV: one row a probe and scheme, empty where not identifiable."""
    lines = ["probe,scheme,balanced_accuracy,low,high,chance,verdict"]
    for probe in probes:
        numbers = (probe.balanced_accuracy, probe.low, probe.high, probe.chance)
        cells = ["" if number is None else f"{number:.4f}" for number in numbers]
        lines.append(",".join([probe.probe, probe.scheme, *cells, probe.verdict]))
    return "\n".join(lines) + "\n"


def _metrics(audit: Audit, expectations: int) -> dict[str, Scalar]:
    duplicates = audit.content["duplicates"]
    metrics: dict[str, Scalar] = {
        "cells": audit.content["cells"],
        "expectations": expectations,
        "exact_duplicate_pairs": duplicates["exact_pairs"],
        "near_duplicate_pairs": duplicates["near_pairs"],
        "augmented_copy_pairs": duplicates["augmented_pairs"],
        "conflicting_label_pairs": duplicates["pairs_across_labels"],
        "outlying_acquisitions": len(
            {one.acquisition for one in audit.acquisitions.standings if one.out}
        ),
        "failures": sum(finding.severity == "failure" for finding in audit.findings),
        "warnings": sum(finding.severity == "warning" for finding in audit.findings),
    }
    for probe in audit.probes:
        if probe.scheme == "grouped":
            metrics[f"{probe.probe}_balanced_accuracy"] = probe.balanced_accuracy
            metrics[f"{probe.probe}_verdict"] = probe.verdict
    return metrics

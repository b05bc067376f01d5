"""The audit of a packed store: duplicates, group overlap, balance, shortcuts and acquisitions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa

from unstained.config.validate import ValidateParams
from unstained.data.audit.acquisition_findings import acquisition_findings, comparison_content
from unstained.data.audit.acquisitions import Comparison, compare_acquisitions
from unstained.data.audit.copies import copies_by_folder, copy_findings
from unstained.data.audit.duplicates import Duplicates, find_duplicates
from unstained.data.audit.findings import (
    DuplicateCounts,
    Finding,
    balance_finding,
    duplicate_findings,
    group_findings,
    shortcut_findings,
    single_cell_findings,
    untrained_findings,
)
from unstained.data.audit.per_channel import one_of_channels
from unstained.data.audit.probes import read_probes
from unstained.data.audit.shortcuts import ProbeResult, audit_shortcuts, sample_rows
from unstained.data.audit.values import value_findings
from unstained.data.splits.units import joined
from unstained.data.store.cell_store import CellStore
from unstained.data.store.columns import encode, numbers, read_columns, strings

if TYPE_CHECKING:
    import pandas as pd

CATEGORIES: Final = ("acquisition", "group", "label")

LISTED: Final = 1000
"""Pairs of duplicates that audit.json lists; it counts all."""

SEVERITIES: Final = ("failure", "warning", "ok")


@dataclass(frozen=True)
class Audit:
    """Everything the audit found.

    Attributes:
        content: plain content of audit.json.
        clusters: cell_id and cluster of every cell that has a duplicate.
        probes: results of the shortcut audit.
        acquisitions: all of them beside each other.
        findings: sentences, worst first.
    """

    content: dict[str, Any]
    clusters: pa.Table
    probes: tuple[ProbeResult, ...]
    acquisitions: Comparison
    findings: tuple[Finding, ...]

    @property
    def shortcuts(self) -> list[ProbeResult]:
        """Probes that tell the class in groups they were not trained on."""
        return [probe for probe in self.probes if probe.verdict == "shortcut"]


def audit_store(
    store: CellStore, class_names: Sequence[str], canvas: int, params: ValidateParams, seed: int
) -> Audit:
    """Audit all cells for duplicates, a sample for shortcuts, and some of each acquisition.

    External cells and cells without a class are searched for duplicates, and their acquisitions
    compared with the others, but take no part in balance and shortcuts, which only a study with
    classes has. Groups that hold copies of each other's cells count as one for the shortcuts.

    Args:
        store: the cells.
        class_names: classes in label order; those of external cells alone are said and left out.
        canvas: side in pixels of the square in which cells are compared.
        params: distances, folds, margin, confidence, cells at the most.
        seed: `common.seed`.
    """
    ids, cells = _cells(store)
    duplicates = find_duplicates(
        store, canvas, params.near_duplicate_distance, params.augmented_cells
    )
    known = cells["label"].notna().to_numpy() | (not class_names)
    inner = np.flatnonzero(~cells["external"].to_numpy(bool) & known)
    groups = cells["group"].cat.codes.to_numpy()
    names = cells["group"].cat.categories
    groups = joined(groups[inner], len(names), duplicates.cluster[inner])[groups]
    sample = sample_rows(strings(ids.take(inner)), groups[inner], params.max_cells, seed)
    rows = inner[sample]
    statistics = read_probes(store, rows)
    overview = _overview(cells, class_names)
    compared = compare_acquisitions(store, cells, canvas)
    findings = [
        *acquisition_findings(compared),
        *value_findings(store),
        *_single_cells(overview),
        *duplicate_findings(_duplicate_counts(cells, duplicates)),
        *copy_findings(
            copies_by_folder(cells["acquisition"].astype(str).tolist(), duplicates.cluster),
            params.confidence,
        ),
    ]
    probes: Sequence[ProbeResult] = ()
    if class_names:
        _, labels = np.unique(store.labels(class_names)[rows], return_inverse=True)
        probes = audit_shortcuts(statistics, labels, groups[rows], params, seed)
        constant = [name for name, values in statistics.items() if not np.ptp(values, axis=0).any()]
        levels = _by_class(overview, "background")
        findings = [
            *_population_findings(overview),
            *findings,
            *one_of_channels(
                shortcut_findings(probes, constant, levels, params.confidence), probes
            ),
        ]
    findings.sort(key=lambda finding: SEVERITIES.index(finding.severity))
    content = overview | {
        "duplicates": _pairs(ids, cells, duplicates),
        "probes": [asdict(probe) for probe in probes],
        "probed_cells": len(rows),
        "acquisitions": comparison_content(compared),
        "findings": [asdict(finding) for finding in findings],
    }
    member = np.flatnonzero(duplicates.cluster >= 0)
    cluster = pa.array(duplicates.cluster[member].astype(np.int64))
    clusters = pa.table({"cell_id": ids.take(member), "cluster": cluster})
    return Audit(content, clusters, tuple(probes), compared, tuple(findings))


def _cells(store: CellStore) -> tuple[pa.ChunkedArray, pd.DataFrame]:
    """Ids, and what else the audit asks of the cell table, strings as categories."""
    import pandas as pd

    table = read_columns(store, "cell_id", *CATEGORIES, "external", "background")
    frame = pd.DataFrame({name: numbers(table[name]) for name in ("external", "background")})
    for name in CATEGORIES:
        codes: Any
        codes, names = encode(table[name])
        frame[name] = pd.Categorical.from_codes(codes, pd.Index(names))
    return table["cell_id"], frame


def _by_class(overview: dict[str, Any], key: str) -> dict[str, Any]:
    return {entry["label"]: entry[key] for entry in overview["classes"] if entry["cells"]}


def _single_cells(overview: dict[str, Any]) -> list[Finding]:
    """Whether groups are single cells: class by class, or over all cells without classes."""
    cells, groups = (_by_class(overview, key) for key in ("cells", "groups"))
    if not cells:
        cells, groups = {"": overview["cells"]}, {"": overview["groups"]}
    return single_cell_findings(cells, groups)


def _population_findings(overview: dict[str, Any]) -> list[Finding]:
    mixed = sum(len(entry["cells"]) > 1 for entry in overview["group_table"])
    outside = [entry["label"] for entry in overview["classes"] if not entry["cells"]]
    return [
        *untrained_findings(outside),
        balance_finding(_by_class(overview, "cells")),
        *group_findings(_by_class(overview, "groups"), _by_class(overview, "acquisitions"), mixed),
    ]


def _overview(cells: pd.DataFrame, class_names: Sequence[str]) -> dict[str, Any]:
    """Numbers of cells and groups, and the table of groups and labels."""
    inner, outer = cells[~cells["external"]], cells[cells["external"]]
    unknown = int(inner["label"].isna().sum())
    by_class = inner.groupby("label", observed=True)
    counts, outside = by_class.size(), outer.groupby("label", observed=True).size()
    groups, acquisitions = by_class["group"].nunique(), by_class["acquisition"].nunique()
    background = by_class["background"].mean()
    size = inner.groupby("group", observed=True).size()
    return {
        "cells": len(inner),
        "external_cells": len(cells) - len(inner),
        **({"cells_without_class": unknown} if class_names and unknown else {}),
        "classes": [
            {
                "label": label,
                "cells": int(counts.get(label, 0)),
                "groups": int(groups.get(label, 0)),
                "acquisitions": int(acquisitions.get(label, 0)),
                "external_cells": int(outside.get(label, 0)),
                "background": round(float(background.get(label, 0.0)), 3),
            }
            for label in class_names
        ],
        "groups": len(size),
        "cells_per_group": {
            "smallest": int(size.min()),
            "median": float(size.median()),
            "largest": int(size.max()),
        },
        "group_table": _group_table(cells),
    }


def _group_table(cells: pd.DataFrame) -> list[dict[str, Any]]:
    table: dict[tuple[str, bool], dict[str, int]] = {}
    by_group = cells.groupby(["group", "external", "label"], observed=True)
    counts = by_group.size().reset_index(name="cells")
    for group, external, label, number in counts.itertuples(index=False):
        table.setdefault((group, bool(external)), {})[label] = int(number)
    return [
        {"group": group, "external": external, "cells": labels}
        for (group, external), labels in table.items()
    ]


def _duplicate_counts(cells: pd.DataFrame, found: Duplicates) -> DuplicateCounts:
    def differing(column: str) -> int:
        series = cells[column]
        values = (series.cat.codes if column in CATEGORIES else series).to_numpy()
        first, second = values[found.pairs[:, 0]], values[found.pairs[:, 1]]
        return int(((first != second) & (first >= 0) & (second >= 0)).sum())  # -1: unknown

    return DuplicateCounts(
        exact=int(found.exact.sum()),
        near=int((~found.exact & ~found.augmented).sum()),
        augmented=int(found.augmented.sum()),
        across_labels=differing("label"),
        across_groups=differing("group"),
        across_external=differing("external"),
    )


def _pairs(ids: pa.ChunkedArray, cells: pd.DataFrame, found: Duplicates) -> dict[str, Any]:
    counts = _duplicate_counts(cells, found)
    kinds = np.select([found.exact, found.augmented], ["exact", "augmented"], "near")
    listed = zip(found.pairs[:LISTED], kinds, found.correlation, strict=False)
    return {
        "clusters": int(found.cluster.max()) + 1,
        "cells": int((found.cluster >= 0).sum()),
        "exact_pairs": counts.exact,
        "near_pairs": counts.near,
        "augmented_pairs": counts.augmented,
        "pairs_across_labels": counts.across_labels,
        "pairs_across_groups": counts.across_groups,
        "pairs_across_external": counts.across_external,
        "pairs": [
            {
                "first": ids[a].as_py(),
                "second": ids[b].as_py(),
                "kind": str(kind),
                "correlation": round(float(correlation), 6),
            }
            for (a, b), kind, correlation in listed
        ],
    }

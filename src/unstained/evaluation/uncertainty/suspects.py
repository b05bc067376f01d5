"""Labels that models doubt, and whether fluorescence doubts them too.

A cell outside the test part is judged by the replicates that held its fold out, so by models that
saw neither the cell nor, where the split is by group, its acquisition. With several seeds their
probabilities are averaged.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from unstained.data.store.cell_store import CellStore
from unstained.errors import ParameterError
from unstained.evaluation.baselines.grid import ReplicateResult
from unstained.evaluation.label_errors import (
    AMBIGUOUS,
    FEWEST_CELLS,
    NEGATIVE,
    UNMEASURED,
    LabelAudit,
    MarkerGate,
    Suspects,
    audit_labels,
    find_suspects,
    fit_gate,
    gate_by_controls,
    gate_cells,
)
from unstained.evaluation.selective import Flags
from unstained.evaluation.uncertainty.predictions import Replicas
from unstained.statistics.intervals import resample_groups
from unstained.statistics.metrics import Floats, Labels

NOT_GATED: Final = "not gated"
"""What fluorescence says of a cell where no marker stands for a class."""


@dataclass(frozen=True)
class OutOfFold:
    """Cells with what models said that had not seen them.

    Attributes:
        cell_id, group: (N,) names.
        labels: (N,) classes.
        probabilities: model -> (N, K).
    """

    cell_id: np.ndarray
    group: np.ndarray
    labels: Labels
    probabilities: Mapping[str, Floats]

    @property
    def together(self) -> Floats:
        """(N, K) mean over models."""
        return np.asarray(np.mean(list(self.probabilities.values()), axis=0))


@dataclass(frozen=True)
class Gating:
    """Classes by fluorescence.

    Attributes:
        gates: of the markers that stand for a class; not all need be usable.
        gated: (N,) class of each cell, or NEGATIVE, AMBIGUOUS, UNMEASURED.
    """

    gates: tuple[MarkerGate, ...]
    gated: Labels


@dataclass(frozen=True)
class Doubts:
    """The audit of one model, or of all together.

    Attributes:
        suspects: doubted labels.
        audit: beside the gates; None where nothing is gated.
    """

    suspects: Suspects
    audit: LabelAudit | None


def out_of_fold(replicas: Replicas) -> OutOfFold:
    """Gather predictions of held-out folds."""
    tables = {model: _gather(runs) for model, runs in replicas.items()}
    first = next(iter(tables.values()))
    columns = [name for name in map(str, first) if name.startswith("p")]
    return OutOfFold(
        cell_id=first.index.to_numpy(str),
        group=first["group"].to_numpy(str),
        labels=first["label"].to_numpy(np.int64),
        probabilities={m: t.loc[first.index, columns].to_numpy() for m, t in tables.items()},
    )


def _gather(runs: Sequence[ReplicateResult]) -> pd.DataFrame:
    """cell_id -> group, label and p0, p1 ... averaged over seeds, in order of cell_id."""
    parts = []
    for run in runs:
        part = pd.DataFrame(run.validation.classes.probabilities).add_prefix("p")
        part.insert(0, "label", run.validation.classes.labels)
        part.insert(0, "group", run.validation.group)
        parts.append(part.set_axis(pd.Index(run.validation.cell_id, name="cell_id")))
    joined = pd.concat(parts).groupby("cell_id", sort=True)
    means = {c: "mean" for c in parts[0].columns if c.startswith("p")}
    return joined.agg({"group": "first", "label": "first"} | means)


def gate_audited(
    store: CellStore,
    found: OutOfFold,
    classes: Mapping[str, str],
    class_names: Sequence[str],
    seed: int,
) -> Gating | None:
    """`gate_labels` of audited cells by the fluorescence that their store holds."""
    table = store.columns("cell_id", *(f"marker_{name}" for name in store.markers))
    table = table.set_index("cell_id").loc[pd.Index(found.cell_id)]
    table.columns = pd.Index(store.markers)
    return gate_labels(table, found.labels, classes, class_names, seed)


def gate_labels(
    intensity: pd.DataFrame,
    labels: Labels,
    classes: Mapping[str, str],
    class_names: Sequence[str],
    seed: int,
) -> Gating | None:
    """Class of each cell by the markers that part two populations, or stand out from controls.

    Args:
        intensity: (N) rows, a column a marker, NaN where not recorded.
        labels: (N,) classes; cells of other classes than a marker's are its negative controls.
        classes: marker -> class that a positive cell is of.
        class_names: K names.
        seed: of the fit.

    Returns:
        The gating; None where no marker stands for a class, or none was recorded.

    Raises:
        ParameterError: a marker or class of `classes` does not exist.
    """
    for marker, name in classes.items():
        if marker not in intensity or name not in class_names:
            raise ParameterError(
                f"uncertainty.gates: {marker!r} marks {name!r}, but the study has the markers "
                f"{', '.join(map(str, intensity)) or 'none'} "
                f"and the classes {', '.join(class_names)}",
                "correct the names",
            )
    gates = tuple(
        gate
        for marker, name in classes.items()
        if (gate := _gate(marker, intensity, labels != class_names.index(name), seed))
    )
    if not gates:
        return None
    usable = [gate for gate in gates if gate.usable]
    if not usable:
        return Gating(gates, np.full(len(intensity), NEGATIVE, dtype=np.int64))
    values = intensity[[gate.name for gate in usable]].to_numpy(np.float64)
    owners = [class_names.index(classes[gate.name]) for gate in usable]
    return Gating(gates, gate_cells(values, usable, owners))


def _gate(marker: str, intensity: pd.DataFrame, controls: Flags, seed: int) -> MarkerGate | None:
    """Gate of a mixture, or of controls where there are not two populations; None: not recorded."""
    values = intensity[marker].to_numpy(np.float64)
    if min((values[side] > 0).sum() for side in (controls, ~controls)) < FEWEST_CELLS:
        return None
    gate = fit_gate(marker, values, seed)
    return gate if gate.usable else gate_by_controls(marker, values, controls)


def doubt(
    found: OutOfFold, gating: Gating | None, resamples: int, confidence: float, seed: int
) -> dict[str, Doubts]:
    """Audits of every model, and under 'all models' of their mean, which comes first."""
    resampling = resample_groups(found.group, found.labels, resamples, seed)
    every = {"all models": found.together, **found.probabilities}
    audits = {}
    for name, probabilities in every.items():
        suspects = find_suspects(probabilities, found.labels)
        audit = None
        if gating is not None and any(gate.usable for gate in gating.gates):
            audit = audit_labels(found.labels, gating.gated, suspects, resampling, confidence)
        audits[name] = Doubts(suspects, audit)
    return audits


def audits_table(audits: Mapping[str, Doubts], cells: int) -> pd.DataFrame:
    """One row a model.

    Columns: model, cells, suspects, noise (estimated fraction of wrong labels), gated_suspects
    (those that fluorescence gates as one class), disputed, disputed_low, disputed_high (fraction of
    these whose gate is not the label), disputed_all (the same among all gated cells), suggested
    (fraction of them whose gate is the class that the model suggests). Empty without gates.
    """
    rows = []
    for model, doubts in audits.items():
        row: dict[str, object] = {"model": model, "cells": cells}
        row |= {"suspects": int(doubts.suspects.suspect.sum()), "noise": doubts.suspects.noise}
        if doubts.audit is None:
            names = ("disputed", "disputed_low", "disputed_high", "disputed_all", "suggested")
            row |= {"gated_suspects": 0} | dict.fromkeys(names, np.nan)
        else:
            confirmed = doubts.audit.confirmed
            row |= {"gated_suspects": doubts.audit.suspects, "disputed": confirmed.value}
            row |= {"disputed_low": confirmed.low, "disputed_high": confirmed.high}
            row |= {"disputed_all": 1 - doubts.audit.agreement.value}
            row |= {"suggested": doubts.audit.suggested_right.value}
        rows.append(row)
    return pd.DataFrame(rows)


def suspects_table(
    found: OutOfFold,
    audits: Mapping[str, Doubts],
    gating: Gating | None,
    class_names: Sequence[str],
    most: int,
) -> pd.DataFrame:
    """The labels doubted most, by the mean of all models.

    Columns: cell_id, group, label, suggested, p_label, p_suggested, models (how many doubt it on
    their own), gate. Most doubted first: by p_suggested - p_label.
    """
    together, mean = audits["all models"].suspects, found.together
    votes = np.sum([audits[name].suspects.suspect for name in found.probabilities], axis=0)
    every = np.arange(len(found.labels))
    margin = mean[every, together.suggested] - mean[every, found.labels]
    chosen = np.flatnonzero(together.suspect)
    chosen = chosen[np.argsort(-margin[chosen], kind="stable")][:most]
    words = np.array(
        [NOT_GATED] * len(every) if gating is None else gate_words(gating, class_names)
    )
    names = np.array(class_names)
    return pd.DataFrame(
        {
            "cell_id": found.cell_id[chosen],
            "group": found.group[chosen],
            "label": names[found.labels[chosen]],
            "suggested": names[together.suggested[chosen]],
            "p_label": mean[chosen, found.labels[chosen]],
            "p_suggested": mean[chosen, together.suggested[chosen]],
            "models": votes[chosen],
            "gate": words[chosen],
        }
    )


def gate_words(gating: Gating, class_names: Sequence[str]) -> list[str]:
    """What fluorescence says of each cell, in words."""
    if not any(gate.usable for gate in gating.gates):
        return [NOT_GATED] * len(gating.gated)
    words = {NEGATIVE: "negative", AMBIGUOUS: "ambiguous", UNMEASURED: "unmeasured"}
    words |= dict(enumerate(class_names))
    return [words[int(gate)] for gate in gating.gated]


def gate_counts(
    found: OutOfFold, gating: Gating, class_names: Sequence[str]
) -> dict[str, dict[str, int]]:
    """Cells by label and what fluorescence says: the classes, then the other words found."""
    words = np.array(gate_words(gating, class_names))
    others = [word for word in np.unique(words).tolist() if word not in class_names]
    return {
        name: {
            kind: int(((words == kind) & (found.labels == k)).sum())
            for kind in [*class_names, *others]
        }
        for k, name in enumerate(class_names)
    }

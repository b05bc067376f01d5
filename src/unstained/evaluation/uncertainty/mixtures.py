"""Compositions that are known, made of test cells, and what each way of counting says of them.

A mixture imitates a culture of several lineages. Groups of test cells mostly hold one class, so the
groups of each class are dealt at random over as many mixed acquisitions as the class with the
fewest groups allows, and each mixed acquisition takes its cells of each class from its own groups.
Intervals then resample mixed acquisitions and know how much real ones differ. Cells are drawn
without replacement; mixtures share test cells, so their errors are not independent.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from scipy import stats

from unstained.errors import SplitError
from unstained.evaluation.composition import (
    Composition,
    LabelledCells,
    estimate_composition,
    fit_calibrations,
)
from unstained.evaluation.uncertainty.predictions import Replicas
from unstained.statistics.intervals import Estimate
from unstained.statistics.metrics import Floats, Labels

METHODS: Final = {
    "counted": "plain counting",
    "adjusted": "adjusted count",
    "corrected": "prior-shift correction",
}


RESAMPLES: Final = 200
"""Of each mixture; how often intervals hold the truth needs no finer ones."""

CALIBRATIONS: Final = 20
"""Calibrations on resampled validation cells, over which an interval's resamples are spread."""


@dataclass(frozen=True)
class Mixture:
    """Test cells of known composition.

    Attributes:
        cells: (n,) positions among the test cells.
        groups: (n,) mixed acquisition of each; None where a class has a single group, so that
            cells are resampled.
        truth: (K,) fractions of classes.
    """

    cells: Labels
    groups: Labels | None
    truth: Floats


def require_every_class(replicas: Replicas, class_names: Sequence[str]) -> None:
    """Refuse replicates that lack a class where its error rates are learnt or tested.

    Raises:
        SplitError: names the replicate and the class.
    """
    for model, runs in replicas.items():
        for run in runs:
            for what, part in (("validation", run.validation), ("test", run.test)):
                held = set(part.classes.labels.tolist())
                missing = [name for k, name in enumerate(class_names) if k not in held]
                if missing:
                    raise SplitError(
                        f"{model} {run.name} has no {what} cell of class {', '.join(missing)}, so "
                        "nothing can be said of the compositions of cultures",
                        "lower split.folds, raise that part of split.fractions, or add groups of "
                        "this class",
                    )


def draw_mixtures(
    labels: Labels, groups: np.ndarray, classes: int, count: int, most: int, seed: int
) -> list[Mixture]:
    """Mixtures with compositions drawn evenly from all possible ones (flat Dirichlet).

    Args:
        labels: (N,) classes of test cells.
        groups: (N,) their acquisitions.
        classes: K.
        count: mixtures.
        most: cells of one.
        seed: equal seeds, equal mixtures.

    Raises:
        ValueError: a class without test cells.
    """
    own = [np.unique(groups[labels == k]) for k in range(classes)]
    if not all(len(names) for names in own):
        raise ValueError("a mixture needs test cells of every class")
    generator = np.random.default_rng(seed)
    return [
        _mixture(labels, groups, own, generator.dirichlet(np.ones(classes)), most, generator)
        for _ in range(count)
    ]


def _mixture(
    labels: Labels,
    groups: np.ndarray,
    own: Sequence[np.ndarray],
    wanted: Floats,
    most: int,
    generator: np.random.Generator,
) -> Mixture:
    bins = min(len(names) for names in own)
    pools = [
        [
            generator.permutation(np.flatnonzero((labels == k) & np.isin(groups, part)))
            for part in np.array_split(generator.permutation(names), bins)
        ]
        for k, names in enumerate(own)
    ]
    fewest = np.array([min(len(pool) for pool in parts) for parts in pools])
    each = int(min(most / bins, (fewest / np.maximum(wanted, 1e-9)).min()))
    cells, places = [], []
    for k, parts in enumerate(pools):
        take = min(round(each * wanted[k]), int(fewest[k]))
        for number, pool in enumerate(parts):
            cells.append(pool[:take])
            places.append(np.full(len(cells[-1]), number))
    chosen = np.concatenate(cells)
    truth = np.bincount(labels[chosen], minlength=len(own)) / len(chosen)
    return Mixture(chosen, np.concatenate(places) if bins > 1 else None, truth)


def composition_table(
    replicas: Replicas,
    class_names: Sequence[str],
    mixtures: Sequence[Mixture],
    *,
    confidence: float,
    seed: int,
) -> pd.DataFrame:
    """Every estimate of every mixture.

    Args:
        replicas: of all models.
        class_names: K names.
        mixtures: of their test cells.
        confidence: of the intervals.
        seed: of the intervals.

    Returns:
        Columns model, replicate, mixture, cells, class, true, method, value, low, high.
    """
    rows = []
    for model, runs in replicas.items():
        for run in runs:
            val = run.validation
            known = LabelledCells(val.classes.probabilities, val.classes.labels, val.group)
            calibrations = fit_calibrations(known, CALIBRATIONS, seed)
            for number, mixture in enumerate(mixtures):
                found = estimate_composition(
                    run.test.classes.probabilities[mixture.cells],
                    mixture.groups,
                    calibrations,
                    known,
                    resamples=RESAMPLES,
                    confidence=confidence,
                    seed=seed + number,
                )
                head = {"model": model, "replicate": run.name, "mixture": number}
                head["cells"] = len(mixture.cells)
                rows += [head | row for row in _rows(found, mixture, class_names)]
    return pd.DataFrame(rows)


def _rows(
    found: Composition, mixture: Mixture, class_names: Sequence[str]
) -> Iterator[dict[str, object]]:
    for method in METHODS:
        for k, estimate in enumerate(getattr(found, method)):
            row: dict[str, object] = {"class": class_names[k], "true": float(mixture.truth[k])}
            row |= {"method": method, "value": estimate.value}
            yield row | {"low": estimate.low, "high": estimate.high}


def over_mixtures(table: pd.DataFrame, model: str, confidence: float) -> tuple[Estimate, Estimate]:
    """What correction gains over counting, and how often its intervals hold the truth.

    Both are means over mixtures, each averaged over classes and replicates, with t intervals; the
    gain is paired within each mixture. Mixtures share test cells, so the intervals are rather too
    narrow than too wide.

    Args:
        table: see `composition_table`.
        model: of which.
        confidence: of the intervals.

    Returns:
        Error of the counted less that of the corrected fractions, and fraction of the corrected
        intervals that hold the truth; without intervals (NaN) for fewer than two mixtures.
    """
    own = table[table["model"] == model]
    own = own.assign(error=(own["value"] - own["true"]).abs())
    error = own.pivot_table("error", "mixture", "method")
    corrected = own[own["method"] == "corrected"]
    holds = (corrected["low"] <= corrected["true"]) & (corrected["true"] <= corrected["high"])
    held = holds.groupby(corrected["mixture"]).mean()
    gain = error["counted"] - error["corrected"]
    return _mean(np.asarray(gain, np.float64), confidence), _mean(
        np.asarray(held, np.float64), confidence
    )


def _mean(values: Floats, confidence: float) -> Estimate:
    mean, count = float(values.mean()), len(values)
    if count < 2:
        return Estimate(mean, np.nan, np.nan)
    half = stats.t.ppf((1 + confidence) / 2, count - 1) * values.std(ddof=1) / np.sqrt(count)
    return Estimate(mean, mean - float(half), mean + float(half))


def composition_summary(table: pd.DataFrame) -> pd.DataFrame:
    """Error and honesty of each method: model, method, error, held, width.

    `error` is the mean absolute error of a class's fraction over mixtures and replicates, `held`
    the fraction of intervals that hold the truth, `width` their mean width.
    """
    found = table.assign(
        error=(table["value"] - table["true"]).abs(),
        held=((table["low"] <= table["true"]) & (table["true"] <= table["high"])).astype(float),
        width=table["high"] - table["low"],
    )
    means = found.groupby(["model", "method"], sort=False)[["error", "held", "width"]].mean()
    return means.reset_index()

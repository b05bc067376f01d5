"""Acquisitions compared with each other: is one of them in another unit than the study's?

A measure of an acquisition is the median over its cells of the logarithm of `acquisition_measures`,
as a difference from what is usual: the median over acquisitions of the same class where a class has
ENOUGH of them, else over all of the study, for a class of one acquisition cannot be told from it.
Acquisitions that models may learn from tell what is usual; external ones are compared with it.

An acquisition stands out where it differs by more than STRICT robust standard deviations (median
absolute deviation) of acquisitions and of the median over its own cells, and by more than a least
factor. Lamps, stains and cultures differ; the least factor is what they do not reach, the deviation
is what these acquisitions show. Where levels or sizes of a class fall into sets that lie APART, the
largest set tells what is usual: of two halves, neither median nor deviation would show the other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from unstained.data.audit.acquisition_measures import (
    LEAST_CELLS,
    Floats,
    drawn,
    kind,
    measure_cells,
    polarity_along,
)
from unstained.data.audit.values import measured_columns
from unstained.data.store.cell_store import CellStore
from unstained.data.store.schema import MARKER_PREFIX

if TYPE_CHECKING:
    import pandas as pd

ENOUGH: Final = 4
"""Acquisitions of a class that tell what is usual in it."""
FEWEST: Final = 3
"""Acquisitions of a study that can be compared: of two, neither is the odd one."""
STRICT: Final = 4.0
APART: Final = 1.5
"""Factor between neighbours in order of their levels, or sizes, from which they are of two sets."""
FEW: Final = 0.25
"""Share of a class's acquisitions that lie outside its largest set and move no median."""
LEAST_FACTOR: Final[Mapping[str, float]] = {
    "background": 1.25,
    "contrast": 1.4,
    "focus": 2.0,
    "size": 1.3,
    "side": 1.5,
    "marker": 2.5,
    "value": 2.5,
}
LEAST_TURN: Final = 1.3
"""Of polarity, which is 1 as usual and -1 where light and dark are exchanged."""
NORMAL: Final = 1.4826
"""Standard deviation over median absolute deviation of a normal distribution."""
SHOWN: Final = 4
"""Cells of an acquisition that are named to be looked at."""


@dataclass(frozen=True)
class Standing:
    """One measure of one acquisition beside what is usual.

    Attributes:
        acquisition: its name.
        measure: see `acquisition_measures`.
        cells: that it was measured on.
        value: median, in the measure's unit.
        factor: value over the usual one; of polarity, where along it.
        low, high: factors between which it would not stand out; polarity has no upper one.
        among: classes within which it is compared; none where with all of the study.
        out: whether it stands out.
    """

    acquisition: str
    measure: str
    cells: int
    value: float
    factor: float
    low: float
    high: float | None
    among: tuple[str, ...]
    out: bool


@dataclass(frozen=True)
class Outlier:
    """An acquisition that stands out.

    Attributes:
        acquisition: its name.
        label: class of most of its cells, '' where unknown.
        beside: an ordinary acquisition of the same class, or of any where there is none.
        cells, typical: ids of some cells of either.
    """

    acquisition: str
    label: str
    beside: str
    cells: tuple[str, ...]
    typical: tuple[str, ...]


@dataclass(frozen=True)
class Comparison:
    """All acquisitions of a study beside each other.

    Attributes:
        acquisitions: how many there are.
        compared: how many of these inside cells too, not by their background alone.
        classes: those whose acquisitions are compared within the class.
        standings: by measure, then acquisition.
        labels: class of most cells of each acquisition, '' where unknown.
        outliers: by name.
    """

    acquisitions: int
    compared: int
    classes: tuple[str, ...]
    standings: tuple[Standing, ...]
    labels: dict[str, str]
    outliers: tuple[Outlier, ...]


def compare_acquisitions(store: CellStore, cells: pd.DataFrame, canvas: int) -> Comparison:
    """Compare all acquisitions of a store.

    Args:
        store: the cells.
        cells: acquisition and label as categories, external and background of every cell.
        canvas: the study's, side in pixels.
    """
    rows = drawn(cells["acquisition"].cat.codes.to_numpy())
    every = np.arange(len(cells))
    found = {"background": (every, cells["background"].to_numpy(np.float64))}
    for measure, values in measure_cells(store, rows, _side(store, rows, canvas)).items():
        found.setdefault(measure, (rows, values))
    sides = store.columns("height", "width").to_numpy(np.float64)
    found["side"] = (every, np.sqrt(sides.prod(axis=1)))
    sizes = cells.groupby("acquisition", observed=True)["background"].transform("size")
    many = np.flatnonzero(sizes >= LEAST_CELLS)
    for column in measured_columns(store):
        values = store.columns(column)[column].to_numpy(np.float64)[many]
        if column.startswith(MARKER_PREFIX):
            found[column] = (many, values)
        elif not (values <= 0).any():  # numbers of a table compare by factors where all are above 0
            found[f"value_{column}"] = (many, values)
    standings = [
        one
        for measure, (at, values) in found.items()
        for one in _standings(measure, values, cells.iloc[at])
    ]
    labels = _labels(cells)
    return Comparison(
        len(labels),
        cells["acquisition"].iloc[rows].nunique(),
        tuple(sorted({name for one in standings for name in one.among})),
        tuple(standings),
        labels,
        tuple(_outliers(standings, labels, store, cells, rows)),
    )


def _side(store: CellStore, rows: np.ndarray, canvas: int) -> int:
    """Side of the square to measure in: all of an image, up to two canvases, for enlarged cells."""
    sizes = store.columns("height", "width").iloc[rows]
    return int(min(2 * canvas, sizes.to_numpy().max(initial=1)))


def _labels(cells: pd.DataFrame) -> dict[str, str]:
    """Class of most cells of each acquisition."""
    counts = cells.groupby(["acquisition", "label"], observed=True).size()
    names = {str(name): "" for name in cells["acquisition"].cat.categories}
    most = counts.sort_index().groupby("acquisition", observed=True).idxmax()
    return names | {str(name): str(label) for name, label in most}


def _standings(measure: str, values: Floats, cells: pd.DataFrame) -> Iterator[Standing]:
    """Every acquisition's standing in one measure; none where too few can be compared."""
    frame = cells[["acquisition", "label", "external"]].astype({"label": object})
    frame = frame.assign(label=frame["label"].fillna(""))
    if kind(measure) == "polarity":
        frame = _along_usual(frame, values)
        if frame.empty:
            return
        shown, least, upper = frame["value"], LEAST_TURN, False
    else:
        shown = frame.index.to_series().map(dict(zip(frame.index, values, strict=True)))
        positive = np.maximum(values, 1.0) if kind(measure) == "marker" else values
        with np.errstate(divide="ignore"):
            frame = frame.assign(value=np.log(positive))
        least, upper = float(np.log(LEAST_FACTOR[kind(measure)])), True
    frame = frame.assign(shown=shown).replace([np.inf, -np.inf], np.nan).dropna()
    yield from _against_usual(measure, frame, least, upper=upper)


def _usual(own: pd.DataFrame, column: str) -> tuple[pd.Series, float]:
    """Medians over acquisitions: by class, where ENOUGH have it, and of all of the study."""
    medians = own.groupby(["acquisition", "label"], observed=True)[column].median()
    by_class = medians.groupby("label").agg(["median", "size"])
    study = own.groupby("acquisition", observed=True)[column].median()
    return by_class["median"][by_class["size"] >= ENOUGH], float(study.median())


def _largest_sets(own: pd.DataFrame) -> pd.DataFrame:
    """Cells of the largest set of acquisitions of each class, of all where no class has ENOUGH."""
    keys = ["acquisition", "label"]
    medians = own.groupby(keys, observed=True)["value"].median().reset_index()
    parts = [part for _, part in medians.groupby("label") if len(part) >= ENOUGH] or [medians]
    apart = [_outside_largest(part.set_index("acquisition")["value"]) for part in parts]
    return own[~own["acquisition"].isin({name for names in apart for name in names})]


def _outside_largest(levels: pd.Series) -> list[str]:
    """Acquisitions outside of the largest set, of two the higher one; none where they are FEW."""
    falling = levels.sort_values(ascending=False)
    sets = (-falling.diff() > np.log(APART)).cumsum()
    inside = sets == sets.value_counts(sort=False).idxmax()
    return [] if inside.mean() >= 1 - FEW else falling.index[~inside].tolist()


def _along_usual(frame: pd.DataFrame, values: Floats) -> pd.DataFrame:
    """With `value`: how far each cell's two numbers lie along the usual ones (`polarity_along`)."""
    frame = frame.assign(mean=values[:, 0], skewness=values[:, 1]).dropna()
    own = frame[~frame["external"]]
    if own.empty:
        return own
    usual = [_usual(own, column) for column in ("mean", "skewness")]
    centres = np.column_stack([frame["label"].map(by).fillna(of_all) for by, of_all in usual])
    along = [
        polarity_along(cell, centre)
        for cell, centre in zip(frame[["mean", "skewness"]].to_numpy(), centres, strict=True)
    ]
    return frame.assign(value=np.array(along, np.float64))


def _against_usual(
    measure: str, frame: pd.DataFrame, least: float, *, upper: bool
) -> Iterator[Standing]:
    """Standings from `value` of every cell: its median over an acquisition, minus the usual one."""
    own = frame[~frame["external"]]
    if own["acquisition"].nunique() < FEWEST:
        return
    usual = _largest_sets(own) if kind(measure) in ("background", "size", "side") else own
    by_class, of_all = _usual(usual, "value")
    if not upper:
        by_class, of_all = by_class * 0 + 1.0, 1.0
    frame = frame.assign(value=frame["value"] - frame["label"].map(by_class).fillna(of_all))
    groups = frame.groupby("acquisition", observed=True)
    differences, sizes = groups["value"].median(), groups.size()
    ordinary = differences[differences.index.isin(usual["acquisition"].unique())]
    between = NORMAL * float((ordinary - ordinary.median()).abs().median())
    inside = frame["value"] - frame["acquisition"].map(differences).astype(np.float64)
    within = NORMAL * float(inside.abs().median()) * np.sqrt(np.pi / 2)
    limits = (STRICT * (between**2 + within**2 / sizes) ** 0.5).clip(lower=least)
    columns = (differences, limits, groups["shown"].median(), sizes, groups["label"].unique())
    for name, difference, limit, value, count, classes in zip(
        differences.index, *columns, strict=True
    ):
        labels = sorted(classes)
        told = any(labels) and by_class.index.isin(labels).sum() == len(labels)
        among = tuple(labels) if told else ()
        factor, low, high = (
            (float(np.exp(part)) for part in (difference, -limit, limit))
            if upper
            else (1.0 + difference, 1.0 - limit, None)
        )
        out = difference < -limit or (upper and difference > limit)
        numbers = (int(count), float(value), factor, low, high)
        yield Standing(str(name), measure, *numbers, among, bool(out))


def _outliers(
    standings: list[Standing],
    labels: dict[str, str],
    store: CellStore,
    cells: pd.DataFrame,
    rows: np.ndarray,
) -> Iterator[Outlier]:
    """Acquisitions that stand out, with cells of theirs and of the most ordinary acquisition."""
    out = sorted({one.acquisition for one in standings if one.out})
    if not out:
        return
    strange = _strangeness(standings)
    acquisitions = cells["acquisition"].astype(str).to_numpy()
    ids = store.columns("cell_id")["cell_id"].to_numpy()

    def some(name: str) -> tuple[str, ...]:
        member = rows[acquisitions[rows] == name]
        member = member if len(member) else np.flatnonzero(acquisitions == name)
        return tuple(str(one) for one in ids[member[:SHOWN]])

    for name in out:
        others = [one for one in strange if one not in out]
        alike = [one for one in others if labels[one] == labels[name]]
        if others:
            beside = min(alike or others, key=lambda one: (strange[one], one))
            yield Outlier(name, labels[name], beside, some(name), some(beside))


def _strangeness(standings: list[Standing]) -> dict[str, float]:
    """Largest distance of each acquisition from what is usual, in parts of what would stand out."""
    found: dict[str, float] = {}
    for one in standings:
        if one.high is not None:
            share = abs(float(np.log(one.factor) / np.log(one.high)))
            found[one.acquisition] = max(found.get(one.acquisition, 0.0), share)
    return found

"""Champion and challenger on the same cells: where they disagree, and how often.

The table of what the challenger says has the columns of `prediction.answers`, and for every
question `disagreement`, by which cells are ordered:

- different classes: 1 + the smaller of both confidences, so that cells come first of which both
  are sure although one must be wrong;
- the same class: the total variation distance of their probabilities, half the sum of the
  absolute differences, at most 1;
- a model without classes: the absolute difference of its first value, or the total variation
  distance of its shares.

NaN where a cell was not judged.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from unstained.prediction.answers import WHERE, Answers
from unstained.prediction.source import Seen
from unstained.predictions import PREDICTED, PROBABILITY, SHARE
from unstained.serving.page.samples import Sample
from unstained.serving.predictor import CHUNK
from unstained.statistics.agreement import cohen_kappa
from unstained.statistics.intervals import Estimate, estimate, resample_groups, wilson
from unstained.statistics.metrics import Floats, confusion_matrix

DISAGREEMENT: Final = "disagreement"
RESAMPLES: Final = 500
CONFIDENCE: Final = 0.95

Questions = Mapping[str, Sequence[str]]
"""Classes by the end of a question's columns; '' alone and without classes where there are none."""


def ask(
    sample: Sample,
    questions: Questions,
    answers: Answers,
    out: Path,
    tell: Callable[[int], None],
) -> None:
    """Judge the cells of a sample once more.

    Args:
        sample: whose cells, as they were kept.
        questions: see `Questions`.
        answers: of the challenger.
        out: where the table is written.
        tell: is told how many cells are done.
    """
    schema = answers.schema
    for end in questions:
        schema = schema.append(pa.field(f"{DISAGREEMENT}{end}", pa.float32()))
    with pq.ParquetWriter(out, schema) as writer:
        for start in range(0, len(sample.places), CHUNK):
            first = sample.rows.slice(start, CHUNK)
            second = answers.rows(list(_cells(sample, first, start)))
            for end, classes in questions.items():
                apart = disagreement(first, second, classes, end)
                second = second.append_column(f"{DISAGREEMENT}{end}", pa.array(apart, pa.float32()))
            writer.write_table(second)
            tell(start + len(first))


def _cells(sample: Sample, rows: pa.Table, start: int) -> Iterator[Seen]:
    """Cells as they were read; those that were not keep the reason."""
    columns = (rows[name].to_pylist() for name in (*WHERE, "reason"))
    for number, (acquisition, index, file, why) in enumerate(zip(*columns, strict=True), start):
        pixels = sample.pixels(number)
        yield Seen(acquisition, index, file, pixels, "" if pixels is not None else why)


def disagreement(first: pa.Table, second: pa.Table, classes: Sequence[str], end: str) -> Floats:
    """How far two models are apart on each cell (N,), see the module; NaN where none was judged.

    Args:
        first: rows of the champion.
        second: rows of the challenger, of the same cells.
        classes: of the question; empty where the models tell none.
        end: of the names of its columns.
    """
    if not classes:
        names = [n for n in first.schema.names if n.startswith(PREDICTED)][:1]
        names = names or [n for n in first.schema.names if n.startswith(SHARE)]
        apart = np.abs(_numbers(first, names) - _numbers(second, names)).sum(axis=1)
        return np.asarray(apart if names[0].startswith(PREDICTED) else apart / 2)
    names = [f"{PROBABILITY}{name}{end}" for name in classes]
    one, two = _numbers(first, names), _numbers(second, names)
    same = one.argmax(axis=1) == two.argmax(axis=1)
    between = np.abs(one - two).sum(axis=1) / 2
    sure = np.minimum(one.max(axis=1), two.max(axis=1))
    return np.asarray(np.where(same | np.isnan(between), between, 1 + sure))


def comparison(
    first: pa.Table, second: pa.Table, classes: Sequence[str], end: str
) -> dict[str, Any]:
    """How often two models agree.

    Args:
        first: what the champion says.
        second: what the challenger says of the same cells.
        classes: K names of a question; empty where the models tell no classes.
        end: of the names of the question's columns.

    Returns:
        `cells` that both judged, `confidence` of intervals and `caveat` on them; `abstain`: cells
        of which `both`, the `champion` alone and the `challenger` alone abstain; `agreement`, None
        without classes: `same` cells, their share as `value`, `low`, `high`, Cohen's `kappa` (None
        where it tells nothing) and `confusion` (K, K), rows champion; `values`: name, and the mean
        of challenger minus champion as `value`, `low`, `high`.
    """
    apart = second[f"{DISAGREEMENT}{end}"].to_numpy(zero_copy_only=False)
    judged = np.flatnonzero(np.isfinite(apart))
    told: dict[str, Any] = {"cells": len(judged), "confidence": CONFIDENCE, "caveat": ""}
    told |= {"agreement": None, "values": []}
    first, second = first.take(judged), second.take(judged)
    told["abstain"] = _abstain(first, second)
    if not len(judged):
        return told
    groups = np.array(first["acquisition"].to_pylist(), str)
    resampling = resample_groups(groups, np.zeros(len(judged), np.int64), RESAMPLES, seed=0)

    def mean(values: Floats) -> Estimate:
        sums = resampling.unit_totals(np.stack([values, np.ones(len(values))], axis=1))
        (found,) = estimate(lambda s: s[..., 0] / s[..., 1], sums, resampling, CONFIDENCE)
        return found

    told["caveat"] = resampling.caveat
    if classes:
        told["agreement"] = _agreement(first, second, classes, end, mean)
    for name in (n for n in first.schema.names if _is_value(first, n)):
        one, two = _numbers(first, [name]), _numbers(second, [name])
        told["values"].append(
            {"name": name.removeprefix(PREDICTED), **asdict(mean((two - one)[:, 0]))}
        )
    return told


def _agreement(
    first: pa.Table,
    second: pa.Table,
    classes: Sequence[str],
    end: str,
    mean: Callable[[Floats], Estimate],
) -> dict[str, Any]:
    """See `comparison`; the interval is never narrower than Wilson's.

    That counts cells as independent. Resamples of cells that all agree would leave no doubt at all.
    """
    names = [f"{PROBABILITY}{name}{end}" for name in classes]
    one, two = (_numbers(rows, names).argmax(axis=1) for rows in (first, second))
    by_group, same = mean((one == two).astype(np.float64)), int((one == two).sum())
    by_cell = wilson(same, len(one), CONFIDENCE)
    kappa = cohen_kappa(one, two, len(classes))
    return {
        "same": same,
        "value": by_group.value,
        "low": min(by_group.low, by_cell.low),
        "high": max(by_group.high, by_cell.high),
        "kappa": None if math.isnan(kappa) else kappa,
        "confusion": confusion_matrix(one, two, len(classes)),
    }


def _abstain(first: pa.Table, second: pa.Table) -> dict[str, int]:
    one, two = (np.array(rows["abstains"].to_pylist(), bool) for rows in (first, second))
    return {
        "both": int((one & two).sum()),
        "champion": int((one & ~two).sum()),
        "challenger": int((two & ~one).sum()),
    }


def _is_value(rows: pa.Table, name: str) -> bool:
    return name.startswith(PREDICTED) and pa.types.is_floating(rows.schema.field(name).type)


def _numbers(rows: pa.Table, names: Sequence[str]) -> Floats:
    """Columns of numbers as (N, len(names)), NaN where null."""
    columns = [rows[name].cast(pa.float64()).fill_null(math.nan).to_numpy() for name in names]
    return np.stack(columns, axis=1)

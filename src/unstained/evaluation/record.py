"""An evaluation in files, and the one reader that puts it together again.

What is known of each cell stands in the prediction tables, what else was found of a model beside
its table, and what concerns all models in one more file: JSON, whose keys are the fields of the
dataclasses. Floats are written in full, so that what is read equals what
was found, bit for bit. NaN is null.
"""

from __future__ import annotations

import math
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from unstained.config.evaluate import EvaluateParams
from unstained.config.study import StudyData
from unstained.config.tasks import TaskParams
from unstained.data.store.cell_store import CellStore
from unstained.errors import MADE_AGAIN, StageInputError
from unstained.evaluation.predictions import Cells
from unstained.evaluation.results import PER_CELL, Evaluation, ModelResult, best_first
from unstained.files import read_json
from unstained.predictions import Predictions, read_predictions

NOT_RECORDED: Final = ("data", "params", "seed", "cells", "models", "audit")
"""Fields of an `Evaluation` that come from parameters and other files."""


def evaluation_content(evaluation: Evaluation) -> dict[str, Any]:
    """Content of evaluation.json."""
    return {
        item.name: to_plain(getattr(evaluation, item.name))
        for item in fields(evaluation)
        if item.name not in NOT_RECORDED
    }


def read_results(directory: Path, models: Sequence[str]) -> tuple[ModelResult, ...]:
    """What was found of each model.

    Args:
        directory: holds result.json and predictions.parquet of each.
        models: their names, in the order wanted.
    """
    return tuple(
        from_plain(
            ModelResult,
            read_json(directory / name / "result.json"),
            {"predictions": read_predictions(directory / name / "predictions.parquet")},
        )
        for name in models
    )


def read_evaluation(
    record: Path,
    models: Sequence[ModelResult],
    audit: Path,
    store: CellStore,
    data: StudyData,
    params: EvaluateParams,
    seed: int,
) -> Evaluation:
    """The evaluation that these files were written from.

    Args:
        record: evaluation.json.
        models: what was found of each, see `read_results`.
        audit: the audit's audit.json.
        store: the cells.
        data: names of classes and targets.
        params: as evaluated.
        seed: as evaluated.

    Raises:
        StageInputError: a table holds cells that the store lacks.
    """
    content = read_json(record)
    hints = typing.get_type_hints(Evaluation)
    given = {name: from_plain(hints[name], inner) for name, inner in content.items()}
    return Evaluation(
        data=data,
        params=params,
        seed=seed,
        cells=_cells(models[0].predictions, store, data),
        models=best_first(models, data),
        audit=read_json(audit),
        **given,
    )


def _cells(found: Predictions, store: CellStore, data: StudyData) -> Cells:
    """The evaluated cells, with their rows in the store."""
    ids = store.columns("cell_id")["cell_id"]
    places = dict(zip(ids, range(len(ids)), strict=True))
    missing = [name for name in found.cell_id if name not in places]
    if missing:
        raise StageInputError(
            f"the predictions hold the cell {missing[0]}, which the store lacks",
            MADE_AGAIN,
        )
    return Cells(
        rows=np.array([places[name] for name in found.cell_id], np.int64),
        part=found.part,
        cell_id=found.cell_id,
        group=found.group,
        truth={task.name: _truth(found, task) for task in data.tasks},
    )


def _truth(found: Predictions, task: TaskParams) -> np.ndarray:
    said = found.of_task(task)
    if said is None:
        raise StageInputError(f"the table of predictions lacks the task {task.name}", MADE_AGAIN)
    return said.truth


def to_plain(value: Any) -> Any:
    """Plain data of dataclasses, mappings, sequences, arrays and numbers, without rounding."""
    if is_dataclass(value):
        kept = [item.name for item in fields(value) if item.metadata != PER_CELL]
        return {name: to_plain(getattr(value, name)) for name in kept}
    if isinstance(value, Mapping):
        return {key: to_plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [to_plain(inner) for inner in value]
    if isinstance(value, np.ndarray | np.generic):
        return to_plain(value.tolist())
    return None if isinstance(value, float) and math.isnan(value) else value


def from_plain(kind: Any, content: Any, given: Mapping[str, Any] | None = None) -> Any:
    """The object of a type that plain data was made of.

    Args:
        kind: a dataclass, or the annotation of one of its fields.
        content: see `to_plain`.
        given: values of fields that the plain data lack.

    Raises:
        TypeError: the annotation is none that this function knows.
    """
    if is_dataclass(kind):
        hints = typing.get_type_hints(kind)
        found = {name: from_plain(hints[name], inner) for name, inner in content.items()}
        return typing.cast("Any", kind)(**found, **(given or {}))
    origin, inside = typing.get_origin(kind), typing.get_args(kind)
    if origin is np.ndarray:
        return np.array(content, dtype=typing.get_args(inside[1])[0])
    if origin is tuple:
        kinds = [inside[0]] * len(content) if inside[-1] is Ellipsis else inside
        return tuple(from_plain(k, inner) for k, inner in zip(kinds, content, strict=True))
    if origin is not None and issubclass(origin, Mapping):
        return {key: from_plain(inside[1], inner) for key, inner in content.items()}
    if origin is types.UnionType and type(None) in inside:
        (other,) = (k for k in inside if k is not type(None))
        return None if content is None else from_plain(other, content)
    if kind is float:
        return math.nan if content is None else float(content)
    if kind in (int, str, bool):
        return content
    raise TypeError(f"cannot read {kind!r} from a record")

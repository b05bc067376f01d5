"""What a model says of cells, as columns of a table: one row a cell, in words and numbers.

| column | meaning |
|---|---|
| acquisition, object, source_file | which cell; object -1 where a file holds none |
| predicted | the most probable class; null where nothing was judged |
| probability_<class> | calibrated |
| set | classes of the conformal set, with ' or ' between them |
| predicted_<value>, low_<value>, high_<value> | a value and the ends of its interval |
| share_<part> | of a whole |
| abstains, reason | whether the model should not be asked here, and why |
| embedding | (D,) float32, where asked for |

Of several classes tasks, and of proportions, each column ends in ':<task>'. Values are in the scale
that the model card names ('log' ones as natural logarithm).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Final, Protocol

import numpy as np
import pyarrow as pa

from unstained.errors import SourceError
from unstained.prediction.source import Seen
from unstained.predictions import HIGH, LOW, OF, PREDICTED, PROBABILITY, SHARE
from unstained.serving.predictor import ABSTENTION_NAME, Tensor
from unstained.summaries.served import ENDS, PROBABILITIES, SETS, SHARES, TARGETS
from unstained.wording import counted

EMBEDDING: Final = "embedding"
BETWEEN: Final = " or "
WHERE: Final = ("acquisition", "object", "source_file")
NO_CLASS: Final = "like no class that the model knows"

Column = tuple[str, pa.DataType]


class Judge(Protocol):
    """What answers: a `Predictor`, or what has the cells of many requests share one."""

    @property
    def input(self) -> Tensor:
        """The pixels."""

    @property
    def outputs(self) -> tuple[Tensor, ...]:
        """Everything that can be asked for."""

    def predict(
        self, images: Sequence[np.ndarray], wanted: Collection[str] | None = None
    ) -> dict[str, np.ndarray]:
        """See `Predictor.predict`."""


class Answers:
    """Turns a predictor's answers into rows.

    Args:
        predictor: of a checked artifact.
        embedding: whether rows hold the embedding.

    Attributes:
        schema: of the rows.
    """

    def __init__(self, predictor: Judge, *, embedding: bool) -> None:
        self._predictor = predictor
        self._embedding = embedding
        self._wanted = [tensor for tensor in predictor.outputs if self._asks(tensor.name)]
        self.schema = pa.schema(dict(self._columns()))

    def rows(self, cells: Sequence[Seen]) -> pa.Table:
        """Judge cells.

        Args:
            cells: some may be refused.

        Raises:
            SourceError: their pixels are not of the kind that the model was trained on.
        """
        images = {
            n: self._checked(c, c.pixels) for n, c in enumerate(cells) if c.pixels is not None
        }
        found: Mapping[str, np.ndarray] = {}
        if images:
            found = self._predictor.predict(
                [*images.values()], [tensor.name for tensor in self._wanted]
            )
        columns = self._told(cells, np.array([*images], np.int64), found)
        return pa.table({name: columns[name] for name in self.schema.names}, schema=self.schema)

    def _asks(self, name: str) -> bool:
        starts = (PROBABILITIES, SETS, SHARES)
        plain = (TARGETS, *ENDS, ABSTENTION_NAME, *([EMBEDDING] if self._embedding else []))
        return name in plain or name.startswith(starts)

    def _checked(self, cell: Seen, pixels: np.ndarray) -> np.ndarray:
        """A cell's pixels. Raises: SourceError, see `rows`."""
        wanted = self._predictor.input
        if pixels.dtype.name != wanted.dtype or pixels.shape[0] != wanted.shape[1]:
            raise SourceError(
                f"{cell.source_file} holds {counted(pixels.shape[0], 'image')} of {pixels.dtype}, "
                f"the model takes {wanted.shape[1]} of {wanted.dtype}",
                "export the images as those that the model was trained on",
            )
        return pixels

    def _columns(self) -> Iterator[Column]:
        yield from zip(WHERE, (pa.string(), pa.int64(), pa.string()), strict=True)
        number = pa.float32()
        for tensor in self._wanted:
            if tensor.name.startswith(PROBABILITIES):
                end = _end(tensor)
                yield f"predicted{end}", pa.string()
                yield from ((f"{PROBABILITY}{n}{end}", number) for n in tensor.notes["classes"])
                yield f"set{end}", pa.string()
            elif tensor.name.startswith(SHARES):
                yield from ((name, number) for name in _shares(tensor))
            elif tensor.name == TARGETS:
                ends = (LOW, HIGH) if self._has_ends else ()
                for target in tensor.notes["targets"]:
                    yield from (
                        (f"{start}{target['name']}", number) for start in (PREDICTED, *ends)
                    )
        yield "abstains", pa.bool_()
        yield "reason", pa.string()
        if self._embedding:
            yield EMBEDDING, pa.list_(number)

    @property
    def _has_ends(self) -> bool:
        return any(tensor.name in ENDS for tensor in self._wanted)

    def _told(
        self, cells: Sequence[Seen], good: np.ndarray, found: Mapping[str, np.ndarray]
    ) -> dict[str, pa.Array]:
        """Every column; null where a cell was not judged."""
        count = len(cells)
        columns: dict[str, pa.Array] = {
            "acquisition": pa.array([cell.acquisition for cell in cells]),
            "object": pa.array([cell.object_index for cell in cells]),
            "source_file": pa.array([cell.source_file for cell in cells]),
        }
        reasons = [cell.refused for cell in cells]
        for tensor in self._wanted:
            values = found.get(tensor.name)
            if values is None:
                continue
            if tensor.name.startswith(PROBABILITIES):
                sets = found[tensor.name.replace(PROBABILITIES, SETS, 1)]
                columns |= _of_classes(tensor, values, sets, good, count)
                _add(reasons, good, _doubts(tensor, sets))
            elif tensor.name.startswith(SHARES):
                columns |= _numbers(_shares(tensor), values, good, count)
            elif tensor.name in (TARGETS, *ENDS):
                start = dict(zip(ENDS, (LOW, HIGH), strict=True)).get(tensor.name, PREDICTED)
                names = [f"{start}{target['name']}" for target in tensor.notes["targets"]]
                columns |= _numbers(names, values, good, count)
            elif tensor.name == ABSTENTION_NAME:
                _add(reasons, good, _refusals(tensor, values))
            elif tensor.name == EMBEDDING:
                spread = _spread(list(values.astype(np.float32)), good, count)
                columns[EMBEDDING] = pa.array(spread, pa.list_(pa.float32()))
        columns["abstains"] = pa.array([bool(reason) for reason in reasons])
        columns["reason"] = pa.array(reasons)
        missing = [name for name in self.schema.names if name not in columns]
        return columns | {n: pa.nulls(count, self.schema.field(n).type) for n in missing}


def _end(tensor: Tensor) -> str:
    """End of the names of a task's columns."""
    return f"{OF}{tensor.notes['task']}" if "task" in tensor.notes else ""


def _shares(tensor: Tensor) -> list[str]:
    return [f"{SHARE}{part}{_end(tensor)}" for part in tensor.notes["parts"]]


def _of_classes(
    tensor: Tensor, probabilities: np.ndarray, sets: np.ndarray, good: np.ndarray, count: int
) -> dict[str, pa.Array]:
    classes, end = tensor.notes["classes"], _end(tensor)
    best = [classes[number] for number in probabilities.argmax(axis=1)]
    held = [BETWEEN.join(_members(classes, row)) for row in sets]
    return {
        f"predicted{end}": pa.array(_spread(best, good, count), pa.string()),
        f"set{end}": pa.array(_spread(held, good, count), pa.string()),
        **_numbers([f"{PROBABILITY}{name}{end}" for name in classes], probabilities, good, count),
    }


def _members(classes: Sequence[str], inside: np.ndarray) -> list[str]:
    return [name for name, member in zip(classes, inside, strict=True) if member]


def _add(reasons: list[str], good: np.ndarray, said: Iterable[str]) -> None:
    """Join more reasons to those of judged cells."""
    for index, words in zip(good, said, strict=True):
        reasons[index] = "; ".join(filter(None, (reasons[index], words)))


def _refusals(tensor: Tensor, found: np.ndarray) -> Iterator[str]:
    """Why each cell is none that the model should be asked about; '' where it is one."""
    words = list(tensor.notes["reasons"].values())
    return ("; ".join(_members(words, row)) for row in found)


def _doubts(tensor: Tensor, sets: np.ndarray) -> Iterator[str]:
    """Why each cell has no class that the model stands by; '' where it has one."""
    classes, task = tensor.notes["classes"], tensor.notes.get("task")
    before = f"{task}: " if task else ""
    for row in sets:
        held = _members(classes, row)
        said = "" if len(held) == 1 else NO_CLASS if not held else f"may be {BETWEEN.join(held)}"
        yield f"{before}{said}" if said else ""


def _numbers(
    names: Sequence[str], values: np.ndarray, good: np.ndarray, count: int
) -> dict[str, pa.Array]:
    whole = np.full((count, len(names)), np.nan, np.float32)
    whole[good] = values
    missing = np.ones(count, bool)
    missing[good] = False
    columns = zip(names, whole.T, strict=True)
    return {name: pa.array(column, pa.float32(), mask=missing) for name, column in columns}


def _spread(values: Sequence[object], good: np.ndarray, count: int) -> list[object]:
    """Values of judged cells at their places among all, None elsewhere."""
    whole: list[object] = [None] * count
    for index, value in zip(good, values, strict=True):
        whole[index] = value
    return whole

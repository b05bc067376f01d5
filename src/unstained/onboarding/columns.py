"""What each column of a table could be: files, a class, a number, a flag, a group, an object."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import pyarrow as pa
import pyarrow.compute as pc

from unstained.data.readers.places import IMAGE_SUFFIXES
from unstained.data.readers.tabular import NO, ONE_COMMA, UNKNOWN, YES, with_points
from unstained.onboarding.asking import Choice, listed

Kind = Literal["empty", "flag", "whole", "number", "text"]

LABEL_WORDS: Final = frozenset(
    {"label", "class", "category", "type", "celltype", "cell_type", "phenotype", "lineage", "phase"}
)
GROUP_WORDS: Final = frozenset(
    {"acquisition", "plate", "well", "batch", "donor", "patient", "subject", "slide", "sample",
     "experiment", "run", "replicate", "field", "fov", "site", "movie", "photo", "photograph",
     "image_id", "source", "day", "date", "session"}
)  # fmt: skip
IMAGE_WORDS: Final = frozenset({"file", "path", "image", "filename", "image_file", "image_path"})
OBJECT_WORDS: Final = frozenset({"object", "cell", "id", "object_id", "cell_id", "number", "index"})
EXTERNAL_WORDS: Final = frozenset({"external", "heldout", "holdout", "external_test"})
"""Names of columns that say what they hold, in lower case."""

MOST_CLASSES: Final = 50
"""Distinct values of a column that could be a class."""
CELLS_PER_CLASS: Final = 3
"""Cells of a value, on average, from which a column could be a class."""
CELLS_PER_GROUP: Final = 2


@dataclass(frozen=True)
class Column:
    """A column as its fields tell.

    Attributes:
        name: as in the header.
        kind: of all fields that are not empty.
        known: fields that are not empty.
        counts: value -> rows, the commonest first; of a number the first MOST_CLASSES + 1 alone.
        distinct: number of values.
        images: fields that end like an image file.
        in_doubt: whether they are numbers with commas that may be decimal or group thousands.
    """

    name: str
    kind: Kind
    known: int
    counts: Mapping[str, int]
    distinct: int
    images: int
    in_doubt: bool

    @property
    def could_be_class(self) -> bool:
        """Few values, each of several cells."""
        few = 2 <= self.distinct <= MOST_CLASSES
        return few and self.kind != "number" and self.known >= CELLS_PER_CLASS * self.distinct

    @property
    def could_be_group(self) -> bool:
        """Several values, each of several cells; of some cells where its name says it."""
        shared = self.known if said(self.name, GROUP_WORDS) else self.known / CELLS_PER_GROUP
        few = 2 <= self.distinct <= shared and self.distinct < self.known
        return few and self.kind not in ("number", "flag")

    @property
    def could_be_value(self) -> bool:
        """Numbers that differ."""
        return self.kind in ("number", "whole") and self.distinct > 2

    @property
    def words(self) -> str:
        """Its values in a sentence."""
        shown = [f"{value} {rows}" for value, rows in self.counts.items()]
        return listed(shown, 6) if self.distinct <= MOST_CLASSES else f"{self.distinct} values"


def profile(table: pa.Table) -> list[Column]:
    """Columns of text, as `read_tabular` gives them, one after the other."""
    return [_column(name, table[name]) for name in table.column_names]


def _column(name: str, column: pa.ChunkedArray) -> Column:
    values = pc.value_counts(column.drop_null())
    counts = {entry["values"]: entry["counts"] for entry in values.to_pylist()}
    common = sorted(counts, key=lambda value: (-counts[value], value))[: MOST_CLASSES + 1]
    ends = tuple(IMAGE_SUFFIXES)
    return Column(
        name,
        kind_of(list(counts)),
        sum(counts.values()),
        {value: counts[value] for value in common},
        len(counts),
        sum(rows for value, rows in counts.items() if value.lower().endswith(ends)),
        _in_doubt(list(counts)),
    )


def _in_doubt(values: Sequence[str]) -> bool:
    numbers = re.compile(rf"{ONE_COMMA}|\d*")
    alike = all(numbers.fullmatch(value) or value.lower() in UNKNOWN for value in values)
    return alike and kind_of(values) == "text"


def kind_of(values: Sequence[str]) -> Kind:
    """What all of some values are; words for 'unknown' fit any number."""
    folded = {value.lower() for value in values}
    known = {*with_points(pa.array(folded - set(UNKNOWN), pa.string())).to_pylist()}
    if not known:
        return "empty"
    if known <= {*YES, *NO}:
        return "flag"
    try:
        numbers = [float(value) for value in known]
    except ValueError:
        return "text"
    return "whole" if all(number.is_integer() for number in numbers) else "number"


def said(name: str, words: frozenset[str]) -> bool:
    """Whether a column's name is one of some words, whatever its case and separators."""
    plain = re.sub(r"(?<=[a-z])(?=[A-Z])|[\s.\-]+", "_", name).lower()
    forms = {plain, plain.removesuffix("s"), plain.removesuffix("es"), plain.replace("_", "")}
    return not forms.isdisjoint(words)


def class_choices(columns: Sequence[Column]) -> list[Choice]:
    """Columns that could hold the class."""
    return [
        Choice(column.name, f"column of {column.distinct} classes: {column.words}",
               said(column.name, LABEL_WORDS))
        for column in columns
        if column.could_be_class and not column.images
        and not said(column.name, GROUP_WORDS | EXTERNAL_WORDS)
    ]  # fmt: skip


def value_choices(columns: Sequence[Column]) -> list[Choice]:
    """Columns that could hold a number to predict."""
    return [
        Choice(column.name, f"column of {column.known} numbers")
        for column in columns
        if column.could_be_value and not said(column.name, GROUP_WORDS | OBJECT_WORDS)
    ]


def flag_choices(columns: Sequence[Column]) -> list[Choice]:
    """Columns that could mark external cells."""
    return [
        Choice(column.name, f"column of yes and no: {column.words}",
               said(column.name, EXTERNAL_WORDS))
        for column in columns
        if column.kind == "flag" and column.distinct == 2
    ]  # fmt: skip


def object_choices(columns: Sequence[Column]) -> list[Choice]:
    """Columns of whole numbers that could number the cells."""
    return [
        Choice(column.name, "column of whole numbers", telling=True)
        for column in columns
        if column.kind == "whole" and column.distinct > 2 and said(column.name, OBJECT_WORDS)
    ]

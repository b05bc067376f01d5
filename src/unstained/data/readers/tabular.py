"""Columns of a table that a user wrote: CSV (comma, semicolon or tab), TSV or Parquet, strict.

A column is read as one of four kinds. `string`: an empty field is null. `float64`: a number with a
point, or a decimal comma where the column leaves no doubt; empty, NA, NaN or null is NaN. `int64`:
a whole number, never empty. `bool`: true or false, yes or no, 1 or 0 (also 1.0, 0.0); empty is
false. Rows are counted from 1 below the header.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from unstained.config.nearest import suggestion
from unstained.errors import SourceError

SEPARATORS: Final = {".csv": ",;\t", ".tsv": "\t"}
PARQUET: Final = ".parquet"
TABLE_SUFFIXES: Final = (*SEPARATORS, PARQUET)
UNKNOWN: Final = ("", "na", "n/a", "nan", "null", "none")
"""What stands for an unknown number, in any case."""
LARGEST: Final = float(np.finfo(np.float32).max)
"""Models learn numbers as float32; what is larger would be infinite there."""
ONE_COMMA: Final = r"^[+-]?\d*,\d+([eE][+-]?\d+)?$"
DECIMAL_COMMA: Final = r"^[+-]?(0?,\d+|\d{4,},\d+|\d*,(\d{1,2}|\d{4,}))([eE].*)?$"
"""Numbers whose comma groups no thousands."""
YES, NO = ("true", "t", "yes", "y", "1"), ("false", "f", "no", "n", "0", "")


class Column(NamedTuple):
    """A column that is asked for."""

    name: str
    kind: str


def read_tabular(path: Path, columns: Mapping[str, Column]) -> pa.Table:
    """Some columns of a table.

    Args:
        path: the table.
        columns: those that are asked for, by the name that they get.

    Returns:
        The columns in the order asked for, each of its Arrow type; only strings hold nulls.

    Raises:
        SourceError: the table is none, lacks a column (names the nearest one), or a field is not of
            its column's kind (names the row).
    """
    with _explained(path):
        read = _parquet if path.suffix.lower() == PARQUET else _separated
        table = read(path, tuple(dict.fromkeys(column.name for column in columns.values())))
    if not table.num_rows:
        raise SourceError(f"{path}: has no row below its header", "save it again")
    return pa.table(
        {to: _CONVERT[kind](table[name], path, name) for to, (name, kind) in columns.items()}
    )


def column_names(path: Path) -> list[str]:
    """Names of a table's columns, in order.

    Raises:
        SourceError: the table is none.
    """
    with _explained(path):
        if path.suffix.lower() == PARQUET:
            return list(pq.read_schema(path).names)
        return _header(path, ())[1]


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Turn what goes wrong with a file into an error that says what to do."""
    if path.suffix.lower() not in TABLE_SUFFIXES:
        raise SourceError(
            f"{path} is no table that is read", f"save it as {', '.join(TABLE_SUFFIXES)}"
        )
    try:
        yield
    except OSError as error:
        raise SourceError(
            f"{path} cannot be read ({error.strerror or error})",
            "correct studies.<study>.data.table.file, or copy the table there",
        ) from None
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, csv.Error) as error:
        raise SourceError(
            f"{path}: is no whole table ({error})",
            "save it again, with the names of its columns in the first line and as many fields in "
            "each row",
        ) from None
    except UnicodeDecodeError:
        raise SourceError(f"{path}: is no text in UTF-8", "save it as CSV UTF-8") from None


def _parquet(path: Path, columns: Sequence[str]) -> pa.Table:
    with pq.ParquetFile(path) as file:
        _require(path, file.schema_arrow.names, columns)
        return file.read(columns=list(columns))


def _separated(path: Path, columns: Sequence[str]) -> pa.Table:
    """Columns as text, exactly as it stands there but for spaces around it."""
    separator, header = _header(path, columns)
    _require(path, header, columns)
    return pa.csv.read_csv(
        path,
        read_options=pa.csv.ReadOptions(column_names=header, skip_rows=1),
        parse_options=pa.csv.ParseOptions(delimiter=separator, newlines_in_values=True),
        convert_options=pa.csv.ConvertOptions(
            include_columns=list(columns), column_types=dict.fromkeys(columns, pa.string())
        ),
    )


def _header(path: Path, columns: Sequence[str]) -> tuple[str, list[str]]:
    """The separator under which the header has most of the wanted columns, and its names."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        line = file.readline()
    found = []
    for separator in SEPARATORS[path.suffix.lower()]:
        names = [name.strip() for name in next(csv.reader([line], delimiter=separator), [])]
        found.append((len({*columns} & {*names}), len(names), separator, names))
    *_, separator, names = max(found, key=lambda one: one[:2])
    return separator, names


def _require(path: Path, header: Sequence[str], columns: Sequence[str]) -> None:
    if len(header) == 1 < len(columns) and any(name in header[0] for name in columns):
        raise SourceError(
            f"{path}: is read as one column, {header[0]!r}: something else than a comma, semicolon "
            "or tab (in .tsv, a tab) lies between its fields",
            "save it as .csv with commas",
        )
    for name in columns:
        if name not in header:
            raise SourceError(
                f"{path}: has no column {name!r}; {suggestion(name, header)}",
                "add it, or correct the columns that studies.<study>.data.table and tasks name",
                absent=[name],
            )
        if header.count(name) > 1:
            raise SourceError(
                f"{path}: has the column {name!r} {header.count(name)} times", "rename all but one"
            )


def _text(column: pa.ChunkedArray, path: Path, name: str) -> pa.ChunkedArray:
    """Text without the spaces around it, null where empty; whole numbers as they are written."""
    try:
        text = pc.utf8_trim_whitespace(column.cast(pa.string()))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        raise SourceError(
            f"{path}: column {name} holds {column.type}, which is no text", "save it as text"
        ) from None
    return pc.if_else(pc.equal(text, ""), pa.scalar(None, pa.string()), text)


def _number(column: pa.ChunkedArray, path: Path, name: str) -> pa.ChunkedArray:
    if pa.types.is_integer(column.type) or pa.types.is_floating(column.type):
        numbers = column.cast(pa.float64(), safe=False).fill_null(float("nan"))
    else:
        text = _text(column, path, name).fill_null("")
        unknown = pc.is_in(pc.utf8_lower(text), value_set=pa.array(UNKNOWN))
        kept = with_points(pc.if_else(unknown, "nan", text))
        numbers = _parsed(
            kept, pa.float64(), text, path, name, "a number", "1.5, or leave it empty"
        )
    huge = pc.greater(pc.abs(numbers), LARGEST)
    if pc.any(huge).as_py():
        what = f"a finite number below {LARGEST:.2g}"
        raise _wrong(path, name, column, huge, what, "1.5, or leave it empty")
    return numbers


def with_points(text: pa.ChunkedArray) -> pa.ChunkedArray:
    """Decimal commas of a column as points.

    As they are where a field has a point or several commas, or where each comma stands before three
    digits, as one between thousands does.
    """
    commas = text.filter(pc.match_substring(text, ","))
    plain = pc.all(pc.match_substring_regex(commas, ONE_COMMA), min_count=0).as_py()
    clear = pc.any(pc.match_substring_regex(commas, DECIMAL_COMMA), min_count=0).as_py()
    if not (plain and clear) or pc.any(pc.match_substring(text, ".")).as_py():
        return text
    return pc.replace_substring(text, ",", ".")


def _whole(column: pa.ChunkedArray, path: Path, name: str) -> pa.ChunkedArray:
    text = _text(column, path, name).fill_null("")
    plain = pc.replace_substring_regex(text, r"^(\d+)\.0*$", r"\1")
    return _parsed(plain, pa.int64(), text, path, name, "a whole number", "17")


def _parsed(
    text: pa.ChunkedArray,
    kind: pa.DataType,
    shown: pa.ChunkedArray,
    path: Path,
    name: str,
    what: str,
    example: str,
) -> pa.ChunkedArray:
    """Text as numbers; the first that is none is named by its row."""
    try:
        return text.cast(kind)
    except pa.ArrowInvalid:
        wrong = pa.array([not _castable(one, kind) for one in text.to_pylist()])
        raise _wrong(path, name, shown, wrong, what, example) from None


def _castable(text: str, kind: pa.DataType) -> bool:
    try:
        pa.scalar(text).cast(kind)
    except pa.ArrowInvalid:
        return False
    return True


def _flag(column: pa.ChunkedArray, path: Path, name: str) -> pa.ChunkedArray:
    text = pc.utf8_lower(_text(column, path, name).fill_null(""))
    text = pc.replace_substring_regex(text, r"^([01])\.0+$", r"\1")
    yes = pc.is_in(text, value_set=pa.array(YES))
    neither = pc.invert(pc.or_(yes, pc.is_in(text, value_set=pa.array(NO))))
    if pc.any(neither).as_py():
        raise _wrong(path, name, column, neither, "a yes or no", "true or false")
    return yes


def _wrong(
    path: Path, name: str, column: pa.ChunkedArray, wrong: pa.Array, what: str, example: str
) -> SourceError:
    row = pc.index(wrong, True).as_py()
    return SourceError(
        f"{path}: row {row + 1}: {name} is {str(column[row].as_py())!r}, which is no {what[2:]}",
        f"write {what} such as {example}",
    )


_CONVERT: Final[Mapping[str, Callable[[pa.ChunkedArray, Path, str], pa.ChunkedArray]]] = {
    "string": _text,
    "float64": _number,
    "int64": _whole,
    "bool": _flag,
}

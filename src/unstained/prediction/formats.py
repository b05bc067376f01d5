"""Tables of predictions as files: CSV, Parquet, FCS 3.1, AnnData.

They are made of finished parts, one after the other; FCS and AnnData hold all numbers at once.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain, product
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from unstained.errors import ParameterError, SourceError
from unstained.files import whole_file
from unstained.prediction.answers import EMBEDDING
from unstained.predictions import CHALLENGER, HIGH, LOW, OF, PROBABILITY
from unstained.wording import counted

Writer = Callable[[Path, Sequence[Path], Mapping[str, str]], list[str]]
EXACT: Final = 2**24
"""From here on a 32-bit float, which FCS holds, does not tell whole numbers apart."""
STARTS: Final = ("", CHALLENGER)
"""Before the names of columns of one model, and of another that was asked too."""
NOTE: Final = "UNSTAINED_"
"""Beginning of the keywords of FCS that say which model made the numbers."""


def format_of(path: Path) -> str:
    """End of a file's name that says its format.

    Raises:
        ParameterError: it says none.
    """
    if path.suffix.lower() not in WRITERS:
        raise ParameterError(
            f"{path} ends in none of {', '.join(WRITERS)}",
            "name the file so that its end says the format",
        )
    return path.suffix.lower()


def write_table(path: Path, parts: Sequence[Path], notes: Mapping[str, str]) -> list[str]:
    """Write a file, whole or not at all.

    Args:
        path: its end says the format.
        parts: Parquet files of equal columns, in order; at least one.
        notes: which model made the rows, by name; in every row of a table, else beside them.

    Returns:
        What a reader should know of the file, as sentences.
    """
    with whole_file(path) as temporary:
        return WRITERS[format_of(path)](temporary, parts, notes)


def _tables(parts: Sequence[Path], notes: Mapping[str, str]) -> Iterator[pa.Table]:
    """Each part with the notes as columns."""
    for part in parts:
        table = pq.read_table(part).replace_schema_metadata()
        for name, value in notes.items():
            table = table.append_column(name, pa.array([value] * len(table), pa.string()))
        yield table


def _streamed(
    writer: Callable[[Path, pa.Schema], pq.ParquetWriter | pa_csv.CSVWriter],
) -> Writer:
    """A format that is written a part at a time."""

    def write(path: Path, parts: Sequence[Path], notes: Mapping[str, str]) -> list[str]:
        tables = _tables(parts, notes)
        first = next(tables)
        with writer(path, first.schema) as file:
            for table in chain([first], tables):
                file.write_table(table)
        return []

    return write


def _fcs(path: Path, parts: Sequence[Path], notes: Mapping[str, str]) -> list[str]:
    """Numbers alone, of the cells that were judged; files by number, their names as keywords."""
    import flowio

    whole = pa.concat_tables(_tables(parts, {}))
    judged = whole.filter(_judged(whole))
    if not len(judged):
        raise SourceError(
            "no cell could be judged, and FCS holds numbers alone", "write a .csv: it says why"
        )
    files = judged["source_file"].combine_chunks().dictionary_encode()
    columns = {"Object": judged["object"].to_numpy(), "File": files.indices.to_numpy() + 1}
    if columns["Object"].max() >= EXACT:
        high, low = np.divmod(columns.pop("Object"), EXACT)
        columns |= {"Object": low, "Object high": high}
    for start in (start for start in STARTS if f"{start}abstains" in judged.schema.names):
        column = judged[f"{start}abstains"].to_numpy().astype(np.float32)
        columns[f"{start}abstains".capitalize()] = column
    left_out = []
    for name in judged.schema.names:
        if not pa.types.is_floating(judged.schema.field(name).type):
            continue
        numbers = judged[name].to_numpy().astype(np.float32)
        if np.isfinite(numbers).all():
            columns[name] = numbers
        else:
            left_out.append(name)
    told = _class_numbers(judged)
    columns |= told.columns
    names = _fcs_names(columns)
    events = np.stack([column.astype("<f4") for column in columns.values()], axis=1)
    keywords = {
        **{f"p{n + 1}r": _range(events[:, n]) for n in range(len(names))},
        **{f"{NOTE}{name}".upper(): value for name, value in notes.items()},
        **{f"{NOTE}FILE_{n + 1}": name for n, name in enumerate(files.dictionary.to_pylist())},
        **told.keywords,
    }
    with path.open("wb") as file:
        flowio.create_fcs(file, events.ravel(), names, list(columns), keywords)
    return _fcs_notes(len(whole) - len(judged), left_out)


class _Told:
    """Predicted classes as numbers, and what the numbers mean."""

    def __init__(self) -> None:
        self.columns: dict[str, np.ndarray] = {}
        self.keywords: dict[str, str] = {}


def _class_numbers(table: pa.Table) -> _Told:
    found = _Told()
    for start, name in product(STARTS, table.schema.names):
        before = f"{start}predicted"
        if name != before and not name.startswith(f"{before}{OF}"):
            continue
        end = name.removeprefix(before)
        classes = [
            column.removeprefix(f"{start}{PROBABILITY}").removesuffix(end)
            for column in table.schema.names
            if column.startswith(f"{start}{PROBABILITY}") and column.endswith(end)
        ]
        numbers = pc.index_in(table[name], value_set=pa.array(classes)).to_numpy()
        found.columns[f"{start}class{end}"] = numbers.astype(np.float32) + 1
        for number, known in enumerate(classes, start=1):
            found.keywords[f"{NOTE}{start}CLASS{end}_{number}".upper()] = known
    return found


def _fcs_names(columns: Mapping[str, Any]) -> list[str]:
    """Short names ($PnN) that gating programs take: no comma, none empty, none twice."""
    found: list[str] = []
    for name in columns:
        plain = re.sub(r"[^A-Za-z0-9 ._+-]+", "_", name).strip("_ ") or "parameter"
        number, short = 1, plain
        while short.casefold() in {known.casefold() for known in found}:
            number += 1
            short = f"{plain}_{number}"
        found.append(short)
    return found


def _range(column: np.ndarray) -> str:
    """$PnR: above every value, so that a program's axis shows all."""
    return str(max(1, int(np.ceil(column.max())) + 1))


def unjudged(refused: int) -> str:
    """How many cells a file leaves out that holds judged cells alone."""
    return f"without {counted(refused, 'cell')} that could not be judged"


def _fcs_notes(refused: int, left_out: Sequence[str]) -> list[str]:
    said = []
    if refused:
        said.append(f"{unjudged(refused)}; a .csv tells which")
    if left_out:
        said.append(
            f"{', '.join(left_out)} not in it: not a number for every cell, which FCS cannot say"
        )
    return said


def _h5ad(path: Path, parts: Sequence[Path], notes: Mapping[str, str]) -> list[str]:
    """Values as X, the rest of a row as obs, embedding and probabilities as obsm."""
    import anndata
    import pandas as pd

    whole = pa.concat_tables(_tables(parts, {}))
    judged = whole.filter(_judged(whole))
    frame = judged.drop_columns([EMBEDDING]).to_pandas()
    probabilities = [name for name in frame if name.startswith(PROBABILITY)]
    values = [
        name
        for name in frame
        if pd.api.types.is_float_dtype(frame[name])
        and not name.startswith((PROBABILITY, LOW, HIGH))
    ]
    flat = judged[EMBEDDING].combine_chunks().flatten().to_numpy()
    obsm = {"X_embedding": flat.reshape(len(frame), -1)}
    if probabilities:
        obsm["probabilities"] = frame[probabilities].set_axis(frame.index.astype(str))
    obs = frame.drop(columns=[*probabilities, *values])
    data = anndata.AnnData(
        X=frame[values].to_numpy(np.float32),
        obs=obs.set_axis(frame.index.astype(str)),
        var=pd.DataFrame(index=values),
        obsm=obsm,
        uns={"unstained": dict(notes)},
    )
    data.write_h5ad(path)
    refused = len(whole) - len(judged)
    return [unjudged(refused)] if refused else []


def _judged(table: pa.Table) -> pa.Array:
    """Which rows are of cells that could be judged: those with an embedding or a number."""
    numbers = [n for n in table.schema.names if pa.types.is_floating(table.schema.field(n).type)]
    return pc.is_valid(table[numbers[0]])


WRITERS: Final[Mapping[str, Writer]] = {
    ".csv": _streamed(pa_csv.CSVWriter),
    ".parquet": _streamed(pq.ParquetWriter),
    ".fcs": _fcs,
    ".h5ad": _h5ad,
}
"""End of a file's name -> what writes it."""

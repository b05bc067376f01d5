"""Samples: the judged cells of one upload, kept on disk for as long as somebody looks at them.

A sample is a folder:

| file | content |
|---|---|
| sample.json | what it is, see `Told` |
| rows.parquet | a row a cell, as `prediction.answers` tells them |
| pixels.bin, places.npy | raw counts of cell after cell; (N, 3) offset in bytes, height, width |
| labels/ | what people said of the cells (labels.py) |
| challenger.parquet | what the challenger says, where it was asked (comparing.py) |

Its name is a secret of 128 bits: who has it may see the sample. Samples are forgotten when nobody
asked for them for hours, when newer ones need their room, and when the server ends.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Final
from weakref import finalize

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from unstained.files import read_json, whole_file, write_json
from unstained.prediction.source import Seen
from unstained.serving.receiving import TooMuchError
from unstained.serving.refusals import RequestError
from unstained.serving.served import Model
from unstained.temporary import temporary_folder

IDLE_SECONDS: Final = 12 * 3600
"""After which a sample is forgotten that nobody asked for: a day's labelling has pauses."""
TOLD, ROWS, PIXELS, PLACES = "sample.json", "rows.parquet", "pixels.bin", "places.npy"
CHALLENGER_ROWS: Final = "challenger.parquet"
GONE: Final = "these cells are not here any more: choose the files again"


@dataclass(frozen=True)
class Told:
    """What a sample is.

    Attributes:
        title: what was sent, in words.
        cells: rows.
        notes: what was left out, as sentences.
    """

    title: str
    cells: int
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Sample:
    """A finished sample.

    Attributes:
        folder: of its files; its name is the sample's.
        dtype, planes: of the pixels.
        model: that judged its cells.
        challenger: that judged them, too; None: it was not asked.
    """

    folder: Path
    dtype: str
    planes: int
    model: Model
    challenger: Model | None = None

    @cached_property
    def told(self) -> dict[str, Any]:
        """Content of `Told`."""
        content: dict[str, Any] = read_json(self.folder / TOLD)
        return content

    @cached_property
    def rows(self) -> pa.Table:
        """A row a cell."""
        return pq.read_table(self.folder / ROWS)

    @cached_property
    def challenger_rows(self) -> pa.Table:
        """As `rows`, of the challenger. Raises: RequestError: it was not asked (409)."""
        if self.challenger is None:
            raise RequestError(409, "the challenger was not asked about these cells")
        return pq.read_table(self.folder / CHALLENGER_ROWS)

    @cached_property
    def places(self) -> np.ndarray:
        """(N, 3) offset, height, width; height 0 where a cell has no pixels."""
        return np.asarray(np.load(self.folder / PLACES))

    @cached_property
    def _bytes(self) -> np.ndarray:
        path = self.folder / PIXELS
        return np.memmap(path, np.uint8, "r") if path.stat().st_size else np.empty(0, np.uint8)

    def pixels(self, cell: int) -> np.ndarray | None:
        """Raw counts (P, h, w) of a cell; None where it could not be read."""
        start, height, width = (int(number) for number in self.places[cell])
        if not height:
            return None
        dtype = np.dtype(self.dtype)
        count = self.planes * height * width
        flat = self._bytes[start : start + count * dtype.itemsize].view(dtype)
        return flat.reshape(self.planes, height, width)

    def require(self, cell: int) -> np.ndarray:
        """As `pixels`. Raises: RequestError: there is no such cell, or it has no pixels (404)."""
        found = self.pixels(cell) if 0 <= cell < len(self.places) else None
        if found is None:
            raise RequestError(404, f"there is no image of cell {cell}")
        return found


class Writer:
    """Writes a sample a chunk of cells at a time."""

    def __init__(self, folder: Path, schema: pa.Schema, most_bytes: int) -> None:
        self._folder = folder
        self._most = most_bytes
        self._rows = pq.ParquetWriter(folder / ROWS, schema)
        self._pixels = (folder / PIXELS).open("wb")
        self._places: list[tuple[int, int, int]] = []

    def add(self, cells: list[Seen], rows: pa.Table) -> None:
        """Cells and their rows. Raises: TooMuchError: there is no room for so many."""
        for cell in cells:
            place = self._pixels.tell()
            if cell.pixels is None:
                self._places.append((place, 0, 0))
            else:
                self._places.append((place, *cell.pixels.shape[-2:]))
                self._pixels.write(np.ascontiguousarray(cell.pixels).data)
        self._rows.write_table(rows)
        if self._pixels.tell() > self._most:
            raise TooMuchError(
                f"the cells take more than {self._most / 2**30:.1f} GiB", "send fewer at once"
            )

    def finish(self, title: str, notes: tuple[str, ...]) -> None:
        """All cells are there."""
        self.close()
        np.save(self._folder / PLACES, np.array(self._places, np.int64).reshape(-1, 3))
        write_json(self._folder / TOLD, asdict(Told(title, len(self._places), notes)))

    def close(self) -> None:
        """The files."""
        self._rows.close()
        self._pixels.close()


class Samples:
    """All samples of a server.

    Args:
        dtype, planes: of the model's pixels.
        most_bytes: of all together.
    """

    def __init__(self, dtype: str, planes: int, most_bytes: int) -> None:
        held = ExitStack()
        self._root = held.enter_context(temporary_folder())
        finalize(self, held.close)
        self._dtype = dtype
        self._planes = planes
        self._most = most_bytes
        self._open: dict[str, Sample] = {}
        self._models: dict[str, Model] = {}
        self._writing = threading.Lock()

    @contextmanager
    def new(self, schema: pa.Schema, model: Model) -> Iterator[tuple[str, Writer]]:
        """A sample to be written, with its name; without `finish` nothing is left of it.

        Args:
            schema: of its rows.
            model: that judges its cells, and is asked about them later.
        """
        self.make_room()
        name = secrets.token_urlsafe(16)
        folder = self._root / f".{name}"
        folder.mkdir()
        writer = Writer(folder, schema, self._most)
        try:
            yield name, writer
            if (folder / TOLD).exists():
                self._models[name] = model
                folder.rename(folder.with_name(name))
        finally:
            writer.close()
            shutil.rmtree(folder, ignore_errors=True)

    def find(self, name: str) -> Sample:
        """A sample by its name. Raises: RequestError: it is not here (404)."""
        folder = self._root / name
        if not re.fullmatch(r"[\w-]{22}", name, re.ASCII) or not folder.is_dir():
            raise RequestError(404, GONE)
        os.utime(folder)
        if name not in self._open:
            self._open[name] = Sample(folder, self._dtype, self._planes, self._models[name])
        return self._open[name]

    def challenge(self, name: str, challenger: Model, rows: Path) -> None:
        """Keep what the challenger says of a sample.

        Args:
            name: of the sample.
            challenger: that was asked.
            rows: the table.

        Raises:
            RequestError: the sample was forgotten meanwhile (404).
        """
        sample = self.find(name)
        with self._writing, whole_file(sample.folder / CHALLENGER_ROWS) as part:
            shutil.copyfile(rows, part)
        self._open[name] = replace(sample, challenger=challenger)

    def forget(self, name: str) -> None:
        """Remove a sample. Raises: RequestError: it is not here (404)."""
        folder = self.find(name).folder
        self._open.pop(name, None)
        self._models.pop(name, None)
        shutil.rmtree(folder, ignore_errors=True)

    def make_room(self) -> None:
        """Forget samples that nobody asked for, and the oldest while all take too much room."""
        known = [path for path in self._root.iterdir() if not path.name.startswith(".")]
        known.sort(key=lambda path: path.stat().st_mtime)
        sizes = {path: (path / PIXELS).stat().st_size for path in known}
        held, old = sum(sizes.values()), time.time() - IDLE_SECONDS
        for path in known:
            if path.stat().st_mtime >= old and held <= self._most:
                break
            held -= sizes[path]
            self.forget(path.name)

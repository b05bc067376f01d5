"""The packed store: all cells of a study in a few large files.

    blocks/<acquisition>-<nnnn>   Zarr v3 arrays of up to thousands of cells (`data.store.blocks`)
    cells.parquet                 one row a cell (`data.store.schema`), by acquisition and object
    manifest.json                 written last: a store without it is incomplete

The same cells give the same bytes in every file, and another large acquisition adds blocks without
touching one (small ones share blocks). Memory while writing is one block's rows; while reading, one
block's pixels.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import zarr

from unstained.config.tasks import TargetRule
from unstained.data.store.blocks import CHUNK, MASKS, table_schema
from unstained.data.store.writer import FORMAT
from unstained.errors import StoreError
from unstained.files import file_sha256, read_json
from unstained.imaging.axes import Axes
from unstained.imaging.background import white_level

if TYPE_CHECKING:
    import pandas as pd

CACHE_BYTES: Final = 64 * 2**20
"""Decompressed chunks that a reader keeps."""

INGEST_AGAIN: Final = "`dvc repro` ingests again and writes the store afresh"


class CellStore:
    """A finished store, read-only.

    Row i is cell i everywhere: in `table`, in `labels`, in what `images` takes.

    Attributes:
        manifest: content of manifest.json.
        study: name of the study.
        axes: frames and channels of every cell; images hold their planes.
        lossy: cells with a file that was compressed with loss.
        white: counts of white where contrast is relative to it, else None (imaging/background.py).
        markers: names of the marker columns.
        dtype: of all pixels, uint8 or uint16.
        has_masks: whether the instrument told which pixels are the cell.
        digest: sha256 over every cell's id, pixels' digest, label and markers, in order of
            acquisition and object: the data hash.
    """

    def __init__(self, path: Path, manifest: dict[str, Any]) -> None:
        self.path = path
        self.manifest = manifest
        self.study: str = manifest["study"]
        self.axes = Axes(tuple(manifest["channels"]), manifest["frames"])
        self.markers: tuple[str, ...] = tuple(manifest["markers"])
        self.dtype: np.dtype = np.dtype(manifest["dtype"])
        self.lossy: int = manifest["lossy"]
        self.has_masks: bool = manifest.get("masks", False)
        self.white = white_level(manifest["normalise"], self.dtype)
        self.digest: str = manifest["digest"]
        self._cache: OrderedDict[tuple[str, int], np.ndarray] = OrderedDict()
        self._arrays: dict[str, Any] = {}
        self._groups: np.ndarray | None = None

    def with_groups(self, names: np.ndarray) -> CellStore:
        """The same store with other groups.

        Args:
            names: (N,) group of each cell.
        """
        other = CellStore(self.path, self.manifest)
        other._groups = names
        return other

    @classmethod
    def open(cls, path: Path) -> CellStore:
        """Open a store.

        Raises:
            StoreError: it is missing, incomplete, of another format, or its table or blocks are
                not the recorded ones.
        """
        if not (path / "manifest.json").is_file():
            raise StoreError(f"{path} is no complete store: manifest.json is missing", INGEST_AGAIN)
        manifest = read_json(path / "manifest.json")
        if manifest.get("format") != FORMAT:
            raise StoreError(
                f"{path} has format {manifest.get('format')}, this version reads {FORMAT}",
                INGEST_AGAIN,
            )
        table = path / "cells.parquet"
        if not table.is_file() or file_sha256(table) != manifest["table_sha256"]:
            raise StoreError(f"{table} is missing or was changed after ingest", INGEST_AGAIN)
        for block in manifest["blocks"]:
            for file in block["files"]:
                if not _holds_bytes(path / "blocks" / block["name"] / file):
                    name = block["name"]
                    raise StoreError(f"block {name} of {path} lacks its file {file}", INGEST_AGAIN)
        return cls(path, manifest)

    def __len__(self) -> int:
        return int(self.manifest["cells"])

    @cached_property
    def table(self) -> pd.DataFrame:
        """All columns of the cell table; index 0 to N-1."""
        return self.columns()

    @property
    def schema(self) -> pa.Schema:
        """Columns of the cell table and their types."""
        return table_schema(self.markers, self.manifest.get("told", {}))

    def columns(self, *names: str) -> pd.DataFrame:
        """Some columns of the cell table (all without names), read from disk.

        Raises:
            StoreError: there is no such column.
        """
        known = self.schema.names
        unknown = [name for name in names if name not in known]
        if unknown:
            raise StoreError(
                f"{self.path} has no column {', '.join(unknown)}", f"choose from {', '.join(known)}"
            )
        selected = list(names) or None
        table = pq.read_table(self.path / "cells.parquet", columns=selected, memory_map=True)
        frame: pd.DataFrame = table.to_pandas()
        if self._groups is not None and "group" in frame:
            frame["group"] = self._groups
        return frame

    def labels(self, class_names: Sequence[str]) -> np.ndarray:
        """Class index of every cell by the column `label`, (N,) int64; -1 where unknown.

        Raises:
            StoreError: a cell has a label that `class_names` lacks.
        """
        labels = self.columns("label")["label"].astype("category")
        unknown = sorted(set(labels.cat.categories) - set(class_names))
        if unknown:
            raise StoreError(
                f"{self.path} holds cells labelled {', '.join(unknown)}, which is no class",
                f"name them in studies.<study>.data.tasks; {INGEST_AGAIN}",
            )
        order = [class_names.index(name) for name in labels.cat.categories]
        return np.array([*order, -1], np.int64)[labels.cat.codes.to_numpy()]

    def targets(self, rules: Sequence[TargetRule]) -> np.ndarray:
        """Continuous targets of every cell, (N, M) float32, NaN where not recorded.

        'log' is the natural logarithm of the value, which is at least 1.

        Raises:
            StoreError: a target's column does not exist.
        """
        if not rules:
            return np.empty((len(self), 0), np.float32)
        columns = self.columns(*dict.fromkeys(rule.column for rule in rules))
        values = np.stack([columns[rule.column].to_numpy(np.float64) for rule in rules], axis=1)
        for column, rule in enumerate(rules):
            if rule.transform == "log":
                values[:, column] = np.log(np.maximum(values[:, column], 1.0))
        return values.astype(np.float32)

    def images(self, rows: Sequence[int] | np.ndarray) -> list[np.ndarray]:
        """Raw images (P, h, w) of cells in the order of `rows`, any order, repeats allowed.

        Every chunk that holds one of them is read once.
        """
        return self._planes(rows)

    def masks(self, rows: Sequence[int] | np.ndarray) -> list[np.ndarray]:
        """The instrument's masks (h, w) bool of cells: the pixels that any plane's mask holds.

        Raises:
            StoreError: the store has none.
        """
        if not self.has_masks:
            raise StoreError(f"{self.path} holds no masks", "ask for them where has_masks is true")
        return [(planes != 0).any(axis=0) for planes in self._planes(rows, f"/{MASKS}")]

    def _planes(self, rows: Sequence[int] | np.ndarray, array: str = "") -> list[np.ndarray]:
        """(P, h, w) of cells from their blocks' arrays, or from an array within these."""
        index = np.asarray(rows, dtype=np.int64)
        places = self._places[index]
        images: list[np.ndarray] = [np.empty(0)] * len(index)
        for position in np.lexsort(places.T[1::-1]):
            block, row, height, width = places[position]
            name = f"{self.manifest['blocks'][block]['name']}{array}"
            chunk = self._chunk(name, row // CHUNK)
            images[position] = chunk[row % CHUNK, :, :height, :width].copy()
        return images

    def iter_images(
        self, rows: Sequence[int] | np.ndarray, batch: int
    ) -> Iterator[tuple[np.ndarray, list[np.ndarray]]]:
        """Stream cells in the order of `rows`, `batch` at a time.

        Yields:
            Rows (n,) int64 and their raw images. Sequential or block-wise shuffled rows decompress
            every chunk once.
        """
        index = np.asarray(rows, dtype=np.int64)
        for start in range(0, len(index), batch):
            part = index[start : start + batch]
            yield part, self.images(part)

    @cached_property
    def _places(self) -> np.ndarray:
        """(N, 4) int32: number of the block, row in it, height, width."""
        table = pq.read_table(self.path / "cells.parquet", columns=["row", "height", "width"])
        counts = [block["cells"] for block in self.manifest["blocks"]]
        block = np.repeat(np.arange(len(counts), dtype=np.int32), counts)
        return np.stack([block, *(column.to_numpy() for column in table.columns)], axis=1)

    def _chunk(self, name: str, chunk: int) -> np.ndarray:
        """Decompressed cells of one inner chunk, (at most CHUNK, P, H, W), kept while recent."""
        if (name, chunk) in self._cache:
            self._cache.move_to_end((name, chunk))
            return self._cache[name, chunk]
        try:
            if name not in self._arrays:
                self._arrays[name] = zarr.open_array(str(self.path / "blocks" / name), mode="r")
            values = np.asarray(self._arrays[name][chunk * CHUNK : (chunk + 1) * CHUNK])
        except (OSError, ValueError, RuntimeError) as error:
            raise StoreError(
                f"block {name} of {self.path} cannot be read: {error}", INGEST_AGAIN
            ) from error
        self._cache[name, chunk] = values
        held = sum(array.nbytes for array in self._cache.values())
        while held > CACHE_BYTES and len(self._cache) > 1:
            held -= self._cache.popitem(last=False)[1].nbytes
        return values


def _holds_bytes(path: Path) -> bool:
    """Whether a file is there and not empty, as a crash of the machine may leave it.

    An array whose file is empty reads as zeros everywhere; any other end that is cut off breaks
    the checksum of the array's index.
    """
    try:
        return path.stat().st_size > 0
    except OSError:
        return False

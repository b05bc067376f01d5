"""Writing the packed store of `data.store.cell_store`, block by block."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from unstained.data.store.blocks import (
    MASKS,
    NOTHING,
    Cell,
    Origin,
    block_files,
    block_name,
    table_schema,
    write_block,
)
from unstained.data.store.schema import MARKER_PREFIX
from unstained.errors import StoreError
from unstained.files import file_sha256, read_json, write_json
from unstained.imaging.axes import Axes

UNKNOWN: Final = "unknown"
"""What the manifest counts cells without a label as."""
FORMAT: Final = 2
"""Version of the store's layout; raised when older code could not read it, or this code an older
store. 2: the manifest names frames, normalisation and lossy cells."""


class StoreWriter:
    """Writes a store block by block.

    Blocks come in order of acquisition, then object index; the first one sets the dtype. Use as a
    context manager: leaving it without an exception writes the manifest; an exception leaves a
    store that nobody accepts.

    Args:
        path: directory of the store; must be empty or absent.
        study: name of the study.
        axes: frames and channels of the cells.
        normalise: what counts are to be divided by, as in the study's parameters.
        markers: names of the marker columns.
        told: further columns of the cell table and their types, see `told_columns`.
        source: kind of source, 'simulator' or 'files'.

    Attributes:
        lossy: cells so far with a file that was compressed with loss; who adds blocks counts them.
    """

    def __init__(
        self,
        path: Path,
        *,
        study: str,
        axes: Axes,
        normalise: str = "background",
        markers: Sequence[str] = (),
        told: Mapping[str, str] = NOTHING,
        source: str = "files",
    ) -> None:
        if path.exists() and any(path.iterdir()):
            raise StoreError(f"{path} is not empty", "write a store to a new directory")
        (path / "blocks").mkdir(parents=True)
        self.path = path
        self.axes = axes
        self.lossy = 0
        self.markers, self.told = tuple(markers), dict(told)
        self._head: dict[str, Any] = {
            "format": FORMAT,
            "study": study,
            "source": source,
            "channels": list(axes.channels),
            "frames": axes.frames,
            "normalise": normalise,
            "markers": list(markers),
        }
        if told:
            self._head["told"] = dict(told)
        self._table = pq.ParquetWriter(path / "cells.parquet", table_schema(markers, told))
        self._digest = hashlib.sha256()
        self._blocks: list[dict[str, Any]] = []
        self._counts = {name: Counter[str]() for name in ("label", "acquisition")}
        self._last: tuple[str, int] = ("", -1)

    def write(self, origin: Origin, cells: Sequence[Cell], number: int = 0) -> None:
        """Write cells of one acquisition as its block `number`."""
        path = self.path / "blocks" / block_name(origin.acquisition, number)
        origins = [origin] * len(cells)
        self._append(path, write_block(path, origins, cells, self.markers, self.told))

    def adopt(self, block: Path, rows: pa.Table) -> None:
        """Take over a finished block: its files are linked where possible, else copied.

        Args:
            block: directory that `write_block` wrote, named as in the store.
            rows: what `write_block` returned.
        """
        path = self.path / "blocks" / block.name
        shutil.copytree(block, path, copy_function=_link_or_copy)
        self._append(path, rows)

    def _append(self, path: Path, rows: pa.Table) -> None:
        columns = {name: rows[name].to_pylist() for name in self._digested}
        keys = list(zip(columns["acquisition"], columns["object_index"], strict=True))
        if [self._last, *keys] != sorted({self._last, *keys}):
            raise StoreError(
                f"block {path.name} holds cells out of order or twice",
                "add blocks in order of acquisition, then object index, each cell once",
            )
        self._last = keys[-1]
        self._check_array(path)
        for row in zip(*columns.values(), strict=True):
            self._digest.update(f"{row}\n".encode())
        for name, counter in self._counts.items():
            counter.update(value or UNKNOWN for value in columns[name])
        block = {"name": path.name, "cells": rows.num_rows, "files": block_files(path)}
        self._blocks.append(block)
        self._table.write_table(rows, row_group_size=rows.num_rows)

    def _check_array(self, path: Path) -> None:
        array = read_json(path / "zarr.json")
        found = (array["data_type"], array["shape"][1])
        wanted = (self._head.setdefault("dtype", found[0]), self.axes.planes)
        masks = (path / MASKS / "zarr.json").is_file()
        if self._head.setdefault("masks", masks) != masks:
            raise StoreError(
                f"block {path.name} has {'' if masks else 'no '}masks, unlike blocks before it",
                "a study has an instrument's masks for every cell or for none",
            )
        if found != wanted:
            raise StoreError(
                f"block {path.name} holds {found[0]} in {found[1]} planes, the store "
                f"{wanted[0]} in {wanted[1]}",
                "a study has one dtype, and the same frames and channels for every cell",
            )

    @property
    def _digested(self) -> tuple[str, ...]:
        markers = (MARKER_PREFIX + marker for marker in self.markers)
        return ("acquisition", "object_index", "cell_id", "sha256", "label", *markers, *self.told)

    def close(self) -> dict[str, Any]:
        """Finish the table, write the manifest and return it.

        Raises:
            StoreError: there is no cell.
        """
        self._table.close()
        if not self._blocks:
            raise StoreError("the store has no cells", "add at least one block before closing it")
        masks = {"masks": True} if self._head.pop("masks") else {}
        manifest = (
            self._head
            | masks
            | {
                "cells": sum(self._counts["label"].values()),
                "lossy": self.lossy,
                "digest": self._digest.hexdigest(),
                "labels": dict(self._counts["label"]),
                "acquisitions": dict(self._counts["acquisition"]),
                "blocks": self._blocks,
                "table_sha256": file_sha256(self.path / "cells.parquet"),
            }
        )
        write_json(self.path / "manifest.json", manifest)
        return manifest

    def __enter__(self) -> StoreWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self.close()
        else:
            self._table.close()


def _link_or_copy(source: str, target: str) -> None:
    """Hard-link a file, or copy it where the file system cannot link."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)

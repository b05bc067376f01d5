"""Blocks: up to some thousands of cells in one sharded Zarr v3 array.

They are part of one acquisition, or small acquisitions as a whole.

A block is (n, P, H, W) in the raw dtype, P planes (imaging/axes.py), H and W the largest of the
block, smaller cells filled with 0 at the bottom and the right. Its inner chunks hold CHUNK cells,
all in one shard file: a random cell costs one small read, and a block is one file for DVC. Where an
instrument told masks, a second array of them lies within the first one's directory. A block is
written by one process, without knowledge of any other.

Codec: bit-shuffled LZ4 (Blosc). On 16-bit imaging-flow-cytometry brightfield, against no
compression it takes 0.37 of the space and reads and writes no slower; byte-shuffled LZ4 takes
0.42, zstd (level 1) 0.40 while writing at about 0.6 of the rate, shuffled zstd 0.32 at about 0.7.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Final

import numpy as np
import pyarrow as pa
import zarr
from zarr.codecs import BloscCodec

from unstained.data.store.fitness import Counts
from unstained.data.store.schema import COLUMNS, EXTERNAL, LABEL, MARKER_PREFIX
from unstained.data.store.statistics import pixel_sha256, pixel_statistics
from unstained.errors import StoreError
from unstained.files import file_sha256

NOTHING: Final[Mapping[str, str]] = MappingProxyType({})

MASKS: Final = "masks"
"""Name, within a block, of a like array with its cells' masks, where the instrument told them."""
AT_ONCE: Final = 2**20
"""Pixels that are stacked at most, but for a larger image."""
CHUNK: Final = 128
"""Cells an inner chunk: the least that is decompressed for one cell."""


@dataclass(frozen=True)
class Cell:
    """One decoded cell.

    Attributes:
        object_index: object number or tile index within the acquisition.
        source_file: path of the input-channel image, relative to the source.
        group: what must not be spread over parts.
        pixels: (T, C, h, w) raw counts, uint8 or uint16: frames, channels (imaging/axes.py).
        markers: background-corrected integrated fluorescence in the study's order of markers, NaN
            where not recorded.
        told: what the reader knows of this very cell, by column of the cell table: a class name or
            None, a number or NaN. `label` goes before the acquisition's; `external` is true where
            the cell is external though its acquisition is not.
        masks: (T, C, h, w) uint8 where the instrument told which pixels are the object: 0 around
            it, other values its own.
        stains: counts of the images that the markers were measured in, in their order.
    """

    object_index: int
    source_file: str
    group: str
    pixels: np.ndarray
    markers: tuple[float, ...] = ()
    told: Mapping[str, str | float | None] = field(default_factory=dict)
    masks: np.ndarray | None = None
    stains: tuple[Counts, ...] = ()

    @property
    def planes(self) -> np.ndarray:
        """Pixels as stored, (T * C, h, w)."""
        return _folded(self.pixels)


def _folded(pixels: np.ndarray) -> np.ndarray:
    return pixels.reshape(-1, *pixels.shape[2:])


@dataclass(frozen=True)
class Origin:
    """What the cells of one acquisition share; the label is None where it tells no class."""

    acquisition: str
    label: str | None
    external: bool = False


def table_schema(markers: Sequence[str], told: Mapping[str, str] = NOTHING) -> pa.Schema:
    """Arrow schema of the cell table: the columns of `data.store.schema`, markers, told columns."""
    fields = [pa.field(name, pa.type_for_alias(kind)) for name, kind in COLUMNS.items()]
    fields += [pa.field(MARKER_PREFIX + marker, pa.float64()) for marker in markers]
    fields += [pa.field(name, pa.type_for_alias(kind)) for name, kind in told.items()]
    return pa.schema(fields)


def block_name(acquisition: str, number: int) -> str:
    """Name of an acquisition's block, safe as a file name and different for every acquisition."""
    safe = re.sub(r"[^A-Za-z0-9._-]+", "_", acquisition)[:120].lstrip(".")
    if safe != acquisition:
        safe += "_" + hashlib.sha256(acquisition.encode()).hexdigest()[:8]
    return f"{safe}-{number:04d}"


def write_block(
    path: Path,
    origins: Sequence[Origin],
    cells: Sequence[Cell],
    markers: Sequence[str],
    told: Mapping[str, str] = NOTHING,
) -> pa.Table:
    """Write one block's array and return its rows of the cell table.

    Args:
        path: directory of the array, named by `block_name`; must not exist.
        origins: of each cell.
        cells: at least one cell, ordered by acquisition, then object index, all of one dtype and as
            many planes, all with masks or none.
        markers: names of the cells' marker values.
        told: further columns and their types, see `told_columns`.

    Returns:
        Table of `table_schema(markers, told)`, one row a cell.
    """
    pixels = [cell.planes for cell in cells]
    _write_array(path, pixels)
    masks = [_folded(cell.masks) for cell in cells if cell.masks is not None]
    if len(masks) not in (0, len(cells)):
        raise StoreError(
            f"block {path.name} has masks for {len(masks)} of {len(cells)} cells",
            "a study has an instrument's masks for every cell or for none",
        )
    if masks:
        _write_array(path / MASKS, masks)
    return _rows(path.name, origins, cells, markers, told, pixels)


def _write_array(path: Path, pixels: Sequence[np.ndarray]) -> None:
    count, channels = len(pixels), pixels[0].shape[0]
    height, width = max(p.shape[1] for p in pixels), max(p.shape[2] for p in pixels)
    values = np.zeros((count, channels, height, width), dtype=pixels[0].dtype)
    for target, image in zip(values, pixels, strict=True):
        target[:, : image.shape[1], : image.shape[2]] = image
    array = zarr.create_array(
        store=str(path),
        shape=values.shape,
        dtype=values.dtype,
        chunks=(CHUNK, channels, height, width),
        shards=(-(-count // CHUNK) * CHUNK, channels, height, width),
        filters=(),
        compressors=BloscCodec(cname="lz4", clevel=1, shuffle="bitshuffle"),
        fill_value=0,
    )
    array[:] = values


def _rows(
    block: str,
    origins: Sequence[Origin],
    cells: Sequence[Cell],
    markers: Sequence[str],
    told: Mapping[str, str],
    pixels: Sequence[np.ndarray],
) -> pa.Table:
    count, of_cells = len(cells), list(zip(origins, cells, strict=True))
    columns: dict[str, object] = {
        "cell_id": [f"{origin.acquisition}/{cell.object_index}" for origin, cell in of_cells],
        "acquisition": [origin.acquisition for origin in origins],
        "group": [cell.group for cell in cells],
        "label": [cell.told.get(LABEL, origin.label) for origin, cell in of_cells],
        "external": [o.external or bool(cell.told.get(EXTERNAL)) for o, cell in of_cells],
        "source_file": [cell.source_file for cell in cells],
        "object_index": [cell.object_index for cell in cells],
        "sha256": [pixel_sha256(image) for image in pixels],
        "height": [image.shape[1] for image in pixels],
        "width": [image.shape[2] for image in pixels],
        "block": [block] * count,
        "row": np.arange(count, dtype=np.int32),
    }
    columns |= _statistics(pixels)
    for position, marker in enumerate(markers):
        columns[MARKER_PREFIX + marker] = np.array([cell.markers[position] for cell in cells])
    for name, kind in told.items():
        unknown = None if kind == "string" else np.nan
        columns[name] = [cell.told.get(name, unknown) for cell in cells]
    return pa.Table.from_pydict(columns, schema=table_schema(markers, told))


def _statistics(pixels: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
    """Pixel statistics of all planes together, computed size by size."""
    columns: dict[str, np.ndarray] = {}
    for index, stack in by_size(pixels):
        for name, values in pixel_statistics(stack).items():
            columns.setdefault(name, np.empty(len(pixels), np.float32))[index] = values
    return columns


def by_size(pixels: Sequence[np.ndarray]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Stack images of equal size, a few at a time: what is computed of them takes ten times more.

    Args:
        pixels: images (P, h, w) of one dtype.

    Yields:
        Positions (n,) in `pixels` and their stack (n, P, h, w), in order of size.
    """
    sizes: dict[tuple[int, ...], list[int]] = {}
    for position, image in enumerate(pixels):
        sizes.setdefault(image.shape, []).append(position)
    for size, of_size in sorted(sizes.items()):
        most = max(1, AT_ONCE // math.prod(size))
        for start in range(0, len(of_size), most):
            index = of_size[start : start + most]
            yield np.array(index), np.stack([pixels[i] for i in index])


def block_files(path: Path) -> dict[str, str]:
    """Sha256 of a block's files by name relative to the block, in name order."""
    files = sorted(file for file in path.rglob("*") if file.is_file())
    return {file.relative_to(path).as_posix(): file_sha256(file) for file in files}

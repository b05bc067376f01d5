"""Files that hold many cells as one array: one module a format, all behind `contract.CellArray`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from unstained.data.readers.array_files.contract import CellArray, damaged
from unstained.data.readers.array_files.h5sc import H5sc
from unstained.data.readers.array_files.ome_zarr import OmeZarr
from unstained.data.readers.array_files.rtdc import Rtdc

FORMATS: Final[Mapping[str, Callable[[Path], CellArray]]] = {
    ".rtdc": Rtdc,
    ".h5sc": H5sc,
    ".zarr": OmeZarr,
}


def open_array(path: Path) -> CellArray:
    """Open a file by its suffix.

    Raises:
        ImageError: it is damaged, or holds something else.
    """
    with damaged():
        return FORMATS[path.suffix.lower()](path)

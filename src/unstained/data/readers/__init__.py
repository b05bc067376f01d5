"""Readers of the raw layouts: one module a layout, all behind `protocol.Reader`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from unstained.config.study import StudyData
from unstained.data.readers.arrays import Arrays
from unstained.data.readers.bccd import open_bccd
from unstained.data.readers.bsccm.reader import open_bsccm
from unstained.data.readers.cif import Cif
from unstained.data.readers.jurkat_montage import JurkatMontage
from unstained.data.readers.movies.reader import open_movies
from unstained.data.readers.protocol import Reader
from unstained.data.readers.table import open_table
from unstained.data.readers.zhu_ifc import ZhuIfc
from unstained.errors import SourceError

READERS: Final[Mapping[str, Callable[[Path, StudyData], Reader]]] = {
    "zhu_ifc": ZhuIfc,
    "jurkat_montage": JurkatMontage,
    "table": open_table,
    "cif": Cif.of,
    "bccd": open_bccd,
    "arrays": Arrays,
    "bsccm": open_bsccm,
    "movies": open_movies,
}

OF_A_FILE: Final = ("table", "cif")
"""Layouts whose source may be a single file."""


def open_reader(data: StudyData, source: Path) -> Reader:
    """The reader that `data` names, on the raw images at `source`.

    Raises:
        SourceError: `source` is not there, or is a file where the layout is a directory.
    """
    if not source.is_dir() and not (source.is_file() and data.reader in OF_A_FILE):
        kind = "directory or file" if data.reader in OF_A_FILE else "directory"
        raise SourceError(
            f"the source {source} is no {kind}",
            "correct studies.<study>.data.source in params.yaml, or mount the data there",
        )
    return READERS[data.reader](source, data)

"""Cells of files that somebody sent: opened by the readers that `unstained predict` uses.

An upload is a folder, an image, a .cif, a packed store, or a table with the images that it names.
The readers bring neither torch nor pandas along (tests/serving/test_imports.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, Final

from unstained.config.ingest import IngestParams
from unstained.config.study import StudyData, TableParams
from unstained.data.readers.places import is_image
from unstained.data.readers.tabular import TABLE_SUFFIXES, Column, column_names, read_tabular
from unstained.errors import ParameterError, SourceError, StoreError
from unstained.prediction.source import Cells, Seen, Unusable, open_cells
from unstained.serving.limits import Limits
from unstained.serving.predictor import CHUNK, Tensor
from unstained.serving.receiving import TooMuchError, UploadError
from unstained.temporary import temporary_folder
from unstained.wording import counted

NAME: Final = "upload"
"""Folder of an upload's files: what cells were recorded with where no folder tells."""
ALIKE: Final = 0.5
"""Share of a column's names that are files of the upload, from which it is the column of files."""
OWN: Final = {"acquisition": ("acquisition",), "object": ("object", "cell")}
"""Names of columns that `unstained predict` and the page give what was recorded together, and the
numbers of cells."""
INGEST: Final = IngestParams(
    on_error="quarantine", pixel_tags="check", workers=1, cells_per_block=4096
)


def study_of(card: Mapping[str, Any]) -> StudyData:
    """How files are read for a model: channels, frames, sizes, layout.

    Args:
        card: of the artifact.
    """
    return StudyData.model_validate(card["data"])


@contextmanager
def upload_folder() -> Iterator[Path]:
    """An empty folder for the files of one upload, which is gone afterwards whatever happens."""
    with temporary_folder() as folder:
        place = folder / NAME
        place.mkdir()
        yield place


def open_upload(folder: Path, data: StudyData, limits: Limits) -> Cells:
    """Find the cells of an upload; no image is opened.

    Args:
        folder: its files.
        data: how the model's images are read.
        limits: how many cells there may be.

    Raises:
        UploadError: no reader finds a cell.
        TooMuchError: there are more cells.
    """
    problems: list[str] = []
    for path, study in _ways(folder, data):
        try:
            cells = open_cells(study, path, None, INGEST)
        except (SourceError, ParameterError, StoreError) as error:
            problems.append(_relative(error.message, folder))
            continue
        if len(cells) > limits.upload_cells:
            raise TooMuchError(
                f"{len(cells):,} cells were sent, at most {limits.upload_cells:,} are taken",
                "send them in parts, or use `unstained predict STUDY SOURCE`, without limit",
            )
        return cells
    raise UploadError(
        f"no cell was found in what was sent: {problems[0]}",
        f"send TIFF, PNG, BMP or JPEG of {data.axes} each, a .cif, or a table with its images",
    )


def seen(cells: Cells, taken: Tensor) -> Iterator[list[Seen]]:
    """The cells, as many at a time as run through the graph at once.

    Images that are not of the kind that the model takes are refused one by one, so that the others
    are judged.

    Args:
        cells: of the upload.
        taken: the model's input.
    """
    unusable = Unusable((*cells.refused, *cells.others.refused))
    read = (cell for batch in (*cells.batches, unusable) for cell in batch.read())
    every = (_checked(cell, taken) for cell in read)
    while chunk := list(islice(every, CHUNK)):
        yield chunk


def _checked(cell: Seen, taken: Tensor) -> Seen:
    """The cell, without its pixels where they are of another kind than the model takes."""
    if cell.pixels is None:
        return cell
    pixels = cell.pixels.reshape(-1, *cell.pixels.shape[-2:])
    if pixels.dtype.name == taken.dtype and len(pixels) == taken.shape[1]:
        return cell._replace(pixels=pixels)
    held = f"{counted(len(pixels), 'image')} of {pixels.dtype.name}"
    reason = f"holds {held}; the model takes {taken.shape[1]} of {taken.dtype}"
    return cell._replace(pixels=None, refused=reason)


def _ways(folder: Path, data: StudyData) -> Iterator[tuple[Path, StudyData]]:
    """Places that may be the source, and how they are read, the likeliest first."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    if len(files) == 1 and (is_image(files[0].name) or files[0].suffix.lower() == ".cif"):
        yield files[0], data
        return
    for table in (path for path in files if path.suffix.lower() in TABLE_SUFFIXES):
        for params in _tables_of(table, files, data):
            yield table, data.model_copy(update={"reader": "table", "table": params})
    place = folder
    yield place, data
    while len(inside := list(place.iterdir())) == 1 and inside[0].is_dir():
        place = inside[0]
        yield place, data


def _tables_of(table: Path, files: list[Path], data: StudyData) -> Iterator[TableParams]:
    """How a table may be read: as the study says, else by the columns whose fields name files.

    Acquisitions and object numbers are those of the table where columns have the names that
    unstained's own tables give them, and the numbers tell its rows apart.
    """
    beside = [path for path in files if path.is_relative_to(table.parent)]
    there = {path.relative_to(table.parent).as_posix() for path in beside}
    try:
        names = column_names(table)
        if data.table is not None and {*data.table.images} <= {*names}:
            yield data.table.model_copy(update={"file": None, "external": None})
            return
        found = [name for name in names if _names_files(table, name, there)]
    except SourceError:
        return
    if not found:
        return
    several = len(found) == len(data.channels) > 1
    image = tuple(found) if several else found[0]
    told = {
        what: next((name for name in OWN[what] if name in names and name not in found), None)
        for what in OWN
    }
    if any(told.values()):
        yield TableParams(image=image, **told)
    yield TableParams(image=image)


def _names_files(table: Path, name: str, there: set[str]) -> bool:
    try:
        fields = read_tabular(table, {name: Column(name, "string")})[name].drop_null().to_pylist()
    except SourceError:
        return False
    return bool(fields) and sum(field in there for field in fields) >= ALIKE * len(fields)


def _relative(message: str, folder: Path) -> str:
    """A message without the name of the temporary folder."""
    return message.replace(f"{folder}/", "").replace(str(folder), "the upload")

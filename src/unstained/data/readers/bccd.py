"""Stained blood smears: the photographs of BCCD with their boxes, or the pictures made of them.

Photographs, below the source or below `dataset-master`, once or twice:

| file | holds |
|---|---|
| `JPEGImages/<photograph>.jpg` | the photograph |
| `Annotations/<photograph>.xml` | a box a cell (Pascal VOC) |
| `labels.csv` or `source_split.csv` | `,Image,Category`, as on Kaggle, or `image,label,...` |

Pictures, likewise below `dataset2-master`: `images/{TRAIN,TEST,TEST_SIMPLE}/<class>/<name>.jpeg`.

A photograph's cell is a square of the canvas's side around the middle of its only box of a white
cell, moved inside the photograph where it would leave it, at the resolution of the file. Labels
are of photographs: one of several white cells, or of several classes, tells none of them and is
refused. A picture is one cell, as it is; which photograph it was made of nobody recorded.

Either way a file is an acquisition, for nothing is known of patients and slides.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple
from xml.etree import ElementTree

from unstained.config.study import StudyData
from unstained.data.readers.cell_files import read_cells
from unstained.data.readers.folders import class_of
from unstained.data.readers.images import ImageError, read_image
from unstained.data.readers.places import image_names
from unstained.data.readers.protocol import (
    Acquisition,
    Item,
    Listing,
    Outcome,
    Reader,
    Refused,
    group_name,
    image_directories,
)
from unstained.data.store.blocks import Cell
from unstained.errors import SourceError

PHOTOGRAPHS: Final = "JPEGImages"
PICTURES: Final = "images"
PARTS: Final = ("TRAIN", "TEST", "TEST_SIMPLE")
BOXES: Final = "Annotations"
LABELS: Final = ("labels.csv", "source_split.csv")
WHITE_CELL: Final = "WBC"
EDGES: Final = ("ymin", "ymax", "xmin", "xmax")
QUARANTINE: Final = "set ingest.on_error: quarantine to go on without the photograph"


def open_bccd(source: Path, data: StudyData) -> Reader:
    """The reader of photographs, or of pictures made of them.

    Args:
        source: the folder.
        data: the study's section.

    Raises:
        SourceError: neither is there, or both are.
    """
    place, kind = the_one(source)
    return (Photographs if kind == PHOTOGRAPHS else Pictures)(source, data, place)


def the_one(source: Path) -> tuple[str, str]:
    """Where the images lie, and whether they are PHOTOGRAPHS or PICTURES.

    Raises:
        SourceError: neither is there, or both are.
    """
    photographs, pictures = places(source)
    if photographs and pictures:
        raise SourceError(
            f"{source} holds photographs ({photographs}) and pictures made of them ({pictures})",
            f"name one of the two: {source / Path(photographs).parent} or "
            f"{source / Path(pictures).parent}",
        )
    if not (photographs or pictures):
        raise SourceError(
            f"{source} holds no images: neither {PHOTOGRAPHS} nor {PICTURES}",
            "point the source at the folder dataset-master or dataset2-master of the download",
        )
    return (photographs, PHOTOGRAPHS) if photographs else (pictures, PICTURES)


def places(source: Path) -> tuple[str, str]:
    """Where photographs with boxes lie, and pictures made of them; '' where there are none."""
    photographs = _below(source, "dataset-master", PHOTOGRAPHS)
    pictures = _below(source, "dataset2-master", PICTURES)
    shared = any((source / pictures / part).is_dir() for part in PARTS)
    return photographs, pictures if shared else ""


def _below(source: Path, folder: str, wanted: str) -> str:
    """Where a folder lies relative to the source, below a folder that may be doubled; '' if not."""
    for place in (wanted, f"{folder}/{wanted}", f"{folder}/{folder}/{wanted}"):
        if (source / place).is_dir():
            return place
    return ""


class Box(NamedTuple):
    """Edges of a white cell's box in pixels."""

    top: float
    bottom: float
    left: float
    right: float

    @property
    def middle(self) -> tuple[float, float]:
        """Row and column."""
        return (self.top + self.bottom) / 2, (self.left + self.right) / 2


@dataclass(frozen=True)
class Smears:
    """What both readers know.

    Attributes:
        source: the folder.
        data: the study's section.
        place: of the images, relative to it.
    """

    source: Path
    data: StudyData
    place: str


class Photographs(Smears):
    """Reader of photographs with boxes."""

    def acquisitions(self) -> list[Acquisition]:
        """One a photograph, or one that has a label alone, in order of name.

        Raises:
            SourceError: there is none, or no table of labels.
        """
        names = image_names(self.source / self.place)
        if not names:
            raise SourceError(f"{self.source / self.place} holds no images", "unpack it again")
        labels = read_labels(labels_file(self.source, self.place))
        files = dict.fromkeys(labels, "") | {name.rpartition(".")[0]: name for name in names}
        classes = self.data.class_names
        return [
            Acquisition(
                title, label if label in classes else None, False, self.place, title, files[title]
            )
            for title in sorted(files)
            for label in [labels.get(title, "")]
        ]

    def items(self, acquisition: Acquisition) -> Listing:
        """The cell of a photograph; refused without it, its boxes or a class of the study."""
        file = f"{self.place}/{acquisition.montage or acquisition.name}"
        annotation = annotation_file(self.source, self.place, acquisition.name)
        read = (annotation, labels_file(self.source, self.place))
        beside = tuple(path.relative_to(self.source).as_posix() for path in read)
        if not acquisition.montage:
            reason = "it has a label, and is not among the photographs"
        elif acquisition.label is None:
            classes = ", ".join(self.data.class_names)
            reason = f"its labels do not name one class of the study ({classes})"
        elif not annotation.is_file():
            reason = f"there are no boxes of it: {BOXES}/{acquisition.name}.xml is missing"
        else:
            return Listing([Item(0, (acquisition.montage,))], cells=1, beside=beside)
        return Listing([], [Refused(file, reason, QUARANTINE)], 1, beside)

    def decode(self, acquisition: Acquisition, items: Sequence[Item]) -> Iterator[Outcome]:
        """Cut out the cell."""
        for item in items:
            yield self._cell(acquisition, item)

    def _cell(self, acquisition: Acquisition, item: Item) -> Outcome:
        file = f"{self.place}/{item.files[0]}"
        box = white_cell(annotation_file(self.source, self.place, acquisition.name))
        if isinstance(box, str):
            return Refused(file, box, QUARANTINE)
        try:
            image = read_image(str(self.source / file), self.data.axes)
        except ImageError as error:
            return Refused(file, str(error), error.remedy)
        top, left = (
            _begin(middle, self.data.canvas, size)
            for middle, size in zip(box.middle, image.shape[2:], strict=True)
        )
        square = image[:, :, top : top + self.data.canvas, left : left + self.data.canvas]
        group = group_name(self.data, acquisition, item.object_index)
        return Cell(item.object_index, file, group, square)


def annotation_file(source: Path, place: str, title: str) -> Path:
    """Where the boxes of a photograph are told."""
    return (source / place).parent / BOXES / f"{title}.xml"


def labels_file(source: Path, place: str) -> Path:
    """The first table of labels that is there.

    Raises:
        SourceError: there is none.
    """
    home = (source / place).parent
    folders = [home, *(p for p in home.parents if p.is_relative_to(source))]
    for path in (folder / name for folder in folders for name in LABELS):
        if path.is_file():
            return path
    raise SourceError(
        f"{source} holds no table of labels ({' or '.join(LABELS)})", f"put it beside {PHOTOGRAPHS}"
    )


def white_cell(annotation: Path) -> Box | str:
    """The box of a photograph's only white cell, or why there is none."""
    shown = f"{BOXES}/{annotation.name}"
    try:
        root = ElementTree.parse(annotation).getroot()  # noqa: S314 - entities are not expanded
        found = [
            Box(*(float(str(one.findtext(f"bndbox/{key}"))) for key in EDGES))
            for one in root.iter("object")
            if one.findtext("name") == WHITE_CELL
        ]
    except (OSError, ElementTree.ParseError, ValueError) as error:
        return f"its boxes in {shown} cannot be read ({error})"
    if not all(math.isfinite(edge) for box in found for edge in box):
        return f"its boxes in {shown} cannot be read (an edge is no finite number)"
    if len(found) != 1:
        return f"{shown} has {len(found)} boxes of white cells, and one label"
    return found[0]


def _begin(middle: float, side: int, size: int) -> int:
    """Where a window of a side begins so that it lies within `size` pixels, if it can."""
    return int(min(max(round(middle - side / 2), 0), max(size - side, 0)))


def read_labels(path: Path) -> dict[str, str]:
    """Photograph -> label; Kaggle's table numbers photographs, and lists several classes.

    Raises:
        SourceError: it is no such table.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = [{str(k).lower(): str(v or "").strip() for k, v in row.items()}
                    for row in csv.DictReader(file)]  # fmt: skip
        return {_title(row["image"]): row.get("label", row.get("category", "")) for row in rows}
    except (OSError, UnicodeDecodeError, csv.Error, KeyError) as error:
        raise SourceError(
            f"{path} is no table of labels ({error!r})",
            "its columns are Image and Category, or image and label",
        ) from None


def _title(image: str) -> str:
    """A photograph's name without its ending; '7' is BloodImage_00007."""
    return f"BloodImage_{int(image):05d}" if image.isdigit() else image.rpartition(".")[0] or image


class Pictures(Smears):
    """Reader of pictures in folders of parts and classes."""

    def acquisitions(self) -> list[Acquisition]:
        """One a picture, in order of name.

        Raises:
            SourceError: there is none, or a folder names no class.
        """
        home, found = self.source / self.place, []
        for folder in image_directories(home):
            label = class_of(folder, self.data.class_names, home)
            for name in image_names(home / folder):
                title = f"{folder}/{name}"
                directory = f"{self.place}/{folder}"
                found.append(Acquisition(title, label, False, directory, title, name))
        if not found:
            raise SourceError(f"{home} holds no images", "unpack the download again")
        return sorted(found, key=lambda acquisition: acquisition.name)

    def items(self, acquisition: Acquisition) -> Listing:
        """The picture."""
        return Listing([Item(0, (acquisition.montage,))], cells=1)

    def decode(self, acquisition: Acquisition, items: Sequence[Item]) -> Iterator[Outcome]:
        """Read the picture."""
        return read_cells(self.source, self.data, acquisition, items)

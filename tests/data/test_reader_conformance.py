"""What every reader keeps to, whatever its layout: a new one adds a line to `LAYOUTS`."""

from __future__ import annotations

import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from tests.conftest import ROOT
from tests.data.array_files import write_rtdc
from tests.data.bsccm_tree import write_bsccm
from tests.data.cif_writer import random_objects, write_cif
from tests.synthetic import asked, write_colour, write_ifc, write_image, write_montage
from unstained.config.project import load_params
from unstained.config.study import StudyData
from unstained.data.readers import READERS, open_reader
from unstained.data.readers.leftover import Leftover, Named, leftover
from unstained.data.readers.protocol import Filler, Outcome, Reader, Refused, group_name
from unstained.data.store.blocks import Cell
from unstained.errors import SourceError
from unstained.imaging.axes import COLOURS


def write_samples(folder: Path) -> None:
    write_ifc(folder, {"a_1d1": 3, "n_1d1": 2}, channels=("Ch1", "Ch2"))


def write_montages(folder: Path) -> None:
    write_montage(folder / "Experiment_1" / "G1", "CP0001", 5)
    write_montage(folder / "Experiment_1" / "Anaphase", "CP0001", 3)


def write_cifs(folder: Path) -> None:
    for name, numbers in (("a_1d1", (0, 1, 4)), ("n_1d1", (3, 7))):
        write_cif(folder / name / "tube.cif", random_objects(numbers, channels=4))


def write_files(folder: Path) -> None:
    write_colour(folder, {"a_1": 3, "n_1": 2}, suffix=".png")


def write_rows(folder: Path) -> None:
    """Cells of two folders, listed in another order than their numbers'."""
    write_colour(folder, {"one": 3, "two": 2}, suffix=".png")
    files = sorted(folder.rglob("*.png"), reverse=True)
    rows = [f"{file.relative_to(folder)};{number};a" for number, file in enumerate(files)]
    (folder / "cells.csv").write_text("\n".join(["path;id;label", *rows]) + "\n")


def write_photographs(folder: Path) -> None:
    """Photographs with a box each, and the table of labels of the download."""
    home = folder / "dataset-master"
    write_colour(home, {"JPEGImages": 3}, suffix=".png")
    (home / "Annotations").mkdir()
    for number in range(3):
        write_boxes(home / "Annotations" / f"cell_{number}.xml", [(5, 5, 20, 25)])
    (home / "labels.csv").write_text(",Image,Category\n0,cell_0,a\n1,cell_1,b\n2,cell_2,a\n")


def write_boxes(path: Path, boxes: list[tuple[int, int, int, int]]) -> None:
    """A Pascal VOC file with boxes of white cells, and one of a red cell."""
    names = ("xmin", "ymin", "xmax", "ymax")
    found = [("WBC", box) for box in boxes] + [("RBC", (0, 0, 9, 9))]
    objects = [
        f"<object><name>{kind}</name><bndbox>"
        + "".join(f"<{name}>{at}</{name}>" for name, at in zip(names, box, strict=True))
        + "</bndbox></object>"
        for kind, box in found
    ]
    path.write_text(f"<annotation>{''.join(objects)}</annotation>")


def write_pictures(folder: Path) -> None:
    home = folder / "dataset2-master/dataset2-master/images"
    write_colour(home, {"TRAIN/A": 2, "TRAIN/B": 2, "TEST/A": 1}, suffix=".png")


def write_arrays(folder: Path) -> None:
    write_rtdc(folder / "a_1" / "M1.rtdc", 3)
    write_rtdc(folder / "n_1" / "M1.rtdc", 2, seed=1)


def write_slides(folder: Path) -> None:
    found = [{"antibodies": "all"}, {"antibodies": "CD16"}, {"batch": 1}, {"antibodies": "CD16"}]
    write_bsccm(folder / "BSCCM-tiny", found)


def write_movies(folder: Path) -> None:
    """A movie as one file, and one as a folder of frames with numbers of different lengths."""
    rng = np.random.default_rng(0)
    stack = rng.integers(90, 250, (10, 40, 37)).astype(np.uint16)
    folder.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(folder / "a_1.tif", stack, photometric="minisblack", metadata=None)
    for number, frame in enumerate(stack[:6, :20, :36], 8):
        write_image(folder / "n_1" / f"t{number}.tif", frame)
    (folder / "movies.csv").write_text("path,share\na_1.tif,0.5\nn_1,\n")


@dataclass(frozen=True)
class Layout:
    """A source of one layout.

    Attributes:
        write: writes it to a folder.
        cells: how many it has.
        study, changes: the study that reads it.
        empty: what is said of an empty folder.
        moved: what is said where a folder has a name that is not known; '' where the names of
            folders that lie around the layout tell nothing.
    """

    write: Callable[[Path], None]
    cells: int
    study: str
    changes: dict[str, Any]
    empty: str = "holds no images"
    moved: str = "zzz matches no class"

    @property
    def data(self) -> StudyData:
        data = load_params(ROOT / "params.yaml").studies[self.study].data
        return StudyData.model_validate({**data.model_dump(), **self.changes})

    def reader(self, source: Path) -> Reader:
        return open_reader(self.data, source)


COLOUR = {"reader": "table", "channels": COLOURS, "markers": {}}
FOLDERS = COLOUR | {"tasks": asked(("a_1", "n_1"))}
KIND = {"kind": {"kind": "classes", "names": ["a", "b"]}}
TABLE = COLOUR | {"table": {"file": "cells.csv", "image": "path", "object": "id"}, "tasks": KIND}
CIF = {"reader": "cif", "markers": {"GFAP": "Ch2", "Olig2": "Ch3", "NeuN": "Ch4"}}
SMEARS = COLOUR | {"reader": "bccd", "tasks": KIND, "group": "acquisition"}
ARRAYS = {"reader": "arrays", "markers": {}, "channels": ["image"], "tasks": asked(("a_1", "n_1"))}
SLIDES = {
    "reader": "bsccm",
    "markers": {},
    "channels": ["DPC_Left", "DPC_Top"],
    "pixel_size_um": 0.2,
    "tasks": {"cell": {"kind": "classes", "names": ["lymphocyte", "monocyte"]}},
}
MOVIES = {
    "reader": "movies",
    "markers": {},
    "channels": ["phase"],
    "frames": 5,
    "canvas": 18,
    "movies": {"file": "movies.csv"},
    "tasks": asked(("a_1", "n_1")),
}
SOME = 12
"""Items that are read one by one: a montage of 900 is opened anew for each."""
LAYOUTS = {
    "zhu_ifc": Layout(write_samples, 5, "nsc", {}),
    "jurkat_montage": Layout(write_montages, 8, "cellcycle", {}),
    "folders": Layout(write_files, 5, "nsc", FOLDERS),
    "table": Layout(
        write_rows,
        5,
        "nsc",
        TABLE,
        "cells.csv cannot be read",
        "one/cell_2.png: row 3 of cells.csv",
    ),
    "photographs": Layout(
        write_photographs, 3, "blood", SMEARS | {"canvas": 20}, moved="Annotations/cell_0.xml"
    ),
    "pictures": Layout(write_pictures, 5, "blood", SMEARS),
    "cif": Layout(
        write_cifs, 5, "nsc", CIF, moved="zzz/tube.cif, by its name and its folder's, matches"
    ),
    "arrays": Layout(write_arrays, 5, "nsc", ARRAYS, moved="zzz/M1.rtdc matches no class"),
    "bsccm": Layout(write_slides, 4, "nsc", SLIDES, "holds no BSCCM_index.csv", moved=""),
    "movies": Layout(
        write_movies, 10, "nsc", MOVIES, "movies.csv cannot be read", "n_1: row 2 of movies.csv"
    ),
}


def test_every_reader_is_held_to_it() -> None:
    assert {layout.data.reader for layout in LAYOUTS.values()} == set(READERS)


@pytest.fixture(scope="module", params=LAYOUTS)
def layout(request: pytest.FixtureRequest) -> Layout:
    return LAYOUTS[request.param]


@pytest.fixture(scope="module")
def source(layout: Layout, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("source")
    layout.write(folder)
    return folder


def outcomes(reader: Reader) -> list[tuple[str, Outcome]]:
    """Acquisition and outcome of every item, and what listing refused."""
    found: list[tuple[str, Outcome]] = []
    for acquisition in reader.acquisitions():
        listing = reader.items(acquisition)
        found += [(acquisition.name, refused) for refused in listing.refused]
        found += [(acquisition.name, one) for one in reader.decode(acquisition, listing.items)]
    return found


def plain(found: list[tuple[str, Outcome]]) -> list[Any]:
    """The same as values that compare."""
    return [
        (name, type(outcome).__name__, outcome.object_index, getattr(outcome, "group", ""),
         outcome.pixels.tobytes() if isinstance(outcome, Cell) else b"")
        for name, outcome in found
        if not isinstance(outcome, Refused)
    ]  # fmt: skip


def test_every_item_has_one_outcome_in_its_order(layout: Layout, source: Path) -> None:
    reader, data = layout.reader(source), layout.data
    names = [acquisition.name for acquisition in reader.acquisitions()]
    assert names == sorted(set(names))
    cells = 0
    for acquisition in reader.acquisitions():
        listing = reader.items(acquisition)
        numbers = [item.object_index for item in listing.items]
        assert numbers == sorted(set(numbers))
        assert listing.refused == []
        found = list(reader.decode(acquisition, listing.items))
        assert [o.object_index for o in found if not isinstance(o, Refused)] == numbers
        for cell in (outcome for outcome in found if isinstance(outcome, Cell)):
            cells += 1
            assert cell.pixels.shape[:2] == (data.frames, len(data.channels))
            assert cell.pixels.dtype.kind == "u"
            assert cell.group == group_name(data, acquisition, cell.object_index)
            assert len(cell.markers) == len(data.markers)
            assert (source / cell.source_file).is_file()
    assert cells == layout.cells


def test_a_copy_made_elsewhere_in_another_order_reads_the_same(
    layout: Layout, source: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "elsewhere"
    for path in sorted((p for p in source.rglob("*") if p.is_file()), reverse=True):
        place = copy / path.relative_to(source)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, place)
    assert plain(outcomes(layout.reader(copy))) == plain(outcomes(layout.reader(source)))


def test_it_travels_to_a_worker_and_reads_any_items_alone(layout: Layout, source: Path) -> None:
    reader = layout.reader(source)
    there: Reader = pickle.loads(pickle.dumps(reader))
    every = plain(outcomes(reader))
    for acquisition in there.acquisitions():
        items = list(there.items(acquisition).items)
        some = items[:: max(1, len(items) // SOME)]
        alone = [
            (acquisition.name, one) for item in some for one in there.decode(acquisition, [item])
        ]
        keys = {(acquisition.name, item.object_index) for item in some}
        assert plain(alone) == [entry for entry in every if (entry[0], entry[2]) in keys]


def listed(layout: Layout, source: Path) -> Leftover:
    """What lies at a source and no listing names."""
    reader, named = layout.reader(source), Named()
    for acquisition in reader.acquisitions():
        named.add(acquisition, reader.items(acquisition))
    return leftover(source, named)


def inner_directory(copy: Path) -> Path:
    """The first directory below a source that holds files."""
    return next(p.parent for p in sorted(copy.rglob("*")) if p.is_file() and p.parent != copy)


def test_nothing_is_left_over_unless_it_is_listed(
    layout: Layout, source: Path, tmp_path: Path
) -> None:
    assert listed(layout, source) == Leftover()
    copy = tmp_path / "copy"
    shutil.copytree(source, copy)
    some = inner_directory(copy)
    inside = some.relative_to(copy).as_posix()
    for name in ("x.gif", "y.TIF.gz", "deck.czi", "notes.txt", ".secret"):
        (some / name).write_bytes(b"something")
    for name in (".DS_Store", "._x.tif", "Thumbs.db", "desktop.ini"):
        (some / name).write_bytes(b"of the system")
    (some / "back").symlink_to("..")
    (some / "up").symlink_to("/".join([".."] * (len(some.relative_to(copy).parts) + 1)))
    (some / "gone").symlink_to("nowhere")
    (some / "itself").symlink_to("itself")
    (copy / ".git").mkdir()
    (copy / ".git" / "x.tif").write_bytes(b"history")
    found = listed(layout, copy)
    assert {one.path: one.reason for one in found.unread} == {
        ".git": "is a hidden directory",
        f"{inside}/.secret": "is a hidden file",
        f"{inside}/back": "is a link to a directory that is read without it",
        f"{inside}/deck.czi": "is of a kind that is not read (.czi)",
        f"{inside}/gone": "is a link to nothing",
        f"{inside}/itself": "is a link to nothing",
        f"{inside}/notes.txt": "is no image",
        f"{inside}/up": "is a link to a directory around the source",
        f"{inside}/x.gif": "is of a kind that is not read (.gif)",
        f"{inside}/y.TIF.gz": "is of a kind that is not read (.tif.gz)",
    }
    kinds, links = list(found.notes())
    assert kinds.startswith("3 files of kinds that are not read (1 .czi, 1 .gif, 1 .tif.gz)")
    assert links.startswith("7 other files or links")
    assert found.refused == []
    assert plain(outcomes(layout.reader(copy))) == plain(outcomes(layout.reader(source)))


def test_a_name_that_is_no_text_is_refused(layout: Layout, source: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(source, copy)
    some = inner_directory(copy)
    (some / "inner").mkdir()
    (some / "inner" / "cell.tif").write_bytes(b"never opened")
    os.rename(some / "inner", os.fsencode(some) + b"/M\xfcnster")  # noqa: PTH104
    (refused,) = listed(layout, copy).refused
    assert refused.source_file == f"{some.relative_to(copy).as_posix()}/M\\xfcnster"
    assert "no text in UTF-8" in refused.reason
    assert "convmv" in refused.remedy
    assert plain(outcomes(layout.reader(copy))) == plain(outcomes(layout.reader(source)))


def test_directories_behind_links_are_read_once(
    layout: Layout, source: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in source.iterdir():
        (copy / path.name).symlink_to(path)
    assert plain(outcomes(layout.reader(copy))) == plain(outcomes(layout.reader(source)))
    assert listed(layout, copy) == Leftover()
    inside = copy / "twice"
    inside.symlink_to(next(path for path in sorted(copy.iterdir()) if path.is_dir()))
    assert plain(outcomes(layout.reader(copy))) == plain(outcomes(layout.reader(source)))
    assert [one.path for one in listed(layout, copy).unread] == ["twice"]


def test_what_is_no_image_is_passed_over(layout: Layout, source: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(source, copy)
    for directory in {path.parent for path in copy.rglob("*") if path.is_file()}:
        (directory / "README.md").write_text("about")
        (directory / "._hidden.tif").write_bytes(b"a macOS archive's companion")
    assert plain(outcomes(layout.reader(copy))) == plain(outcomes(layout.reader(source)))


def test_a_file_that_ends_early_is_refused_by_name(
    layout: Layout, source: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(source, copy)
    whole = outcomes(layout.reader(source))
    first = next(cell for _, cell in whole if isinstance(cell, Cell))
    damaged = copy / first.source_file
    damaged.write_bytes(damaged.read_bytes()[: damaged.stat().st_size // 2])
    found = outcomes(layout.reader(copy))
    refused = [outcome for _, outcome in found if isinstance(outcome, Refused)]
    assert refused
    assert {one.source_file for one in refused} == {first.source_file}
    assert all(one.reason and one.remedy for one in refused)
    untouched = [
        entry for entry in whole if isinstance(entry[1], Filler)
        or (isinstance(entry[1], Cell) and entry[1].source_file != first.source_file)
    ]  # fmt: skip
    kept = [entry for entry in plain(untouched) if entry[1] == "Cell"]
    assert [entry for entry in plain(found) if entry[1] == "Cell"] == kept
    assert kept


def test_an_empty_source_and_an_unknown_directory_are_refused(
    layout: Layout, source: Path, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(SourceError, match=layout.empty):
        layout.reader(tmp_path / "empty").acquisitions()
    copy = tmp_path / "copy"
    shutil.copytree(source, copy)
    some = next(path for path in sorted(copy.rglob("*/*")) if path.is_file()).parent
    some.rename(some.with_name("zzz"))
    if not layout.moved:
        assert plain(outcomes(layout.reader(copy))) == plain(outcomes(layout.reader(source)))
        return
    reader = layout.reader(copy)
    with pytest.raises(SourceError, match=layout.moved):
        for acquisition in reader.acquisitions():
            for refused in reader.items(acquisition).refused:
                raise refused.error(copy)


def test_readers_import_neither_torch_nor_pandas() -> None:
    """Decoding starts many worker processes."""
    script = (
        "import sys, unstained.data.readers;"
        "print(sorted({'torch', 'pandas', 'mlflow', 'ray'} & set(sys.modules)))"
    )
    found = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == "[]"

"""What every reader keeps to where files are damaged, doubled, or reading is interrupted."""

from __future__ import annotations

import shutil
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from tests.data.test_reader_conformance import LAYOUTS, Layout, listed, outcomes, plain
from tests.stages.test_ingest import arguments
from unstained.data.readers.protocol import Outcome, Refused
from unstained.data.store import inventory
from unstained.data.store.blocks import Cell
from unstained.data.store.cell_store import CellStore
from unstained.data.store.writer import StoreWriter
from unstained.errors import SourceError
from unstained.files import tree_sha256
from unstained.pipeline.contract import Report
from unstained.stages import ingest

NAMES = 256
"""Bytes an item that its names and what is told of it may take."""


@pytest.fixture(scope="module", params=LAYOUTS)
def layout(request: pytest.FixtureRequest) -> Layout:
    return LAYOUTS[request.param]


@pytest.fixture(scope="module")
def source(layout: Layout, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("source")
    layout.write(folder)
    return folder


@pytest.fixture(scope="module")
def whole(layout: Layout, source: Path) -> list[tuple[str, Outcome]]:
    """What the untouched source holds."""
    return outcomes(layout.reader(source))


def first_cell(whole: list[tuple[str, Outcome]]) -> Cell:
    return next(cell for _, cell in whole if isinstance(cell, Cell))


def test_a_file_of_another_content_is_refused_by_name(
    layout: Layout,
    source: Path,
    whole: list[tuple[str, Outcome]],
    tmp_path: Path,
) -> None:
    copy = Path(shutil.copytree(source, tmp_path / "copy"))
    file = first_cell(whole).source_file
    (copy / file).write_bytes(b"GIF89a" + b"\7" * 500)
    refused = [one for _, one in outcomes(layout.reader(copy)) if isinstance(one, Refused)]
    assert {one.source_file for one in refused} == {file}
    assert all(one.reason and one.remedy for one in refused)


def test_a_directory_in_a_files_place_is_no_cell(
    layout: Layout, source: Path, whole: list[tuple[str, Outcome]], tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(source, tmp_path / "copy"))
    file = first_cell(whole).source_file
    (copy / file).unlink()
    (copy / file).mkdir()
    found = outcomes(layout.reader(copy))
    assert file not in {one.source_file for _, one in found if isinstance(one, Cell)}


def test_a_second_copy_of_a_file_is_a_cell_of_its_own_refused_or_listed(
    layout: Layout, source: Path, whole: list[tuple[str, Outcome]], tmp_path: Path
) -> None:
    """Never nothing: what is doubled is somewhere to be seen, and other cells stay as they were."""
    copy = Path(shutil.copytree(source, tmp_path / "copy"))
    file = Path(first_cell(whole).source_file)
    again = file.with_name("second " + file.name)
    shutil.copy(copy / file, copy / again)
    doubled = {file.as_posix(), again.as_posix()}
    if layout.data.reader == "jurkat_montage":  # a name that no montage has stops the listing
        with pytest.raises(SourceError, match=r"second Ch3_CP0001\.tif is not named"):
            outcomes(layout.reader(copy))
        return
    found = outcomes(layout.reader(copy))
    files = [one.source_file for _, one in found if isinstance(one, Cell | Refused)]
    unread = [one.path for one in listed(layout, copy).unread]
    array = any(parent.suffix == ".zarr" for parent in again.parents)  # counts as one file
    assert array or again.as_posix() in {*files, *unread}
    before, after = (
        [
            (name, one)
            for name, one in some
            if isinstance(one, Cell) and one.source_file not in doubled
        ]
        for some in (whole, found)
    )
    assert [entry[-1] for entry in plain(after)] == [entry[-1] for entry in plain(before)]


def packed(layout: Layout, source: Path, root: Path) -> Report:
    """Ingest a layout in this process."""
    params, inputs, outputs, job = arguments(root, source, study=layout.study)
    data = layout.data.model_copy(update={"source": str(source)})
    return ingest.run(params.model_copy(update={"data": data}), inputs, outputs, job)


def test_an_interrupted_ingest_goes_on_to_the_same_bytes(
    layout: Layout, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inventory, "check_inventory", lambda *_: None)  # layouts lack classes
    fresh = packed(layout, source, tmp_path / "fresh")
    assert fresh.metrics["cells"] == layout.cells
    adopt = StoreWriter.adopt

    def interrupt(writer: StoreWriter, *block: Any) -> None:
        adopt(writer, *block)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(StoreWriter, "adopt", interrupt)
        with pytest.raises(KeyboardInterrupt):
            packed(layout, source, tmp_path / "again")
    store = tmp_path / "again" / "partial" / "store"
    assert not (store / "manifest.json").exists()
    report = packed(layout, source, tmp_path / "again")
    assert any("finished by an earlier run" in note for note in report.notes)
    assert len(CellStore.open(store)) == layout.cells
    trees = (tree_sha256(tmp_path / folder / "partial") for folder in ("fresh", "again"))
    assert len(set(trees)) == 1


def test_memory_does_not_grow_with_the_number_of_cells(
    layout: Layout, source: Path, whole: list[tuple[str, Outcome]]
) -> None:
    """Cells leave one by one: a hundred times as many need no more than a few do."""
    reader = layout.reader(source)
    acquisition = reader.acquisitions()[0]
    items = list(reader.items(acquisition).items)[:3]

    def peak(times: int) -> int:
        tracemalloc.start()
        for _ in reader.decode(acquisition, items * times):
            pass
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    peak(1)  # what is loaded once
    pixels = max(c.pixels.nbytes for _, c in whole if isinstance(c, Cell))
    growth, more = peak(100) - peak(4), 96 * len(items)
    assert growth < more * (pixels / 3 + NAMES)

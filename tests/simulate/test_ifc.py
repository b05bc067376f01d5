"""The simulated study on disk: layout, truth, sameness, interruptions, and what it teaches."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile

from unstained.config.project import load_params
from unstained.config.study import SimulateParams, StudyData
from unstained.data.readers import open_reader
from unstained.data.readers.zhu_ifc import integrated_fluorescence
from unstained.errors import ParameterError
from unstained.files import read_json, tree_sha256
from unstained.simulate import ifc
from unstained.simulate.ifc import simulate_study


@pytest.fixture(scope="module")
def data(repository: Path) -> StudyData:
    return load_params(repository / "params.yaml").studies["nsc"].data


def tiny(**changes: object) -> SimulateParams:
    values = {
        "acquisitions_per_class": 2,
        "cells_per_acquisition": 6,
        "confound": 0.0,
        "debris": 0.1,
        "doublets": 0.1,
        "focus_drift_um": 1.0,
        "difficulty": 0.5,
    }
    return SimulateParams.model_validate(values | changes)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory, data: StudyData) -> Path:
    destination = tmp_path_factory.mktemp("study")
    assert simulate_study(destination, tiny(), data, 11) == destination / "images"
    return destination


def files(study: Path) -> list[Path]:
    return sorted((study / "images").glob("*/*"))


def test_layout_is_that_of_the_published_data(study: Path) -> None:
    directories = sorted(path.name for path in (study / "images").iterdir() if path.is_dir())
    assert directories == [
        "a_1d1",
        "a_1d2",
        "n_1d1",
        "n_1d2",
        "nt3_1d1",
        "nt4_1d1",
        "o_1d1",
        "o_1d2",
    ]
    cells: dict[str, set[int]] = {}
    for path in files(study):
        match = re.fullmatch(r"(.+)_(\d+)_Ch(1|2|3|11)\.ome\.tif", path.name)
        assert match, path.name
        assert match[1] == path.parent.name
        cells.setdefault(match[1], set()).add(int(match[2]))
    counts = {name: len(objects) for name, objects in cells.items()}
    assert read_json(study / "images" / "manifest.json") == {"cells": counts}
    assert counts["a_1d1"] == 6
    assert counts["nt3_1d1"] == 3
    assert len(files(study)) == 4 * sum(counts.values())


def test_files_are_twelve_bit_images_without_time_stamps(study: Path) -> None:
    shapes = set()
    for path in files(study):
        with tifffile.TiffFile(path) as file:
            image = file.asarray()
            assert {"DateTime", "Software"}.isdisjoint(tag.name for tag in file.pages[0].tags)
        assert image.dtype == np.uint16
        assert image.max() <= 4095
        assert image.shape[1] == 60
        assert 37 <= image.shape[0] <= 57
        shapes.add(image.shape)
    assert len(shapes) > 5


def test_the_reader_takes_every_cell(study: Path, data: StudyData) -> None:
    reader = open_reader(data, study / "images")
    truth = pd.read_parquet(study / "truth" / "cells.parquet").set_index("cell_id")
    seen = []
    for acquisition in reader.acquisitions():
        listing = reader.items(acquisition)
        assert not listing.refused
        for item in listing.items:
            seen.append(f"{acquisition.name}/{item.object_index}")
            assert truth.loc[seen[-1], "lineage"] == acquisition.label
    assert sorted(seen) == sorted(truth.index)


def test_truth_agrees_with_the_images(study: Path, data: StudyData) -> None:
    truth = pd.read_parquet(study / "truth" / "cells.parquet").set_index("cell_id")
    assert set(truth.kind) == {"cell", "debris", "doublet"}
    logs, overlap = [], []
    for sample in ("a_1d1", "n_1d2", "o_1d1"):
        with np.load(study / "truth" / f"{sample}.npz") as file:
            ids, masks = file["cell_id"], file["mask"]
        for cell_id, mask in zip(ids, masks, strict=True):
            row = truth.loc[cell_id]
            stem = str(study / "images" / sample / cell_id.replace("/", "_"))
            image = tifffile.imread(f"{stem}_Ch1.ome.tif").astype(float)
            height = image.shape[0]
            crop = mask[32 - height // 2 :][:height, 2:62]
            level = np.median(image[~crop])
            assert level == pytest.approx(660 * row["lamp"] + 17, rel=0.03)
            overlap.append((image[crop].std(), image[~crop].std()))
            assert row["area_um2"] == pytest.approx(mask.sum() * data.pixel_size_um**2)
            for marker, channel in data.markers.items():
                found = integrated_fluorescence(tifffile.imread(f"{stem}_{channel}.ome.tif"))
                logs.append((np.log(max(found, 1)), np.log(row[f"true_{marker}"]), row["kind"]))
    inside, outside = np.array(overlap).T
    assert (inside > 1.5 * outside).mean() > 0.9
    measured, true = np.array([(m, t) for m, t, kind in logs if kind != "debris"]).T
    assert np.abs(measured - true).max() < 0.25


def test_same_seed_same_bytes_whatever_the_batch_and_the_threads(
    study: Path, tmp_path: Path, data: StudyData, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ifc, "CELLS_AT_ONCE", 5)
    monkeypatch.setattr(os, "cpu_count", lambda: 3)
    simulate_study(tmp_path, tiny(), data, 11)
    assert tree_sha256(tmp_path) == tree_sha256(study)


def test_another_seed_gives_other_cells(study: Path, tmp_path: Path, data: StudyData) -> None:
    small = tiny(acquisitions_per_class=1, cells_per_acquisition=2)
    first = simulate_study(tmp_path / "1", small, data, 11) / "a_1d1"
    second = simulate_study(tmp_path / "2", small, data, 12) / "a_1d1"
    assert tree_sha256(first) != tree_sha256(second)


def test_a_complete_simulation_is_reused_and_a_changed_one_replaced(
    tmp_path: Path, data: StudyData
) -> None:
    small = tiny(acquisitions_per_class=1, cells_per_acquisition=2)
    images = simulate_study(tmp_path, small, data, 1)
    before = {path: path.stat().st_mtime_ns for path in images.rglob("*")}
    simulate_study(tmp_path, small, data, 1)
    assert before == {path: path.stat().st_mtime_ns for path in images.rglob("*")}
    simulate_study(tmp_path, tiny(acquisitions_per_class=1, cells_per_acquisition=3), data, 1)
    assert read_json(images / "manifest.json")["cells"]["a_1d1"] == 3
    assert len(list((images / "a_1d1").iterdir())) == 12


def test_killed_simulation_goes_on_and_ends_with_the_same_bytes(
    study: Path, tmp_path: Path, repository: Path, data: StudyData
) -> None:
    script = (
        "import sys; from pathlib import Path\n"
        "from unstained.config.study import SimulateParams\n"
        "from unstained.config.project import load_params\n"
        "from unstained.simulate.ifc import simulate_study\n"
        "data = load_params(Path(sys.argv[1])).studies['nsc'].data\n"
        "simulate_study(Path(sys.argv[2]), "
        "SimulateParams.model_validate_json(sys.argv[3]), data, 11)\n"
    )
    words = [sys.executable, "-c", script, str(repository / "params.yaml"), str(tmp_path)]
    process = subprocess.Popen([*words, tiny().model_dump_json()], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and not list(tmp_path.glob("images/[a-z]*")):
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    finished = {path.name: path.stat().st_mtime_ns for path in tmp_path.glob("images/[a-z]*")}
    assert finished
    assert not (tmp_path / "simulation.json").exists()
    simulate_study(tmp_path, tiny(), data, 11)
    assert tree_sha256(tmp_path) == tree_sha256(study)
    kept = {name: (tmp_path / "images" / name).stat().st_mtime_ns for name in finished}
    assert kept == finished


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"reader": "jurkat_montage"}, "jurkat_montage"),
        ({"markers": {"DNA": "Ch5"}}, "DNA"),
        ({"pixel_size_um": 0.5}, "pixel_size_um"),
    ],
)
def test_studies_that_cannot_be_simulated_are_refused(
    tmp_path: Path, data: StudyData, change: dict[str, object], word: str
) -> None:
    with pytest.raises(ParameterError, match=word):
        simulate_study(tmp_path / "s", tiny(), data.model_copy(update=change), 1)
    assert not (tmp_path / "s").exists()

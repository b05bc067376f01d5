"""Ingest: what the store holds, what is refused, and what an interruption leaves."""

from __future__ import annotations

import functools
import os
import pickle
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import psutil
import pytest
import tifffile

from tests.data.cif_writer import random_objects, write_cif, write_population
from tests.synthetic import asked, tasks, write_colour, write_ifc, write_image
from unstained.config.project import ProjectParams, load_params
from unstained.config.study import SimulateParams, TableParams
from unstained.data.store.block_plan import SMALL, cells_per_block
from unstained.data.store.cell_store import CellStore
from unstained.errors import ParameterError, SourceError, UnstainedError
from unstained.files import tree_sha256
from unstained.imaging.axes import COLOURS
from unstained.pipeline.contract import Job, Report
from unstained.stages import ingest

ROOT = Path(__file__).resolve().parents[2]
SAMPLES = {"a_1": 150, "a_2": 10, "n_1": 70, "nt3": 5, "o_1": 64}

# Runs ingest in a process of its own, with arguments from a pickle.
SCRIPT = "import pickle, sys; from unstained.stages import ingest; " + (
    "ingest.run(*pickle.load(open(sys.argv[1], 'rb')))"
)


@functools.cache
def _project() -> ProjectParams:
    return load_params(ROOT / "params.yaml")


def arguments(
    root: Path, source: str | Path | None, *, study: str = "nsc", workers: int = 1, **changes: Any
) -> tuple[ingest.IngestStageParams, dict[str, Path], dict[str, Path], Job]:
    """Arguments of the stage in a project at `root`; `changes` go to data, simulate or ingest."""
    project = _project()
    sections = project.studies[study].recipes["demo"].sections()
    data = {"source": source and str(source)} | changes.pop("data", {})
    options = {"workers": workers, "cells_per_block": 64} | changes
    params = ingest.IngestStageParams(
        common=sections.common,
        data=project.studies[study].data.model_copy(update=data),
        simulate=options.pop("simulate", None),
        simulate_slides=None,
        simulate_monolayers=None,
        ingest=sections.ingest.model_copy(update=options),
    )
    for name in ("partial", "scratch"):
        (root / name).mkdir(parents=True, exist_ok=True)
    shutil.rmtree(root / "partial" / "store", ignore_errors=True)
    job = Job(
        study, None, "demo", (), root / "scratch", "0" * 64, None, root, "unknown"  # type: ignore[arg-type]
    )  # fmt: skip
    outputs = {"store": root / "partial/store", "quarantine": root / "partial/quarantine.csv"}
    return params, {}, outputs, job


def run(root: Path, source: str | Path | None, **changes: Any) -> tuple[Report, CellStore]:
    report = ingest.run(*arguments(root, source, **changes))
    return report, CellStore.open(root / "partial" / "store")


def quarantined(root: Path) -> list[str]:
    return (root / "partial" / "quarantine.csv").read_text().splitlines()


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_ifc(tmp_path_factory.mktemp("raw"), SAMPLES)


@pytest.fixture
def source(raw: Path, tmp_path: Path) -> Path:
    """A copy of the raw images that a test may spoil."""
    return Path(shutil.copytree(raw, tmp_path / "source", copy_function=os.link))


def test_store_holds_what_the_files_hold(raw: Path, tmp_path: Path) -> None:
    report, store = run(tmp_path, raw)
    table = store.table
    assert report.metrics["cells"] == len(store) == sum(SAMPLES.values())
    assert report.metrics["cells_neuron"] == 75
    assert report.metrics["acquisitions"] == 5
    assert report.metrics["dtype"] == "uint16"
    assert report.metrics["quarantined"] == 0
    assert report.notes == ()
    assert quarantined(tmp_path) == ["source_file,reason,kind"]
    assert table["acquisition"].value_counts().to_dict() == SAMPLES
    assert table[["acquisition", "object_index"]].apply(tuple, axis=1).is_monotonic_increasing
    assert table.loc[table["external"], "acquisition"].unique().tolist() == ["nt3"]
    for row, image in enumerate(store.images(range(len(store)))):
        file = raw / table.loc[row, "source_file"]
        np.testing.assert_array_equal(image[0], tifffile.imread(file))
        assert file.name == f"{table.loc[row, 'cell_id'].replace('/', '_')}_Ch1.ome.tif"
    assert table["marker_GFAP"].notna().all()
    assert table["marker_NeuN"].isna().all()


def test_small_acquisitions_share_blocks(tmp_path: Path) -> None:
    """A directory a cell costs no array a cell, and the store tells the same of every cell."""
    samples = {f"{letter}_{number}": 1 + number for letter in "ano" for number in range(10, 18)}
    raw = write_ifc(tmp_path / "raw", samples)
    report, store = run(tmp_path, raw)
    assert store.table["acquisition"].value_counts().to_dict() == samples
    assert report.metrics["acquisitions"] == len(samples)
    for row, image in enumerate(store.images(range(len(store)))):
        file = raw / store.table.loc[row, "source_file"]
        np.testing.assert_array_equal(image[0], tifffile.imread(file))
        assert file.name == f"{store.table.loc[row, 'cell_id'].replace('/', '_')}_Ch1.ome.tif"
        assert store.table.loc[row, "label"][0] == file.name[0]
    large = {name for name, cells in samples.items() if cells >= SMALL}
    assert len(store.manifest["blocks"]) == len(large) + 6
    bad = raw / "n_12" / "n_12_3_Ch1.ome.tif"
    bad.write_bytes(bad.read_bytes()[:50])
    again, left = run(tmp_path, raw, on_error="quarantine")
    assert len(left) == len(store) - 1
    assert "n_12_3_Ch1" in quarantined(tmp_path)[1]
    assert again.metrics["quarantined"] == 1


def test_objects_of_cif_files_with_masks_and_populations(tmp_path: Path) -> None:
    written = {name: random_objects(range(count)) for name, count in (("x", 70), ("y", 3))}
    for name, objects in written.items():
        write_cif(tmp_path / "source" / f"{name}.cif", objects)
        write_population(tmp_path / "source" / f"{name}_astrocyte.txt", [0])
        write_population(tmp_path / "source" / f"{name}_neuron.txt", [1, 2])
    kinds = {"lineage": {"kind": "classes", "names": ["astrocyte", "neuron"]}}
    changes = {"reader": "cif", "markers": {"GFAP": "Ch2"}, "tasks": tasks(kinds)}
    report, store = run(tmp_path, tmp_path / "source", data=changes)
    assert report.metrics["cells"] == 73
    assert report.metrics["cells_neuron"] == 4
    assert report.metrics["cells_unknown"] == 67
    every = [*written["x"], *written["y"]]
    for one, image, mask in zip(
        every, store.images(range(73)), store.masks(range(73)), strict=True
    ):
        np.testing.assert_array_equal(image[0], one.pixels[0])
        np.testing.assert_array_equal(mask, one.masks[0] > 0)
    again, _ = run(tmp_path, tmp_path / "source", data=changes)
    assert again.notes == ("3 of 3 blocks were finished by an earlier run",)
    write_population(tmp_path / "source" / "x_neuron.txt", [1, 2, 3])
    changed, _ = run(tmp_path, tmp_path / "source", data=changes)
    assert changed.metrics["cells_neuron"] == 5
    alone, _ = run(tmp_path, tmp_path / "source" / "y.cif", data=changes)
    assert alone.metrics["cells"] == 3


def test_same_bytes_for_any_number_of_workers(raw: Path, tmp_path: Path) -> None:
    run(tmp_path / "one", raw, workers=1)
    run(tmp_path / "two", raw, workers=2)
    assert tree_sha256(tmp_path / "one/partial") == tree_sha256(tmp_path / "two/partial")


def test_bad_file_stops_or_is_quarantined(source: Path, tmp_path: Path) -> None:
    bad = source / "a_1" / "a_1_70_Ch2.ome.tif"
    content = bad.read_bytes()
    bad.unlink()
    bad.write_bytes(content[:500])
    write_image(source / "o_1" / "o_1_003_Ch1.ome.tif", np.zeros((5, 6), np.uint16))
    with pytest.raises(SourceError, match=r"o_1/o_1_3_Ch1.ome.tif: is a second file"):
        run(tmp_path, source)
    report, store = run(tmp_path, source, on_error="quarantine")
    assert quarantined(tmp_path)[0] == "source_file,reason,kind"
    assert [line.split(",")[0] for line in quarantined(tmp_path)[1:]] == [
        "a_1/a_1_70_Ch2.ome.tif",
        "o_1/o_1_3_Ch1.ome.tif",
    ]
    assert report.metrics["quarantined"] == 2
    assert "2 files or cells are quarantined" in report.notes[0]
    assert not set(store.table["cell_id"]) & {"a_1/70", "o_1/3"}
    assert len(store) == sum(SAMPLES.values()) - 2
    (source / "o_1" / "o_1_003_Ch1.ome.tif").unlink()
    with pytest.raises(SourceError, match=r"a_1_70_Ch2.ome.tif: truncated or corrupt") as error:
        run(tmp_path, source, workers=2)
    assert "quarantine" in error.value.remedy
    assert not (tmp_path / "partial/store/manifest.json").exists()


def test_repaired_file_is_packed_again(source: Path, raw: Path, tmp_path: Path) -> None:
    bad = source / "a_1" / "a_1_70_Ch1.ome.tif"
    bad.unlink()
    bad.write_bytes(b"spoiled")
    with pytest.raises(SourceError, match="a_1_70"):
        run(tmp_path / "x", source)
    bad.unlink()
    os.link(raw / "a_1" / bad.name, bad)
    report, _ = run(tmp_path / "x", source)
    assert report.notes == ("1 of 8 blocks were finished by an earlier run",)
    run(tmp_path / "fresh", raw)
    assert tree_sha256(tmp_path / "x/partial") == tree_sha256(tmp_path / "fresh/partial")


def test_cells_are_external_by_path_or_by_a_table(raw: Path, tmp_path: Path) -> None:
    _, store = run(tmp_path, raw, data={"external": ("^a_2", "n_1")})
    outside = store.table.groupby("acquisition")["external"].mean().to_dict()
    assert outside == {"a_1": 0, "a_2": 1, "n_1": 1, "nt3": 1, "o_1": 0}
    columns = TableParams(file="cells.csv", image="file", acquisition="plate", external="held")
    lineage = {"lineage": {"kind": "classes", "names": ["astrocyte", "neuron"]}}
    data = {"reader": "table", "markers": {}, "table": columns, "tasks": tasks(lineage)}
    write_ifc(tmp_path / "source", {"a": 4}, channels=("Ch1",))
    rows = [f"a/a_{cell}_Ch1.ome.tif,p,{cell == 2},neuron" for cell in range(4)]
    (tmp_path / "source/cells.csv").write_text("\n".join(["file,plate,held,label", *rows]))
    _, store = run(tmp_path, tmp_path / "source", data=data)
    assert store.table["external"].tolist() == [False, False, True, False]
    assert store.table["label"].tolist() == ["neuron"] * 4


def test_files_compressed_with_loss_are_counted(tmp_path: Path) -> None:
    images = write_colour(tmp_path / "source", {"a_1": 70, "n_1": 3, "o_1": 3})
    for number in range(2, 70):
        file = tmp_path / "source" / "a_1" / f"cell_{number}.png"
        file.with_suffix(".jpg").write_bytes(imagecodecs.jpeg8_encode(images["a_1"][number]))
        file.unlink()
    lineage = tasks(asked(("astrocyte", "neuron", "oligodendrocyte")))
    data = {"reader": "table", "channels": COLOURS, "markers": {}, "tasks": lineage}
    for sample in ("astrocyte_1", "neuron_1", "oligodendrocyte_1"):
        old = tmp_path / "source" / f"{sample[0]}_1"
        old.rename(old.with_name(sample))
    report, store = run(tmp_path, tmp_path / "source", data=data)
    assert store.lossy == 68
    (note,) = report.notes
    assert note.startswith("68 of 76 cells come from files that were compressed with loss (JPEG)")
    report, store = run(tmp_path, tmp_path / "source", data=data)
    assert store.lossy == 68
    assert len(report.notes) == 2


@pytest.mark.parametrize("name", ["a_1_149", "n_1_69"])
def test_mixed_dtypes(source: Path, tmp_path: Path, name: str) -> None:
    file = source / name[:3] / f"{name}_Ch1.ome.tif"
    image = tifffile.imread(file)
    for other in source.glob(f"{name[:3]}/*_Ch1.ome.tif") if name[0] == "n" else [file]:
        other.unlink()
        write_image(other, image.astype(np.uint8))
    for path in source.glob(f"{name[:3]}/*_Ch2.ome.tif"):
        path.unlink()
    for on_error in ("fail", "quarantine"):
        with pytest.raises(SourceError, match=rf"{name[:3]}/.*Ch1.ome.tif holds uint8.*uint16"):
            run(tmp_path, source, on_error=on_error)


def test_what_names_tell_is_refused_before_decoding(source: Path, tmp_path: Path) -> None:
    bad = source / "a_1" / "a_1_0_Ch1.ome.tif"
    bad.unlink()
    bad.write_bytes(b"spoiled: decoding would fail here")
    data = {"expected": {"astrocyte": 160, "oligodendrocyte": 64, "neuron": 71}}
    with pytest.raises(SourceError, match="class neuron has 70 cells, 71 promised"):
        run(tmp_path, source, data=data, on_error="quarantine")
    shutil.rmtree(source / "o_1")
    with pytest.raises(SourceError, match="class oligodendrocyte has no cell"):
        run(tmp_path, source)
    write_ifc(source, {"z_1": 1})
    with pytest.raises(SourceError, match=f"directory {source}/z_1 matches no class"):
        run(tmp_path, source, on_error="quarantine")


def test_expected_counts_hold_where_cells_tell_their_class(tmp_path: Path) -> None:
    source = tmp_path / "source"
    write_colour(source, {"a": 3, "b": 2}, suffix=".png")
    told = {"kind": {"kind": "classes", "names": ["a", "b"]}}
    data = {"reader": "table", "channels": COLOURS, "markers": {}, "tasks": tasks(told)}
    run(tmp_path, source, data=data | {"expected": {"a": 3, "b": 2}})
    for promised in ({"a": 3, "b": 3}, {"a": 3}):
        with pytest.raises(SourceError, match=r"class b has 2 cells, \d promised"):
            run(tmp_path, source, data=data | {"expected": promised})
    next((source / "b").iterdir()).write_bytes(b"spoiled")
    for number, promised in enumerate(({"a": 3, "b": 2}, {"a": 3, "b": 1})):
        given = data | {"expected": promised}
        run(tmp_path / str(number), source, data=given, on_error="quarantine")
    with pytest.raises(SourceError, match="class b has 1 cell and 1 quarantined, 3 promised"):
        data |= {"expected": {"a": 3, "b": 3}}
        run(tmp_path / "more", source, data=data, on_error="quarantine")


def test_class_that_is_quarantined_whole_is_empty(source: Path, tmp_path: Path) -> None:
    for file in (source / "o_1").glob("*_Ch1.ome.tif"):
        file.unlink()
        file.write_bytes(b"spoiled")
    with pytest.raises(SourceError, match="class oligodendrocyte has no cell"):
        run(tmp_path, source, on_error="quarantine")
    assert not (tmp_path / "partial/store/manifest.json").exists()


def test_missing_sources(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="nowhere is no directory"):
        run(tmp_path, "nowhere")
    with pytest.raises(ParameterError, match="has no source"):
        run(tmp_path, None)
    with pytest.raises(ParameterError, match="no section `simulate`"):
        run(tmp_path, "simulator")


def descendants(process: psutil.Process) -> list[psutil.Process]:
    return process.children(recursive=True)


def start_blocked(root: Path, source: Path) -> tuple[subprocess.Popen[bytes], Path]:
    """Ingest in a process of its own, held up for ever by a pipe in place of one file."""
    pipe = source / "n_1" / "n_1_5_Ch1.ome.tif"
    pipe.unlink()
    os.mkfifo(pipe)
    pickled = root / "arguments"
    pickled.write_bytes(pickle.dumps(arguments(root, source, workers=2)))
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(pickled)],
        cwd=ROOT,
        stderr=(root / "errors").open("wb"),
        start_new_session=True,
    )
    # Seven of eight blocks are finished: all but the one with the pipe.
    deadline = time.monotonic() + 60
    while len(list(root.glob("scratch/rows/*.json"))) < 7:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return process, pipe


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_interrupted_ingest_goes_on_to_the_same_bytes(
    source: Path, raw: Path, tmp_path: Path, number: signal.Signals
) -> None:
    process, pipe = start_blocked(tmp_path, source)
    family = descendants(psutil.Process(process.pid))
    assert len(family) >= 3  # the server that starts the workers, and two workers
    process.send_signal(number)
    assert process.wait(timeout=30) != 0
    _, alive = psutil.wait_procs(family, timeout=30)
    assert [p for p in alive if p.status() != psutil.STATUS_ZOMBIE] == []
    if number == signal.SIGINT:
        assert "leaked" not in (tmp_path / "errors").read_text()
    assert not (tmp_path / "partial/store/manifest.json").exists()
    pipe.unlink()
    os.link(raw / "n_1" / pipe.name, pipe)
    record = tmp_path / "scratch/rows/a_1-0000.json"
    shard = next(p for p in tmp_path.glob("scratch/blocks/a_1-0001/c/**/*") if p.is_file())
    shard.write_bytes(shard.read_bytes()[:-1] + b"x")
    record.write_text("{")
    report, _ = run(tmp_path, source)
    assert report.notes == ("5 of 8 blocks were finished by an earlier run",)
    run(tmp_path / "fresh", raw)
    assert tree_sha256(tmp_path / "partial") == tree_sha256(tmp_path / "fresh/partial")


def test_killed_worker_is_a_clear_error(source: Path, tmp_path: Path) -> None:
    pipe = source / "n_1" / "n_1_5_Ch1.ome.tif"
    pipe.unlink()
    os.mkfifo(pipe)
    older = set(descendants(psutil.Process()))

    def kill_workers() -> None:
        deadline = time.monotonic() + 60
        while len(list(tmp_path.glob("scratch/rows/*.json"))) < 7 and time.monotonic() < deadline:
            time.sleep(0.02)
        for process in set(descendants(psutil.Process())) - older:
            if process.parent() != psutil.Process() and not process.children():
                process.kill()

    thread = threading.Thread(target=kill_workers)
    thread.start()
    with pytest.raises(UnstainedError, match="worker process of ingest was killed") as error:
        run(tmp_path, source, workers=2)
    thread.join()
    assert "cells_per_block" in error.value.remedy


def test_simulator_is_a_source(tmp_path: Path) -> None:
    simulate = SimulateParams(
        acquisitions_per_class=2,
        cells_per_acquisition=3,
        confound=0.0,
        debris=0.0,
        doublets=0.0,
        focus_drift_um=0.5,
        difficulty=0.5,
    )
    report, store = run(tmp_path, "simulator", simulate=simulate)
    files = list(tmp_path.glob("state/simulated/nsc-*/images/*/*_Ch1.ome.tif"))
    assert report.metrics["cells"] == len(store) == len(files) >= 18
    assert store.manifest["source"] == "simulator"
    assert store.table["marker_GFAP"].notna().all()
    (images,) = (tmp_path / "state/simulated").glob("nsc-*/images")
    before = tree_sha256(images)
    written = {file: file.stat().st_mtime_ns for file in images.rglob("*")}
    _, again = run(tmp_path, "simulator", simulate=simulate)
    assert again.digest == store.digest
    assert tree_sha256(images) == before
    assert {file: file.stat().st_mtime_ns for file in images.rglob("*")} == written


def test_imports_stay_light() -> None:
    def loaded(module: str, *heavy: str) -> str:
        code = f"import sys, {module}; print([m for m in {heavy} if m in sys.modules])"
        return subprocess.run(
            [sys.executable, "-c", code], check=True, capture_output=True, text=True
        ).stdout.strip()

    assert loaded("unstained.stages.ingest", "numpy", "zarr", "torch", "pandas") == "[]"
    assert loaded("unstained.data.store.packing", "torch", "pandas", "scipy", "sklearn") == "[]"


@pytest.mark.parametrize(
    ("study", "canvas", "most", "cells"),
    [
        ("nsc", 64, 4096, 4096),
        ("nsc", 64, 100, 100),
        ("wbc", 128, 4096, 256),
        ("wbc", 28, 4096, 4096),
    ],
)
def test_blocks_of_large_cells_hold_fewer(study: str, canvas: int, most: int, cells: int) -> None:
    data = _project().studies[study].data.model_copy(update={"canvas": canvas})
    params = _project().studies[study].recipes["demo"].sections().ingest
    asked = params.model_copy(update={"cells_per_block": most})
    assert cells_per_block(data, asked) == cells
    assert cells * canvas**2 * data.axes.planes * 2 <= 32 * 2**20


@pytest.mark.realdata
def test_real_jurkat_cells(jurkat: Path, tmp_path: Path) -> None:
    report, store = run(tmp_path, jurkat, study="cellcycle", cells_per_block=4096)
    counts = {name: report.metrics[f"cells_{name}"] for name in ("G1", "S", "G2", "M")}
    assert counts == {"G1": 900, "S": 900, "G2": 900, "M": 719}
    assert report.metrics["fillers"] == 7 * 900 - 3419
    assert len(store) == 3419
    same = store.table[store.table["sha256"].duplicated(keep=False)]["cell_id"].tolist()
    assert same == ["Experiment_1-Anaphase-CP0001/12", "Experiment_1-Anaphase-CP0001/15"]

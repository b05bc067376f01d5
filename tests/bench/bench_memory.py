"""Benchmark f: peak memory of ingest, validate, split and streaming training, large / small.

    python -m tests.bench.bench_memory --small 20000 --large 200000 --slides 4000

Each stage is `unstained run` in a fresh process, on what the stages before it wrote. Acquisitions
are of one size, so that more cells are more acquisitions. Training is one epoch of a tiny network
over all training cells, with `train.loading: stream`. Below 20,000 cells they do not fill the
window that streaming shuffles, and the ratio says little. A set in BSCCM's layout, of cells of
128 x 128 pixels in four planes, is ingested besides: `--slides` cells, and ten times as many.

Memory is the larger of two figures: the main process's high-water mark of resident memory, which
the kernel keeps, and the sum over the process and its children of their proportional memory,
looked at every 50 ms.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from ruamel.yaml import YAML

from tests.bench.loose import write_cells
from tests.bench.slides import SIDE, write_slides
from tests.bench.table import Row, show

ROOT = Path(__file__).resolve().parents[2]
STUDY, MODEL = "nsc", "cg_recnet"
SLIDES = 4
"""Of the set in BSCCM's layout."""
LETTERS = "aon"
"""What a sample directory's name begins with, by class of the study."""

ACQUISITIONS = 24
"""Of the smaller study; a split that keeps groups together needs some of every class."""

MEASURED = ("ingest", "validate", "split", "train")
TARGETS = ("mean", "std", "sharpness")
"""Columns of the cell table that stand in for markers, whose images nobody writes here."""

INTERVAL = 0.05


@dataclass(frozen=True)
class Use:
    """What a stage took."""

    megabytes: float
    seconds: float


def read_params(workers: int) -> dict[str, Any]:
    """The project's params.yaml."""
    text = (ROOT / "params.yaml").read_text(encoding="utf-8")
    content: dict[str, Any] = YAML(typ="safe", pure=True).load(text)
    content |= {"recipe": "demo", "models": [MODEL]}
    content["ingest"]["workers"] = workers
    return content


def write_params(project: Path, content: dict[str, Any]) -> None:
    """Parameters as the project's file."""
    with (project / "params.yaml").open("w", encoding="utf-8") as file:
        YAML(typ="safe", pure=True).dump(content, file)


def loose_params(workers: int) -> dict[str, Any]:
    """Parameters with a source of loose files and a tiny network."""
    content = read_params(workers)
    study = content["studies"][STUDY]
    lineage = study["data"]["tasks"]["lineage"]
    values = {column: {"kind": "value", "column": column} for column in TARGETS}
    study["data"] |= {"source": "loose", "markers": {}, "tasks": {"lineage": lineage, **values}}
    del study["uncertainty"]  # its gates are on markers
    study["demo"] = {
        "tune": {"trials": 1},  # keeps the parameters as they are
        "models": {MODEL: {"width": 0.03125, "depth": [1, 1, 1, 1], "stem_stride": 2}},
        "train": {"epochs": 1, "batch_size": 256, "loading": "stream", "compile": "off"},
    }
    return content | {"active": [STUDY]}


def slides_params(workers: int) -> dict[str, Any]:
    """Parameters with a source in BSCCM's layout."""
    content = read_params(workers)
    data = content["studies"]["wbc"]["data"]
    data |= {"source": "slides", "canvas": SIDE, "pixel_size_um": 0.2, "external": []}
    return content | {"active": ["wbc"]}


def run_stage(name: str, project: Path, study: str = STUDY) -> Use:
    """Run a stage in a process of its own and watch it."""
    words = [sys.executable, "-m", "unstained.cli", "run", name, study]
    words += ["--model", MODEL] if name in ("tune", "train") else []
    start, peak = time.perf_counter(), 0
    with (project / "log").open("w+", encoding="utf-8") as log:
        process = subprocess.Popen(words, cwd=project, stdout=log, stderr=log)
        family = psutil.Process(process.pid)
        while process.poll() is None:
            peak = max(peak, high_water(process.pid), proportional(family))
            time.sleep(INTERVAL)
        if process.returncode:
            log.seek(0)
            raise SystemExit(f"stage {name} failed:\n{log.read()}")
    return Use(peak / 2**20, time.perf_counter() - start)


def high_water(pid: int) -> int:
    """Most resident memory that a process has had so far, bytes; 0 when it has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


def proportional(family: psutil.Process) -> int:
    """Memory of a process and its children, bytes; what they share is counted once."""
    total = 0
    try:
        for member in (family, *family.children(recursive=True)):
            total += member.memory_full_info().pss
    except psutil.Error:  # one of them has ended: the next look counts the others
        return 0
    return total


def measure(project: Path, cells: int, acquisitions: int, workers: int) -> dict[str, Use]:
    """Run the stages on a study of `cells` cells."""
    names = [f"{LETTERS[i % len(LETTERS)]}_{i // len(LETTERS):04d}" for i in range(acquisitions)]
    write_cells(project / "loose", names, cells)
    write_params(project, loose_params(workers))
    used = {}
    for name in ("ingest", "validate", "split", "tune", "train"):
        used[name] = run_stage(name, project)
        if name == "ingest":
            shutil.rmtree(project / "loose")
    return used


def measure_slides(project: Path, cells: int, workers: int) -> Use:
    """Ingest a set in BSCCM's layout."""
    write_slides(project / "slides", SLIDES, cells)
    write_params(project, slides_params(workers))
    return run_stage("ingest", project, "wbc")


def row(name: str, small: Use, large: Use, further: int) -> Row:
    """A line of the table; `further` is how many cells more the larger study has."""
    more = (large.megabytes - small.megabytes) * 2**20 / further
    how = (
        f"{large.megabytes:,.0f} against {small.megabytes:,.0f} MB: {more:+,.0f} bytes a further "
        f"cell; {large.seconds:.0f} and {small.seconds:.0f} s"
    )
    return Row(name, large.megabytes / small.megabytes, 1.2, how, at_most=True)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", type=int, default=20000)
    parser.add_argument("--large", type=int, default=200000)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="of ingest")
    parser.add_argument("--slides", type=int, default=4000, help="cells in BSCCM's layout")
    options = parser.parse_args()
    sizes = (options.small, options.large)
    used, slides = [], []
    root = Path(tempfile.mkdtemp(prefix="bench-memory-"))
    try:
        for cells in sizes:
            project = root / str(cells)
            acquisitions = ACQUISITIONS * cells // options.small
            used.append(measure(project, cells, acquisitions, options.workers))
            shutil.rmtree(project)
        for cells in (options.slides, 10 * options.slides):
            slides.append(measure_slides(root / f"slides-{cells}", cells, options.workers))
            shutil.rmtree(root / f"slides-{cells}")
    finally:
        shutil.rmtree(root)
    small, large = used
    further = options.large - options.small
    rows = [row(name, small[name], large[name], further) for name in MEASURED]
    rows.append(row("ingest, BSCCM", *slides, 9 * options.slides))
    show(f"(f) peak memory, {sizes[1]:,} cells / {sizes[0]:,} cells", rows)


if __name__ == "__main__":
    main()

"""Benchmark c: ingest against bare decoding of the same files.

    python -m tests.bench.bench_ingest --cells 20000

Bare decoding is `tifffile.imread` of every file in as many processes, and for orientation ingest's
own decoder alone. Both sides include the start of the processes; files are warm in the page cache.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import tifffile

from tests.bench.loose import write_cells
from tests.bench.table import Row, show
from unstained.config.ingest import IngestParams
from unstained.config.project import load_params
from unstained.data.readers.images import read_grey
from unstained.pipeline.contract import Job
from unstained.stages import ingest

SAMPLES = ("a_1d1", "o_1d1", "n_1d1")
ROOT = Path(__file__).resolve().parents[2]


def decode(files: Sequence[str], read: Callable[[Path], np.ndarray]) -> int:
    """Decode files in this process; the number of pixels."""
    return sum(read(Path(file)).size for file in files)


def bare_seconds(source: Path, workers: int, read: Callable[[Path], np.ndarray]) -> float:
    """Wall time of decoding every file and nothing else."""
    start = time.perf_counter()
    files = [str(file) for file in source.rglob("*.tif")]
    parts = [files[at : at + 2000] for at in range(0, len(files), 2000)]
    with ProcessPoolExecutor(workers, mp_context=get_context("forkserver")) as pool:
        sum(pool.map(partial(decode, read=read), parts))
    return time.perf_counter() - start


def run_ingest(source: Path, workers: int) -> None:
    """One ingest of the source into a directory that is removed."""
    root = Path(tempfile.mkdtemp(dir=source.parent))
    project = load_params(ROOT / "params.yaml")
    sections = project.studies["nsc"].recipes["demo"].sections()
    data = project.studies["nsc"].data.model_copy(update={"source": str(source), "markers": {}})
    options = IngestParams(on_error="fail", workers=workers, cells_per_block=4096)
    params = ingest.IngestStageParams(
        common=sections.common,
        data=data,
        simulate=None,
        simulate_slides=None,
        simulate_monolayers=None,
        ingest=options,
    )
    (root / "scratch").mkdir()
    job = Job("nsc", None, "demo", (), root / "scratch", "", None, root, "")  # type: ignore[arg-type]
    outputs = {"store": root / "store", "quarantine": root / "quarantine.csv"}
    ingest.run(params, {}, outputs, job)
    shutil.rmtree(root)


def rates(source: Path, cells: int, workers: int, repeats: int) -> list[Row]:
    """Rows of benchmark c: best of `repeats`, taken in turns."""
    best = dict.fromkeys(("ingest", "tifffile", "own"), float("inf"))
    for _ in range(repeats):
        start = time.perf_counter()
        run_ingest(source, workers)
        best["ingest"] = min(best["ingest"], time.perf_counter() - start)
        best["tifffile"] = min(best["tifffile"], bare_seconds(source, workers, tifffile.imread))
        best["own"] = min(best["own"], bare_seconds(source, workers, read_grey))
    rate = {name: cells / seconds for name, seconds in best.items()}
    how = f"{rate['ingest']:,.0f} against {{:,.0f}} cells/s, {workers} processes"
    return [
        Row("ingest / tifffile.imread", rate["ingest"] / rate["tifffile"], 0.8,
            how.format(rate["tifffile"])),
        Row("ingest / its own decoder", rate["ingest"] / rate["own"], None,
            how.format(rate["own"])),
    ]  # fmt: skip


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=int, default=20000)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    root = Path(tempfile.mkdtemp(prefix="bench-ingest-"))
    try:
        source = write_cells(root / "source", SAMPLES, options.cells)
        rows = rates(source, options.cells, options.workers, options.repeats)
        show(f"(c) ingest of {options.cells:,} files against bare decoding", rows)
    finally:
        shutil.rmtree(root)


if __name__ == "__main__":
    main()

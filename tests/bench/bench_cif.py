"""Benchmark: pixels of .cif files a second on one core, and memory on a file of any size.

    python -m tests.bench.bench_cif --gigabytes 10

The files are written by the tests' writer, one object's bytes over and over with other numbers; a
large file lies beyond 4 GiB and its places wrap. `decode` is the reader on listed items, with
markers and masks; `walk` is the listing. Memory is the process's own, beyond what it had before.
"""

from __future__ import annotations

import argparse
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from tests.bench.table import Row, show
from tests.data.cif_writer import Object, Oddities, encoded, write_cif
from tests.data.test_cif import study
from unstained.data.readers.cif import Cif

CHANNELS, WIDTH, HEIGHT = 6, 60, 64
"""Of an object, as an ImageStream records them at 40x."""
GOAL = 20e6
"""Pixels a second on one core."""
MEMORY_GOAL = 128.0
"""MiB that reading a file adds, whatever its size."""


def cell() -> Object:
    """A disc in noise of the camera, in each channel of another brightness."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    disc = np.hypot(y - HEIGHT / 2, x - WIDTH / 2) < 15
    levels = np.array([700, 80, 60, 60, 60, 90])[:CHANNELS, None, None]
    stain = 200 * disc * np.arange(1, CHANNELS + 1)[:, None, None]
    noise = rng.normal(0, 6, (CHANNELS, HEIGHT, WIDTH))
    pixels = np.rint(np.clip(levels + stain + noise, 0, 4095)).astype(np.int64)
    masks = np.repeat(disc[None].astype(np.uint8), CHANNELS, axis=0)
    return Object(0, pixels, masks)


def write_many(path: Path, count: int, size: float) -> None:
    """A file of at least `count` objects and about `size` bytes."""
    one = cell()
    strips = encoded(one, Oddities())
    count = max(count, int(size / (sum(map(len, strips)) + 500)))
    write_cif(path, [replace(one, number=number, strips=strips) for number in range(count)])


def read(path: Path, most: int) -> tuple[int, int, float, float]:
    """Objects of the file, pixels read of the first `most`, seconds of listing, of reading."""
    reader = Cif.of(path, study(channels=("Ch1",), markers={"A": "Ch2", "B": "Ch6"}))
    start = time.process_time()
    acquisition = reader.acquisitions()[0]
    items = reader.items(acquisition).items
    listed = time.process_time()
    step = max(1, len(items) // most)
    for first in range(0, len(items), 4096 * step):
        for _ in reader.decode(acquisition, items[first : first + 4096 * step : step]):
            pass
    pixels = len(items[::step]) * CHANNELS * HEIGHT * WIDTH
    return len(items), pixels, listed - start, time.process_time() - listed


def measure(path: Path, most: int) -> None:
    """Print what a process of its own needs for a file."""
    Cif.of(path, study())  # imports are no part of what is measured
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = read(path, most)
    added = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    print(*found, added / 1024)


def rows(gigabytes: float, objects: int, folder: Path) -> list[Row]:
    """Rates on a file of `objects`, and the memory that a file of `gigabytes` takes besides."""
    found = []
    for name, size in (("small.cif", 0.0), ("large.cif", gigabytes)):
        path = folder / name
        write_many(path, objects, size * 2**30)
        command = [sys.executable, "-m", "tests.bench.bench_cif", "--measure", str(path)]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
        count, pixels, listing, reading, memory = map(float, said)
        what = f"{count:,.0f} objects, {path.stat().st_size / 2**30:.2f} GiB"
        rate = pixels / reading
        found += [
            Row(f"{name}: decode / {GOAL / 1e6:.0f} Mpx/s", rate / GOAL, 1.0,
                f"{rate / 1e6:.1f} Mpx/s on one core; {what}"),
            Row(f"{name}: walk, seconds", listing, None, what),
            Row(f"{name}: memory, MiB", memory, MEMORY_GOAL, what, at_most=True),
        ]  # fmt: skip
        path.unlink()
    return found


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gigabytes", type=float, default=5.0)
    parser.add_argument("--objects", type=int, default=4000)
    parser.add_argument("--measure", type=Path)
    options = parser.parse_args()
    if options.measure:
        measure(options.measure, options.objects)
        return
    folder = Path(tempfile.mkdtemp(prefix="bench-cif-"))
    try:
        show("Amnis .cif", rows(options.gigabytes, options.objects, folder))
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()

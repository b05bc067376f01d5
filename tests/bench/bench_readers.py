"""Benchmark: what every reader lists and decodes in a second, on one core.

    python -m tests.bench.bench_readers

The sources are those of the tests' conformance suite, small and hot in the page cache, read over
and over: this compares readers and formats, not disks. Pixels are those that models see.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.data.test_reader_conformance import LAYOUTS, Layout
from unstained.data.store.blocks import Cell

SECONDS = 1.0


def measure(layout: Layout, source: Path) -> tuple[float, float, float]:
    """Items listed a second, cells and megapixels decoded a second."""
    layout.write(source)
    reader = layout.reader(source)
    acquisitions = reader.acquisitions()
    listed, start = 0, time.perf_counter()
    while time.perf_counter() - start < SECONDS / 2:
        listed += sum(len(reader.items(one).items) for one in acquisitions)
    listing = listed / (time.perf_counter() - start)
    items = [(one, list(reader.items(one).items)) for one in acquisitions]
    cells, pixels, start = 0, 0, time.perf_counter()
    while time.perf_counter() - start < SECONDS:
        for acquisition, of_it in items:
            for outcome in reader.decode(acquisition, of_it):
                if isinstance(outcome, Cell):
                    cells += 1
                    pixels += outcome.pixels.size
    seconds = time.perf_counter() - start
    return listing, cells / seconds, pixels / seconds / 1e6


def main() -> None:
    """Measure every layout and print the table."""
    table = Table(title="Readers, one core", title_justify="left")
    for heading in ("layout", "reader", "items listed/s", "cells/s", "Mpx/s"):
        table.add_column(heading, justify="left" if heading in ("layout", "reader") else "right")
    for name, layout in LAYOUTS.items():
        with tempfile.TemporaryDirectory() as folder:
            listing, cells, pixels = measure(layout, Path(folder))
        table.add_row(name, layout.data.reader, f"{listing:,.0f}", f"{cells:,.0f}", f"{pixels:.1f}")
    Console(width=100).print(table)


if __name__ == "__main__":
    main()

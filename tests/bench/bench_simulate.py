"""Simulator: cells per second, and contact sheets to look at.

python -m tests.bench.bench_simulate [--sheet cells.png]
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from tests.bench.table import Row, show
from unstained.config.project import load_params
from unstained.config.study import SimulateParams, StudyData
from unstained.simulate.ifc import simulate_study
from unstained.simulate.instrument import record
from unstained.simulate.lineages import LINEAGES, draw_cell
from unstained.simulate.plan import plan_study
from unstained.simulate.streams import stream

COLUMNS = 16


def sheet(params: SimulateParams, data: StudyData, difficulties: list[float]) -> Image.Image:
    """Brightfield of each difficulty and lineage (rows); black to white is contrast -0.4 to 0.4."""
    rows = []
    plans = {plan.lineage: plan for plan in plan_study(params, data, 0) if len(plan.objects) >= 16}
    for difficulty in difficulties:
        for lineage in LINEAGES:
            index = np.arange(COLUMNS)
            cells = [
                draw_cell(
                    lineage,
                    difficulty=difficulty,
                    debris=params.debris,
                    doublets=params.doublets,
                    generator=stream(0, lineage, "shape", int(i)),
                )
                for i in index
            ]
            tiles = []
            for recording in record(cells, index, plans[lineage], data, 0):
                counts = recording.channels[data.channels[0]].astype(float)
                contrast = counts / np.median(counts[[0, -1]]) - 1
                tile = np.zeros((60, 62))
                top = (60 - len(contrast)) // 2
                tile[top : top + len(contrast), 1:-1] = contrast
                tiles.append(tile)
            rows.append(np.hstack(tiles))
    grey = np.clip((np.vstack(rows) + 0.4) / 0.8 * 255, 0, 255).astype(np.uint8)
    image = Image.fromarray(grey)
    return image.resize((2 * image.width, 2 * image.height), Image.Resampling.NEAREST)


def main() -> None:
    """Simulate the demo study once, print its rate, and write a contact sheet where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sheet", type=Path)
    parser.add_argument("--difficulties", type=float, nargs="+", default=[0.0, 0.5, 1.0])
    options = parser.parse_args()
    nsc = load_params(Path(__file__).parents[2] / "params.yaml").studies["nsc"]
    demo = nsc.recipes["demo"].sections().simulate
    if demo is None:
        raise SystemExit("params.yaml: the demo recipe of nsc has no simulator")
    with tempfile.TemporaryDirectory() as directory:
        start = time.perf_counter()
        images = simulate_study(Path(directory), demo, nsc.data, 0)
        seconds = time.perf_counter() - start
        cells = sum(1 for _ in images.glob(f"*/*_{nsc.data.channels[0]}.ome.tif"))
    cores = len(os.sched_getaffinity(0))
    how = f"{cells} cells x {1 + len(nsc.data.markers)} channels in {seconds:.1f} s, {cores} cores"
    show("simulator", [Row("cells per second, with files", cells / seconds, None, how)])
    if options.sheet:
        sheet(demo, nsc.data, options.difficulties).save(options.sheet)


if __name__ == "__main__":
    main()

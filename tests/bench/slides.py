"""A set in BSCCM's layout of any size, of few cells linked many times: for memory alone."""

from __future__ import annotations

import os
from pathlib import Path

import pandas as pd

from tests.data.bsccm_tree import write_bsccm

SIDE = 128
"""Of the images of BSCCM and BSCCM-tiny."""
CHANNELS = ("DPC_Left", "DPC_Right", "DPC_Top", "DPC_Bottom")
DISTINCT = 60
"""Cells with images of their own, divided among the slides."""
GATES = ("CD3_hi_CD_16_lo", "CD16_hi_CD45_mid", "CD45_hi_CD_16_lo")


def write_slides(home: Path, slides: int, cells: int) -> Path:
    """Write a set.

    Args:
        home: its folder; made here.
        slides: of equally many cells.
        cells: in all, give or take one a slide.

    Returns:
        `home`.
    """
    drawn = [
        {"slide": k % slides, "gates": [GATES[k % 3]], "index": k, "x": float(k % 7)}
        for k in range(DISTINCT)
    ]
    write_bsccm(home, drawn, side=SIDE, channels=CHANNELS)
    index = pd.read_csv(home / "BSCCM_index.csv")
    marked = pd.read_csv(home / "BSCCM_surface_markers.csv")
    chosen = [k % DISTINCT for k in range(cells)]
    for number, source in enumerate(chosen[DISTINCT:], DISTINCT):
        parent = home / "BSCCM_images.zarr" / index["data_path"][source] / "led_array"
        _link(parent / f"cell_{source}", parent / f"cell_{number}")
    for table, name in ((index, "BSCCM_index.csv"), (marked, "BSCCM_surface_markers.csv")):
        rows = table.iloc[chosen].assign(global_index=range(cells))
        rows.to_csv(home / name, index=False)
    return home


def _link(source: Path, target: Path) -> None:
    target.mkdir()
    for name in os.listdir(source):  # noqa: PTH208 - names alone, of some ten thousand folders
        os.link(source / name, target / name)

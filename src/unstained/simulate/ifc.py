"""Simulated imaging flow cytometry on disk, in the layout of Zhu et al. 2021.

    images/<sample>/<sample>_<object>_Ch<k>.ome.tif   12-bit counts in uint16, crops of any height
    images/manifest.json                              cells a directory
    truth/cells.parquet                               what each cell is, drawn values
    truth/<sample>.npz                                masks on the field; see `_write_truth`
    plan.json, simulation.json                        written first and last

Acquisitions are whole or absent, so a killed simulation goes on with the missing ones. Cells are
computed on the CPU in float64, a few at a time per thread, from counter-based random numbers: the
same seed gives the same bytes whatever the number of threads.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any, Final

import numpy as np
import tifffile

from unstained.config.study import SimulateParams, StudyData
from unstained.errors import ParameterError
from unstained.files import whole_directory, whole_file, write_json
from unstained.simulate.instrument import Recording, check, defocus, record
from unstained.simulate.lineages import MARKERS, Cell, draw_cell
from unstained.simulate.plan import Plan, plan_study
from unstained.simulate.streams import stream
from unstained.simulate.whole_study import (
    StoppedError,
    digest_of,
    finish,
    in_threads,
    is_done,
    prepare,
)

VERSION: Final = 1
"""Raise it when the same parameters and seed no longer give the same bytes."""

CELLS_AT_ONCE: Final = 4
"""Cells in one tensor: more do not fit in a core's cache and are slower."""


@dataclass(frozen=True)
class _Setting:
    """What all acquisitions of a study share."""

    params: SimulateParams
    data: StudyData
    seed: int

    @property
    def digest(self) -> str:
        return digest_of({
            "version": VERSION,
            "params": self.params.digest(),
            "seed": self.seed,
            "pixel_size_um": self.data.pixel_size_um,
            "channels": [self.data.channels[0], self.data.markers],
            "classes": [rule.model_dump() for rule in self.data.classes],
        })  # fmt: skip


def simulate_study(destination: Path, params: SimulateParams, data: StudyData, seed: int) -> Path:
    """Simulate a study's raw images, or reuse them where this very study is there already.

    Args:
        destination: directory of its own; see the module's text for what is written there.
        params: size and difficulty of the study.
        data: classes, channels and pixel size that the reader will expect.
        seed: of all random numbers.

    Returns:
        The directory of the images, the reader's source.

    Raises:
        ParameterError: the study's reader, classes, markers or pixel size cannot be simulated.
        UnstainedError: the disk is full.
    """
    setting = _Setting(params, data, seed)
    if data.reader != "zhu_ifc":
        raise ParameterError(
            f"the simulator writes the layout of reader 'zhu_ifc', not of {data.reader!r}",
            "name a directory of real images: `unstained source STUDY PATH`",
        )
    check(data)
    plans = plan_study(params, data, seed)
    images, truth = destination / "images", destination / "truth"
    if is_done(destination, setting.digest):
        return images
    prepare(destination, setting.digest)
    missing = [
        plan
        for plan in plans
        if not ((images / plan.name).is_dir() and (truth / f"{plan.name}.npz").is_file())
    ]
    in_threads(
        missing,
        sum(len(plan.objects) for plan in missing),
        lambda plan, stop: _acquisition(plan, setting, destination, stop),
    )
    _write_table(truth, plans)
    write_json(images / "manifest.json", {"cells": {p.name: len(p.objects) for p in plans}})
    finish(destination, setting.digest, seed)
    return images


def _acquisition(plan: Plan, setting: _Setting, destination: Path, stop: Event) -> int:
    """Simulate and write one acquisition; returns its number of cells."""
    drawn: list[Cell] = []
    masks: list[np.ndarray] = []
    with whole_directory(destination / "images" / plan.name) as directory:
        for start in range(0, len(plan.objects), CELLS_AT_ONCE):
            if stop.is_set():
                raise StoppedError
            index = np.arange(start, min(start + CELLS_AT_ONCE, len(plan.objects)))
            cells = [_draw(plan, setting, int(i)) for i in index]
            recordings = record(cells, index, plan, setting.data, setting.seed)
            for i, recording in zip(index, recordings, strict=True):
                _write_images(directory, f"{plan.name}_{plan.objects[i]}", recording)
                masks.append(recording.mask)
            drawn += cells
        _write_truth(destination / "truth" / f"{plan.name}.npz", plan, drawn, masks, setting)
    return len(drawn)


def _draw(plan: Plan, setting: _Setting, index: int) -> Cell:
    params = setting.params
    return draw_cell(
        plan.lineage,
        difficulty=params.difficulty,
        debris=params.debris,
        doublets=params.doublets,
        generator=stream(setting.seed, plan.name, "shape", index),
    )


def _write_images(directory: Path, name: str, recording: Recording) -> None:
    """One plain TIFF a channel: an OME header would carry a random identifier.

    Each is encoded in memory first, so that a full disk is an OSError with its number.
    """
    for channel, image in recording.channels.items():
        encoded = io.BytesIO()
        tifffile.imwrite(
            encoded, image, photometric="minisblack", ome=False, metadata=None, software=False
        )
        (directory / f"{name}_{channel}.ome.tif").write_bytes(encoded.getbuffer())


def _write_truth(
    path: Path, plan: Plan, cells: Sequence[Cell], masks: Sequence[np.ndarray], setting: _Setting
) -> None:
    """Columns of the acquisition's cells and `mask` (n, 64, 64) bool.

    A crop of height h shows rows 32 - h // 2 to 32 - h // 2 + h and columns 2 to 62 of its mask.
    """
    stain = np.stack([cell.stain for cell in cells])
    columns: dict[str, Any] = {
        "cell_id": np.array([f"{plan.name}/{number}" for number in plan.objects]),
        "kind": np.array([cell.kind for cell in cells]),
        "lineage": np.array([plan.lineage] * len(cells)),
        **{f"true_{name}": stain[:, i].round(3) for i, name in enumerate(MARKERS)},
        "defocus_um": defocus(cells, np.arange(len(cells)), plan).round(6),
        "lamp": np.full(len(cells), round(plan.lamp, 6)),
        "area_um2": np.array([m.sum() for m in masks]) * setting.data.pixel_size_um**2,
    }
    with whole_file(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, mask=np.stack(masks), **columns)


def _write_table(truth: Path, plans: Sequence[Plan]) -> None:
    """All acquisitions' columns as truth/cells.parquet."""
    import pandas as pd

    parts = []
    for plan in plans:
        with np.load(truth / f"{plan.name}.npz") as file:
            parts.append(pd.DataFrame({name: file[name] for name in file.files if name != "mask"}))
    with whole_file(truth / "cells.parquet") as temporary:
        pd.concat(parts, ignore_index=True).to_parquet(temporary, index=False)

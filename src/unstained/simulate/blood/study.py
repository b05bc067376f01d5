"""Simulated blood on slides on disk, in the layout of BSCCM.

    images/BSCCM_*                 what readers/bsccm reads
    truth/cells.parquet            what each cell is, drawn values
    plan.json, simulation.json     written first and last

Slides are whole or absent, so a killed simulation goes on with the missing ones; the same seed
gives the same bytes whatever the number of threads.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Final

import numpy as np

from unstained.config.nearest import suggestion
from unstained.config.simulate import SlidesParams
from unstained.config.study import StudyData
from unstained.errors import ParameterError
from unstained.files import whole_directory, whole_file
from unstained.simulate.blood import files
from unstained.simulate.blood.cells import TRAITS
from unstained.simulate.blood.markers import (
    FULL,
    SINGLE,
    SPECTRUM,
    gate_of,
    intensities,
    is_unmixed,
)
from unstained.simulate.blood.optics import WIDTHS_UM, frames
from unstained.simulate.blood.plan import FIELD_PX, Slide, plan_slides
from unstained.simulate.detector import Detector, fall_of_light
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
LAMP_COUNTS: Final = 1400.0
CAMERA: Final = Detector(gain=10 ** (files.GAIN_DB / 10), offset=files.OFFSET, read_noise=3.0)


@dataclass(frozen=True)
class _Setting:
    """What all slides of a study share."""

    params: SlidesParams
    pixels: int
    pixel_size_um: float
    seed: int

    @property
    def digest(self) -> str:
        return digest_of({
            "version": VERSION,
            "params": self.params.digest(),
            "seed": self.seed,
            "pixels": [self.pixels, self.pixel_size_um],
        })  # fmt: skip


def simulate_slides(destination: Path, params: SlidesParams, data: StudyData, seed: int) -> Path:
    """Simulate a study's raw images, or reuse them where this very study is there already.

    Args:
        destination: directory of its own; see the module's text for what is written there.
        params: size and difficulty of the study.
        data: channels and pixel size that the reader will expect.
        seed: of all random numbers.

    Returns:
        The directory of the images, the reader's source.

    Raises:
        ParameterError: the study's channels or canvas cannot be simulated.
        UnstainedError: the disk is full.
    """
    _check(data)
    setting = _Setting(params, data.canvas, data.pixel_size_um, seed)
    images = destination / "images"
    if is_done(destination, setting.digest):
        return images
    prepare(destination, setting.digest, "**/.*.partial")
    slides = plan_slides(params, seed)
    missing = [slide for slide in slides if not (images / files.IMAGES / slide.name).is_dir()]
    in_threads(
        missing,
        sum(slide.cells for slide in missing),
        lambda slide, stop: _simulate(slide, setting, images / files.IMAGES, stop),
    )
    files.write_groups(images, [slide.name for slide in slides])
    _write_tables(destination, slides, setting)
    files.write_metadata(images, data.canvas, data.pixel_size_um)
    finish(destination, setting.digest, seed)
    return images


def _check(data: StudyData) -> None:
    for name in data.channels:
        if name not in files.CHANNELS:
            raise ParameterError(
                f"the simulator has no channel {name!r}; {suggestion(name, files.CHANNELS)}",
                "correct studies.<study>.data.channels, or set studies.<study>.data.source to "
                "real images",
            )
    least, most = WIDTHS_UM
    if not least <= data.canvas * data.pixel_size_um <= most:
        raise ParameterError(
            f"a canvas of {data.canvas} pixels of {data.pixel_size_um} micrometres is not "
            f"{least:g} to {most:g} micrometres wide, as cells on simulated slides need",
            "use 64 pixels of 0.325 (20x) or 128 of 0.2, or set studies.<study>.data.source to "
            "real images",
        )


def _simulate(slide: Slide, setting: _Setting, images: Path, stop: Event) -> int:
    """Simulate and write one slide, a field of view at a time; returns its number of cells."""
    camera_noise = (setting.seed, slide.name)
    with whole_directory(images / slide.name) as directory:
        files.write_group(directory)
        files.write_group(directory / "led_array")
        for field in range(len(slide.focus_um)):
            if stop.is_set():
                raise StoppedError
            at = np.flatnonzero(slide.field == field)
            cells = slide.draw(at.tolist(), setting.params.difficulty, setting.seed)
            relative = frames(
                cells,
                files.SIDES,
                float(slide.focus_um[field]),
                pixels=setting.pixels,
                pixel_size_um=setting.pixel_size_um,
            )
            for row, cell in enumerate(at):
                lamp = LAMP_COUNTS * slide.lamp * _shading(slide, int(cell), setting.pixels)
                noise = stream(*camera_noise, "noise", int(cell))
                folder = directory / "led_array" / f"cell_{slide.first + cell}"
                files.write_cell(folder, CAMERA.expose(lamp * relative[row], noise))
    return slide.cells


def _shading(slide: Slide, cell: int, pixels: int) -> np.ndarray:
    """(4, h, w) fall of the light around a cell, by its place in the field of view."""
    side = np.arange(pixels) - pixels / 2
    y, x = ((place + side) / (FIELD_PX / 2) - 1 for place in slide.position[cell])
    return np.stack([fall_of_light(one, y, x) for one in slide.shading])


def _write_tables(destination: Path, slides: Sequence[Slide], setting: _Setting) -> None:
    """Index, markers and truth, all from the draws alone."""
    import pandas as pd

    index, marked, truth = [], [], []
    for slide in slides:
        for row, markers, true in _rows(slide, setting):
            index.append(row)
            marked.append(markers)
            truth.append(true)
    images = destination / "images"
    files.write_table(images / "BSCCM_index.csv", index)
    files.write_table(images / "BSCCM_surface_markers.csv", marked)
    with whole_file(destination / "truth" / "cells.parquet") as temporary:
        pd.DataFrame(truth).to_parquet(temporary, index=False)


Row = dict[str, object]


def _rows(slide: Slide, setting: _Setting) -> Iterator[tuple[Row, Row, Row]]:
    """Of each cell its rows of the index, the markers and the truth."""
    cells = slide.draw(range(slide.cells), setting.params.difficulty, setting.seed)
    for at, cell in enumerate(cells):
        key: Row = {"global_index": slide.first + at}
        x_um, y_um = slide.centre_um[slide.field[at]]
        y, x = slide.position[at]
        place: Row = {
            "position_in_fov_y_pix": int(y), "position_in_fov_x_pix": int(x),
            "detection_radius": round(cell.radius_um / setting.pixel_size_um, 2),
            "has_matched_histology_cell": False,
            "fov_center_x": round(float(x_um), 1), "fov_center_y": round(float(y_um), 1),
            "fov_center_z": round(float(slide.focus_um[slide.field[at]]), 3),
            "batch": slide.batch, "antibodies": slide.antibodies,
            "imaging_date": f"2019-0{slide.batch + 1}-01", "data_path": slide.name,
            "slide_replicate": slide.replicate,
        }  # fmt: skip
        found = intensities(cell, slide.staining)
        told = is_unmixed(cell)
        every = slide.antibodies == "all" and told
        gate = gate_of(found) if every and slide.batch == 0 else None
        markers: Row = {
            **{FULL[name]: round(found[name], 3) if every else None for name in FULL},
            **{
                column: round(found[SPECTRUM[name]], 3)
                if told and slide.antibodies == name
                else None
                for name, column in SINGLE.items()
            },
            **{f"selection_gated_{name}": name == gate for name in files.GATES},
        }
        true: Row = {
            "cell_id": f"{slide.name}/{slide.first + at}", "kind": cell.kind,
            **{f"trait_{name}": float(v) for name, v in zip(TRAITS, cell.traits, strict=True)},
            **{f"true_{name}": found[name] for name in FULL},
        }  # fmt: skip
        yield key | place, key | markers, true

"""The imaging flow cytometer: drawn cells and an acquisition in, camera images and truth out.

ImageStream-like: 60x, NA 0.9, blue brightfield LED, water-like sheath fluid, 12-bit cameras. The
camera levels reproduce published brightfield tiles of suspended cells (background 677 counts with
a standard deviation of 5.5).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Final

import numpy as np
import torch

from unstained.config.study import StudyData
from unstained.errors import ParameterError
from unstained.imaging.lens import FLOW_CYTOMETER, disc_source
from unstained.imaging.placement import region
from unstained.simulate.cells import Maps, render
from unstained.simulate.detector import Detector, uneven_background
from unstained.simulate.lineages import MARKERS, REAL_IMAGES, Cell
from unstained.simulate.optics import (
    Microscope,
    bin_pixels,
    brightfield,
    fluorescence,
)
from unstained.simulate.plan import Plan
from unstained.simulate.streams import stream

FIELD: Final = 64
"""Pixels a side of the simulated field; crops are cut from its middle."""
SAMPLES_PER_PIXEL: Final = 2
"""Object samples along a pixel: 0.33 um alone would undersample a numerical aperture of 0.9."""
HEIGHTS: Final = (37, 57)
"""Least and greatest height of a crop, as in the published files."""
WIDTH: Final = 60

_RINGS, _SPOKES = 2, 8

_LAMP_COUNTS: Final = 660.0
_STRAY_COUNTS: Final = 10.0
"""Fluorescence background of the sheath fluid, in every pixel."""
_BRIGHTFIELD_CAMERA: Final = Detector(gain=0.04, offset=17.0, read_noise=2.0)
_FLUORESCENCE_CAMERA: Final = Detector(gain=0.5, offset=30.0, read_noise=2.0)


@dataclass(frozen=True)
class Recording:
    """One cell as recorded.

    Attributes:
        channels: channel name -> (h, w) uint16 counts; brightfield first.
        mask: (FIELD, FIELD) bool, where the cell truly is. A crop shows its rows
            FIELD // 2 - h // 2 and on, and likewise its columns.
    """

    channels: dict[str, np.ndarray]
    mask: np.ndarray


def check(data: StudyData) -> None:
    """Refuse studies that this instrument cannot record.

    Raises:
        ParameterError: several channels or frames, unknown markers, or a pixel size that its
            optics or field do not serve.
    """
    if data.axes.planes != 1:
        raise ParameterError(
            f"the simulator records 1 frame of one channel, not {data.axes}",
            f"name one channel in studies.<study>.data.channels, or {REAL_IMAGES}",
        )
    unknown = sorted(set(data.markers) - set(MARKERS))
    if unknown:
        raise ParameterError(
            f"the simulator has no marker {', '.join(unknown)}",
            f"use {', '.join(MARKERS)} in studies.<study>.data.markers, or {REAL_IMAGES}",
        )
    if not 0.3 <= data.pixel_size_um <= 0.36:
        raise ParameterError(
            f"studies.<study>.data.pixel_size_um is {data.pixel_size_um}; the simulated microscope "
            "needs 0.30 to 0.36 for its apertures and its field",
            f"use 0.33 (60x), or {REAL_IMAGES}",
        )


def record(
    cells: Sequence[Cell], index: np.ndarray, plan: Plan, data: StudyData, seed: int
) -> list[Recording]:
    """Record cells of one acquisition in brightfield and in every marker's channel.

    Args:
        cells: B drawn cells.
        index: (B,) their running numbers in the acquisition.
        plan: lamp, background and focus.
        data: channels and pixel size.
        seed: of the noise.

    Returns:
        B recordings. A cell's does not depend on the others.
    """
    scope = Microscope(**asdict(FLOW_CYTOMETER), sample_um=data.pixel_size_um / SAMPLES_PER_PIXEL)
    maps = render(
        cells,
        samples=FIELD * SAMPLES_PER_PIXEL,
        sample_um=scope.sample_um,
        wavelength_um=scope.wavelength_um,
    )
    expected = _expected(maps, defocus(cells, index, plan), scope, plan, data)
    masks = bin_pixels(maps.mask.to(torch.float64), SAMPLES_PER_PIXEL).numpy() >= 0.5
    recordings = []
    for row, cell in enumerate(cells):
        noise = stream(seed, plan.name, "noise", int(index[row]))
        window = _window(cell, data.pixel_size_um)
        channels = {}
        for channel, images in expected.items():
            lit = channel == data.channels[0]
            camera = _BRIGHTFIELD_CAMERA if lit else _FLUORESCENCE_CAMERA
            light = images[row][window] * (cell.flicker if lit else 1.0)
            channels[channel] = camera.expose(light, noise)
        recordings.append(Recording(channels, masks[row]))
    return recordings


def defocus(cells: Sequence[Cell], index: np.ndarray, plan: Plan) -> np.ndarray:
    """(B,) micrometres from each cell to the focal plane behind it."""
    return np.asarray(plan.focus_um[index] + [cell.scatter_um for cell in cells])


def _expected(
    maps: Maps, defocus_um: np.ndarray, scope: Microscope, plan: Plan, data: StudyData
) -> dict[str, np.ndarray]:
    """Noise-free counts above the camera's offset: channel -> (B, FIELD, FIELD)."""
    z = torch.from_numpy(defocus_um)
    source = disc_source(scope, _RINGS, _SPOKES)
    relative = brightfield(maps.phase, maps.absorption, z, scope, source)
    lamp = _LAMP_COUNTS * plan.lamp * uneven_background(plan.gradient, FIELD)
    expected = {data.channels[0]: lamp * bin_pixels(relative, SAMPLES_PER_PIXEL).numpy()}
    for marker, channel in sorted(data.markers.items()):
        glow = bin_pixels(fluorescence(maps.stains[marker], z, scope), SAMPLES_PER_PIXEL)
        expected[channel] = _STRAY_COUNTS + SAMPLES_PER_PIXEL**2 * glow.numpy()
    return expected


def _window(cell: Cell, pixel_um: float) -> tuple[slice, slice]:
    """The crop around a cell, in the middle of its field.

    Its height follows the cell's drawn size and a random margin, never its shape: crop size says
    nothing about the lineage.
    """
    wanted = round(2 * (1.35 * cell.radius_um + cell.margin_um) / pixel_um)
    height = min(max(wanted, HEIGHTS[0]), HEIGHTS[1])
    place = region((height, WIDTH), (FIELD, FIELD))
    return place.rows, place.columns

"""BSCCM's files: an array a cell in Zarr v2, two tables, and the metadata.

Like the tiny and the MNIST-sized set there are no backgrounds; images of fluorescence, the
authors' own phase and stained cells are left out, and of the 23 patterns of light all but the four
half-annuli.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import imagecodecs
import numpy as np

from unstained.files import whole_file, write_json
from unstained.simulate.blood.optics import APERTURE, WAVELENGTH_UM

SIDES: Final = ("Bottom", "Left", "Right", "Top")
CHANNELS: Final = tuple(f"DPC_{side}" for side in SIDES)
"""In the order of the real set's names."""
OFFSET: Final = 30
GAIN_DB: Final = 0.0
QUANTUM_EFFICIENCY: Final = 0.7
"""Of the camera. Counts above the offset, divided by 10^(dB / 10), are electrons."""
IMAGES: Final = "BSCCM_images.zarr"
GATES: Final = (
    "CD3_hi_CD_16_lo", "CD16_hi_CD45_mid", "CD16_hi_CD45_lomid", "CD16_hi_CD45_lo",
    "CD16_lo_CD45_lo", "CD16_none_CD45_mid_and_hi", "CD45_mid_CD_16_mid", "CD45_hi_CD_16_lo",
    "CD45_hi_CD_16_mid", "CD45_hi_CD_16_hi",
)  # fmt: skip
"""In the order of the table's columns, which number them."""


def write_metadata(home: Path, pixels: int, pixel_size_um: float) -> None:
    """Write what the set says of itself."""
    camera = {"gain_db": GAIN_DB, "offset": OFFSET, "quantum_efficiency": QUANTUM_EFFICIENCY}
    led_array = {
        "image_shape": [pixels, pixels],
        "channel_indices": list(range(len(CHANNELS))),
        "channel_names": list(CHANNELS),
        "exposure_ms": dict.fromkeys(CHANNELS, 100.0),
        "camera": camera,
        "pixel_size_um": pixel_size_um,
        "objective": {"NA": APERTURE, "magnification": 20},
        "wavelength_nm": round(WAVELENGTH_UM * 1000),
    }
    fluorescence: dict[str, Any] = {"channel_names": []}
    content = {"name": "BSCCM-simulated", "led_array": led_array, "fluorescence": fluorescence}
    write_json(home / "BSCCM_global_metadata.json", content)


def write_groups(home: Path, slides: Iterable[str]) -> None:
    """Mark the folders from the top down to the slides' as groups of Zarr."""
    top = home / IMAGES
    folders = {top}
    for slide in slides:
        folder = top / slide
        folders |= {one for one in (folder, *folder.parents) if one.is_relative_to(top)}
    for folder in sorted(folders):
        write_group(folder)


def write_group(folder: Path) -> None:
    """Mark a folder as a group of Zarr."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / ".zgroup").write_text(json.dumps({"zarr_format": 2}))


def write_cell(folder: Path, pixels: np.ndarray) -> None:
    """Write a cell's planes (C, h, w) uint16 as the set's authors compress them."""
    folder.mkdir()
    header = {
        "zarr_format": 2, "shape": list(pixels.shape), "chunks": [1, *pixels.shape[1:]],
        "dtype": "<u2", "order": "C", "fill_value": 0, "filters": None,
        "compressor": {"id": "blosc", "cname": "zstd", "clevel": 9, "shuffle": 1, "blocksize": 0},
    }  # fmt: skip
    (folder / ".zarray").write_text(json.dumps(header))
    for at, plane in enumerate(pixels.astype("<u2")):
        content = imagecodecs.blosc_encode(
            plane.tobytes(), level=9, compressor="zstd", typesize=2, shuffle="shuffle", numthreads=1
        )
        (folder / f"{at}.0.0").write_bytes(content)


def write_table(path: Path, rows: Sequence[Mapping[str, object]]) -> None:
    """A CSV file; None is an empty field."""
    with whole_file(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)

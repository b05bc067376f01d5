"""A miniature of BSCCM, written with zarr as the set's authors write it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numcodecs
import numpy as np
import pandas as pd
import zarr

CHANNELS = ("Brightfield", "DF_50", "DPC_Bottom", "DPC_Left", "DPC_Right", "DPC_Top", "LED119")
GATES = (
    "CD3_hi_CD_16_lo",
    "CD16_hi_CD45_mid",
    "CD16_hi_CD45_lomid",
    "CD16_hi_CD45_lo",
    "CD16_lo_CD45_lo",
    "CD16_none_CD45_mid_and_hi",
    "CD45_mid_CD_16_mid",
    "CD45_hi_CD_16_lo",
    "CD45_hi_CD_16_mid",
    "CD45_hi_CD_16_hi",
)
FULL = (
    "CD123/HLA-DR/CD14_full_model_unmixed",
    "CD3/CD19/CD56_full_model_unmixed",
    "CD45_full_model_unmixed",
    "CD16_full_model_unmixed",
)
SINGLE = "CD16_single_antibody_model_unmixed"
SIDE = 24


def write_bsccm(
    home: Path,
    cells: Sequence[Mapping[str, Any]],
    *,
    dtype: str = "<u2",
    side: int = SIDE,
    channels: Sequence[str] = CHANNELS,
) -> dict[int, np.ndarray]:
    """Write a set; tells the planes (C, side, side) of each cell.

    Args:
        home: its folder.
        cells: index, antibodies, batch, gate (a name or None) and values by column; what is left
            out has a default.
        dtype: of the images.
        side: of the images.
        channels: of the LED array, in the order of the planes.
    """
    home.mkdir(parents=True)
    about = {"channel_names": list(channels), "pixel_size_um": 0.2, "image_shape": [side, side]}
    metadata = {"name": home.name, "led_array": about, "fluorescence": {"channel_names": []}}
    (home / "BSCCM_global_metadata.json").write_text(json.dumps(metadata))
    images = zarr.open_group(str(home / "BSCCM_images.zarr"), mode="w", zarr_format=2)
    index, marked, written = [], [], {}
    for number, cell in enumerate(cells):
        key = cell.get("index", number)
        antibodies, batch = cell.get("antibodies", "all"), cell.get("batch", 0)
        slide = f"antibodies_{antibodies}/batch_{batch}/slide_replicate_{cell.get('slide', 0)}"
        written[key] = planes(key, len(channels), side, dtype)
        array = images.create_array(
            f"{slide}/led_array/cell_{key}",
            shape=written[key].shape,
            dtype=written[key].dtype,
            chunks=(1, side, side),
            compressors=numcodecs.Blosc("zstd", 9, numcodecs.Blosc.SHUFFLE),
        )
        array[:] = written[key]
        index.append({
            "global_index": key, "position_in_fov_y_pix": 100, "position_in_fov_x_pix": 90,
            "fov_center_x": cell.get("x", -320.0), "fov_center_y": cell.get("y", 1600.5),
            "batch": batch, "antibodies": antibodies, "imaging_date": "2019-01-01",
            "data_path": slide, "slide_replicate": cell.get("slide", 0),
        })  # fmt: skip
        gates = {f"selection_gated_{gate}": gate in cell.get("gates", ()) for gate in GATES}
        values = {name: cell.get(name, np.nan) for name in (*FULL, SINGLE)}
        marked.append({"global_index": key, **values, **gates})
    pd.DataFrame(index).to_csv(home / "BSCCM_index.csv", index=False)
    pd.DataFrame(marked).to_csv(home / "BSCCM_surface_markers.csv", index=False)
    return written


def planes(seed: int, count: int, side: int, dtype: str) -> np.ndarray:
    """(count, side, side) counts up to the largest of 12 bits, or of 8; different everywhere."""
    top = 256 if np.dtype(dtype).itemsize == 1 else 4096
    generator = np.random.default_rng(seed)
    return generator.integers(0, top, (count, side, side)).astype(dtype)

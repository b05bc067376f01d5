"""Small files of many cells, as the programs that make them lay them out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import h5py
import numpy as np
import zarr

SIDE = 24


def cells(count: int, seed: int = 0) -> np.ndarray:
    """(count, SIDE, SIDE) uint8: a disc on a background, different for every cell."""
    generator = np.random.default_rng(seed)
    y, x = np.mgrid[:SIDE, :SIDE] - SIDE / 2
    radii = generator.uniform(4, 8, count)[:, None, None]
    disc = np.where(x**2 + y**2 < radii**2, 60, 0)
    noise = generator.integers(0, 9, (count, SIDE, SIDE))
    return (100 + disc + noise).astype(np.uint8)


def write_rtdc(path: Path, count: int, seed: int = 0, pixel_size: float = 0.33) -> np.ndarray:
    """A file of deformability cytometry; returns its images."""
    images = cells(count, seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        file.attrs["imaging:pixel size"] = pixel_size
        events = file.create_group("events")
        events["image"] = images
        events["image_bg"] = np.full_like(images, 100)
        events["mask"] = np.where(images > 130, 255, 0).astype(np.uint8)
        events["index"] = np.arange(1, count + 1)
        events["deform"] = np.linspace(0.01, 0.2, count)
        events["trace/fl1_raw"] = np.zeros((count, 10), np.int16)
    return images


def write_h5sc(path: Path, count: int, types: Sequence[str | None]) -> np.ndarray:
    """A file of scPortrait with one mask and two images; returns the images (N, 2, H, W)."""
    mask = (cells(count) > 130).astype(np.float16)[:, None]
    images = np.stack([cells(count, seed) / np.float16(255) for seed in (1, 2)], axis=1)
    names = sorted({kind for kind in types if kind})
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        stack = np.concatenate([mask, images], axis=1).astype(np.float16)
        array = file.create_dataset("obsm/single_cell_images", data=stack, compression="lzf")
        array.attrs["channel_names"] = np.array([b"cytosol", b"BF", b"DPC"])
        array.attrs["channel_mapping"] = np.array([b"mask", b"image_channel", b"image_channel"])
        obs = file["obs"] if "obs" in file else file.create_group("obs")
        obs.attrs["_index"] = "_index"
        obs["_index"] = np.array([str(k) for k in range(count)], h5py.string_dtype())
        obs["scportrait_cell_id"] = np.arange(count, dtype=np.uint64) * 3 + 7
        obs["DNA"] = np.arange(count) / 2
        obs["batch"] = np.array(["one"] * count, h5py.string_dtype())
        kinds = obs.create_group("type")
        kinds["categories"] = np.array(names, h5py.string_dtype())
        kinds["codes"] = np.array([names.index(kind) if kind else -1 for kind in types], np.int8)
    return stack[:, 1:].astype(np.float32)


def write_ome_zarr(path: Path, types: Sequence[str | None], version: str = "0.5") -> np.ndarray:
    """An image of two channels with square cells 10 px wide, 40 px apart; returns it (2, H, W)."""
    height, width = 60, 40 * len(types) + 20
    image = np.random.default_rng(5).integers(90, 110, (2, height, width)).astype(np.uint16)
    labels = np.zeros((height, width), np.uint32)
    for at in range(len(types)):
        place = (slice(25, 35), slice(40 * at + 20, 40 * at + 30))
        labels[place] = 10 * (at + 1)
        image[(slice(None), *place)] += np.uint16(50 + at)
    root = zarr.open_group(str(path), mode="w", zarr_format=3 if version == "0.5" else 2)
    told = [
        {"label-value": 10 * (at + 1), "class": kind, "area": 100.0}
        for at, kind in enumerate(types) if kind
    ]  # fmt: skip
    _level(root, image, "cyx", version, omero={"channels": [{"label": "BF"}, {"label": "GFP"}]})
    group = root.create_group("labels")
    group.attrs.update(_below(version, {"labels": ["cells"]}))
    _level(
        group.create_group("cells"), labels, "yx", version, **{"image-label": {"properties": told}}
    )
    return image


def _level(group: zarr.Group, array: np.ndarray, axes: str, version: str, **more: object) -> None:
    kinds = {"c": {"name": "c", "type": "channel"}}
    space = {"type": "space", "unit": "nanometer"}
    scale = [1.0 if axis == "c" else 330.0 for axis in axes]
    about = {
        "multiscales": [{
            "axes": [kinds.get(axis, {"name": axis, **space}) for axis in axes],
            "datasets": [
                {"path": "s0", "coordinateTransformations": [{"type": "scale", "scale": scale}]}
            ],
        }],
        **more,
    }  # fmt: skip
    group.create_array("s0", data=array)
    group.attrs.update(_below(version, about))


def _below(version: str, about: dict[str, object]) -> dict[str, object]:
    return {"ome": {"version": version, **about}} if version == "0.5" else about

"""Single-cell images of scPortrait: `.h5sc` files, AnnData in HDF5 with an array of images.

`obsm/single_cell_images` is (N, C, H, W), float16 in 0..1; its attributes `channel_names` and
`channel_mapping` tell masks, which come first, from images. `obs` holds a column a property: an
array, or codes and categories; `scportrait_cell_id` is the object number.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import h5py
import numpy as np

from unstained.data.readers.array_files.contract import damaged, object_numbers

IMAGES = "obsm/single_cell_images"
OBJECT = "scportrait_cell_id"


class H5sc:
    """See `contract.CellArray`."""

    pixel_size_um: float | None = None

    def __init__(self, path: Path) -> None:
        self._file = h5py.File(path, "r")
        self._images = self._file[IMAGES]
        count, planes = self._images.shape[:2]
        names = [_text(name) for name in self._images.attrs["channel_names"]]
        kinds = [_text(kind) for kind in self._images.attrs["channel_mapping"]]
        if not len(names) == len(kinds) == planes:
            raise ValueError(f"{planes} channels, {len(names)} names, {len(kinds)} kinds")
        self._planes = [at for at, kind in enumerate(kinds) if kind != "mask"]
        self._masks = [at for at in range(planes) if at not in self._planes]
        self.channels = tuple(names[at] for at in self._planes)
        obs = self._file["obs"]
        index = _text(obs.attrs.get("_index", "_index"))
        self.columns = tuple(name for name in obs if name not in (index, "__categories"))
        self.objects = object_numbers(obs[OBJECT][:]) if OBJECT in obs else np.arange(count)

    def read(self, row: int, channels: Sequence[int]) -> tuple[np.ndarray, np.ndarray | None]:
        """See `CellArray`; the mask is what any of the file's masks covers."""
        with damaged():
            image = np.stack([self._images[row, self._planes[at]] for at in channels])
            covered = [self._images[row, at] > 0 for at in self._masks]
        mask = np.logical_or.reduce(covered).astype(np.uint8) if covered else None
        return image, mask

    def column(self, name: str) -> np.ndarray:
        """A column of `obs`; categories as their names."""
        entry = self._file["obs"][name]
        if isinstance(entry, h5py.Group):
            names = [_text(value) for value in entry["categories"][:]]
            codes = entry["codes"][:]
            return np.array([names[code] if code >= 0 else None for code in codes], object)
        values = entry[:]
        if values.dtype.kind in "OS":
            return np.array([_text(value) or None for value in values], object)
        return np.asarray(values)

    def close(self) -> None:
        """See `CellArray`."""
        self._file.close()


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)

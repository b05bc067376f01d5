"""Real-time deformability cytometry: `.rtdc` files (HDF5) of Shape-In and dclab.

`events/<feature>` holds one entry an event: images are (N, H, W), `mask` the contour's filled
inside, all scalar features numbers (N,). `events/index` counts from 1; `imaging:pixel size` is in
micrometres.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import h5py
import numpy as np

from unstained.data.readers.array_files.contract import damaged, object_numbers

MASK = "mask"


class Rtdc:
    """See `contract.CellArray`. Channels are `image`, and `image_bg` and others where recorded."""

    def __init__(self, path: Path) -> None:
        self._file = h5py.File(path, "r")
        events = self._file["events"]
        arrays = {name: entry for name, entry in events.items() if isinstance(entry, h5py.Dataset)}
        shape = arrays["image"].shape
        self.channels = tuple(
            name for name, entry in arrays.items() if entry.shape == shape and name != MASK
        )
        self.columns = tuple(name for name, entry in arrays.items() if entry.shape == shape[:1])
        self._events = arrays
        numbers = arrays.get("index")
        self.objects = np.arange(shape[0]) if numbers is None else object_numbers(numbers[:])
        size = self._file.attrs.get("imaging:pixel size")
        self.pixel_size_um = None if size is None else float(size)

    def read(self, row: int, channels: Sequence[int]) -> tuple[np.ndarray, np.ndarray | None]:
        """See `CellArray`."""
        with damaged():
            image = np.stack([self._events[self.channels[at]][row] for at in channels])
            mask = self._events[MASK][row] if MASK in self._events else None
        return image, mask

    def column(self, name: str) -> np.ndarray:
        """A scalar feature."""
        values: np.ndarray = self._events[name][:]
        return values

    def close(self) -> None:
        """See `CellArray`."""
        self._file.close()

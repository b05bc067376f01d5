"""OME-Zarr 0.4 and 0.5: an image and a label image of its cells; a cell is cut around its label.

The finest level of `multiscales` is read, with axes c, y, x (others of length 1), and the first
label image of `labels/`. `omero.channels` names the channels, `image-label.properties` tells of
each label what tasks ask for. A cell is the square around the middle of its label's bounding box
that the label fills at most to half of its side, cut at the image's border: its surroundings stay,
because they tell the background.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import zarr

from unstained.data.readers.array_files.contract import damaged

ROWS_AT_ONCE: Final = 2048
"""Rows of the label image in memory at a time."""
MICROMETRES: Final = {"micrometer": 1.0, "nanometer": 1e-3, "millimeter": 1e3}


class OmeZarr:
    """See `contract.CellArray`."""

    def __init__(self, path: Path) -> None:
        root = zarr.open_group(str(path), mode="r")
        about = _metadata(root)
        self._image, axes, self.pixel_size_um = _finest(root, about)
        self._channel_axis = axes.index("c") if "c" in axes else None
        self._axes = axes
        self.channels = self._names(about)
        labels = root["labels"]
        name = _metadata(labels)["labels"][0]
        label_group = labels[name]
        about_labels = _metadata(label_group)
        self._labels, self._label_axes, _ = _finest(label_group, about_labels)
        self._boxes = _bounding_boxes(self._labels, self._label_axes)
        self.objects = np.array(sorted(self._boxes), np.int64)
        told = about_labels.get("image-label", {}).get("properties") or []
        self._told = {int(entry["label-value"]): entry for entry in told}
        names = dict.fromkeys(key for entry in told for key in entry)
        self.columns = tuple(key for key in names if key != "label-value")

    def read(self, row: int, channels: Sequence[int]) -> tuple[np.ndarray, np.ndarray | None]:
        """See `CellArray`; the mask is the cell's label."""
        number = int(self.objects[row])
        top, bottom, left, right = self._boxes[number]
        side = 2 * max(bottom - top, right - left)
        place = {
            "y": _clipped((top + bottom - side) // 2, side),
            "x": _clipped((left + right - side) // 2, side),
        }
        with damaged():
            image = np.stack([_plane(self._image, self._axes, place, at) for at in channels])
            label = _plane(self._labels, self._label_axes, place)
        return image, (label == number).astype(np.uint8)

    def column(self, name: str) -> np.ndarray:
        """A property of the labels; None where a label has none."""
        found = [self._told.get(int(number), {}).get(name) for number in self.objects]
        return np.array(found, object)

    def close(self) -> None:
        """Nothing is kept open."""

    def _names(self, about: Mapping[str, Any]) -> tuple[str, ...]:
        count = 1 if self._channel_axis is None else self._image.shape[self._channel_axis]
        named = about.get("omero", {}).get("channels") or []
        found = [str(entry.get("label", f"channel_{at}")) for at, entry in enumerate(named)]
        return tuple(found) if len(found) == count else tuple(f"channel_{k}" for k in range(count))


def _clipped(start: int, length: int) -> slice:
    """A range, without what lies before the image; slices end at its other border by themselves."""
    return slice(max(0, start), start + length)


def _plane(array: Any, axes: str, place: Mapping[str, slice], channel: int = 0) -> np.ndarray:
    """Part of a plane, (h, w) rows by columns."""
    part = np.asarray(array[tuple(place.get(axis, channel if axis == "c" else 0) for axis in axes)])
    return part if axes.index("y") < axes.index("x") else part.T


def _metadata(group: Any) -> Mapping[str, Any]:
    """What OME says of a group: below `ome` in 0.5, at the top in 0.4."""
    attributes = dict(group.attrs)
    found: Mapping[str, Any] = attributes.get("ome", attributes)
    return found


def _finest(group: Any, about: Mapping[str, Any]) -> tuple[Any, str, float | None]:
    """The finest array of an image, a letter for each of its axes, and its pixel size.

    Raises:
        ValueError: an axis besides c, y, x is longer than 1, or pixels are not square.
    """
    scales = about["multiscales"][0]
    level = scales["datasets"][0]
    array = group[level["path"]]
    axes = "".join(axis["name"][0].lower() for axis in scales["axes"])
    for axis, length in zip(axes, array.shape, strict=True):
        if axis not in "cyx" and length > 1:
            raise ValueError(f"its axis {axis} has {length} planes, and one is read")
    scale = next(
        (one["scale"] for one in level.get("coordinateTransformations", ()) if "scale" in one), None
    )
    if scale is None:
        return array, axes, None
    sizes = [
        scale[at] * MICROMETRES[axis["unit"]]
        for at, axis in enumerate(scales["axes"])
        if axes[at] in "yx" and axis.get("unit") in MICROMETRES
    ]
    if len(sizes) == 2 and abs(sizes[0] - sizes[1]) > 0.01 * sizes[0]:
        raise ValueError(f"its pixels are {sizes[0]:g} x {sizes[1]:g} micrometres, not square")
    return array, axes, sizes[0] if sizes else None


def _bounding_boxes(labels: Any, axes: str) -> dict[int, tuple[int, int, int, int]]:
    """Label -> top, bottom, left, right; bottom and right are exclusive."""
    from scipy import ndimage  # workers of other layouts start without it

    found: dict[int, tuple[int, int, int, int]] = {}
    for start in range(0, labels.shape[axes.index("y")], ROWS_AT_ONCE):
        place = {"y": slice(start, start + ROWS_AT_ONCE), "x": slice(None)}
        band = _plane(labels, axes, place)
        numbers, dense = np.unique(band, return_inverse=True)
        # find_objects takes labels from 1 without gaps: 0, where there is any, is no cell.
        for at, box in enumerate(ndimage.find_objects(dense.reshape(band.shape) + 1)):
            number = int(numbers[at])
            if number:
                rows, columns = box
                new = (start + rows.start, start + rows.stop, columns.start, columns.stop)
                found[number] = _joined(found.get(number, new), new)
    return found


def _joined(
    one: tuple[int, int, int, int], other: tuple[int, int, int, int]
) -> tuple[int, int, int, int]:
    return (
        min(one[0], other[0]), max(one[1], other[1]), min(one[2], other[2]), max(one[3], other[3])
    )  # fmt: skip

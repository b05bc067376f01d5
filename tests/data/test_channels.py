"""Which page of a TIFF is which frame and channel: written by tifffile, read by name and order."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from unstained.data.readers.images import ImageError, read_image
from unstained.imaging.axes import Axes

RNG = np.random.default_rng(0)
STACK = RNG.integers(0, 4096, (3, 2, 8, 9)).astype(np.uint16)
"""Frames, channels, rows, columns."""
NAMES = ("BF", "DNA & co")


def written(path: Path, pixels: np.ndarray, **options: Any) -> Path:
    tifffile.imwrite(path / "x.tif", pixels, photometric="minisblack", **options)
    return path / "x.tif"


@pytest.mark.parametrize("axes", ["TCYX", "CTYX", "ZCYX", "CZYX"])
@pytest.mark.parametrize("kind", ["ome", "imagej", "shaped"])
def test_the_order_of_pages_is_the_files(tmp_path: Path, axes: str, kind: str) -> None:
    if kind == "imagej":
        axes = axes.replace("CT", "TC").replace("CZ", "ZC")  # its only order
    slow = axes.index("C") == 0
    pixels = np.ascontiguousarray(STACK.swapaxes(0, 1)) if slow else STACK
    options = {} if kind == "shaped" else {kind: True}
    file = written(tmp_path, pixels, metadata={"axes": axes}, **options)
    np.testing.assert_array_equal(read_image(file, Axes(("a", "b"), 3)), STACK)
    assert tifffile.imread(file).shape == pixels.shape


@pytest.mark.parametrize("axes", ["TCYX", "CTYX"])
def test_channels_of_an_ome_tiff_are_read_by_name(tmp_path: Path, axes: str) -> None:
    pixels = STACK if axes == "TCYX" else np.ascontiguousarray(STACK.swapaxes(0, 1))
    told = {"axes": axes, "Channel": {"Name": list(NAMES)}}
    file = written(tmp_path, pixels, ome=True, metadata=told)
    found = read_image(file, Axes(NAMES[::-1], 3))
    np.testing.assert_array_equal(found, STACK[:, ::-1])
    np.testing.assert_array_equal(read_image(file, Axes(("BF",), 3)), STACK[:, :1])
    with pytest.raises(ImageError, match="has no channel GFP: it names BF, DNA & co") as caught:
        read_image(file, Axes(("BF", "GFP"), 3))
    assert "data.channels" in caught.value.remedy
    with pytest.raises(ImageError, match="expected is 2 frames"):
        read_image(file, Axes(NAMES, 2))


def test_pages_in_any_order_of_an_ome_tiff_are_found(tmp_path: Path) -> None:
    blocks = [(1, 0, 0), (0, 0, 1), (1, 1, 2), (0, 1, 3)]  # channel, time, page
    xml = "".join(f'<TiffData FirstC="{c}" FirstT="{t}" IFD="{k}"/>' for c, t, k in blocks)
    ome = (
        '<?xml version="1.0"?><OME xmlns="x"><Image ID="Image:0"><Pixels DimensionOrder="XYCZT" '
        'SizeC="2" SizeT="2" SizeZ="1" SizeX="9" SizeY="8"><Channel Name="a"/><Channel Name="b"/>'
        f"{xml}</Pixels></Image></OME>"
    )
    pages = np.stack([STACK[t, c] for c, t, _ in blocks])
    file = written(tmp_path, pages, description=ome, metadata=None)
    np.testing.assert_array_equal(read_image(file, Axes(("a", "b"), 2)), STACK[:2])
    short = written(tmp_path, pages[:3], description=ome, metadata=None)
    with pytest.raises(ImageError, match=r"is described as 4 images .OME-XML., and holds 3"):
        read_image(short, Axes(("a", "b"), 2))


def test_an_only_axis_is_what_the_study_says(tmp_path: Path) -> None:
    for options in ({"imagej": True}, {"ome": True}, {"metadata": {"axes": "ZYX"}}, {}):
        file = written(tmp_path, STACK[:, 0], **options)
        np.testing.assert_array_equal(read_image(file, Axes(tuple("abc")))[0], STACK[:, 0])
        np.testing.assert_array_equal(read_image(file, Axes(("a",), 3))[:, 0], STACK[:, 0])


def test_time_and_depth_together_are_refused(tmp_path: Path) -> None:
    file = written(tmp_path, STACK, imagej=True, metadata={"axes": "TZYX"})
    with pytest.raises(ImageError, match=r"has several axes beside its channels .slices, frames"):
        read_image(file, Axes(("a", "b"), 3))


def test_pages_that_name_themselves_are_read_by_name(tmp_path: Path) -> None:
    """As BD's imaging sorters write a cell: eight images of real numbers, some below 0."""
    names = ["FSC", "SSC (Imaging)", "LightLoss (Blue)", *(f"Marker {k}" for k in range(5))]
    pixels = RNG.normal(0, 50, (8, 10, 12)).astype(np.float32)
    with tifffile.TiffWriter(tmp_path / "bd.tiff") as writer:
        for name, page in zip(names, pixels, strict=True):
            writer.write(page, metadata=None, extratags=[(285, "s", 0, name, True)])
    asked = Axes(("LightLoss (Blue)", "FSC"))
    wide = (-400.0, 400.0)
    counts = np.rint((pixels.astype(np.float64) + 400) * (65535 / 800))
    np.testing.assert_array_equal(read_image(tmp_path / "bd.tiff", asked, wide)[0], counts[[2, 0]])
    np.testing.assert_array_equal(
        read_image(tmp_path / "bd.tiff", Axes(tuple("abcdefgh")), wide)[0], counts
    )
    with pytest.raises(ImageError, match=r"has no channel DNA: it names FSC, SSC .Imaging."):
        read_image(tmp_path / "bd.tiff", Axes(("FSC", "DNA")), wide)
    with pytest.raises(ImageError, match="holds float32 pixels"):
        read_image(tmp_path / "bd.tiff", asked)

"""What the tags of an image file say of its samples is honoured, or the file is refused."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile

from unstained.data.readers.facts import file_facts
from unstained.data.readers.images import ImageError, read_grey, read_image
from unstained.imaging.axes import COLOURS, Axes

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 4096, (12, 17)).astype(np.uint16)
BYTES = RNG.integers(0, 256, (12, 17)).astype(np.uint8)
COLOUR = RNG.integers(0, 256, (12, 17, 3)).astype(np.uint8)
RGB = Axes(COLOURS)


def tiff(image: np.ndarray, **options: Any) -> bytes:
    stream = io.BytesIO()
    tifffile.imwrite(stream, image, **({"metadata": None} | options))
    return stream.getvalue()


def retagged(content: bytes, code: int, value: int) -> bytes:
    """A TIFF whose first page has another value of a short tag."""
    with tifffile.TiffFile(io.BytesIO(content)) as file:
        place = file.pages[0].tags[code].offset  # type: ignore[union-attr]
    changed = bytearray(content)
    struct.pack_into("<H", changed, place + 8, value)
    return bytes(changed)


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(
    rows: Iterable[Any],
    bits: int,
    colour: int,
    size: tuple[int, int],
    *more: tuple[bytes, bytes],
    interlaced: bool = False,
) -> bytes:
    """A PNG of packed rows (h, bytes)."""
    height, width = size
    head = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, interlaced)
    pixels = zlib.compress(b"".join(b"\0" + bytes(row) for row in rows))
    parts = [(b"IHDR", head), *more, (b"IDAT", pixels), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(name, data) for name, data in parts)


def bmp(
    rows: np.ndarray, bits: int, palette: bytes = b"", scheme: int = 0, down: bool = False
) -> bytes:
    """A BMP of rows (h, bytes), the first one on top."""
    height, width = len(rows), rows.shape[1] * 8 // bits
    padded = np.pad(rows, ((0, 0), (0, -rows.shape[1] % 4)))
    data = (padded if down else padded[::-1]).tobytes()
    start = 54 + len(palette)
    head = struct.pack(
        "<IiiHHIIiiII", 40, width, -height if down else height, 1, bits, scheme, len(data), 0, 0,
        len(palette) // 4, 0,
    )  # fmt: skip
    return struct.pack("<2sIHHI", b"BM", start + len(data), 0, 0, start) + head + palette + data


def exif(orientation: int) -> bytes:
    """EXIF with nothing but an orientation."""
    return b"MM\0*" + struct.pack(">IHHHIHHI", 8, 1, 274, 3, 1, orientation, 0, 0)


UPRIGHT: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    1: lambda x: x,
    2: np.fliplr,
    3: lambda x: np.rot90(x, 2),
    4: np.flipud,
    5: lambda x: x.T,
    6: lambda x: np.rot90(x, -1),
    7: lambda x: np.rot90(x, 2).T,
    8: np.rot90,
}
"""Stored image -> upright one, in NumPy's words."""


@pytest.mark.parametrize("orientation", UPRIGHT)
def test_orientation_is_honoured(tmp_path: Path, orientation: int) -> None:
    path = tmp_path / "x.tif"
    path.write_bytes(tiff(GREY, extratags=[(274, 3, 1, orientation, True)]))
    np.testing.assert_array_equal(read_grey(path), UPRIGHT[orientation](GREY))
    (tmp_path / "x.png").write_bytes(png(BYTES, 8, 0, (12, 17), (b"eXIf", exif(orientation))))
    np.testing.assert_array_equal(read_grey(tmp_path / "x.png"), UPRIGHT[orientation](BYTES))
    plain = imagecodecs.jpeg8_encode(BYTES, level=95)
    (tmp_path / "x.jpg").write_bytes(plain)
    stored = read_grey(tmp_path / "x.jpg")
    told = b"\xff\xe1" + struct.pack(">H", 2 + 6 + len(exif(1))) + b"Exif\0\0" + exif(orientation)
    (tmp_path / "x.jpg").write_bytes(plain[:2] + told + plain[2:])
    np.testing.assert_array_equal(read_grey(tmp_path / "x.jpg"), UPRIGHT[orientation](stored))


def test_zero_is_white_is_inverted_where_the_tags_tell_black(tmp_path: Path) -> None:
    path = tmp_path / "x.tif"
    path.write_bytes(tiff(255 - BYTES, photometric="miniswhite"))
    np.testing.assert_array_equal(read_grey(path), BYTES)
    largest = [(281, 3, 1, 4095, True)]
    path.write_bytes(tiff(4095 - GREY, photometric="miniswhite", extratags=largest))
    np.testing.assert_array_equal(read_grey(path), GREY)
    path.write_bytes(tiff(4095 - GREY, photometric="miniswhite"))
    with pytest.raises(ImageError, match=r"0 is white.*not which count is black") as caught:
        read_grey(path)
    assert "MaxSampleValue" in caught.value.remedy


def test_offset_of_signed_counts_that_imagej_tells_is_taken_off(tmp_path: Path) -> None:
    path = tmp_path / "x.tif"
    text = "ImageJ=1.53t\ncf=0\nc0={}\nc1=1.0\nvunit=gray value\n"
    path.write_bytes(tiff(GREY + np.uint16(2**15), description=text.format("-32768.0")))
    np.testing.assert_array_equal(read_grey(path), GREY)
    path.write_bytes(tiff(GREY + np.uint16(2**15 - 99), description=text.format("-32768.0")))
    with pytest.raises(ImageError, match="signed 16 bit integers, some below 0"):
        read_grey(path)
    path.write_bytes(tiff(GREY, description=text.format("12.5")))  # another unit of the same counts
    np.testing.assert_array_equal(read_grey(path), GREY)


@pytest.mark.parametrize("how", ["filled", "repeated", "scaled", "not scaled"])
def test_counts_are_taken_back_from_16_bits_where_a_png_tells_how_many(
    tmp_path: Path, how: str
) -> None:
    stored = {
        "filled": GREY << 4,
        "repeated": GREY << 4 | GREY >> 8,
        "scaled": np.rint(GREY * (65535 / 4095)).astype(np.uint16),
        "not scaled": GREY,
    }[how]
    rows = stored.astype(">u2").view(np.uint8).reshape(12, -1)
    (tmp_path / "x.png").write_bytes(png(rows, 16, 0, (12, 17), (b"sBIT", b"\x0c")))
    np.testing.assert_array_equal(read_grey(tmp_path / "x.png"), GREY)


def test_the_seven_passes_of_an_interlaced_png_are_put_together(tmp_path: Path) -> None:
    """Adam7 (ISO/IEC 15948, 8.2): rows of every pass behind each other, each with its filter."""
    passes = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2),
              (1, 0, 2, 1))  # fmt: skip
    big = GREY.astype(">u2")
    rows = [row.tobytes() for y, x, down, right in passes for row in big[y::down, x::right]]
    (tmp_path / "x.png").write_bytes(png(rows, 16, 0, (12, 17), interlaced=True))
    np.testing.assert_array_equal(read_grey(tmp_path / "x.png"), GREY)


@pytest.mark.parametrize(
    ("name", "content", "reason", "remedy"),
    [
        ("x.tif", b"", "is empty", "copy"),
        ("x.tif", imagecodecs.png_encode(GREY), "holds a PNG, and its name ends in .tif", ".png"),
        ("x.png", tiff(GREY), "holds a TIFF", "end in .tif"),
        ("x.png", b"GIF89a" + bytes(99), "holds a GIF", "as TIFF or PNG"),
        ("x.jpg", b"version https://git-lfs.github.com/spec/v1\n", "pointer of Git LFS", "pull"),
        ("x.tiff", tiff(GREY)[:30], "it ends", "copy or export"),
    ],
)
def test_what_a_file_of_another_kind_holds_is_told(
    tmp_path: Path, name: str, content: bytes, reason: str, remedy: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ImageError, match=reason) as caught:
        read_grey(tmp_path / name)
    assert remedy in caught.value.remedy


def test_palettes_are_looked_up(tmp_path: Path) -> None:
    entries = RNG.integers(0, 256, (256, 3)).astype(np.uint8)
    blue_first = np.pad(entries[:, ::-1], ((0, 0), (0, 1))).tobytes()
    files = {
        "x.tif": tiff(BYTES, photometric="palette", colormap=entries.T.astype(np.uint16) * 257),
        "x.png": png(BYTES, 8, 3, (12, 17), (b"PLTE", entries.tobytes())),
        "x.bmp": bmp(BYTES, 8, blue_first),
    }
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
        found = read_image(tmp_path / name, RGB)[0]
        np.testing.assert_array_equal(found, np.moveaxis(entries[BYTES], -1, 0))
        with pytest.raises(ImageError, match="is a colour image, expected is one grey image"):
            read_grey(tmp_path / name)
    falling = np.repeat(np.arange(255, -1, -1, dtype=np.uint8)[:, None], 3, axis=1)
    for down in (False, True):
        palette = np.pad(falling, ((0, 0), (0, 1))).tobytes()
        (tmp_path / "x.bmp").write_bytes(bmp(BYTES, 8, palette, down=down))
        np.testing.assert_array_equal(read_grey(tmp_path / "x.bmp"), 255 - BYTES)


def test_planes_and_grey_samples_beside_each_other(tmp_path: Path) -> None:
    three = Axes(("Ch1", "Ch4", "Ch6"))
    path = tmp_path / "x.tif"
    for planar in ("contig", "separate"):
        stored = COLOUR if planar == "contig" else np.moveaxis(COLOUR, -1, 0)
        path.write_bytes(tiff(stored, photometric="minisblack", planarconfig=planar))
        np.testing.assert_array_equal(read_image(path, three)[0], np.moveaxis(COLOUR, -1, 0))
        with pytest.raises(
            ImageError, match=r"is an image of 3 samples, expected is .* red, green"
        ):
            read_image(path, RGB)
    path.write_bytes(tiff(np.dstack([COLOUR, COLOUR]), photometric="rgb", extrasamples=[0] * 3))
    with pytest.raises(ImageError, match="is a colour image with 3 more samples, expected"):
        read_image(path, RGB)
    both = np.dstack([BYTES, np.full_like(BYTES, 255)])
    path.write_bytes(tiff(both, photometric="minisblack", extrasamples=["unassalpha"]))
    np.testing.assert_array_equal(read_grey(path), BYTES)
    (tmp_path / "x.png").write_bytes(png(both.reshape(12, -1), 8, 4, (12, 17)))
    np.testing.assert_array_equal(read_grey(tmp_path / "x.png"), BYTES)


def test_numbers_are_read_where_their_range_is_declared(tmp_path: Path) -> None:
    numbers = RNG.normal(0, 1, (12, 17)).astype(np.float32)
    (tmp_path / "x.tif").write_bytes(tiff(numbers))
    one = Axes(("Ch1",))
    found = read_image(tmp_path / "x.tif", one, (-10.0, 10.0))
    assert found.dtype == np.uint16
    np.testing.assert_allclose(found[0, 0] / 65535 * 20 - 10, numbers, atol=0.5 * 20 / 65535 + 1e-6)
    with pytest.raises(ImageError, match="holds float32 pixels, not counts") as error:
        read_image(tmp_path / "x.tif", one)
    assert "float_range: [low, high]" in error.value.remedy
    with pytest.raises(ImageError, match=r"values from -\d.* and float_range is 0 to 9"):
        read_image(tmp_path / "x.tif", one, (0.0, 9.0))
    for nothing in (np.nan, np.inf, -np.inf):
        numbers[3, 3] = nothing
        (tmp_path / "x.tif").write_bytes(tiff(numbers))
        with pytest.raises(ImageError, match="1 pixel that is no finite number") as error:
            read_image(tmp_path / "x.tif", one, (-10.0, 10.0))
        assert "widen" not in error.value.remedy
    (tmp_path / "x.tif").write_bytes(tiff(GREY))
    with pytest.raises(ImageError, match="holds uint16 pixels, not real numbers"):
        read_image(tmp_path / "x.tif", one, (-10.0, 10.0))


INK = imagecodecs.jpeg8_encode(np.full((8, 8, 4), 90, np.uint8), colorspace="CMYK",
                               outcolorspace="YCCK")  # fmt: skip
REFUSED = {
    "signed": ("x.tif", tiff(GREY.astype(np.int16)), "signed 16 bit"),
    "twelve bits": ("x.tif", retagged(tiff(GREY), 258, 12), "12 bits a sample"),
    "one bit": ("x.tif", tiff(BYTES > 99), "1 bits a sample"),
    "format": ("x.tif", tiff(GREY.astype(np.complex64)), "format 6"),
    "ink": ("x.tif", tiff(np.dstack([COLOUR, BYTES]), photometric="separated"), "ink"),
    "lab": ("x.tif", retagged(tiff(COLOUR, photometric="rgb"), 262, 8), "L\\*a\\*b"),
    "filters": ("x.tif", retagged(tiff(GREY), 262, 32803), "colour filter array"),
    "mask": ("x.tif", retagged(tiff(BYTES), 262, 4), "transparency mask"),
    "nothing": ("x.tif", retagged(tiff(GREY), 262, 77), "photometric interpretation 77"),
    "difference": ("x.tif", retagged(tiff(COLOUR, photometric="rgb"), 262, 6), "YCbCr"),
    "wavelets": ("x.tif", tiff(BYTES, compression="jpeg2000"), "scheme 34712"),
    "thumbnail": ("x.tif", tiff(BYTES, subfiletype=1), "reduced copy"),
    "turned": ("x.tif", tiff(BYTES, extratags=[(274, 3, 1, 9, True)]), "orientation 9"),
    "few bits": ("x.png", png(BYTES[:, :2], 2, 0, (12, 8)), "2 bits a pixel"),
    "key": ("x.png", png(BYTES, 8, 0, (12, 17), (b"tRNS", struct.pack(">H", int(BYTES[0, 0])))),
            "transparent"),
    "moving": ("x.png", png(BYTES, 8, 0, (12, 17), (b"acTL", bytes(8))), "animation"),
    "runs": ("x.bmp", bmp(BYTES, 8, bytes(1024), scheme=1), "run lengths"),
    "four bits": ("x.bmp", bmp(BYTES[:, :16], 4, bytes(64)), "4 bits a pixel"),
    "lacking": ("x.bmp", bmp(BYTES, 8, bytes(64)), "colours that its palette lacks"),
    "short": ("x.bmp", bmp(COLOUR.reshape(12, -1), 24)[:-30], "ends within its image"),
    "print": ("x.jpg", INK, "ink \\(CMYK or YCCK\\)"),
    "whole field": ("x.png", png(BYTES, 8, 0, (40_000, 40_000)), "no crop of a cell"),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_what_has_another_meaning_is_refused(tmp_path: Path, what: str) -> None:
    name, content, reason = REFUSED[what]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ImageError, match=reason) as caught:
        read_grey(tmp_path / name)
    assert "quarantine" in caught.value.remedy or "cut it" in caught.value.remedy or (
        what == "key" and "transparency" in caught.value.remedy
    )  # fmt: skip


@pytest.mark.parametrize(
    ("name", "content", "size"),
    [
        ("x.ome.tif", tiff(GREY, ome=True, metadata={"axes": "YX", "PhysicalSizeX": 0.5,
                           "PhysicalSizeY": 0.25}), (0.5, 0.25)),
        ("x.ome.tif", tiff(GREY, ome=True, metadata={"axes": "YX", "PhysicalSizeX": 500.0,
                           "PhysicalSizeXUnit": "nm", "PhysicalSizeY": 0.0005,
                           "PhysicalSizeYUnit": "mm"}), (0.5, 0.5)),
        ("x.tif", tiff(GREY, resolution=(20_000, 10_000), resolutionunit="CENTIMETER"), (0.5, 1.0)),
        ("x.tif", tiff(GREY, imagej=True, resolution=(2, 2), metadata={"unit": "um"}), (0.5, 0.5)),
        ("x.tif", tiff(GREY, resolution=(300, 300), resolutionunit="INCH"), None),
        ("x.tif", tiff(GREY), None),
        ("x.png", png(BYTES, 8, 0, (12, 17), (b"pHYs", struct.pack(">IIB", 2_000_000, 4_000_000,
                      1))), (0.5, 0.25)),
        ("x.png", png(BYTES, 8, 0, (12, 17), (b"pHYs", struct.pack(">IIB", 2835, 2835, 1))), None),
        ("x.bmp", bmp(COLOUR.reshape(12, -1), 24), None),
    ],
)  # fmt: skip
def test_the_size_of_a_pixel_is_read_where_it_is_one(
    tmp_path: Path, name: str, content: bytes, size: tuple[float, float] | None
) -> None:
    (tmp_path / name).write_bytes(content)
    assert file_facts(tmp_path / name).pixel_um == pytest.approx(size)

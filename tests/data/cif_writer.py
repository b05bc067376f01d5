"""Small .cif, .daf and population files as Amnis's instruments and IDEAS write them, for tests.

Written from the description of the format alone (no reader's code is used), with every oddity that
files have. Encoders work a pixel at a time.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np

BYTE, ASCII, SHORT, LONG, DOUBLE = 1, 2, 3, 4, 12
CODES = {BYTE: "B", SHORT: "H", LONG: "I", DOUBLE: "d"}


@dataclass
class Object:
    """One object: pixels (n, h, w) of its channels side by side, and their masks alike.

    Attributes:
        strips: of image and mask, where they are encoded already (`encoded`).
    """

    number: int
    pixels: np.ndarray
    masks: np.ndarray
    strips: tuple[bytes, bytes] | None = None


@dataclass
class Oddities:
    """What a file may do otherwise.

    Attributes:
        compressed: False writes images and masks plainly (compression 1).
        signed: images are of signed counts, and say so.
        without_mask: masks of objects with these numbers are left out.
        overrun: the directory of the object with this number says that it has one entry more.
        promised: what the first directory gives as the number of objects; None: the truth.
        base: bytes left free before the first object; the file is sparse there.
        brightfield, in_use: channels, from 1.
        padding: value of the nibble that fills the last byte.
        mask_bits: what masks say of their bits.
        channel_width: what the first directory says of it; None: the truth.
        damaged: object -> other bytes for its image's strip.
    """

    compressed: bool = True
    signed: bool = False
    without_mask: tuple[int, ...] = ()
    overrun: int | None = None
    promised: int | None = None
    base: int = 0
    padding: int = 0
    brightfield: tuple[int, ...] = (1,)
    in_use: tuple[int, ...] | None = None
    mask_bits: int = 8
    channel_width: int | None = None
    damaged: Mapping[int, bytes] = field(default_factory=dict)


def encode_nibbles(image: np.ndarray, padding: int = 0) -> bytes:
    """Compression 30817 of an image (h, w)."""
    before = np.zeros((image.shape[0] + 1, image.shape[1] + 1), np.int64)
    before[1:, 1:] = image
    nibbles = []
    for value in np.diff(np.diff(before, axis=0), axis=1).ravel().tolist():
        while not -4 <= value < 4:
            nibbles.append(8 | value & 7)
            value >>= 3
        nibbles.append(value & 7)
    if len(nibbles) % 2:
        nibbles.append(padding)
    return bytes(low | high << 4 for low, high in zip(nibbles[::2], nibbles[1::2], strict=True))


def encode_runs(mask: np.ndarray) -> bytes:
    """Compression 30818 of a mask (h, w)."""
    runs: list[list[int]] = []
    for value in mask.ravel().tolist():
        if runs and runs[-1][0] == value and runs[-1][1] < 255:
            runs[-1][1] += 1
        else:
            runs.append([value, 0])
    return bytes(byte for run in runs for byte in run)


def random_objects(numbers: Sequence[int], channels: int = 2) -> list[Object]:
    """Objects of different heights with random pixels and masks."""
    rng = np.random.default_rng([*numbers, channels])
    sizes = [(channels, 9 + number % 5, 12) for number in numbers]
    return [
        Object(number, rng.integers(600, 900, size), rng.integers(0, 4, size))
        for number, size in zip(numbers, sizes, strict=True)
    ]


def _xml(in_use: Iterable[int], lit: Iterable[int]) -> bytes:
    used, bright = (
        " ".join("1" if k in set(numbers) else "0" for k in range(1, 13))
        for numbers in (list(in_use), list(lit))
    )
    return (
        "<SystemSettings><Imaging><Magnification>40</Magnification>"
        f"<ChannelInUseIndicators_0_11>{used}</ChannelInUseIndicators_0_11></Imaging>"
        f"<Illumination><BfLedIndicators_0_11>{bright}</BfLedIndicators_0_11></Illumination>"
        "</SystemSettings>\0"
    ).encode()


class _File:
    """A TIFF that grows: a strip, then the directory that tells of it, linked to the last."""

    def __init__(self, path: Path) -> None:
        self.file = path.open("wb")
        self.file.write(b"II*\0" + bytes(4))
        self.link = 4

    def put(self, content: bytes) -> int:
        place = self.file.seek(0, 2)
        self.file.write(content + bytes(len(content) % 2))
        return place

    def directory(self, entries: Mapping[int, tuple[int, object]], overrun: int = 0) -> int:
        rows = []
        for tag, (kind, value) in sorted(entries.items()):
            if isinstance(value, bytes):
                count, content = len(value), value
            else:
                values = value if isinstance(value, Sequence) else [value]
                count, content = len(values), struct.pack(f"<{len(values)}{CODES[kind]}", *values)
            if len(content) > 4:
                content = struct.pack("<I", self.put(content) % 2**32)
            rows.append(struct.pack("<HHI4s", tag, kind, count, content))
        place = self.put(struct.pack("<H", len(rows) + overrun) + b"".join(rows) + bytes(4))
        self.file.seek(self.link)
        self.file.write(struct.pack("<I", place % 2**32))
        self.link = place + 2 + 12 * len(rows)
        return place


def _plain(size: tuple[int, int], bits: int, compression: int, strip: int, length: int) -> dict:
    return {
        254: (BYTE, (0, 0)), 256: (LONG, size[1]), 257: (LONG, size[0]), 258: (SHORT, bits),
        259: (SHORT, compression), 262: (SHORT, 1), 266: (SHORT, 0), 273: (LONG, strip),
        277: (BYTE, (1, 0)), 278: (LONG, size[0]), 279: (LONG, length),
    }  # fmt: skip


def write_cif(path: Path, objects: Sequence[Object], odd: Oddities | None = None) -> list[int]:
    """Write a file.

    Returns:
        Where the directories of the images lie, in order.
    """
    odd = odd or Oddities()
    path.parent.mkdir(parents=True, exist_ok=True)
    count, width = objects[0].pixels.shape[0], objects[0].pixels.shape[2]
    width = width if odd.channel_width is None else odd.channel_width
    in_use = odd.in_use or tuple(range(1, count + 1))
    file = _File(path)
    dummy = file.put(bytes(2))
    promised = len(objects) if odd.promised is None else odd.promised
    file.directory({
        **_plain((1, 1), 8, 1, dummy, 1), 33002: (LONG, 1), 33018: (LONG, promised),
        33027: (ASCII, _xml(in_use, odd.brightfield)), 33064: (ASCII, b"<Instrument/>\0"),
        33020: (DOUBLE, [0.0] * 36), 33009: (LONG, width), 33066: (ASCII, b"6.2.187.0\0"),
        33026: (ASCII, b"C:\\data\\some.rif\0"),
    })  # fmt: skip
    places = []
    for one in objects:
        if odd.base and not places:
            file.file.seek(odd.base)
            file.file.write(bytes(2))
        places.append(_object(file, one, odd))
    file.file.close()
    return places


def encoded(one: Object, odd: Oddities) -> tuple[bytes, bytes]:
    """Strips of an object's image and mask."""
    image, mask = (np.concatenate(list(planes), axis=1) for planes in (one.pixels, one.masks))
    if odd.compressed:
        return encode_nibbles(image, odd.padding), encode_runs(mask)
    counts = image.astype("<i2" if odd.signed else "<u2")
    return counts.tobytes(), mask.astype(np.uint8).tobytes()


def _object(file: _File, one: Object, odd: Oddities) -> int:
    channels, height, width = one.pixels.shape
    size = (height, channels * width)
    content = one.strips or encoded(one, odd)
    strips = [odd.damaged.get(one.number, content[0]), content[1]]
    kinds = (30817, 30818) if odd.compressed else (1, 1)
    sign = {339: (SHORT, 2)} if odd.signed else {}
    place = file.directory(
        {**_plain(size, 16, kinds[0], file.put(strips[0]) % 2**32, len(strips[0])), **sign,
         33002: (LONG, 2), 33003: (LONG, one.number), 33024: (LONG, 7000 + one.number),
         33052: (DOUBLE, [700.0] * len(one.pixels)), 33053: (DOUBLE, [8.0] * len(one.pixels))},
        overrun=one.number == odd.overrun,
    )  # fmt: skip
    if one.number not in odd.without_mask:
        file.directory(
            {**_plain(size, odd.mask_bits, kinds[1], file.put(strips[1]) % 2**32,
                      len(strips[1])), 33002: (LONG, 3)}
        )  # fmt: skip
    return place


def write_population(path: Path, numbers: Iterable[int]) -> None:
    """An IDEAS population file: two lines of names, then a row an object, its number first."""
    rows = "".join(f"{number}\t{100.5 + number}\n" for number in numbers)
    path.write_text(f"{path.stem}\nObject Number\tArea_M01\n{rows}", encoding="utf-8")


@dataclass
class Analysis:
    """What a .daf holds.

    Attributes:
        populations: their attributes; `ob` lists the objects of a tagged one.
        regions: label -> type, corners, and further attributes.
        features: name -> (n,) values.
        places: of the images' directories, as `write_cif` returns them.
    """

    places: Sequence[int]
    populations: Sequence[Mapping[str, object]]
    regions: Mapping[str, tuple[str, Sequence[tuple[float, float]], Mapping[str, str]]] = field(
        default_factory=dict
    )
    features: Mapping[str, Sequence[float]] = field(default_factory=dict)


def write_daf(path: Path, analysis: Analysis, binary: bool = True) -> None:
    """An analysis with binary features, or as version 6.0 wrote it, in XML alone."""
    count = len(analysis.places)
    assay = ET.Element("Assay", IDEASVersion="6.2", binaryfeatures=str(binary))
    ET.SubElement(assay, "SOD", file=f"{path.stem}.cif", objcount=str(count))
    for name in analysis.features:
        ET.SubElement(assay, "UDF", name=name)
    for label, (kind, corners, more) in analysis.regions.items():
        region = ET.SubElement(assay, "Region", {"label": label, "type": kind, **more})
        for x, y in corners:
            ET.SubElement(region, "axy", x=str(x), y=str(y))
    for one in analysis.populations:
        attributes = {key: str(value) for key, value in one.items() if key != "ob"}
        population = ET.SubElement(assay, "Pop", attributes)
        for number in one.get("ob", ()):  # type: ignore[attr-defined]
            ET.SubElement(population, "ob", O=str(number))
    if not binary:
        for number, values in enumerate(analysis.features.values()):
            ET.SubElement(assay, "UDFValues", fid=str(number), fv="|".join(map(str, values)))
        for number, place in enumerate(analysis.places):
            ET.SubElement(assay, "SO", id=str(number), imgIFD=str(place), mskIFD="0")
    content = b"\xef\xbb\xbf" + ET.tostring(assay)
    if binary:
        content += b"\r\n\0" + struct.pack("<III", 1, len(analysis.features), count)
        for number, values in enumerate(analysis.features.values()):
            content += struct.pack(f"<I{count}d", number, *values)
        content += struct.pack("<I", count)
        for number, place in enumerate(analysis.places):
            content += struct.pack("<IQQQ3d2I2d", number, place, 0, 0, *[1.0] * 3, 1, 2, 3.0, 4.0)
            content += struct.pack("<I2d", 2, 1.0, 2.0) * 4
    path.write_bytes(content)

"""Small stores and raw layouts of synthetic cells for the tests of every layer; no simulator."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import tifffile
from pydantic import TypeAdapter

from unstained.config.tasks import TaskParams, named_tasks
from unstained.data.store.blocks import Cell, Origin
from unstained.data.store.cell_store import CellStore
from unstained.data.store.writer import StoreWriter
from unstained.imaging.axes import Axes
from unstained.tasks.study import Tasks


def asked(classes: Iterable[str] = (), **values: Mapping[str, object]) -> Any:
    """Tasks as in params.yaml: the classes 'blob', told by directory names, then some values."""
    rules = [{"name": name, "pattern": name} for name in classes]
    tasks: dict[str, Any] = {"blob": {"kind": "classes", "rules": rules}} if rules else {}
    return tasks | {name: {"kind": "value", **keys} for name, keys in values.items()}


def tasks(asking: Any) -> tuple[TaskParams, ...]:
    """What `asked` gives, parsed."""
    parsed = TypeAdapter(tuple[TaskParams, ...]).validate_python(named_tasks(asking))
    return tuple(parsed)


def blobs(classes: int = 3, values: int = 1) -> Tasks:
    """Some classes 'blob', unless there are none, and some values."""
    names = [f"class{number}" for number in range(classes)]
    columns = {f"value{number}": {"column": f"v{number}"} for number in range(values)}
    return Tasks.of(tasks(asked(names, **columns)))


def make_store(
    path: Path,
    *,
    cells_per_group: int = 24,
    groups_per_class: int = 4,
    classes: tuple[str, ...] = ("a", "b", "c"),
    seed: int = 0,
    dtype: type[np.unsignedinteger] = np.uint16,
    external_groups: int = 0,
    outside: tuple[str, ...] = (),
    confound: float = 0.0,
    missing_markers: float = 0.0,
    blocks_per_group: int = 1,
    unlabelled: float = 0.0,
    share: bool = False,
    side: bool = False,
    height: tuple[int, int] = (37, 57),
    width: tuple[int, int] = (60, 60),
) -> CellStore:
    """A store of blobs whose morphology depends on the class.

    Class k differs in elongation, granularity and rim; size, lamp brightness and noise vary alike
    in every class. The marker 'DNA' is proportional to the blob's area.

    Args:
        path: directory to write; must not exist.
        cells_per_group: cells of every acquisition.
        groups_per_class: acquisitions of every class, named '<class>_<number>'.
        classes: class names.
        seed: same seed, same bytes.
        dtype: np.uint8 or np.uint16.
        external_groups: further acquisitions of every class, external.
        outside: classes of which all acquisitions are external.
        confound: 0 to 1: fraction by which class k's lamp is brighter by 40 % a class.
        missing_markers: fraction of cells whose marker is NaN.
        blocks_per_group: blocks of contiguous cells within an acquisition that are groups of their
            own; 1 means the acquisition is the group.
        unlabelled: fraction of cells whose class the reader does not know.
        share: tell a column `share` of each cell, 0 to 1, which grows with the blob's area; NaN in
            the first acquisition of each class.
        side: tell a second class of each cell in a column `side`, 'large' or 'small', by the
            blob's area; null for every fifth cell.
        height: smallest and largest height.
        width: smallest and largest width.
    """
    writer = StoreWriter(
        path,
        study="synthetic",
        axes=Axes(("Ch1",)),
        markers=("DNA",),
        told={**({"share": "float64"} if share else {}), **({"side": "string"} if side else {})},
        source="files",
    )
    acquisitions = sorted(
        (f"{name}_{number:02d}", label, number >= groups_per_class or name in outside)
        for label, name in enumerate(classes)
        for number in range(groups_per_class + external_groups)
    )
    with writer:
        for acquisition, label, external in acquisitions:
            key = [seed, *acquisition.encode()]
            rng = np.random.default_rng(key)
            lamp = rng.uniform(0.85, 1.15) * (1 + confound * 0.4 * label)
            cells = []
            for position, (pixels, marker) in enumerate(
                _cells(rng, cells_per_group, label, lamp, dtype, height, width)
            ):
                block = position * blocks_per_group // cells_per_group
                group = acquisition if blocks_per_group == 1 else f"{acquisition}/b{block:02d}"
                size = marker
                if rng.random() < missing_markers:
                    marker = np.nan
                file = f"{acquisition}/{acquisition}_{position}_Ch1.ome.tif"
                told: dict[str, str | float | None] = {}
                if share:
                    first = acquisition.endswith("_00")
                    told["share"] = np.nan if first else 1 / (1 + np.exp(1 - size / 90_000))
                if side and position % 5:
                    told["side"] = "large" if size > 90_000 else "small"
                if (position + 0.5) / cells_per_group < unlabelled:
                    told["label"] = None
                cells.append(Cell(position, file, group, pixels, (marker,), told))
            writer.write(Origin(acquisition, classes[label], external), cells)
    return CellStore.open(path)


def _cells(
    rng: np.random.Generator,
    count: int,
    label: int,
    lamp: float,
    dtype: type[np.unsignedinteger],
    height: tuple[int, int],
    width: tuple[int, int],
) -> Iterator[tuple[np.ndarray, float]]:
    level = (100.0 if np.dtype(dtype) == np.uint8 else 680.0) * lamp
    for _ in range(count):
        h = int(rng.integers(height[0], height[1] + 1))
        w = int(rng.integers(width[0], width[1] + 1))
        shape, area = _blob(rng, label, h, w)
        image = level * (1 + 0.35 * shape + 0.01 * rng.standard_normal((h, w)))
        counts = np.clip(np.rint(image), 0, np.iinfo(dtype).max).astype(dtype)
        yield counts[None, None], float(area * rng.lognormal(0, 0.05) * 100)


def _blob(rng: np.random.Generator, label: int, h: int, w: int) -> tuple[np.ndarray, float]:
    """Relative contrast (h, w) and area in pixels of one blob of class `label`."""
    radius = min(h, w) * rng.uniform(0.22, 0.34)
    stretch = 1 + 0.35 * label + 0.1 * rng.random()
    angle = rng.uniform(0, np.pi)
    y, x = np.mgrid[:h, :w].astype(np.float64)
    y, x = y - h / 2 - rng.normal(0, 1), x - w / 2 - rng.normal(0, 1)
    along = (x * np.cos(angle) + y * np.sin(angle)) / np.sqrt(stretch)
    across = (y * np.cos(angle) - x * np.sin(angle)) * np.sqrt(stretch)
    distance = np.hypot(along, across) / radius
    inside = 1 / (1 + np.exp((distance - 1) * 12))
    rim = np.exp(-(((distance - 1) / 0.15) ** 2))
    grains = rng.standard_normal((h, w)) * (0.1 + 0.25 * label)
    body = inside * (0.6 - 0.3 * label / 2 + grains)
    return body - rim * (0.7 - 0.15 * label), np.pi * radius**2


def write_image(path: Path, image: np.ndarray) -> None:
    """Write a grey image in the format that the name asks for; BMP as 24 bits, R = G = B."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".bmp":
        colour = np.ascontiguousarray(np.repeat(image[..., None], 3, axis=2))
        path.write_bytes(imagecodecs.bmp_encode(colour))
    elif path.suffix == ".png":
        path.write_bytes(imagecodecs.png_encode(image))
    else:
        tifffile.imwrite(path, image, metadata=None)


def write_ifc(
    root: Path,
    samples: dict[str, int],
    *,
    channels: tuple[str, ...] = ("Ch1", "Ch2"),
    suffix: str = ".ome.tif",
    seed: int = 0,
    dtype: type[np.unsignedinteger] = np.uint16,
) -> Path:
    """A source as imaging flow cytometers export it: a directory a sample, a file a channel."""
    for sample, count in samples.items():
        rng = np.random.default_rng([seed, *sample.encode()])
        for number in range(count):
            height = int(rng.integers(37, 58))
            for channel in channels:
                image = rng.integers(90, 250, (height, 60)).astype(dtype)
                write_image(root / sample / f"{sample}_{number}_{channel}{suffix}", image)
    return root


def write_colour(
    root: Path, samples: dict[str, int], *, suffix: str = ".png", seed: int = 0
) -> dict[str, list[np.ndarray]]:
    """Stained cells on a pale ground, one colour image (h, w, 3) uint8 a file.

    The stain of sample directory number k absorbs most in channel k % 3.

    Returns:
        Sample -> its images in order.
    """
    found: dict[str, list[np.ndarray]] = {}
    for number, (sample, count) in enumerate(samples.items()):
        rng = np.random.default_rng([seed, *sample.encode()])
        absorbed = np.full(3, 0.25)
        absorbed[number % 3] = 0.6
        for cell in range(count):
            h, w = (int(side) for side in rng.integers(30, 45, 2))
            shape, _ = _blob(rng, number % 3, h, w)
            light = 1 - np.clip(0.5 + shape, 0, 1)[..., None] * absorbed
            image = 235 * light + rng.normal(0, 2, (h, w, 3))
            counts = np.clip(np.rint(image), 0, 255).astype(np.uint8)
            found.setdefault(sample, []).append(counts)
            path = root / sample / f"cell_{cell}{suffix}"
            path.parent.mkdir(parents=True, exist_ok=True)
            if suffix == ".png":
                path.write_bytes(imagecodecs.png_encode(counts))
            else:
                tifffile.imwrite(path, counts, photometric="rgb", metadata=None)
    return found


def write_films(root: Path, samples: dict[str, int], *, frames: int = 5, seed: int = 0) -> None:
    """Grey cells that grow from frame to frame, faster the later the sample: a TIFF a cell."""
    for number, (sample, count) in enumerate(samples.items()):
        rng = np.random.default_rng([seed, *sample.encode()])
        for cell in range(count):
            h, w = (int(side) for side in rng.integers(32, 44, 2))
            y, x = np.mgrid[:h, :w]
            distance = np.hypot(y - h / 2, x - w / 2)
            radii = 5 + (0.3 + number % 3) * np.arange(frames)
            film = 680 * (1 + 0.4 * (distance < radii[:, None, None]))
            film = film + rng.normal(0, 8, film.shape)
            path = root / sample / f"cell_{cell}.tif"
            path.parent.mkdir(parents=True, exist_ok=True)
            tifffile.imwrite(path, np.rint(film).astype(np.uint16), photometric="minisblack")


def write_montage(
    phase: Path, montage: str, cells: int, *, channels: tuple[str, ...] = ("Ch3", "Ch4")
) -> np.ndarray:
    """A montage of `cells` tiles, numbered down the columns, then alike fillers.

    Returns:
        Tiles (len(channels), 900, 40, 40).
    """
    rng = np.random.default_rng([cells, *str(phase.name + montage).encode()])
    tiles = rng.integers(500, 900, (len(channels), 900, 40, 40)).astype(np.uint16)
    tiles[:, cells:] = tiles[:, -1:]
    for channel, stack in zip(channels, tiles, strict=True):
        grid = stack.reshape(30, 30, 40, 40).transpose(1, 2, 0, 3).reshape(1200, 1200)
        write_image(phase / f"{channel}_{montage}.tif", np.ascontiguousarray(grid))
    return tiles

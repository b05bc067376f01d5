"""Folders of images as a lab has them, for `unstained init`."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from pathlib import Path

import imagecodecs
import numpy as np

from tests.synthetic import write_colour, write_image

CLASSES = ("blast", "mature")


def write_rows(path: Path, rows: Iterable[Mapping[str, object]]) -> Path:
    """A table as CSV."""
    found = list(rows)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(found[0]))
        writer.writeheader()
        writer.writerows(found)
    return path


def write_jpegs(root: Path, cells: int = 12) -> Path:
    """A folder a class of colour JPEGs."""
    images = write_colour(root / "png", dict.fromkeys(CLASSES, cells))
    for name, of_class in images.items():
        for number, image in enumerate(of_class):
            path = root / "jpeg" / name / f"{number}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(imagecodecs.jpeg8_encode(image, level=95))
    return root / "jpeg"


def write_plates(root: Path, *, plates: int = 6, wells: int = 2, cells: int = 5) -> Path:
    """Grey 12-bit images and cells.csv: class, plate, well and a number of each cell.

    The number is missing for one cell; plates and wells hold both classes.
    """
    rng = np.random.default_rng(5)
    rows: list[dict[str, object]] = []
    for plate in range(plates):
        for well in range(wells):
            for cell in range(cells):
                name = f"images/{plate}{well}{cell}.tif"
                side = int(rng.integers(30, 41))
                image = rng.integers(500, 900, (side, 38)).astype(np.uint16)
                image[10:20, 10:20] = 4012 - cell
                write_image(root / name, image)
                rows.append(
                    {
                        "path": name,
                        "label": CLASSES[cell % 2],
                        "plate": f"P{plate}",
                        "well": f"P{plate}{'ABCDEF'[well]}",
                        "CD16": "" if len(rows) == 3 else f"{rng.random():.3f}",
                    }
                )
    write_rows(root / "cells.csv", rows)
    return root

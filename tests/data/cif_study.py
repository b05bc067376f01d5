"""A study of .cif files whose classes can be learnt, from the tests' writer.

    python -m tests.data.cif_study FOLDER                   # writes files, prints the section
    python -m tests.data.cif_study FOLDER --project CLONE   # adds it to params.yaml there, active

Twelve acquisitions of 50 cells: brightfield in Ch1, a stain in Ch2. Classes differ in size and in
how coarse their texture is, not in brightness; half of the acquisitions tell them by text files,
half by a .daf. Every tenth cell is in no population.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import numpy as np
from scipy import ndimage

from tests.data.cif_writer import Analysis, Object, write_cif, write_daf, write_population

SIDE = 40
CLASSES = ("coarse", "fine")
SECTION = """
  cif:
    data:
      title: Cells of a .cif
      question: Is a cell smooth or finely grained, seen in brightfield alone?
      reader: cif
      source: {source}
      pixel_size_um: 0.5
      channels: [brightfield]
      markers: {{DNA: Ch2}}
      tasks:
        kind: {{kind: classes, names: [smooth, fine]}}
        DNA: {{kind: value, column: marker_DNA, unit: counts}}
      cif: {{populations: {{smooth: "^coarse$"}}}}
      group: acquisition
      canvas: 48
"""


def cell(rng: np.random.Generator, number: int, label: int, lamp: float) -> Object:
    """A cell of class `label` in both channels, and the instrument's masks of it."""
    height = int(rng.integers(SIDE - 4, SIDE + 5))
    y, x = np.mgrid[:height, :SIDE]
    radius = rng.uniform(9, 13) + label
    distance = np.hypot(y - height / 2 - rng.normal(0, 1), x - SIDE / 2 - rng.normal(0, 1)) / radius
    body = 1 / (1 + np.exp(8 * (distance - 1)))
    texture = ndimage.gaussian_filter(rng.standard_normal((height, SIDE)), (2.0, 0.6)[label])
    grains = 0.12 * texture / texture.std()
    rim = np.exp(-(((distance - 1) / 0.15) ** 2))
    light = 700 * lamp * (1 + body * (0.1 + grains) - 0.25 * rim)
    stain = 40 + 150 * body * (1 + label) * rng.lognormal(0, 0.05)
    pixels = np.stack([light, stain]) + rng.normal(0, 4, (2, height, SIDE))
    masks = np.repeat((distance < 1.1)[None].astype(np.uint8), 2, axis=0)
    return Object(number, np.rint(np.clip(pixels, 0, 4095)).astype(np.int64), masks)


def write_study(folder: Path, acquisitions: int = 12, cells: int = 50) -> None:
    """Write the files."""
    for tube in range(acquisitions):
        rng = np.random.default_rng([7, tube])
        labels = rng.permutation(np.arange(cells) % 2)
        lamp = rng.uniform(0.9, 1.1)
        objects = [cell(rng, number, label, lamp) for number, label in enumerate(labels)]
        path = folder / f"day {tube % 2 + 1}" / f"tube_{tube}.cif"
        places = write_cif(path, objects)
        members = {
            name: [k for k in range(cells) if labels[k] == label and k % 10]
            for label, name in enumerate(CLASSES)
        }
        if tube % 2:
            every = {"name": "All", "type": "B", "base": ""}
            tagged = [
                {"name": name, "type": "T", "base": "All", "ob": numbers}
                for name, numbers in members.items()
            ]
            write_daf(path.with_suffix(".daf"), Analysis(places, [every, *tagged]))
            continue
        for name, numbers in members.items():
            write_population(path.with_name(f"{path.stem}_{name}.txt"), numbers)


def add_study(params: Path, source: Path) -> None:
    """Add the section to a params.yaml, and make the study the active one."""
    text = re.sub(r"(?m)^active:.*$", "active: [cif]", params.read_text())
    params.write_text(text.rstrip("\n") + "\n" + SECTION.format(source=source.resolve()))


def main() -> None:
    """Write the files and print or add the section."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--project", type=Path)
    options = parser.parse_args()
    write_study(options.folder)
    if options.project is None:
        print(SECTION.format(source=options.folder.resolve()))
    else:
        add_study(options.project / "params.yaml", options.folder)


if __name__ == "__main__":
    main()

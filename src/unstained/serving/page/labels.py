"""What people say of a sample's cells, without being told what the model said.

Everybody who labels a sample is shown the same cells in the same order. What was said can be taken
along as a folder that ingest reads with its reader `table`: the cells' images, a table, and the
section of params.yaml to go with it.
"""

from __future__ import annotations

import hashlib
import io
import math
import zipfile
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import tifffile
from ruamel.yaml import YAML

from unstained.config.study import StudyData
from unstained.files import read_json, write_json
from unstained.imaging.axes import Axes
from unstained.serving.page.samples import Sample
from unstained.serving.refusals import RequestError
from unstained.statistics.agreement import cohen_kappa

MOST_CELLS: Final = 100
"""Shown to a person: some minutes of work."""
MOST_PEOPLE: Final = 20
LONGEST_NAME: Final = 40
FOLDER: Final = "labels"
TABLE: Final = "labels.csv"


def cells_to_label(sample: Sample) -> list[int]:
    """Cells of a sample that people are shown, in order: drawn at random, alike for everybody."""
    there = np.flatnonzero(sample.places[:, 1])
    seed = int.from_bytes(hashlib.sha256(sample.folder.name.encode()).digest()[:8])
    chosen = np.random.default_rng(seed).permutation(there)[:MOST_CELLS]
    return [int(cell) for cell in chosen]


def said(sample: Sample) -> dict[str, dict[int, str]]:
    """Person -> cell -> class."""
    files = sorted((sample.folder / FOLDER).glob("*.json"))
    contents = [read_json(file) for file in files]
    return {
        content["person"]: {int(cell): name for cell, name in content["labels"].items()}
        for content in sorted(contents, key=lambda content: str(content["person"]))
    }


def say(sample: Sample, person: str, labels: Mapping[str, Any], classes: Sequence[str]) -> None:
    """Keep what a person says; it replaces what this person said before.

    Args:
        sample: whose cells.
        person: a name.
        labels: cell -> class, or None where the person does not know.
        classes: that may be said.

    Raises:
        RequestError: no name, a cell that is not asked about, no such class, or too many people.
    """
    person = " ".join(person.split())
    if not 0 < len(person) <= LONGEST_NAME or not person.isprintable():
        raise RequestError(400, f"give a name of at most {LONGEST_NAME} letters")
    known = {str(cell) for cell in cells_to_label(sample)}
    for cell, name in labels.items():
        if cell not in known or name not in (*classes, None):
            raise RequestError(400, f"cell {cell!r:.20} cannot be labelled {name!r:.60}")
    file = sample.folder / FOLDER / f"{hashlib.sha256(person.casefold().encode()).hexdigest()}.json"
    if not file.exists() and len(list(file.parent.glob("*.json"))) >= MOST_PEOPLE:
        raise RequestError(409, f"{MOST_PEOPLE} people have labelled these cells already")
    kept = {cell: name for cell, name in labels.items() if name is not None}
    write_json(file, {"person": person, "labels": kept})


def agreement(
    labels: Mapping[str, Mapping[int, str]], classes: Sequence[str]
) -> list[dict[str, Any]]:
    """How far each two people agree on the cells that both labelled."""
    numbers = {name: number for number, name in enumerate(classes)}
    found = []
    for first, second in combinations(labels, 2):
        both = sorted(labels[first].keys() & labels[second].keys())
        one, other = (
            np.array([numbers[labels[who][cell]] for cell in both], np.int64)
            for who in (first, second)
        )
        kappa = cohen_kappa(one, other, len(classes))
        found.append(
            {
                "people": [first, second],
                "cells": len(both),
                "same": int((one == other).sum()),
                "kappa": None if math.isnan(kappa) else kappa,
            }
        )
    return found


def labelled_folder(sample: Sample, study: StudyData, classes: Sequence[str]) -> bytes:
    """The labelled cells as a .zip: images, table, section of params.yaml.

    Raises:
        RequestError: nobody has labelled anything (409).
    """
    labels = said(sample)
    cells = [cell for cell in cells_to_label(sample) if any(cell in of for of in labels.values())]
    if not cells:
        raise RequestError(409, "nobody has labelled a cell yet")
    table = _table(sample, cells, labels)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for cell, path in zip(cells, table["path"].to_pylist(), strict=True):
            archive.writestr(path, _tiff(sample.require(cell), study.axes))
        text = io.BytesIO()
        pa_csv.write_csv(table, text)
        archive.writestr(TABLE, text.getvalue())
        archive.writestr("study.yaml", _section(study, classes))
    return buffer.getvalue()


def _table(
    sample: Sample, cells: Sequence[int], labels: Mapping[str, Mapping[int, str]]
) -> pa.Table:
    """A row a cell; `label` is what most said, empty where as many said something else."""
    rows = sample.rows.select(["acquisition", "object", "source_file"]).take(cells)
    votes = [Counter(of[cell] for of in labels.values() if cell in of) for cell in cells]
    columns: dict[str, Any] = {
        "path": [f"cells/{cell:06d}.tif" for cell in cells],
        "acquisition": rows["acquisition"],
        "cell": cells,
        "label": [_majority(counts) for counts in votes],
        **{f"by {who}": [of.get(cell) for cell in cells] for who, of in labels.items()},
        "source_file": rows["source_file"],
        "source_object": rows["object"],
    }
    return pa.table(columns)


def _majority(votes: Counter[str]) -> str | None:
    (name, most), *others = votes.most_common()
    return None if others and others[0][1] == most else name


def _tiff(pixels: np.ndarray, axes: Axes) -> bytes:
    """Raw counts (P, h, w) as the reader `table` takes them: a page a plane, or colours."""
    buffer = io.BytesIO()
    if axes.colour:
        frames = np.moveaxis(axes.unfold(pixels), 1, -1)
        tifffile.imwrite(buffer, frames, photometric="rgb", metadata=None)
    else:
        tifffile.imwrite(buffer, pixels, photometric="minisblack", metadata=None)
    return buffer.getvalue()


def _section(study: StudyData, classes: Sequence[str]) -> str:
    """What params.yaml says below `studies` so that ingest reads the folder."""
    data = {
        "title": f"{study.title}, labelled by eye",
        "question": study.question,
        "reader": "table",
        "source": "PATH OF THIS FOLDER",
        "table": {
            "file": TABLE,
            "image": "path",
            "acquisition": "acquisition",
            "object": "cell",
        },
        "pixel_size_um": study.pixel_size_um,
        "channels": list(study.channels),
        "frames": study.frames,
        "normalise": study.normalise,
        "tasks": {"label": {"kind": "classes", "column": "label", "names": list(classes)}},
        "group": "acquisition",
        "canvas": study.canvas,
    }
    text = io.StringIO()
    YAML().dump({"labelled": {"data": data}}, text)
    return text.getvalue()

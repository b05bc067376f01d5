"""Remedies that advise in words: what the words say is done, and ingest goes on."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import imagecodecs
import numpy as np
import pytest
import tifffile

from tests.stages.test_ingest import run
from tests.synthetic import write_ifc
from unstained.errors import UnstainedError

FILE = "n_1/n_1_0_Ch1.ome.tif"
WHITE = [(281, 3, 1, 255, True)]


def change(pattern: str, function: Callable[[np.ndarray], np.ndarray], **tags: Any) -> Any:
    """Write files again with other counts, and with tags."""

    def changed(source: Path) -> None:
        for file in source.glob(pattern):
            tifffile.imwrite(file, function(tifffile.imread(file)), metadata=None, **tags)

    return changed


def rename(old: str, new: str) -> Any:
    return lambda source: (source / old).rename(source / new)


def as_png(source: Path) -> None:
    (source / FILE).write_bytes(imagecodecs.png_encode(tifffile.imread(source / FILE)))


def copy_to_another(source: Path) -> None:
    shutil.copy(source / FILE, source / "o_1" / "n_1_7_Ch1.ome.tif")


class Case(NamedTuple):
    """What is wrong, what is said, and what the remedy says to do: to the files, or a setting."""

    spoil: Any
    said: str
    advice: str
    do: Any = None
    settings: dict[str, Any] = {}  # noqa: RUF012  (never written to)


CASES = {
    "scaled": Case(
        change("n_1/*_Ch2*", lambda x: x * 16),
        "is a multiple of 16",
        "divide them by 16",
        change("n_1/*_Ch2*", lambda x: x // 16),
    ),
    "offset": Case(
        change("n_1/*", lambda x: x + np.uint16(2**15)),
        "is 32768 or more",
        "subtract 32768",
        change("n_1/*", lambda x: x - np.uint16(2**15)),
    ),
    "white": Case(
        change(FILE, lambda x: 255 - x, photometric="miniswhite"),
        "0 is white",
        "MaxSampleValue",
        change(FILE, lambda x: x, photometric="miniswhite", extratags=WHITE),
    ),
    "signed": Case(
        change(FILE, lambda x: x.astype(np.int16)),
        "signed 16 bit",
        "8 or 16 bit counts",
        change(FILE, lambda x: x.astype(np.uint16)),
    ),
    "misnamed": Case(
        as_png, "holds a PNG", "rename it to end in .png", rename(FILE, "n_1/n_1_0_Ch1.png")
    ),
    "pixel": Case(
        change("n_1/*_Ch1*", lambda x: x, resolution=(20_000, 20_000), resolutionunit="CENTIMETER"),
        "a pixel is 0.5 micrometres",
        "ingest.pixel_tags: ignore",
        None,
        {"pixel_tags": "ignore"},
    ),
    "stray": Case(
        copy_to_another,
        "names the sample n_1",
        "out of the source",
        lambda source: (source / "o_1" / "n_1_7_Ch1.ome.tif").unlink(),
    ),
    "unknown": Case(rename("o_1", "glia"), "matches no class", "rename it", rename("glia", "o_9")),
    "twins": Case(
        lambda source: (shutil.rmtree(source / "n_1"), write_ifc(source, {"n_1b": 2, "n_1B": 1})),
        "the acquisitions 'n_1B' and 'n_1b', which differ in case or encoding alone",
        "give them names that differ in more",
        lambda source: (shutil.rmtree(source / "n_1B"), write_ifc(source, {"n_1c": 1})),
    ),
    "lost": Case(
        rename(FILE, "../kept.tif"),
        "channel Ch1 is missing",
        "copy the missing file",
        rename("../kept.tif", FILE),
    ),
    "absent": Case(
        lambda source: shutil.move(source / "o_1", source.parent),
        "class oligodendrocyte has no cell",
        "add its directories",
        lambda source: shutil.move(source.parent / "o_1", source),
    ),
    "promised": Case(
        lambda _: None,
        "class astrocyte has 3 cells, 9 promised",
        "correct studies",
        None,
        {"data": {"expected": {"astrocyte": 3, "neuron": 3, "oligodendrocyte": 3}}},
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_what_the_remedy_says_helps(tmp_path: Path, name: str) -> None:
    case, source = CASES[name], write_ifc(tmp_path / "source", {"a_1": 3, "n_1": 3, "o_1": 3})
    case.spoil(source)
    before = {"data": {"expected": {"astrocyte": 9}}} if name == "promised" else {}
    with pytest.raises(UnstainedError) as error:
        run(tmp_path / "run", source, **before)
    assert case.said in error.value.message
    assert case.advice in error.value.remedy
    if case.do:
        case.do(source)
    _, store = run(tmp_path / "run", source, **case.settings)
    assert len(store) == 9

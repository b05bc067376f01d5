"""Readers of the raw layouts: what they find, and what they refuse by name or by content."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile

from tests.synthetic import write_ifc, write_image, write_montage
from unstained.config.project import load_params
from unstained.config.study import StudyData
from unstained.data.readers import open_reader
from unstained.data.readers.external import marked_external
from unstained.data.readers.facts import file_facts
from unstained.data.readers.images import ImageError, read_grey, read_image
from unstained.data.readers.jurkat_montage import fillers
from unstained.data.readers.protocol import Acquisition, Filler, Outcome, Reader, Refused
from unstained.data.store.blocks import Cell
from unstained.data.store.inventory import Tally, check_inventory
from unstained.errors import ParameterError, SourceError, UnstainedError
from unstained.imaging.axes import COLOURS, Axes

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 4096, (45, 60)).astype(np.uint16)
COLOUR = RNG.integers(0, 256, (45, 60, 3)).astype(np.uint8)
RGB = Axes(COLOURS)


def study(repository: Path, name: str = "nsc", **changes: Any) -> StudyData:
    data = load_params(repository / "params.yaml").studies[name].data
    return data.model_copy(update=changes)


def tiff(image: np.ndarray, **options: Any) -> bytes:
    stream = io.BytesIO()
    tifffile.imwrite(stream, image, **options)
    return stream.getvalue()


def two_pages() -> bytes:
    stream = io.BytesIO()
    with tifffile.TiffWriter(stream) as writer:
        writer.write(GREY)
        writer.write(GREY[:20])
    return stream.getvalue()


def everything(reader: Reader) -> dict[str, list[Outcome]]:
    found: dict[str, list[Outcome]] = {}
    for acquisition in reader.acquisitions():
        listing = reader.items(acquisition)
        found[acquisition.name] = [*listing.refused]
        if listing.items:
            found[acquisition.name] += reader.decode(acquisition, listing.items)
    return found


# Single images


@pytest.mark.parametrize(
    "options",
    [{}, {"compression": "zlib"}, {"compression": "lzw"}, {"byteorder": ">"}, {"rowsperstrip": 7},
     {"bigtiff": True}, {"ome": True, "metadata": {"axes": "YX"}}],
)  # fmt: skip
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_tiff_variants(tmp_path: Path, options: dict[str, Any], dtype: type) -> None:
    image = (GREY % 256).astype(dtype)
    path = tmp_path / "x.ome.tif"
    path.write_bytes(tiff(image, **options))
    read = read_grey(path)
    assert read.dtype == dtype
    np.testing.assert_array_equal(read, image)


@pytest.mark.parametrize("suffix", [".tiff", ".bmp", ".png"])
def test_other_formats(tmp_path: Path, suffix: str) -> None:
    image = (GREY % 256).astype(np.uint8)
    write_image(tmp_path / f"x{suffix}", image)
    np.testing.assert_array_equal(read_grey(tmp_path / f"x{suffix}"), image)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("x.tif", tiff(GREY.astype(np.float32)), "float32"),
        ("x.tif", tiff(GREY.astype(np.int16)), "int16"),
        (
            "x.tif",
            tiff(COLOUR, photometric="rgb"),
            "is a colour image, expected is one grey",
        ),
        ("x.tif", tiff(np.stack([GREY, GREY]), photometric="minisblack"), "2 images"),
        ("x.tif", two_pages(), "2 images"),
        ("x.tif", b"", "empty"),
        ("x.tif", b"no image at all, whatever the name says", "corrupt"),
        ("x.png", imagecodecs.png_encode(np.zeros((4, 5, 3), np.uint8)), "colour"),
        ("x.bmp", imagecodecs.bmp_encode(np.arange(60, dtype=np.uint8).reshape(4, 5, 3)), "colour"),
    ],
)
def test_refused_images(tmp_path: Path, name: str, content: bytes, reason: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ImageError, match=reason):
        read_grey(tmp_path / name)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("x.tif", tiff(GREY, metadata=None)),
        ("x.tif", tiff(GREY, compression="zlib", metadata=None)),
        ("x.tif", tiff(GREY, compression="lzw", metadata=None)),
        ("x.bmp", imagecodecs.bmp_encode(np.repeat(GREY[..., None], 3, 2).astype(np.uint8))),
        ("x.png", imagecodecs.png_encode(GREY)),
    ],
)
def test_no_truncation_is_ever_accepted_with_other_pixels(
    tmp_path: Path, name: str, content: bytes
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    whole = read_grey(path)
    for length in range(0, len(content) - 20, 41):
        path.write_bytes(content[:length])
        with pytest.raises(ImageError, match=r"truncated or corrupt|is empty"):
            read_grey(path)
    for length in range(len(content) - 20, len(content)):
        path.write_bytes(content[:length])
        try:
            np.testing.assert_array_equal(read_grey(path), whole)
        except ImageError:
            continue


# Colour and frames


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("x.tif", tiff(COLOUR, photometric="rgb")),
        ("x.tif", tiff(COLOUR, photometric="rgb", compression="zlib")),
        ("x.tif", tiff(np.moveaxis(COLOUR, 2, 0), photometric="rgb", planarconfig="separate")),
        ("x.png", imagecodecs.png_encode(COLOUR)),
        ("x.png", imagecodecs.png_encode(np.dstack([COLOUR, np.full((45, 60), 255, np.uint8)]))),
        ("x.bmp", imagecodecs.bmp_encode(COLOUR)),
    ],
)
def test_colour_images(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    found = read_image(tmp_path / name, RGB)
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, np.moveaxis(COLOUR, 2, 0)[None])


SMOOTH = np.repeat(np.add.outer(np.arange(45), np.arange(60))[..., None], 3, 2).astype(np.uint8)
JPEG = imagecodecs.jpeg8_encode(SMOOTH, level=95)
THUMBNAIL = imagecodecs.jpeg8_encode(SMOOTH[:8, :8].copy(), level=95)


@pytest.mark.parametrize("suffix", [".jpg", ".JPEG"])
def test_a_jpeg_is_read_and_refused_where_it_ends_early(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"x{suffix}"
    # A small preview in a segment of its own ends as the image does.
    preview = b"\xff\xe1" + (2 + len(THUMBNAIL)).to_bytes(2, "big") + THUMBNAIL
    content = JPEG[:2] + preview + JPEG[2:]
    path.write_bytes(content)
    found = read_image(path, RGB)
    assert found.shape == (1, 3, 45, 60)
    assert np.abs(np.moveaxis(found[0], 0, 2).astype(int) - SMOOTH).max() <= 4
    for length in range(0, len(content) - 2, 41):
        path.write_bytes(content[:length])
        with pytest.raises(ImageError, match=r"truncated or corrupt|is empty"):
            read_image(path, RGB)


@pytest.mark.parametrize(
    ("name", "content", "lossy"),
    [
        ("x.jpg", JPEG, True),
        ("x.tif", tiff(SMOOTH, photometric="rgb", compression="jpeg"), True),
        ("x.TIFF", tiff(SMOOTH, photometric="rgb", compression="jpeg", bigtiff=True), True),
        ("x.tif", tiff(SMOOTH, photometric="rgb", compression="jpeg", byteorder=">"), True),
        ("x.tif", tiff(SMOOTH, photometric="rgb", compression="zlib"), False),
        ("x.tif", two_pages(), False),
        ("x.png", imagecodecs.png_encode(SMOOTH), False),
        ("x.bmp", imagecodecs.bmp_encode(SMOOTH), False),
        ("cells.csv", b"file,label\n", False),
    ],
)
def test_compression_with_loss_is_told(
    tmp_path: Path, name: str, content: bytes, lossy: bool
) -> None:
    (tmp_path / name).write_bytes(content)
    assert file_facts(tmp_path / name).lossy == lossy


def test_pages_are_frames_and_within_a_frame_channels(tmp_path: Path) -> None:
    stack = RNG.integers(0, 4096, (6, 20, 30)).astype(np.uint16)
    (tmp_path / "grey.tif").write_bytes(tiff(stack, photometric="minisblack"))
    for axes in (Axes(("a",), 6), Axes(("a", "b"), 3), Axes(tuple("abcdef"))):
        found = read_image(tmp_path / "grey.tif", axes)
        assert found.shape == (axes.frames, len(axes.channels), 20, 30)
        np.testing.assert_array_equal(found.reshape(stack.shape), stack)
    film = np.stack([COLOUR, COLOUR[::-1]])
    (tmp_path / "colour.tif").write_bytes(tiff(film, photometric="rgb"))
    found = read_image(tmp_path / "colour.tif", Axes(COLOURS, 2))
    np.testing.assert_array_equal(found, np.moveaxis(film, 3, 1))


@pytest.mark.parametrize(
    ("content", "axes", "reason"),
    [
        (tiff(GREY), RGB, "is a grey image, expected is 1 frame of channels red, green, blue"),
        (tiff(COLOUR, photometric="rgb"), Axes(("Ch1",)), "is a colour image, expected is 1 frame"),
        (tiff(GREY), Axes(("Ch1",), 5), "holds 1 image, expected is 5 frames of channel Ch1"),
        (
            tiff(np.stack([GREY] * 4), photometric="minisblack"),
            Axes(("Ch1",), 5),
            r"holds 4 images \(pages\), expected is 5 frames of channel Ch1",
        ),
        (two_pages(), Axes(("Ch1",), 2), "different sizes"),
        (tiff(GREY)[:-200], Axes(("Ch1",)), "corrupt"),
    ],
)
def test_a_file_that_is_not_what_the_study_declares(
    tmp_path: Path, content: bytes, axes: Axes, reason: str
) -> None:
    (tmp_path / "x.tif").write_bytes(content)
    with pytest.raises(ImageError, match=reason) as caught:
        read_image(tmp_path / "x.tif", axes)
    assert ("data.channels" in caught.value.remedy) == ("expected" in reason)


def test_transparent_pixels_are_refused(tmp_path: Path) -> None:
    image = np.dstack([COLOUR, np.full((45, 60), 254, np.uint8)])
    (tmp_path / "x.png").write_bytes(imagecodecs.png_encode(image))
    with pytest.raises(ImageError, match="transparent"):
        read_image(tmp_path / "x.png", RGB)


def test_several_numbered_channels_are_stacked(tmp_path: Path, repository: Path) -> None:
    write_ifc(tmp_path, {"a_1": 2}, channels=("Ch1", "Ch4", "Ch2"))
    data = study(repository, channels=("Ch4", "Ch1"), markers={"GFAP": "Ch2"})
    for cell in everything(open_reader(data, tmp_path))["a_1"]:
        assert isinstance(cell, Cell)
        for plane, channel in zip(cell.pixels[0], ("Ch4", "Ch1"), strict=True):
            file = tmp_path / "a_1" / f"a_1_{cell.object_index}_{channel}.ome.tif"
            np.testing.assert_array_equal(plane, tifffile.imread(file))
        assert np.isfinite(cell.markers[0])
    (tmp_path / "a_1" / "a_1_1_Ch1.ome.tif").unlink()
    (refused,) = open_reader(data, tmp_path).items(Acquisition("a", "a", False, "a_1", "a")).refused
    assert "channel Ch1 is missing" in refused.reason
    with pytest.raises(ParameterError, match="one frame"):
        everything(open_reader(study(repository, frames=2), tmp_path))


# Imaging flow cytometry


def test_ifc_cells_and_classes(tmp_path: Path, repository: Path) -> None:
    samples = {"a_1d1": 3, "o_1d1": 2, "n_1d1": 2, "nt3_1": 1, "ngf2": 1}
    write_ifc(tmp_path, samples, channels=("Ch1", "Ch2", "Ch11", "Ch6"))
    (tmp_path / "README.md").write_text("not an image")
    (tmp_path / "a_1d1" / "._a_1d1_0_Ch1.ome.tif").write_bytes(b"a macOS archive's companion")
    reader = open_reader(study(repository), tmp_path)
    labels = {a.name: (a.label, a.external) for a in reader.acquisitions()}
    assert labels == {
        "a_1d1": ("astrocyte", False),
        "o_1d1": ("oligodendrocyte", False),
        "n_1d1": ("neuron", False),
        "ngf2": ("neuron", True),
        "nt3_1": ("neuron", True),
    }
    found = everything(reader)
    assert {name: len(cells) for name, cells in found.items()} == samples
    cell = found["a_1d1"][2]
    assert isinstance(cell, Cell)
    file = "a_1d1/a_1d1_2_Ch1.ome.tif"
    assert (cell.object_index, cell.source_file, cell.group) == (2, file, "a_1d1")
    np.testing.assert_array_equal(cell.pixels[0, 0], tifffile.imread(tmp_path / file))
    assert np.isnan(cell.markers[1])  # Ch3 was not recorded
    assert np.isfinite(cell.markers[0])


def test_long_english_directories_and_nesting(tmp_path: Path, repository: Path) -> None:
    name = "NSCs treated with astrocyte differentiation medium (RA, SHH)"
    write_image(tmp_path / name / "17_Ch1.ome.tif", GREY)
    write_image(tmp_path / "day 2" / "o_2d1" / "o_2d1_0005_Ch1.tif", GREY)
    reader = open_reader(study(repository), tmp_path)
    found = everything(reader)
    assert {n: [c.object_index for c in cells] for n, cells in found.items()} == {
        name: [17],
        "day 2/o_2d1": [5],
    }


def test_marker_is_the_light_above_the_border(tmp_path: Path, repository: Path) -> None:
    rng = np.random.default_rng(1)
    stain = np.zeros((50, 60))
    stain[15:35, 20:40] = 30.0
    image = np.rint(100 + stain + 3 * rng.standard_normal((50, 60))).astype(np.uint16)
    write_image(tmp_path / "a_1" / "a_1_0_Ch1.tif", GREY[:, :60].repeat(2, 0)[:50])
    write_image(tmp_path / "a_1" / "a_1_0_Ch2.tif", image)
    (cell,) = everything(open_reader(study(repository), tmp_path))["a_1"]
    assert isinstance(cell, Cell)
    assert cell.markers[0] == pytest.approx(30 * 400, rel=0.15)


def test_block_groups(tmp_path: Path, repository: Path) -> None:
    write_ifc(tmp_path, {"a_1": 7}, channels=("Ch1",))
    data = study(repository, group="block", block_size=3)
    cells = everything(open_reader(data, tmp_path))["a_1"]
    groups = [f"a_1/b0{k}" for k in (0, 0, 0, 1, 1, 1, 2)]
    assert [cell.group for cell in cells if isinstance(cell, Cell)] == groups


@pytest.mark.parametrize(
    ("change", "file", "reason"),
    [
        (lambda d: write_image(d / "a_1_1_Ch1.png", GREY), "a_1/a_1_1_Ch1.png", "second file"),
        (lambda d: write_image(d / "a_1_01_Ch1.ome.tif", GREY), "a_1/a_1_1_Ch1", "second file"),
        (lambda d: (d / "a_1_1_Ch1.ome.tif").unlink(), "a_1/a_1_1_Ch2.ome.tif", "Ch1 is missing"),
        (lambda d: write_image(d / "overview.png", GREY), "a_1/overview.png", "not named"),
        (
            lambda d: write_image(d / f"a_1_{10**19}_Ch1.png", GREY),
            f"a_1/a_1_{10**19}",
            "not named",
        ),
        (lambda d: write_image(d / "a_1_1_Ch2.ome.tif", GREY[:9]), "a_1/a_1_1_Ch2.ome.tif", "9 x"),
        (
            lambda d: (d / "a_1_1_Ch1.ome.tif").write_bytes(b"II*\0"),
            "a_1/a_1_1_Ch1.ome.tif",
            "corrupt",
        ),
    ],
)
def test_bad_ifc_cells_are_refused_by_file(
    tmp_path: Path, repository: Path, change: Any, file: str, reason: str
) -> None:
    write_ifc(tmp_path, {"a_1": 3})
    change(tmp_path / "a_1")
    outcomes = everything(open_reader(study(repository), tmp_path))["a_1"]
    (refused,) = [outcome for outcome in outcomes if isinstance(outcome, Refused)]
    assert refused.source_file.startswith(file)
    assert reason in refused.reason
    assert refused.remedy
    good = {outcome.object_index for outcome in outcomes if isinstance(outcome, Cell)}
    assert good == ({0, 1, 2} if reason == "not named" else {0, 2})


def test_unknown_directory_names_the_rules(tmp_path: Path, repository: Path) -> None:
    write_ifc(tmp_path, {"a_1": 1, "x_1": 1})
    reader = open_reader(study(repository), tmp_path)
    with pytest.raises(SourceError, match=r"directory /.*/x_1 matches no class \(astrocyte: .*n_"):
        reader.acquisitions()


def test_missing_or_empty_source(tmp_path: Path, repository: Path) -> None:
    with pytest.raises(SourceError, match="is no directory"):
        open_reader(study(repository), tmp_path / "absent")
    for name in ("nsc", "cellcycle"):
        with pytest.raises(SourceError, match="holds no images"):
            open_reader(study(repository, name), tmp_path).acquisitions()


def test_wrong_channel_or_pattern_in_params(tmp_path: Path, repository: Path) -> None:
    write_ifc(tmp_path, {"a_1": 1})
    reader = open_reader(study(repository, channels=("BF",)), tmp_path)
    with pytest.raises(ParameterError, match="'BF' is no channel"):
        everything(reader)
    rule = study(repository).classes[0].model_copy(update={"pattern": "(a"})
    with pytest.raises(ParameterError, match="no regular expression"):
        open_reader(study(repository).with_rules((rule,)), tmp_path).acquisitions()


# Montages


@pytest.mark.parametrize("from_experiment", [False, True])
def test_montages(tmp_path: Path, repository: Path, from_experiment: bool) -> None:
    experiment = tmp_path / "Experiment_1"
    tiles = write_montage(experiment / "G1", "CP0001", 900)
    write_montage(experiment / "G1", "CP0002", 40)
    write_montage(experiment / "Anaphase", "CP0001", 5)
    (experiment / "README.md").write_text("about")
    source = experiment if from_experiment else tmp_path
    reader = open_reader(study(repository, "cellcycle"), source)
    labels = {a.name: a.label for a in reader.acquisitions()}
    found = everything(reader)
    assert labels == {
        "Experiment_1-Anaphase-CP0001": "M",
        "Experiment_1-G1-CP0001": "G1",
        "Experiment_1-G1-CP0002": "G1",
    }
    cells = {n: [c for c in o if isinstance(c, Cell)] for n, o in found.items()}
    assert [len(cells[name]) for name in sorted(cells)] == [5, 900, 40]
    assert sum(isinstance(o, Filler) for o in found["Experiment_1-G1-CP0002"]) == 860
    for index in (0, 1, 29, 30, 31, 899):
        cell = cells["Experiment_1-G1-CP0001"][index]
        np.testing.assert_array_equal(cell.pixels[0, 0], tiles[0, index])
        dna = tiles[1, index].astype(float)
        assert cell.markers == (np.clip(dna - np.median(dna), 0, None).sum(),)
        assert cell.group == f"Experiment_1/G1/CP0001/b{index // 30:02d}"


def test_duplicate_tiles_are_kept(tmp_path: Path, repository: Path) -> None:
    tiles = write_montage(tmp_path / "G1", "CP1", 6)
    tiles[:, 4] = tiles[:, 1]
    for channel, stack in zip(("Ch3", "Ch4"), tiles, strict=True):
        grid = stack.reshape(30, 30, 40, 40).transpose(1, 2, 0, 3).reshape(1200, 1200)
        write_image(tmp_path / "G1" / f"{channel}_CP1.tif", np.ascontiguousarray(grid))
    (outcomes,) = everything(open_reader(study(repository, "cellcycle"), tmp_path)).values()
    assert sum(isinstance(outcome, Cell) for outcome in outcomes) == 6


def test_fillers_are_the_run_of_equal_tiles_at_the_end() -> None:
    tiles = np.arange(6)[:, None, None] * np.ones((6, 2, 2), int)
    assert fillers(tiles) == 0
    tiles[4] = tiles[5]
    assert fillers(tiles) == 2
    tiles[1] = tiles[5]
    assert fillers(tiles) == 2
    assert fillers(tiles[4:]) == 2


def test_bad_montages(tmp_path: Path, repository: Path) -> None:
    write_montage(tmp_path / "G1", "CP1", 50)
    write_montage(tmp_path / "G1", "CP2", 50)
    write_montage(tmp_path / "G1", "CP3", 50)
    (tmp_path / "G1" / "Ch3_CP1.tif").unlink()
    write_image(tmp_path / "G1" / "Ch4_CP2.tif", GREY)
    found = everything(open_reader(study(repository, "cellcycle"), tmp_path))
    bad = {
        outcome.source_file: outcome.reason
        for outcomes in found.values()
        for outcome in outcomes
        if isinstance(outcome, Refused)
    }
    assert set(bad) == {"G1/Ch4_CP1.tif", "G1/Ch4_CP2.tif"}
    assert "Ch3 is missing" in bad["G1/Ch4_CP1.tif"]
    assert "45 x 60 pixels, not 1200 x 1200" in bad["G1/Ch4_CP2.tif"]
    write_image(tmp_path / "G1" / "Ch3_CP3.tiff", GREY)
    with pytest.raises(SourceError, match="second file"):
        open_reader(study(repository, "cellcycle"), tmp_path).acquisitions()


@pytest.mark.realdata
def test_real_montages(jurkat: Path, repository: Path) -> None:
    import pandas as pd

    index = pd.read_csv(jurkat / "tiles_index.csv")
    index["name"] = index["experiment"] + "-" + index["phase"] + "-" + index["montage"]
    found = everything(open_reader(study(repository, "cellcycle"), jurkat))
    cells = {
        (name, outcome.object_index): outcome
        for name, outcomes in found.items()
        for outcome in outcomes
        if isinstance(outcome, Cell)
    }
    assert set(cells) == set(zip(index["name"], index["tile"], strict=True))
    assert not any(isinstance(o, Refused) for outcomes in found.values() for o in outcomes)
    for row in index.itertuples():
        assert cells[row.name, row.tile].markers == (row.dna_integrated_ch4,)


# Inventory


def test_inventory(tmp_path: Path, repository: Path) -> None:
    write_ifc(tmp_path, {"a_1": 1, "o_1": 1, "n_1": 1, "nt3": 1}, channels=("Ch1",))
    acquisitions = open_reader(study(repository), tmp_path).acquisitions()
    tallies = {a: Tally(10) for a in acquisitions}
    promised = {"astrocyte": 10, "oligodendrocyte": 10, "neuron": 10}
    data = study(repository, expected=promised)
    check_inventory(data, tmp_path, tallies)
    astrocytes = next(a for a in acquisitions if a.label == "astrocyte")
    tallies[astrocytes] = Tally(8, refused=2)
    check_inventory(data, tmp_path, tallies)
    tallies[astrocytes] = Tally(8, refused=1)
    with pytest.raises(SourceError, match="class astrocyte has 8 cells and 1 quarantined, 10"):
        check_inventory(data, tmp_path, tallies)
    tallies[astrocytes] = Tally(11)
    with pytest.raises(SourceError, match="class astrocyte has 11 cells, 10 promised"):
        check_inventory(data, tmp_path, tallies)
    del tallies[astrocytes]
    with pytest.raises(SourceError, match="class astrocyte has no cell"):
        check_inventory(study(repository), tmp_path, tallies)
    outside = replace(astrocytes, external=True)
    check_inventory(study(repository), tmp_path, tallies | {outside: Tally(3)})
    check_inventory(study(repository), tmp_path, {outside: Tally(3)})


def test_whole_experiments_are_external_by_their_path(tmp_path: Path, repository: Path) -> None:
    write_ifc(tmp_path / "day1", {"a_1": 1, "n_1": 1}, channels=("Ch1",))
    write_ifc(tmp_path / "day2", {"a_1": 1, "nt3": 1}, channels=("Ch1",))
    found = open_reader(study(repository), tmp_path).acquisitions()
    external = {one.name: one.external for one in marked_external(found, ["^day1/a"])}
    assert external == {"day1/a_1": True, "day1/n_1": False, "day2/a_1": False, "day2/nt3": True}


@pytest.mark.parametrize(
    ("pattern", "error", "said"),
    [
        ("day3", SourceError, "no acquisition is external by the pattern 'day3' .there are: a_1"),
        ("(", ParameterError, "is no regular expression"),
    ],
)
def test_patterns_that_mark_nothing_are_refused(
    pattern: str, error: type[UnstainedError], said: str
) -> None:
    with pytest.raises(error, match=said):
        marked_external([Acquisition("a_1", "a", False, "a_1", "a_1")], [pattern])


@pytest.mark.parametrize(
    ("manifest", "message"),
    [
        ('{"cells": {"a_1": 10, "o_1": 10, "n_1": 9}}', "directory n_1 has 10 cells, 9 promised"),
        ('{"cells": {"a_1": 10, "o_1": 10}}', "directory n_1 has 10 cells, 0 promised"),
        ('{"cells": {"a_1": 10, "o_1": 10, "n_1": 10, "n_2": 3}}', "directory n_2 has 0 cells"),
        ('{"cells": {"a_1": "many"}}', "is not"),
        ('{"cells": {"a_1": 1e400}}', "is not"),
        ("[]", "is not"),
        ("{", "is not"),
    ],
)
def test_source_manifest(tmp_path: Path, repository: Path, manifest: str, message: str) -> None:
    write_ifc(tmp_path, {"a_1": 1, "o_1": 1, "n_1": 1}, channels=("Ch1",))
    tallies = {a: Tally(10) for a in open_reader(study(repository), tmp_path).acquisitions()}
    check_inventory(study(repository), tmp_path, tallies)
    (tmp_path / "manifest.json").write_text('{"cells": {"a_1": 10, "o_1": 10, "n_1": 10}}')
    check_inventory(study(repository), tmp_path, tallies)
    (tmp_path / "manifest.json").write_text(manifest)
    with pytest.raises(SourceError, match=message):
        check_inventory(study(repository), tmp_path, tallies)


# Samples


def test_files_of_another_sample_are_refused(tmp_path: Path, repository: Path) -> None:
    write_ifc(tmp_path, {"a_1": 4, "n_1": 2, "o_1": 2})
    folder = tmp_path / "a_1"
    (folder / "a_1_0_Ch2.ome.tif").rename(folder / "o_1_0_Ch2.ome.tif")
    for channel in ("Ch1", "Ch2"):
        (folder / f"a_1_1_{channel}.ome.tif").rename(folder / f"n_1_1_{channel}.ome.tif")
        (folder / f"a_1_2_{channel}.ome.tif").rename(folder / f"o_7_2_{channel}.ome.tif")
    (folder / "a_1_3_Ch2.ome.tif").rename(folder / "a_9_3_Ch2.ome.tif")
    reader = open_reader(study(repository), tmp_path)
    found = reader.items(reader.acquisitions()[0])
    assert found.items == []
    assert [one.source_file for one in found.refused] == [
        "a_1/o_1_0_Ch2.ome.tif",
        "a_1/n_1_1_Ch1.ome.tif",
        "a_1/o_7_2_Ch1.ome.tif",
        "a_1/a_9_3_Ch2.ome.tif",
    ]
    reasons = [one.reason for one in found.refused]
    assert reasons[0] == "names the sample o_1, which has a directory of its own"
    assert reasons[2] == "names the sample o_7, by its name oligodendrocyte"
    assert "another sample than a_1/a_1_3_Ch1.ome.tif" in reasons[3]
    assert found.cells == 4


def test_a_directory_may_have_another_name_than_its_sample(
    tmp_path: Path, repository: Path
) -> None:
    write_ifc(tmp_path, {"a_1": 2, "a_ä": 1})
    (tmp_path / "a_1").rename(tmp_path / "a_1 Zellkörper, Tag 1 (kontrolle)")
    (tmp_path / "a_ä").rename(tmp_path / "a_a\u0308")
    reader = open_reader(study(repository), tmp_path)
    found = {one.name: reader.items(one) for one in reader.acquisitions()}
    assert [len(one.items) for one in found.values()] == [2, 1]
    assert not any(one.refused for one in found.values())

"""Movies cut into snippets: what a snippet holds, how they are grouped, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tifffile
from pydantic import ValidationError

from tests.conftest import ROOT
from tests.synthetic import write_image
from unstained.config.project import load_params
from unstained.config.study import StudyData
from unstained.data.readers import open_reader
from unstained.data.readers.protocol import Outcome, Refused
from unstained.data.store.blocks import Cell
from unstained.data.store.schema import told_columns
from unstained.errors import ParameterError, SourceError
from unstained.imaging.alignment import lattice_energy

BASE = load_params(ROOT / "params.yaml").studies["mixture"].data.model_dump()
RNG = np.random.default_rng(0)
STACK = RNG.integers(90, 60000, (13, 40, 50)).astype(np.uint16)


def study(movies: dict[str, Any] | None = None, **changes: Any) -> StudyData:
    asked = changes.pop("asked", ("alignment",))
    tasks = [{"kind": "value", "name": name, "column": name} for name in asked]
    table = {"file": "movies.csv", "movie": "name"} | (movies or {})
    return StudyData.model_validate(
        BASE | {"canvas": 16, "movies": table, "tasks": tasks} | changes
    )


def write_stack(path: Path, stack: np.ndarray = STACK, **options: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(path, stack, photometric="minisblack", **({"metadata": None} | options))


def write_table(folder: Path, *rows: str, header: str = "name,path") -> None:
    (folder / "movies.csv").write_text("\n".join([header, *rows]) + "\n")


def outcomes(source: Path, data: StudyData) -> dict[str, list[Outcome]]:
    reader = open_reader(data, source)
    found: dict[str, list[Outcome]] = {}
    for acquisition in reader.acquisitions():
        listing = reader.items(acquisition)
        found[acquisition.name] = [
            *listing.refused,
            *reader.decode(acquisition, listing.items),
        ]
    return found


def cells(source: Path, data: StudyData, movie: str = "a") -> list[Cell]:
    found = outcomes(source, data)[movie]
    assert all(isinstance(one, Cell) for one in found), found
    return found  # type: ignore[return-value]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A movie of 13 frames of 40 x 50 pixels: 2 windows of 6 squares of 16."""
    write_stack(tmp_path / "a.tif")
    write_table(tmp_path, "a,a.tif")
    return tmp_path


def test_snippets_tile_the_movie_and_share_no_pixel(source: Path) -> None:
    found = cells(source, study())
    assert [cell.object_index for cell in found] == list(range(12))
    used = np.zeros(STACK.shape, int)
    for number, cell in enumerate(found):
        window, region = divmod(number, 6)
        y, x = 16 * (region // 3), 16 * (region % 3)
        part = (slice(5 * window, 5 * window + 5), slice(y, y + 16), slice(x, x + 16))
        np.testing.assert_array_equal(cell.pixels[:, 0], STACK[part])
        used[part] += 1
    assert used.max() == 1
    assert used.sum() == 12 * 5 * 16 * 16
    apart = cells(source, study({"stride": 8}))
    np.testing.assert_array_equal(apart[6].pixels[:, 0], STACK[8:13, :16, :16])


def test_half_resolution_is_the_mean_of_four(source: Path) -> None:
    found = cells(source, study({"scale": 0.5}))
    assert len(found) == 2
    expected = [
        [
            [STACK[t, 2 * y : 2 * y + 2, 2 * x : 2 * x + 2].mean() for x in range(16)]
            for y in range(16)
        ]
        for t in range(5)
    ]
    np.testing.assert_array_equal(found[0].pixels[:, 0], np.rint(expected))


def test_groups_are_movies_or_regions_at_all_times(source: Path) -> None:
    assert {cell.group for cell in cells(source, study())} == {"a"}
    regions = [cell.group for cell in cells(source, study(group="region"))]
    assert regions == [f"a/r{row}c{column}" for row in (0, 1) for column in (0, 1, 2)] * 2


def test_a_stack_and_numbered_frames_are_read_alike(source: Path) -> None:
    for at, frame in enumerate(STACK):
        write_image(source / "b" / f"x7_frame{at + 95}.tif", frame)
    write_stack(source / "c.tif", metadata={"axes": "TYX"}, imagej=True)
    write_table(source, "a,a.tif", "b,b", "c,c.tif")
    found = outcomes(source, study())
    for movie in "bc":
        for one, other in zip(found["a"], found[movie], strict=True):
            np.testing.assert_array_equal(one.pixels, other.pixels)  # type: ignore[union-attr]
            assert one.told == other.told  # type: ignore[union-attr]
    assert found["b"][6].source_file == "b/x7_frame100.tif"


def test_masks_and_cells_tell_shares_numbers_and_means(source: Path) -> None:
    masks = np.zeros(STACK.shape, np.uint8)
    masks[:, :16, :8], masks[:3, :16, 8:12], masks[:, :8, 16:20] = 1, 2, 2
    write_stack(source / "m.tif", masks)
    rows = [
        (0, 3, 4, 1.0),
        (4, 15.5, 15.5, 3.0),
        (4, 3, 16, 9.0),
        (5, 3, 4, 7.0),
        (1, 2, 2, np.nan),
    ]
    pd.DataFrame(rows, columns=["frame", "y", "x", "speed"]).to_csv(source / "c.csv", index=False)
    write_stack(source / "b.tif")
    rows_of = ("a,a.tif,m.tif,c.csv,0.5", "b,b.tif,,,")
    write_table(source, *rows_of, header="name,path,kinds,points,density")
    asked = ("share_round", "share_flat", "cells", "mean_speed")
    also = {"also": ["covered", "energy", "cells", "density"]}
    table = {"masks": "kinds", "kinds": ["round", "flat"], "cells": "points"} | also
    data = study(table, asked=asked)
    assert [*told_columns(data)] == [*asked, "covered", "energy", "density"]
    found = outcomes(source, data)
    told = [[one.told[name] for name in asked] for one in found["a"]]  # type: ignore[union-attr]
    first = found["a"][0]
    assert first.told["covered"] == pytest.approx((3 * 16 * 4 + 5 * 16 * 8) / (5 * 16 * 16))  # type: ignore[union-attr]
    assert first.told["energy"] == lattice_energy(STACK[2, :16, :16], weighted=True)  # type: ignore[union-attr]
    density = [one.told["density"] for one in (first, found["b"][0])]  # type: ignore[union-attr]
    np.testing.assert_equal(density, [0.5, np.nan])
    flat = 3 * 16 * 4 / (3 * 16 * 4 + 5 * 16 * 8)
    np.testing.assert_allclose(told[0], [1 - flat, flat, 3 / 5, 2.0])
    np.testing.assert_allclose(told[1], [0, 1, 1 / 5, 9.0])
    np.testing.assert_allclose(told[2], [np.nan, np.nan, 0, np.nan])
    np.testing.assert_allclose(told[6], [1, 0, 1 / 5, 7.0])
    unknown = [[one.told[name] for name in asked] for one in found["b"]]  # type: ignore[union-attr]
    assert np.isnan(np.array(unknown, float)).all()


def test_order_is_the_mean_over_pairs_of_the_cells_of_the_middle_frame(source: Path) -> None:
    rng = np.random.default_rng(3)
    rows = pd.DataFrame({
        "frame": rng.integers(0, 10, 400),
        "y": rng.uniform(0, 40, 400),
        "x": rng.uniform(0, 50, 400),
        "angle": rng.uniform(0, np.pi, 400),
    })  # fmt: skip
    rows.loc[rows["frame"] == 7, "y"] = 39.0  # below what is cut
    rows.to_csv(source / "c.csv", index=False)
    write_table(source, "a,a.tif,c.csv", header="name,path,points")
    found = cells(source, study({"cells": "points"}, asked=("order",)))
    for number, cell in enumerate(found[:6]):
        y, x = 16 * (number // 3), 16 * (number % 3)
        inside = rows["y"].between(y, y + 16) & rows["x"].between(x, x + 16) & (rows["frame"] == 2)
        angle = rows["angle"][inside].to_numpy()
        pairs = np.cos(2 * np.subtract.outer(angle, angle))[~np.eye(len(angle), dtype=bool)]
        assert len(angle) > 1
        assert cell.told["order"] == pytest.approx(pairs.mean())
    assert all(np.isnan(cell.told["order"]) for cell in found[6:])
    rows.drop(columns="angle").to_csv(source / "c.csv", index=False)
    with pytest.raises(SourceError, match="angle"):
        outcomes(source, study({"cells": "points"}, asked=("order",)))


def test_numbers_of_frames_choose_a_part_of_a_folder(source: Path) -> None:
    for number in (*range(1, 8), *range(20, 26)):
        write_image(source / "b" / f"{number:03d}.tif", STACK[number % 13])
    frames = {"first": "first", "last": "last"}
    write_table(source, "x,b,1,7", "y,b,20,25", header="name,path,first,last")
    found = outcomes(source, study(frames))
    assert {name: len(some) for name, some in found.items()} == {"x": 6, "y": 6}
    np.testing.assert_array_equal(found["y"][0].pixels[0, 0], STACK[7, :16, :16])  # type: ignore[union-attr]
    write_table(source, "x,b,1,7", "y,b,7,25", header="name,path,first,last")
    with pytest.raises(SourceError, match="rows 1 and 2 share frames of b"):
        outcomes(source, study(frames))
    write_table(source, "x,b,1,25", header="name,path,first,last")
    (refused,) = outcomes(source, study(frames))["x"]
    assert "not evenly spaced: 20 follows 7" in refused.reason  # type: ignore[union-attr]


def spoilt(folder: Path) -> dict[str, str]:
    """Movies that cannot be used -> what is said of each."""
    write_stack(folder / "short.tif", STACK[:4])
    write_stack(folder / "small.tif", STACK[:, :15])
    write_stack(folder / "signed.tif", STACK.astype(np.int16))
    write_stack(folder / "real.tif", STACK.astype(np.float32))
    with tifffile.TiffWriter(folder / "sizes.tif") as file:
        for height in (40, 40, 39):
            file.write(STACK[0, :height], contiguous=False, metadata=None)
    whole = (folder / "a.tif").read_bytes()
    (folder / "cut.tif").write_bytes(whole[: len(whole) * 2 // 3])
    write_stack(folder / "tail.tif", compression="zlib")
    (folder / "tail.tif").write_bytes((folder / "tail.tif").read_bytes()[:-20])
    (folder / "word.avi").write_bytes(b"RIFF")
    times = {"Plane": {"DeltaT": [0.0, 1, 2, 3, 4, 9]}}
    write_stack(folder / "uneven.tif", STACK[:6], ome=True, metadata={"axes": "TYX"} | times)
    write_stack(folder / "two.tif", STACK[:12].reshape(6, 2, 40, 50), imagej=True,
                metadata={"axes": "TCYX"})  # fmt: skip
    for at in range(6):
        write_image(folder / "frames" / f"t{at}.tif", STACK[at] if at != 3 else STACK[at, :20])
        write_image(folder / "twice" / f"t{at}.tif", STACK[at])
    write_image(folder / "twice" / "t03.tif", STACK[0])
    (folder / "none").mkdir()
    return {
        "short.tif": "has 4 frames, a snippet has 5",
        "small.tif": "is 15 x 50 pixels, a snippet takes 16 x 16",
        "signed.tif": "holds signed 16 bit integers",
        "real.tif": "holds float32 pixels, not counts",
        "sizes.tif": "frame 2 is 39 x 50 pixels, the first 40 x 50",
        "cut.tif": "truncated or corrupt",
        "tail.tif": "ends within frame 12 of 13",
        "word.avi": "is no .tif or .tiff and no folder of frames",
        "uneven.tif": "not evenly spaced: 1 to 5 from one to the next",
        "two.tif": "holds several channels",
        "frames": "frame 3 is 20 x 50 pixels",
        "twice": "is frame 3, and",
        "none": "holds no images",
        "absent.tif": "row 14 of movies.csv names it, and it is not there",
    }


def test_movies_that_cannot_be_cut_are_refused_by_name(source: Path) -> None:
    said = spoilt(source)
    write_table(source, *[f"{name},{name}" for name in said])
    for name, found in outcomes(source, study()).items():
        refused = [one for one in found if isinstance(one, Refused)]
        assert refused == [one for one in found if not isinstance(one, Cell)]
        assert refused, name
        for one in refused:
            assert said[name] in one.reason, name
            assert one.source_file.startswith(name)
            assert one.remedy


@pytest.mark.parametrize(
    ("rows", "header", "movies", "said"),
    [
        (["a,a.tif", "a,b.tif"], "name,path", {}, "rows 1 and 2 are both the movie a"),
        (["a,a.tif", "b,a.tif"], "name,path", {}, "rows 1 and 2 share frames of a.tif"),
        (["a,../a.tif"], "name,path", {}, "no plain path within the source"),
        (["a,"], "name,path", {}, "row 1 names no movie"),
        (["a,a.tif,10", "b,b.tif,5"], "name,path,min", {"interval": "min"}, "row 2: 5 minutes"),
        (["a,a.tif,0.4"], "name,path,um", {"pixel_um": "um"}, "a pixel of the movie is 0.4"),
        (["a,a.tif"], "name,path", {"interval": "minutes"}, "has no column 'minutes'"),
    ],
)
def test_a_table_that_cannot_be_is_refused(
    source: Path, rows: list[str], header: str, movies: dict[str, str], said: str
) -> None:
    write_table(source, *rows, header=header)
    with pytest.raises(SourceError, match=said):
        outcomes(source, study(movies))


def test_masks_that_do_not_fit_are_refused(source: Path) -> None:
    write_stack(source / "few.tif", np.ones((12, 40, 50), np.uint8))
    write_stack(source / "many.tif", np.full((13, 40, 50), 3, np.uint8))
    params = {"masks": "kinds", "kinds": ["round", "flat"]}
    for mask, said in (("few", "its masks few.tif have 12"), ("many", "hold the number 3")):
        write_table(source, f"a,a.tif,{mask}.tif", header="name,path,kinds")
        found = outcomes(source, study(params, asked=("share_flat",)))["a"]
        assert all(isinstance(one, Refused) and said in one.reason for one in found)
    with pytest.raises(ParameterError, match="masks tell no kind 'flt'; did you mean flat"):
        outcomes(source, study(params, asked=("share_flt",)))


def test_settings_that_mean_nothing_are_refused() -> None:
    for changes, said in (
        ({"movies": {"stride": 4}}, "snippets would share frames"),
        ({"movies": {"scale": 0.3}}, "is 1 .full resolution. or 0.5"),
        ({"group": "block"}, "movies have no blocks"),
        ({"reader": "table", "group": "region"}, "tells no regions of movies"),
    ):
        with pytest.raises(ValidationError, match=said):
            study(**changes)

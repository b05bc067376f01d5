"""Movies with outlined cells, from polygons to snippets with shares and speeds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
from typer.testing import CliRunner

from tests.conftest import real_images
from tests.data.test_movies import STACK, cells, outcomes, study
from tests.synthetic import write_image
from unstained.cli import app
from unstained.data.outlines import HIGH, LOW, Kinds, draw, movies_from_outlines
from unstained.data.readers.protocol import Refused
from unstained.errors import SourceError
from unstained.imaging.alignment import nematic_order

ROUND = Kinds("circularity", 0.78)
PARAMS = {
    "movie": "movie",
    "masks": "masks",
    "kinds": ["spread", "rounded"],
    "cells": "cells",
}
ASKED = ("share_rounded", "mean_speed", "cells")


def rows() -> pd.DataFrame:
    """A square that moves by 3, 4 pixels a frame, and a triangle that stands still."""
    found = []
    for frame in range(1, 7):
        y, x = 3 * frame, 4 * frame
        square = f"{x},{y} {x + 6},{y} {x + 6},{y + 6} {x},{y + 6}"
        found.append((frame, 1, x + 3, y + 3, 0.79, square))
        found.append((frame, 2, 46, 4, 0.5, "40,0 50,0 50,10"))
    columns = ["frame", "cell_id", "cx_px", "cy_px", "circularity", "polygon_xy"]
    return pd.DataFrame(found, columns=columns)


@pytest.fixture
def source(tmp_path: Path) -> tuple[Path, Path]:
    for number in (*range(1, 7), 9):
        write_image(tmp_path / "frames" / f"p-{number:04d}.tif", STACK[number])
    rows().to_csv(tmp_path / "rois.csv.gz", index=False)
    return tmp_path / "frames", tmp_path / "rois.csv.gz"


def test_polygons_fill_their_pixels() -> None:
    mask = draw(rows().head(2), ROUND, (40, 50))
    square = np.zeros((40, 50), bool)
    square[3:9, 4:10] = True
    np.testing.assert_array_equal(mask == HIGH, square)
    corner = (np.arange(50)[None] - 40 >= np.arange(40)[:, None]) & (np.arange(40)[:, None] < 10)
    triangle = mask == LOW
    assert triangle.sum() == pytest.approx(50, abs=5)
    assert not (triangle & ~corner).any()


def test_snippets_of_outlined_movies_have_shares_and_speeds(
    source: tuple[Path, Path], tmp_path: Path
) -> None:
    made = tmp_path / "made"
    given = ["outlines", *map(str, source), str(made), "--block", "6"]
    answer = CliRunner().invoke(app, given)
    assert answer.output == f"1 movie of 6 frames in {made}\n"
    found = cells(made, study(PARAMS, asked=ASKED), "frames_0001_0006")
    np.testing.assert_array_equal(found[0].pixels[:, 0], STACK[1:6, :16, :16])
    told = found[0].told
    assert told["share_rounded"] == 1
    assert told["mean_speed"] == 5
    assert told["cells"] == pytest.approx(3 / 5)
    still = found[2].told
    assert (still["share_rounded"], still["mean_speed"], still["cells"]) == (0, 0, 1)


def test_what_cannot_be_made_leaves_nothing(source: tuple[Path, Path], tmp_path: Path) -> None:
    made = tmp_path / "made"
    for changed, block, said in (
        (rows().drop(columns="cx_px"), 5, "has no column 'cx_px'"),
        (rows().drop(columns="circularity"), 5, "has no column 'circularity'"),
        (pd.concat([rows(), rows().head(1)]), 5, "a cell twice"),
        (rows().assign(frame=rows()["frame"] + 99), 5, "outlines no frame"),
        (rows(), 7, "at most 6 frames follow each other"),
    ):
        table = tmp_path / "other.csv"
        changed.to_csv(table, index=False)
        with pytest.raises(SourceError, match=said):
            movies_from_outlines(source[0], table, made, ROUND, block)
        assert not made.exists()
    made.mkdir()
    with pytest.raises(SourceError, match="is there already"):
        movies_from_outlines(*source, made, ROUND, 5)


def test_real_outlines_fill_their_areas_and_lie_on_cells(tmp_path: Path) -> None:
    """The areas and circularities stand in the table itself; cells have phase, ground has none."""
    home = real_images("qpi_timelapse_cellphe")
    table = pd.read_csv(next(home.glob("*_rois.csv.gz")))
    frames = home / "05062019_B3_3_imagedata"
    some = table[table["frame"] <= 5]
    some.to_csv(tmp_path / "some.csv", index=False)
    linked = tmp_path / "frames"
    linked.mkdir()
    for number in range(1, 6):
        name = f"05062019_B3_3_Phase-{number:04d}.tif"
        (linked / name).symlink_to(frames / name)
    first = some[some["frame"] == 1]
    drawn = [(draw(first.iloc[[at]], ROUND, (615, 615)) > 0).sum() for at in range(20)]
    np.testing.assert_allclose(drawn, first["area_px2"][:20], rtol=0.06)
    made = tmp_path / "made"
    assert movies_from_outlines(linked, tmp_path / "some.csv", made, ROUND, 5) == 1
    found = cells(made, study(PARAMS, asked=ASKED, canvas=96), "frames_0001_0005")
    shares = np.array([cell.told["share_rounded"] for cell in found], float)
    speeds = np.array([cell.told["mean_speed"] for cell in found], float)
    assert len(found) == 36
    assert 0.2 < np.nanmean(shares) < 0.6
    assert 1 < np.nanmedian(speeds) < 4
    bright = [cell.pixels.mean() for cell in found]
    crowded = [cell.told["cells"] for cell in found]
    assert np.corrcoef(bright, np.array(crowded, float))[0, 1] > 0.8


def test_alignment_of_a_real_movie_without_segmentation(tmp_path: Path) -> None:
    """T98G by phase contrast, as its folder is: no mask is read."""
    (tmp_path / "t98g").symlink_to(real_images("phc_timelapse_t98g"))
    (tmp_path / "movies.csv").write_text("path\nt98g\n")
    data = study({"scale": 0.5, "movie": None}, canvas=192)
    (found,) = outcomes(tmp_path, data).values()
    assert not [one for one in found if isinstance(one, Refused)]
    order = np.array([one.told["alignment"] for one in found], float)  # type: ignore[union-attr]
    assert order.shape == (8,)
    assert 0.1 < order.max() < 1
    eighth = tifffile.imread(tmp_path / "t98g" / "20180101ef002xy01t08.tif")[384:768, :384]
    halved = sum(eighth[y::2, x::2].astype(float) for y in (0, 1) for x in (0, 1)) / 4
    assert order[6] == pytest.approx(nematic_order(halved).unbiased, abs=1e-3)

"""`unstained init` on movies of many cells: what it finds, asks and writes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tifffile
from PIL import Image

from tests.onboarding.test_init import asked, ingested, init, proposed, written
from tests.synthetic import write_image
from unstained.errors import UnstainedError

__all__ = ["init"]

RNG = np.random.default_rng(0)
FRAMES, SIDE = 10, 208


def stack(low: int = 800, high: int = 1200, side: int = SIDE) -> np.ndarray:
    return RNG.integers(low, high, (FRAMES, side, side)).astype(np.uint16)


def write(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(path, pixels, photometric="minisblack", metadata=None)


def write_stacks(folder: Path, side: int = SIDE) -> Path:
    for number in range(4):
        write(folder / f"m{number}.tif", stack(side=side))
    return folder


def write_listed(folder: Path) -> Path:
    """Folders of frames with masks, tables of cells, and a table that says more of each."""
    rows = []
    for number in range(4):
        name = f"f{number}"
        for at, frame in enumerate(stack(32000, 33500)):
            write_image(folder / name / f"x_{at:03d}.tif", frame)
        masks = np.zeros((FRAMES, SIDE, SIDE), np.uint8)
        masks[:, :50], masks[:, 100:150] = 1, 2
        write(folder / "masks" / f"{name}.tif", masks)
        cells = pd.DataFrame({"frame": [0, 1], "cell": 1, "y": 3.0, "x": 3.0, "speed": [1.5, 2.0]})
        (folder / "cells").mkdir(exist_ok=True)
        cells.to_csv(folder / "cells" / f"{name}.csv", index=False)
        rows.append((name, name, f"masks/{name}.tif", f"cells/{name}.csv", number / 3, 1.25, 10))
    names = ["movie", "path", "masks", "cells", "proportion", "pixel_um", "interval_min"]
    pd.DataFrame(rows, columns=names).to_csv(folder / "movies.csv", index=False)
    return folder


def test_stacks_without_a_table_get_one_and_are_asked_about(init: Any, tmp_path: Path) -> None:
    source = write_stacks(tmp_path / "stacks")
    message = asked(init, "wander", source)
    assert "layout: movies (movies such as 10 frames of 208 x 208 pixels" in message
    for option in ("--pixel-size", "--frames", "--canvas", "--value"):
        assert f"  {option}: " in message
    assert "5   2 windows" in message or "5  2 windows" in message
    assert "128 snippets, 16 squares of a frame" in message  # 4 movies, 2 windows, 48 px
    said = init(*proposed(message))
    data = written("wander")
    assert data.movies is not None
    assert (data.reader, data.frames, data.canvas, data.group) == ("movies", 5, 32, "acquisition")
    assert data.normalise == "background"
    assert [task.name for task in data.tasks] == ["alignment"]
    assert Path(data.movies.file) == Path.cwd() / "tables" / "wander.csv"
    assert "alignment, seen in 5 frames" in data.question
    sheet = Image.open("state/init/wander.png")
    assert sheet.width <= 10 * 102 + 6
    assert sheet.height > 5 * 102
    store = ingested("wander")
    assert len(store) == 4 * 2 * 36
    assert set(store.columns("acquisition")["acquisition"]) == {"m0", "m1", "m2", "m3"}
    assert "table: a row a movie" in said


def test_a_table_of_movies_tells_masks_cells_sizes_and_targets(init: Any, tmp_path: Path) -> None:
    source = write_listed(tmp_path / "listed")
    message = asked(init, "mix", source)
    assert "column of interval: interval_min" in message
    assert "--pixel-size" not in message
    choices = ("proportion", "share_kind_1", "share_kind_2", "cells", "mean_speed", "alignment")
    assert all(f"      {one} " in message for one in choices)
    assert "mean_cell " not in message
    values = [word for one in ("proportion", "share_kind_2") for word in ("--value", one)]
    init("mix", source, "--frames", 5, "--canvas", 96, "--group", "region", *values)
    data = written("mix")
    assert data.movies is not None
    assert (data.movies.file, data.movies.masks, data.movies.cells) == (
        "movies.csv",
        "masks",
        "cells",
    )
    assert (data.movies.kinds, data.movies.pixel_um) == (("kind_1", "kind_2"), "pixel_um")
    assert data.pixel_size_um == 1.25
    assert (data.normalise, data.group) == ("phase", "region")
    assert [task.kind for task in data.tasks] == ["proportion", "proportion"]
    store = ingested("mix")
    assert len(store) == 4 * 2 * 4
    assert store.columns("share_kind_2")["share_kind_2"].between(0, 1).all()


def test_a_table_elsewhere_names_movies_below_the_folder(init: Any, tmp_path: Path) -> None:
    source = write_stacks(tmp_path / "stacks")
    table = tmp_path / "lists" / "list.csv"
    table.parent.mkdir()
    table.write_text("path,dose\n" + "".join(f"m{n}.tif,{n}\n" for n in range(4)))
    answers = ("--frames", 5, "--canvas", 64, "--value", "dose", "--pixel-size", 1)
    init("wander", source, "--table", table, *answers)
    store = ingested("wander")
    assert sorted(set(store.columns("dose")["dose"])) == [0, 1, 2, 3]


def test_folders_of_frames_are_movies_where_the_user_says_so(init: Any, tmp_path: Path) -> None:
    for number in range(4):
        for at, frame in enumerate(stack(side=100)[:6]):
            write_image(tmp_path / "frames" / f"f{number}" / f"x_{at:03d}.tif", frame)
    source = tmp_path / "frames"
    answers = ("--frames", 3, "--canvas", 48, "--value", "energy", "--pixel-size", 1)
    said = init("wander", source, "--reader", "movies", *answers)
    assert "movies: 4 movies of 6 frames (f0, f1, f2, f3)" in said
    assert len(ingested("wander")) == 4 * 2 * 4


def test_files_that_could_be_cells_are_asked_about(init: Any, tmp_path: Path) -> None:
    source = write_stacks(tmp_path / "small", side=100)
    message = asked(init, "wander", source)
    assert "--reader: Do files show many cells each?" in message
    with pytest.raises(UnstainedError, match="means nothing for this layout"):
        init("wander", source, "--reader", "movies", "--pages", "frames")
    write_image(tmp_path / "still" / "a.tif", stack()[0])
    with pytest.raises(UnstainedError, match="holds no movies"):
        init("wander", tmp_path / "still", "--reader", "movies")


def test_what_no_movie_holds_is_refused(init: Any, tmp_path: Path) -> None:
    source = write_stacks(tmp_path / "stacks")
    answers = ("--pixel-size", 1, "--frames", 20, "--canvas", 64, "--value", "alignment")
    with pytest.raises(UnstainedError, match="no movie holds 20 frames"):
        init("wander", source, *answers)
    with pytest.raises(UnstainedError, match="no movie holds 20 frames"):
        init("wander", source, *answers[:4], "--value", "alignment")
    with pytest.raises(UnstainedError, match="there is no such choice here"):
        init("wander", source, "--pixel-size", 1, "--value", "alignmnt")

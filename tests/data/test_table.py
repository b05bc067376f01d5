"""Reader `table`: rows of CSV, TSV and Parquet, or a folder a class; and what is refused."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tifffile

from tests.data.test_readers import everything
from tests.synthetic import asked, write_colour, write_films, write_image
from unstained.config.project import load_params
from unstained.config.study import StudyData
from unstained.data.readers import open_reader
from unstained.data.readers.protocol import Listing, Outcome, Refused
from unstained.data.readers.tabular import Column, column_names, read_tabular
from unstained.data.store.blocks import Cell
from unstained.errors import ParameterError, SourceError
from unstained.imaging.axes import COLOURS

SHARE = {"share": {"kind": "proportion", "parts": ["one", "other"], "columns": ["one"]}}
KIND = {"kind": {"kind": "classes", "names": ["x", "y"]}}
COLOUR = {"channels": COLOURS}
FRAMES = {"channels": ("Ch1",), "frames": 2}


def study(repository: Path, table: dict[str, Any] | None = None, **changes: Any) -> StudyData:
    """A study of the layout: by a table that names a cell's file `path`, or by folders."""
    base = load_params(repository / "params.yaml").studies["nsc"].data.model_dump()
    section = None if table is None else {"file": "cells.csv", "image": "path", **table}
    asking: dict[str, Any] = {"tasks": KIND | SHARE if section else asked(("a_1", "n_1"))}
    layout: dict[str, Any] = {"reader": "table", "table": section, "markers": {}, "tasks": None}
    return StudyData.model_validate(base | layout | COLOUR | asking | changes)


def films(folder: Path, text: str, name: str = "cells.csv") -> Path:
    """Three cells of one folder, two frames each, and their table."""
    write_films(folder, {"a": 3}, frames=2)
    (folder / name).write_text(text)
    return folder


def cells(outcomes: list[Outcome]) -> list[Cell]:
    assert all(isinstance(outcome, Cell) for outcome in outcomes)
    return [outcome for outcome in outcomes if isinstance(outcome, Cell)]


def refusals(data: StudyData, source: Path) -> list[Refused]:
    return [one for found in everything(open_reader(data, source)).values() for one in found
            if isinstance(one, Refused)]  # fmt: skip


# Folders


def test_a_folder_a_class(tmp_path: Path, repository: Path) -> None:
    images = write_colour(tmp_path, {"a_1": 3, "n_1": 2}, suffix=".png")
    found = everything(open_reader(study(repository), tmp_path))
    assert {name: len(cells) for name, cells in found.items()} == {"a_1": 3, "n_1": 2}
    for name, outcomes in found.items():
        for number, (cell, image) in enumerate(zip(cells(outcomes), images[name], strict=True)):
            assert (cell.object_index, cell.group) == (number, name)
            assert cell.source_file == f"{name}/cell_{number}.png"
            np.testing.assert_array_equal(cell.pixels, np.moveaxis(image, 2, 0)[None])
    grey = study(repository, channels=("Ch1",))
    for number, refused in enumerate(everything(open_reader(grey, tmp_path))["n_1"]):
        assert isinstance(refused, Refused)
        assert refused.source_file == f"n_1/cell_{number}.png"
        assert "colour" in refused.reason
        assert "data.channels" in refused.remedy


def test_names_of_classes_are_looked_for_on_the_path(tmp_path: Path, repository: Path) -> None:
    samples = ("train/Large", "test/LARGE/plate 1", "train/small")
    write_colour(tmp_path, dict.fromkeys(samples, 1))
    names = {"size": {"kind": "classes", "names": ["large", "small"]}}
    found = open_reader(study(repository, tasks=names), tmp_path).acquisitions()
    told = {one.name: one.label for one in found}
    assert told == {samples[0]: "large", samples[1]: "large", samples[2]: "small"}
    write_colour(tmp_path, {"large/small": 1})
    with pytest.raises(SourceError, match="large/small matches classes large, small"):
        open_reader(study(repository, tasks=names), tmp_path).acquisitions()


def test_folders_tell_nothing_but_a_class(tmp_path: Path, repository: Path) -> None:
    write_colour(tmp_path, {"a_1": 1})
    for asking in (KIND | SHARE, {"age": {"kind": "value", "column": "age"}}):
        with pytest.raises(ParameterError, match=f"tell no {list(asking)[-1]}"):
            open_reader(study(repository, tasks=asking), tmp_path).acquisitions()
    with pytest.raises(ParameterError, match="no marker channels"):
        open_reader(study(repository, markers={"DNA": "Ch2"}), tmp_path)


# Tables


def test_a_table_tells_classes_and_shares_of_single_cells(tmp_path: Path, repository: Path) -> None:
    text = "path,note,one,label\na/cell_2.tif,-,0.25,y\na/cell_0.tif,-,,x\na/cell_1.tif,-,1,\n"
    source = films(tmp_path, text)
    found = cells(everything(open_reader(study(repository, {}, **FRAMES), source))["a"])
    assert [one.source_file[-5] for one in found] == ["2", "0", "1"]
    assert [one.object_index for one in found] == [0, 1, 2]
    assert [one.told["label"] for one in found] == ["y", "x", None]
    np.testing.assert_equal([one.told["one"] for one in found], [0.25, np.nan, 1.0])


TABLE = pd.DataFrame(
    {
        "where": ["a/cell_1.tif", "a/cell_0.tif", "a/cell_2.tif"],
        "well": [2, 1, 2],
        "number": [7, 5, 3],
        "type": ["y", "x", None],
        "held out": [True, False, False],
        "one": [0.5, np.nan, 1e-3],
    }
)
COLUMNS = {"image": "where", "acquisition": "well", "object": "number", "external": "held out"}
TYPED = {"kind": {"kind": "classes", "names": ["x", "y"], "column": "type"}}


@pytest.mark.parametrize(
    "kind", ["c.csv", "semicolon.csv", "decimal comma.csv", "tab.csv", "t.TSV", "p.parquet"]
)
def test_every_kind_of_table_tells_the_same(tmp_path: Path, repository: Path, kind: str) -> None:
    source = films(tmp_path, "")
    if kind.endswith("parquet"):
        TABLE.to_parquet(source / kind)
    else:
        separators = {"semicolon.csv": ";", "decimal comma.csv": ";", "c.csv": ","}
        TABLE.to_csv(
            source / kind,
            sep=separators.get(kind, "\t"),
            decimal="," if kind.startswith("decimal") else ".",
            index=False,
            encoding="utf-8-sig",
        )
    data = study(repository, COLUMNS | {"file": kind}, tasks=TYPED | SHARE, **FRAMES)
    for place in (source, source / kind):
        found = everything(open_reader(data, place))
        assert list(found) == ["1", "2"]
        first, second, third = cells([*found["1"], *found["2"]])
        assert [one.object_index for one in (first, second, third)] == [5, 3, 7]
        assert [one.group for one in (first, second, third)] == ["1", "2", "2"]
        assert third.source_file == "a/cell_1.tif"
        np.testing.assert_equal(
            [dict(one.told) for one in (first, second, third)],
            [
                {"external": False, "label": "x", "type": "x", "one": np.nan},
                {"external": False, "label": None, "type": None, "one": 1e-3},
                {"external": True, "label": "y", "type": "y", "one": 0.5},
            ],
        )
        film = tifffile.imread(source / third.source_file)
        np.testing.assert_array_equal(third.pixels, film[:, None])


@pytest.mark.parametrize("values", [["1,234", "12,500"], ["1,5", "2.5"], ["1,234,567", "1,5"]])
def test_a_comma_that_may_stand_between_thousands_is_no_point(
    tmp_path: Path, values: list[str]
) -> None:
    (tmp_path / "cells.csv").write_text("\n".join(["one;two", *(f"{one};" for one in values)]))
    with pytest.raises(SourceError, match=f"row 1: one is '{values[0]}', which is no number"):
        read_tabular(tmp_path / "cells.csv", {"one": Column("one", "float64")})


def test_a_grey_file_a_channel(tmp_path: Path, repository: Path) -> None:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 4000, (2, 2, 20, 30)).astype(np.uint16)
    for cell, name in np.ndindex(2, 2):
        write_image(tmp_path / ("bf", "dna")[name] / f"{cell}.png", images[cell, name])
    (tmp_path / "cells.csv").write_text(
        "bf,dna,label,one\nbf/0.png,dna/0.png,x,1\nbf/1.png,dna/1.png,y,1\n"
    )
    data = study(repository, {"image": ["bf", "dna"]}, channels=("BF", "DNA"))
    found = cells(everything(open_reader(data, tmp_path))["bf"])
    np.testing.assert_array_equal([cell.pixels[0] for cell in found], images)
    write_image(tmp_path / "dna" / "1.png", images[0, 0, :10])
    (refused,) = refusals(data, tmp_path)
    assert (refused.source_file, refused.reason[:19]) == ("dna/1.png", "is 10 x 30 pixels o")
    with pytest.raises(ParameterError, match="names 2 columns, and there are 3 channels"):
        open_reader(study(repository, {"image": ["bf", "dna"]}), tmp_path)


def test_tables_of_several_folders_by_a_pattern(tmp_path: Path, repository: Path) -> None:
    """As a dataset of the Hugging Face hub: a table in each folder, names relative to it."""
    for part in ("train", "test"):
        write_films(tmp_path / part, {"a": 2}, frames=2)
        rows = [f"a/cell_{cell}.tif,x,1\n" for cell in range(2)]
        (tmp_path / part / "metadata.csv").write_text("file_name,label,one\n" + "".join(rows))
    columns = {"file": "*/metadata.csv", "image": "file_name"}
    reader = open_reader(study(repository, columns, **FRAMES), tmp_path)
    found = {name: cells(outcomes) for name, outcomes in everything(reader).items()}
    files = {name: [one.source_file for one in of_one] for name, of_one in found.items()}
    assert files == {
        f"{part}/a": [f"{part}/a/cell_{cell}.tif" for cell in range(2)]
        for part in ("test", "train")
    }
    with pytest.raises(SourceError, match=r"holds no \*/cells.csv"):
        open_reader(study(repository, {"file": "*/cells.csv"}), tmp_path)


def test_rules_name_classes_by_the_acquisition(tmp_path: Path, repository: Path) -> None:
    source = films(tmp_path, "path,one\na/cell_0.tif,1\n")
    data = study(repository, {}, tasks=asked(("a", "b")) | SHARE, **FRAMES)
    (acquisition,) = open_reader(data, source).acquisitions()
    assert (acquisition.name, acquisition.label) == ("a", "a")


def test_paths_within_the_source_are_read_however_they_are_written(
    tmp_path: Path, repository: Path
) -> None:
    source = films(tmp_path / "s", "")
    (source / "tables").mkdir()
    odd = [r"..\a\cell_0.tif", "./../a//cell_1.tif", f"{source}/a/cell_2.tif"]
    rows = "".join(f'"{path}",x,1\n' for path in odd)
    (source / "tables" / "t.csv").write_text("path,label,one\n" + rows)
    found = everything(open_reader(study(repository, {"file": "tables/t.csv"}, **FRAMES), source))
    assert [one.source_file for one in cells(found["a"])] == [f"a/cell_{k}.tif" for k in range(3)]


def test_a_table_elsewhere_names_files_of_the_source(tmp_path: Path, repository: Path) -> None:
    source, table = films(tmp_path / "s", ""), tmp_path / "elsewhere.csv"
    table.write_text("path,label,one\na/cell_1.tif,x,1\n../elsewhere.tif,x,1\n")
    data = study(repository, {"file": str(table)}, **FRAMES)
    (refused,) = refusals(data, source)
    assert refused.reason == "row 2 names ../elsewhere.tif, outside the source"
    assert refused.source_file == str(table)
    reader = open_reader(data, source)
    assert [len(reader.items(one).items) for one in reader.acquisitions()] == [1, 0]
    assert column_names(table) == ["path", "label", "one"]


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (["a/cell_0.tif", "a/cell_9.tif"], ["a/cell_9.tif: row 2 of cells.csv names it, and"]),
        (["a/cell_0.tif", "", "a/cell_1.tif"], ["cells.csv: row 2 names no file"]),
        (["../cell_0.tif"], ["cells.csv: row 1 names ../cell_0.tif, outside the source"]),
        (["a/../../s2/x.tif"], ["cells.csv: row 1 names a/../../s2/x.tif, outside the source"]),
        (["/etc/x.tif"], ["cells.csv: row 1 names /etc/x.tif, outside the source"]),
        ([r"C:\data\x.tif"], [r"cells.csv: row 1 names C:\data\x.tif, outside the source"]),
        (["cells.csv"], ["cells.csv: row 1 of cells.csv names it; kinds that are read are .tif,"]),
        (
            ["a/cell_1.tif", "a/cell_0.tif", "./a/cell_1.tif"],
            [f"a/cell_1.tif: row {row} of cells.csv names it, and another" for row in (1, 3)],
        ),
    ],
)
def test_rows_without_a_file_of_their_own_are_refused(
    tmp_path: Path, repository: Path, rows: list[str], said: list[str]
) -> None:
    source = films(tmp_path / "s", "path,label,one\n" + "".join(f"{row},x,1\n" for row in rows))
    data = study(repository, {}, **FRAMES)
    refused = refusals(data, source)
    assert len(refused) == len(said)
    for one, begin in zip(refused, said, strict=True):
        assert one.error(source).message.startswith(f"{source}/{begin}")
    reader = open_reader(data, source)
    listings: list[Listing] = [reader.items(one) for one in reader.acquisitions()]
    assert sum(listing.cells or 0 for listing in listings) == len(rows)
    assert sum(len(listing.items) for listing in listings) == len(rows) - len(refused)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("path,label\na/cell_0.tif,x\n", "has no column 'one'; known are: path, label"),
        ("path|one|label\na/cell_0.tif|1|x\n", r"is read as one column, 'path\|one\|label'"),
        ("Path,one,label\n", "has no column 'path'; did you mean Path"),
        ("path,one,label,one\n", "has the column 'one' 2 times"),
        ("path,one,label\n", "has no row below its header"),
        ("", "has no column 'path'"),
        ("path,one,label\na/cell_0.tif,much,x\n", "row 1: one is 'much', which is no number"),
        (
            "path,one,label\na/cell_0.tif,-inf,x\n",
            "row 1: one is '-inf', which is no finite number",
        ),
        (
            "path,one,label\na/cell_0.tif,4e38,x\n",
            "row 1: one is '4e38', which is no finite number",
        ),
        ('path,one,label\na/cell_0.tif,"1,234",x\n', "row 1: one is '1,234', which is no number"),
        ("path;one;label\na/cell_0.tif;1,500;x\n", "row 1: one is '1,500', which is no number"),
        ("path,one,label\na/cell_0.tif,1e999,x\n", "row 1: one is '1e999', which is no finite"),
        ("path,one,label\na/cell_0.tif,1,z\n", "label is 'z' in 1 rows, which is no class of task"),
        (
            "path,one,label\na/cell_0.tif,1,X\n",
            "no class of task .*; 'x' differs from it in case or encoding alone",
        ),
        ("path,one,label\na/cell_0.tif,1\n", "Expected 3 columns, got 2"),
    ],
)
def test_a_table_that_tells_too_little_is_refused(
    tmp_path: Path, repository: Path, text: str, said: str
) -> None:
    source = films(tmp_path, text)
    with pytest.raises(SourceError, match=said) as caught:
        open_reader(study(repository, {}, **FRAMES), source).acquisitions()
    assert str(source / "cells.csv") in caught.value.message
    assert caught.value.absent == tuple(re.findall(r"has no column '(\w+)'", said))
    if "in case" in said:  # to add it to the names would only be refused when they are read
        assert caught.value.remedy.startswith("write the class alike in the table and in studies.")


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (["p,1,,", "p,1,,"], "row 2 is a second object 1 of acquisition p"),
        (["p,1,,", ",2,,"], "row 2 has no acquisition"),
        (["p,1,,", "p,,,"], "row 2: id is '', which is no whole number"),
        (["p,1.5,,"], "row 1: id is '1.5', which is no whole number"),
        (["p,-1,,"], "row 1 has an object number below 0"),
        (["p,1,,perhaps"], "row 1: held is 'perhaps', which is no yes or no"),
    ],
)
def test_columns_of_cells_are_checked(
    tmp_path: Path, repository: Path, rows: list[str], said: str
) -> None:
    lines = [f"a/cell_{number}.tif,{row}" for number, row in enumerate(rows)]
    source = films(
        tmp_path, "\n".join(["path,plate,id,one,held,label"] + [f"{one},x" for one in lines])
    )
    columns = {"acquisition": "plate", "object": "id", "external": "held"}
    with pytest.raises(SourceError, match=said):
        open_reader(study(repository, columns, **FRAMES), source).acquisitions()


def test_what_is_no_table_is_refused(tmp_path: Path, repository: Path) -> None:
    source = films(tmp_path, "")
    (source / "cells.csv").write_bytes("path,one,label,µm\n".encode("cp1252"))
    (source / "cells.xlsx").write_bytes(b"PK")
    (source / "cells.parquet").write_bytes(b"PAR1")
    for name, said in {
        "cells.csv": "no text in UTF-8",
        "cells.xlsx": "is no table that is read",
        "cells.parquet": "no whole table",
        "cell.csv": "cell.csv cannot be read .No such file",
    }.items():
        with pytest.raises(SourceError, match=said):
            open_reader(study(repository, {"file": name}), source).acquisitions()
    with pytest.raises(ParameterError, match="the table in it is not named"):
        open_reader(study(repository, {"file": None}), source)
    with pytest.raises(ParameterError, match="no column of it is named"):
        open_reader(study(repository), source / "cells.csv")
    taken = {"size": {"kind": "value", "column": "width"}}
    with pytest.raises(
        ParameterError, match="task size: the cell table has its own column 'width'"
    ):
        open_reader(study(repository, {}, tasks=taken), source).acquisitions()


def test_whole_numbers_that_float64_cannot_hold_are_rounded_not_a_crash(tmp_path: Path) -> None:
    path = tmp_path / "cells.parquet"
    pq.write_table(pa.table({"one": pa.array([1, 2**63], pa.uint64())}), path)
    found = read_tabular(path, {"one": Column("one", "float64")})
    assert found["one"].to_pylist() == [1.0, 2.0**63]
    with pytest.raises(SourceError, match="row 2: one is '9223372036854775808', which is no whole"):
        read_tabular(path, {"one": Column("one", "int64")})

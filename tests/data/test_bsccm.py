"""BSCCM's tables and images against what a miniature of it was written with."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import zarr

from tests.conftest import ROOT
from tests.data.bsccm_tree import CHANNELS, FULL, SINGLE, write_bsccm
from unstained.config.project import load_params
from unstained.config.study import StudyData
from unstained.data.readers import open_reader
from unstained.data.readers.bsccm.tables import INDEX
from unstained.data.readers.protocol import Outcome, Refused, passed_over
from unstained.data.store.blocks import Cell
from unstained.errors import UnstainedError

CD16 = FULL[3]
CELLS: list[dict[str, Any]] = [
    {"index": 7, "gates": ["CD3_hi_CD_16_lo"], CD16: 12.5, "x": -320.0},
    {"index": 3, "gates": ["CD16_hi_CD45_lomid"], CD16: 4000.0, "x": -320.0},
    {"index": 12, "gates": ["CD45_hi_CD_16_mid"], "x": 0.0},
    {"index": 20, "gates": ["CD16_lo_CD45_lo"], CD16: 0.0, "x": 0.0},
    {"index": 21, "gates": ["CD45_mid_CD_16_mid"], CD16: 3.0, "slide": 1},
    {"index": 22, "gates": ["CD3_hi_CD_16_lo", "CD16_hi_CD45_lo"], "slide": 1},
    {"index": 30, "gates": ["CD3_hi_CD_16_lo"], "batch": 1, CD16: 9.0},
    {"index": 31, "gates": ["CD3_hi_CD_16_lo"], "antibodies": "CD16", SINGLE: 77.0},
]
TASKS = {
    "cell": {"kind": "classes", "names": ["lymphocyte", "granulocyte", "monocyte"]},
    "CD16": {"kind": "value", "column": CD16},
    "alone": {"kind": "value", "column": SINGLE},
}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bsccm")
    write_bsccm(folder / "BSCCM-tiny", CELLS)
    return folder


@cache
def of_nsc() -> dict[str, Any]:
    return load_params(ROOT / "params.yaml").studies["nsc"].data.model_dump()


def study(**changes: Any) -> StudyData:
    own = {"reader": "bsccm", "markers": {}, "channels": ["DPC_Left", "DPC_Top"], "tasks": TASKS,
           "pixel_size_um": 0.2, "canvas": 24, "group": "field"}  # fmt: skip
    return StudyData.model_validate({**of_nsc(), **own, **changes})


def outcomes(source: Path, **changes: Any) -> list[Outcome]:
    reader = open_reader(study(**changes), source)
    found: list[Outcome] = []
    for acquisition in reader.acquisitions():
        listing = reader.items(acquisition)
        found += listing.refused
        found += reader.decode(acquisition, listing.items)
    return found


def cells(source: Path, **changes: Any) -> dict[int, Cell]:
    found = outcomes(source, **changes)
    assert all(isinstance(one, Cell) for one in found), found
    return {one.object_index: one for one in found if isinstance(one, Cell)}


def test_planes_are_those_that_metadata_names_in_the_study_s_order(source: Path) -> None:
    found = cells(source, channels=["DPC_Top", "DPC_Left"])
    written = write_again(source)
    assert set(found) == {cell["index"] for cell in CELLS}
    for key, cell in found.items():
        planes = [CHANNELS.index("DPC_Top"), CHANNELS.index("DPC_Left")]
        assert cell.pixels.dtype == np.uint16
        assert np.array_equal(cell.pixels, written[key][planes][None])
    assert max(cell.pixels.max() for cell in found.values()) > 4000


def write_again(source: Path) -> dict[int, np.ndarray]:
    folder = source.parent / "again"
    shutil.rmtree(folder, ignore_errors=True)
    return write_bsccm(folder, CELLS)


def test_another_order_of_channels_is_followed(tmp_path: Path) -> None:
    turned = CHANNELS[::-1]
    written = write_bsccm(tmp_path / "set", CELLS[:2], channels=turned)
    found = cells(tmp_path, channels=["DPC_Right"])
    for key, cell in found.items():
        assert np.array_equal(cell.pixels[0, 0], written[key][turned.index("DPC_Right")])


@pytest.mark.parametrize("dtype", ["|u1", ">u2"])
def test_bytes_and_the_other_byte_order(tmp_path: Path, dtype: str) -> None:
    written = write_bsccm(tmp_path / "set", CELLS[:2], dtype=dtype, side=28)
    for key, cell in cells(tmp_path).items():
        assert cell.pixels.dtype == np.dtype(dtype).newbyteorder("=")
        assert np.array_equal(cell.pixels[0, 1], written[key][CHANNELS.index("DPC_Top")])


def test_classes_are_gates_of_batch_0_with_all_antibodies(source: Path) -> None:
    found = cells(source)
    known = {key: cell.told["label"] for key, cell in found.items() if cell.told["label"]}
    assert known == {7: "lymphocyte", 3: "granulocyte", 12: "monocyte"}
    assert [key for key, cell in found.items() if cell.told["external"]] == [20]
    kept = cells(source, bsccm={"erythrocytes": "unlabelled"})
    assert not any(cell.told.get("external") for cell in kept.values())
    fine = {"kind": "classes", "names": ["a", "b"]}
    gates = {"a": ["CD45_mid_CD_16_mid"], "b": ["CD16_lo_CD45_lo"]}
    other = cells(source, tasks={"fine": fine}, bsccm={"gates": gates})
    assert {key: c.told["label"] for key, c in other.items() if c.told["label"]} == {
        20: "b",
        21: "a",
    }


def test_values_are_the_table_s_and_missing_ones_stay_missing(source: Path) -> None:
    found = cells(source)
    values = {key: cell.told[CD16] for key, cell in found.items()}
    known = {key: value for key, value in values.items() if not np.isnan(value)}
    assert known == {7: 12.5, 3: 4000.0, 20: 0.0, 21: 3.0, 30: 9.0}
    alone = {key: cell.told[SINGLE] for key, cell in found.items()}
    assert {key: v for key, v in alone.items() if not np.isnan(v)} == {31: 77.0}


def test_cells_that_the_markers_leave_out_have_none(source: Path, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(source, folder)
    path = folder / "BSCCM-tiny" / "BSCCM_surface_markers.csv"
    table = pd.read_csv(path)
    table[table.global_index != 7].sample(frac=1, random_state=0).to_csv(path, index=False)
    found = cells(folder)
    assert found[7].told["label"] is None
    assert np.isnan(found[7].told[CD16])
    assert found[3].told["label"] == "granulocyte"
    assert found[3].told[CD16] == 4000.0


def test_gates_are_known_however_they_are_written(source: Path, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(source, folder)
    edit("surface_markers", lambda t: t.assign(**{GATE: t[GATE].astype(float)}))(
        folder / "BSCCM-tiny"
    )
    assert {k: c.told["label"] for k, c in cells(folder).items()} == {
        k: c.told["label"] for k, c in cells(source).items()
    }


def test_groups_are_slides_or_fields_of_view_and_batches_are_in_names(source: Path) -> None:
    slide = "antibodies_all/batch_0/slide_replicate_0"
    found = cells(source)
    assert found[7].group == found[3].group == f"{slide}/x-320_y1600.5"
    assert found[12].group == found[20].group == f"{slide}/x0_y1600.5"
    assert found[30].group.startswith("antibodies_all/batch_1/")
    by_slide = {key: cell.group for key, cell in cells(source, group="acquisition").items()}
    assert by_slide[7] == by_slide[12] == slide
    assert by_slide[21] == "antibodies_all/batch_0/slide_replicate_1"


def test_antibodies_narrow_what_is_read(source: Path) -> None:
    assert set(cells(source, bsccm={"antibodies": ["CD16"]})) == {31}
    with pytest.raises(UnstainedError, match=r"'CD17'; did you mean CD16\?"):
        outcomes(source, bsccm={"antibodies": ["CD17"]})


def test_cells_that_antibodies_leave_out_are_told(source: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    shutil.copytree(source, home)
    unknown = edit("index", lambda t: t.assign(antibodies=t["antibodies"].where(t["batch"] == 0)))
    unknown(home / "BSCCM-tiny")
    told = passed_over(open_reader(study(bsccm={"antibodies": ["all"]}), home))
    assert told == [
        f"1 cell left out: {INDEX} names other antibodies than all (studies.<study>.data.bsccm)",
        f"1 cell left out: {INDEX} does not tell their antibodies",
    ]
    assert passed_over(open_reader(study(), home)) == []


def spoil_chunk(home: Path) -> str:
    path = next(home.glob("BSCCM_images.zarr/**/cell_7/5.0.0"))
    path.write_bytes(path.read_bytes()[:-10])
    return "cell_7/5.0.0: truncated"


def lose_chunk(home: Path) -> str:
    next(home.glob("BSCCM_images.zarr/**/cell_7/3.0.0")).unlink()
    return "cell_7/3.0.0: cannot be read"


def lose_cell(home: Path) -> str:
    shutil.rmtree(next(home.glob("BSCCM_images.zarr/**/cell_7")))
    return "cell_7: is not there, and BSCCM_index.csv lists the cell"


def lose_header(home: Path) -> str:
    next(home.glob("BSCCM_images.zarr/**/cell_7/.zarray")).unlink()
    return "cell_7: its .zarray cannot be read"


def write_zarr_3(home: Path) -> str:
    path = next(home.glob("BSCCM_images.zarr/**/cell_7"))
    counts = zarr.open_array(str(path), mode="r")[:]
    shutil.rmtree(path)
    zarr.create_array(str(path), data=counts, chunks=(1, 24, 24), zarr_format=3)
    return "cell_7: is a Zarr 3 array"


def change_header(**changes: Any) -> Callable[[Path], str]:
    def spoil(home: Path) -> str:
        path = next(home.glob("BSCCM_images.zarr/**/cell_7/.zarray"))
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))
        return "cell_7: (holds|of shape|is compressed|is stored)"

    return spoil


@pytest.mark.parametrize(
    "spoil",
    [
        spoil_chunk,
        lose_chunk,
        lose_cell,
        lose_header,
        write_zarr_3,
        change_header(order="F"),
        change_header(dimension_separator="/"),
        change_header(dtype="<f4"),
        change_header(dtype="<i2"),
        change_header(shape=[3, 24, 24]),
        change_header(chunks=[7, 24, 24]),
        change_header(compressor={"id": "pickle"}),
    ],
)
def test_a_damaged_cell_is_refused_alone(
    source: Path, tmp_path: Path, spoil: Callable[[Path], str]
) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(source, folder)
    reason = spoil(folder / "BSCCM-tiny")
    found = outcomes(folder)
    (refused,) = (one for one in found if isinstance(one, Refused))
    with pytest.raises(UnstainedError, match=reason):
        raise refused.error(folder)
    assert len(found) == len(CELLS)


def edit(name: str, change: Callable[[pd.DataFrame], pd.DataFrame]) -> Callable[[Path], None]:
    def spoil(home: Path) -> None:
        path = home / f"BSCCM_{name}.csv"
        change(pd.read_csv(path)).to_csv(path, index=False)

    return spoil


def without(name: str) -> Callable[[Path], None]:
    return lambda home: (home / name).unlink()


def told(**changes: Any) -> Callable[[Path], None]:
    def spoil(home: Path) -> None:
        path = home / "BSCCM_global_metadata.json"
        content = json.loads(path.read_text())
        content["led_array"] |= changes
        path.write_text(json.dumps(content))

    return spoil


GATE = "selection_gated_CD3_hi_CD_16_lo"
FAULTS: list[tuple[Callable[[Path], None], str]] = [
    (edit("surface_markers", lambda t: t.drop(columns=CD16)), f"has a column '{CD16}'"),
    (edit("surface_markers", lambda t: t.drop(columns=GATE)), "no gate 'CD3_hi_CD_16_lo'"),
    (without("BSCCM_surface_markers.csv"), "neither .* has a column"),
    (without("BSCCM_global_metadata.json"), "does not tell the channels"),
    (edit("index", lambda t: t.drop(columns="data_path")), "has no column 'data_path'"),
    (edit("index", lambda t: pd.concat([t, t[:1]])), "lists the cell 7 twice"),
    (edit("index", lambda t: t.assign(data_path="../elsewhere")), "which is no slide"),
    (edit("index", lambda t: t.assign(fov_center_x=np.nan)), "cell 31 has no fov_center_x"),
    (edit("surface_markers", lambda t: t.assign(**{CD16: "high"})), "row 1: .* is 'high'"),
    (told(channel_names="DPC_Left"), "channel_names is 'DPC_Left'"),
    (told(channel_names=["DPC_Left", "DPC_Top", "DPC_Left", *"abcd"]), "'DPC_Left' 2 times"),
    (told(pixel_size_um=0), "pixel_size_um is 0"),
    (told(pixel_size_um=float("nan")), "pixel_size_um is nan"),
    (lambda home: shutil.copytree(home, home.with_name("b")), "several sets"),
    (lambda home: shutil.rmtree(home / "BSCCM_images.zarr"), "zarr is not there"),
]


@pytest.mark.parametrize(("spoil", "said"), FAULTS, ids=[said for _, said in FAULTS])
def test_a_damaged_set_is_refused(
    source: Path, tmp_path: Path, spoil: Callable[[Path], Any], said: str
) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(source, folder)
    spoil(folder / "BSCCM-tiny")
    with pytest.raises(UnstainedError, match=said):
        outcomes(folder)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"channels": ["DPC_Lef"]}, r"no channel 'DPC_Lef'; did you mean DPC_Left\?"),
        ({"pixel_size_um": 0.33}, "a pixel is 0.2 micrometres, the study says 0.33"),
        ({"frames": 2}, "one frame of a cell"),
        ({"tasks": {"c": {"kind": "classes", "names": ["x", "y"]}}}, "class x has no gates"),
    ],
)
def test_a_study_that_does_not_fit_is_refused(
    source: Path, changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(UnstainedError, match=said):
        outcomes(source, **changes)

"""Simulated slides as their reader, the zarr library and statistics see them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import zarr

from tests.conftest import ROOT
from unstained.config.project import load_params
from unstained.config.simulate import SlidesParams
from unstained.config.study import StudyData
from unstained.data.readers import open_reader
from unstained.data.store.blocks import Cell
from unstained.errors import ParameterError
from unstained.simulate.blood.cells import KINDS, draw_cell
from unstained.simulate.blood.markers import FULL, gate_of, intensities
from unstained.simulate.blood.study import simulate_slides
from unstained.simulate.streams import stream

PARAMS = SlidesParams(
    slides=(2, 1),
    fields=2,
    single_antibodies=("CD16",),
    single_fields=1,
    cells_per_field=4,
    erythrocytes=0.2,
    difficulty=0.2,
)


@pytest.fixture(scope="module")
def data() -> StudyData:
    return load_params(ROOT / "params.yaml").studies["wbc"].data


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory, data: StudyData) -> Path:
    return simulate_slides(tmp_path_factory.mktemp("slides"), PARAMS, data, 7)


def read(images: Path, data: StudyData) -> list[Cell]:
    reader = open_reader(data, images)
    found = []
    for acquisition in reader.acquisitions():
        listing = reader.items(acquisition)
        assert not listing.refused
        found += list(reader.decode(acquisition, listing.items))
    assert all(isinstance(one, Cell) for one in found)
    return found  # type: ignore[return-value]


def test_the_reader_reads_what_zarr_reads(images: Path, data: StudyData) -> None:
    found = read(images, data)
    assert len(found) == 2 * 8 + 8
    images_group = zarr.open_group(str(images / "BSCCM_images.zarr"), mode="r")
    names = json.loads((images / "BSCCM_global_metadata.json").read_text())["led_array"]
    order = [names["channel_names"].index(channel) for channel in data.channels]
    for cell in found[::5]:
        folder = cell.source_file.removeprefix("BSCCM_images.zarr/").rpartition("/")[0]
        assert np.array_equal(images_group[folder][:][order], cell.pixels[0])
    top = max(int(cell.pixels.max()) for cell in found)
    assert 2000 < top < 4095
    assert all(cell.pixels.shape == (1, 4, data.canvas, data.canvas) for cell in found)


def test_classes_and_markers_are_known_where_they_are_in_the_real_set(
    images: Path, data: StudyData
) -> None:
    every = data.model_copy(update={"bsccm": None})
    found = read(images, every)
    assert len({cell.group for cell in found}) == 2 * 3 + 2
    labels = [cell.told["label"] for cell in found]
    slides = [cell.source_file for cell in found]
    assert {label for label, file in zip(labels, slides, strict=True) if "batch_1" in file} == {
        None
    }
    assert {label for label in labels if label} <= {"lymphocyte", "granulocyte", "monocyte"}
    assert sum(label is not None for label in labels) > 8
    values = np.array([cell.told[FULL["CD16"]] for cell in found], float)
    alone = np.array(["antibodies_CD16" in file for file in slides])
    assert np.isnan(values[alone]).all()
    assert np.isfinite(values[~alone]).mean() > 0.8
    markers = pd.read_csv(images / "BSCCM_surface_markers.csv")
    single = markers["CD16_single_antibody_model_unmixed"].notna()
    assert set(np.flatnonzero(single)) <= set(markers.index[: alone.sum()])
    assert single.any()


def test_the_same_seed_gives_the_same_bytes_and_an_interrupted_run_goes_on(
    images: Path, data: StudyData, tmp_path: Path
) -> None:
    whole = {p.relative_to(images): p.read_bytes() for p in images.rglob("*") if p.is_file()}
    again = simulate_slides(tmp_path / "again", PARAMS, data, 7)
    (tmp_path / "again" / "simulation.json").unlink()
    slide = again / "BSCCM_images.zarr/antibodies_all/batch_0/slide_replicate_1"
    kept = (slide.with_name("slide_replicate_0") / "led_array").stat().st_mtime_ns
    slide.rename(slide.with_name(".slide_replicate_1.1.partial"))
    simulate_slides(tmp_path / "again", PARAMS, data, 7)
    assert {p.relative_to(again): p.read_bytes() for p in again.rglob("*") if p.is_file()} == whole
    assert (slide.with_name("slide_replicate_0") / "led_array").stat().st_mtime_ns == kept


def test_studies_that_the_microscope_cannot_see_are_refused(
    data: StudyData, tmp_path: Path
) -> None:
    for changes, said in (
        ({"channels": ("DPC_Lefty",)}, "did you mean DPC_Left"),
        ({"canvas": 128}, "128 pixels of 0.325"),
    ):
        with pytest.raises(ParameterError, match=said):
            simulate_slides(tmp_path, PARAMS, data.model_copy(update=changes), 7)


@pytest.fixture(scope="module")
def drawn() -> pd.DataFrame:
    """Traits, intensities and gates of many cells, without images."""
    rows = []
    for kind in KINDS:
        for at in range(400):
            cell = draw_cell(kind, 0.2, stream(1, kind, "shape", at))
            found = intensities(cell, dict.fromkeys(FULL, 0.0))
            traits = dict(zip("snmgr", cell.traits, strict=True))
            rows.append({"kind": kind, "gate": gate_of(found), **found, **traits})
    return pd.DataFrame(rows)


def test_gates_hold_the_kinds_that_they_are_named_for(drawn: pd.DataFrame) -> None:
    meant = {
        "lymphocyte": ["CD3_hi_CD_16_lo"],
        "granulocyte": ["CD16_hi_CD45_mid", "CD16_hi_CD45_lomid", "CD16_hi_CD45_lo"],
        "monocyte": ["CD45_hi_CD_16_lo", "CD45_hi_CD_16_mid", "CD45_hi_CD_16_hi"],
        "erythrocyte": ["CD16_lo_CD45_lo"],
    }
    for kind, gates in meant.items():
        inside = drawn[drawn.gate.isin(gates)]
        assert (inside.kind == kind).mean() > 0.95, kind
        assert drawn[drawn.kind == kind].gate.isin(gates).mean() > 0.8, kind


def test_markers_follow_shape_and_each_other(drawn: pd.DataFrame) -> None:
    white = drawn[drawn.kind == "granulocyte"]
    log = np.log(white[list(FULL)].clip(lower=1))
    by_shape = np.corrcoef(log.CD16, white.m + white.g - 0.3 * white.n)[0, 1]
    assert 0.55 < by_shape < 0.8
    assert np.corrcoef(log.CD14, log.CD45)[0, 1] > 0.3
    by_kind = drawn.groupby("kind")[list(FULL)].median()
    assert by_kind.CD16.idxmax() == "granulocyte"
    assert by_kind.CD3.idxmax() == "lymphocyte"
    assert by_kind.CD14.idxmax() == "monocyte"
    assert (by_kind.loc["erythrocyte"] < 60).all()

"""Simulated monolayers: how they move, what they look like, and what is written of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile

from tests.conftest import ROOT
from unstained.config.project import load_params
from unstained.config.simulate import MonolayersParams
from unstained.config.study import StudyData
from unstained.data.readers import open_reader
from unstained.data.readers.protocol import classify
from unstained.data.store.blocks import Cell
from unstained.errors import ParameterError
from unstained.imaging.alignment import order_of
from unstained.simulate.monolayers.camera import STEP_RAD, ZERO, Camera
from unstained.simulate.monolayers.kinds import NAMES, kinds
from unstained.simulate.monolayers.motion import Monolayer, place_cells, shapes_of
from unstained.simulate.monolayers.render import Clouds, outlines
from unstained.simulate.monolayers.study import counts_of, plan_movies, simulate_movies

SIDE = 350.0
KINDS = kinds(0.0)
FIBROBLAST, MUSCLE, PLURIPOTENT = range(3)
PARAMS = MonolayersParams(
    proportions=3,
    movies_per_proportion=1,
    pluripotent_movies=1,
    frames=6,
    side_px=64,
    interval_min=10.0,
    density=(0.8, 0.9),
    difficulty=0.3,
)


def culture(kind: int, density: float, *, seed: int = 0, alignment: float = 1.0) -> Monolayer:
    rng = np.random.default_rng(seed)
    counts = [0, 0, 0]
    counts[kind] = round(density * SIDE**2 / KINDS[kind].area_um2)
    return Monolayer(place_cells(counts, KINDS, SIDE, rng), KINDS, SIDE, rng, alignment)


def settled(kind: int, density: float, alignment: float = 1.0) -> float:
    """Unbiased squared order of neighbourhoods, a mean over cultures that had time to settle."""
    found = []
    for seed in range(4):
        cells = culture(kind, density, seed=seed, alignment=alignment)
        for _ in range(60):
            cells.step(10.0, grow=False)
        found.append(_of_neighbours(cells))
    return float(np.mean(found))


def _of_neighbours(culture: Monolayer) -> float:
    cells = culture.cells
    dy, dx = (np.subtract.outer(some, some) for some in (cells.y, cells.x))
    near = np.hypot(dy - SIDE * np.rint(dy / SIDE), dx - SIDE * np.rint(dx / SIDE)) < 80
    around = [order_of(cells.angle[row]) for row in near if row.sum() > 2]
    return float(np.mean([one.squared for one in around]))


def test_order_rises_with_density_and_needs_alignment() -> None:
    sparse, dense = settled(FIBROBLAST, 0.15), settled(FIBROBLAST, 0.9)
    assert dense > sparse + 0.15
    assert dense > 0.5
    assert abs(settled(FIBROBLAST, 0.9, alignment=0.0)) < 0.1
    loose = settled(MUSCLE, 0.9)
    assert 0.1 < loose < dense - 0.1
    assert abs(settled(PLURIPOTENT, 0.6)) < 0.05


def test_a_lone_cell_crawls_along_its_axis_and_reverses_without_turning() -> None:
    still = tuple(replace(one, turning=0.0, reversals=1 / 10) for one in KINDS)
    rng = np.random.default_rng(1)
    cells = place_cells([1, 0, 0], still, SIDE, rng)
    angle, alone = float(cells.angle[0]), Monolayer(cells, still, SIDE, rng)
    steps = []
    for _ in range(80):
        before = np.array([alone.cells.y[0], alone.cells.x[0]])
        alone.step(5.0, grow=False)
        moved = np.array([alone.cells.y[0], alone.cells.x[0]]) - before
        steps.append(moved - SIDE * np.rint(moved / SIDE))
    along = np.array(steps) @ [np.sin(angle), np.cos(angle)]
    across = np.array(steps) @ [np.cos(angle), -np.sin(angle)]
    assert alone.cells.angle[0] == angle
    np.testing.assert_allclose(across, 0, atol=1e-9)
    np.testing.assert_allclose(abs(along), 5.0 * still[FIBROBLAST].speed)
    changes = np.mean(np.sign(along[1:]) != np.sign(along[:-1]))
    assert changes == pytest.approx(1 - np.exp(-0.5), abs=0.15)


def test_kinds_move_and_look_as_their_numbers_say() -> None:
    fibroblasts, muscle = (culture(kind, 0.05, seed=2) for kind in (FIBROBLAST, MUSCLE))
    ratio = []
    for one in (fibroblasts, muscle):
        shapes = shapes_of(one.cells, KINDS)
        ratio.append(float(np.median(shapes.half_length / shapes.half_width)))
        one.cells.age[:] = 0.5
        one.step(5.0, grow=False)
    wanted = [kind.length_um / kind.width_um for kind in KINDS[:2]]
    assert ratio == pytest.approx(wanted, rel=0.25)
    speeds = [float(np.median(one.speed)) for one in (fibroblasts, muscle)]
    assert speeds == pytest.approx([KINDS[0].speed, KINDS[1].speed], rel=0.05)
    near = kinds(1.0)
    assert (near[0].length_um, near[0].taper) == (near[1].length_um, near[1].taper)
    assert near[0].speed == KINDS[0].speed


def test_cells_divide_into_two_halves_and_masses_are_kept() -> None:
    one = culture(FIBROBLAST, 0.3, seed=3)
    one.cells.age[:] = 0.5
    one.cells.age[:5] = 0.9999
    before, masses = len(one.cells), one.shapes.mass[:5].copy()
    one.step(5.0)
    assert len(one.cells) == before + 5
    assert len(set(one.cells.number)) == before + 5
    born = one.cells.parent >= 0
    assert sorted(one.cells.parent[born]) == sorted([*range(5)] * 2)
    halves = one.shapes.mass[born]
    assert halves.sum() == pytest.approx(masses.sum(), rel=1e-3)
    shapes = one.shapes
    np.testing.assert_allclose(shapes.half_length[born], shapes.half_width[born])


def test_the_phase_of_an_image_is_the_mass_of_its_cells_and_areas_are_their_footprints() -> None:
    rng = np.random.default_rng(4)
    cells = place_cells([6, 5, 9], KINDS, SIDE, rng)
    shapes, pixel, pixels = shapes_of(cells, KINDS), 0.7, 500
    phase, areas = Clouds(KINDS, pixel).deposit(cells, shapes, pixels)
    assert phase.sum() * pixel**2 == pytest.approx(shapes.mass.sum(), rel=1e-6)
    rows = outlines(cells, shapes, KINDS, pixel, 0).reshape(len(cells), -1, 2)
    x, y = rows[..., 0], rows[..., 1]
    polygons = 0.5 * abs((x * np.roll(y, -1, 1) - np.roll(x, -1, 1) * y).sum(1))
    for kind in range(3):
        mine = cells.kind == kind
        assert areas[kind].sum() == pytest.approx(polygons[mine].sum(), rel=0.05)
    assert phase.min() >= 0
    none = cells.take(np.arange(0))
    assert outlines(none, shapes_of(none, KINDS), KINDS, pixel, 0).shape == (0, rows[0].size)


def test_a_camera_adds_what_is_not_the_cells() -> None:
    flat = np.zeros((80, 80))
    rng = np.random.default_rng(5)
    plain, marked = (Camera.draw(np.random.default_rng(6), 64, s) for s in (0.0, 1.0))
    even = (plain.expose(flat, 8, 1.0, 0.0, rng).astype(float) - ZERO) * STEP_RAD
    assert even.std() == pytest.approx(plain.noise, rel=0.05)
    assert abs(even.mean()) < plain.noise / 10
    uneven = (marked.expose(flat, 8, 1.0, 0.0, rng).astype(float) - ZERO) * STEP_RAD
    assert uneven.std() > 2 * even.std()
    disc = np.hypot(*(np.mgrid[:80, :80] - 39.5)) < 12
    seen = (plain.expose(disc * 1.0, 8, 1.0, 0.0, rng).astype(float) - ZERO) * STEP_RAD
    assert seen[32, 32] > 0.5
    assert seen[32, 49:53].mean() < -0.01  # the halo


@pytest.fixture(scope="module")
def data() -> StudyData:
    study = load_params(ROOT / "params.yaml").studies["mixture"].data
    return study.model_copy(update={"canvas": 16})


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory, data: StudyData) -> Path:
    return simulate_movies(tmp_path_factory.mktemp("movies"), PARAMS, data, 7)


def test_movies_are_read_as_real_ones_are(images: Path, data: StudyData) -> None:
    columns = ("share_muscle", "alignment", "mean_speed", "cells")
    more = [{"kind": "value", "name": one, "column": one} for one in columns]
    asked = StudyData.model_validate(
        data.model_dump() | {"tasks": [data.tasks[0].model_dump(), *more]}
    )
    reader = open_reader(asked, images)
    found: dict[str, list[Cell]] = {}
    for acquisition in reader.acquisitions():
        listing = reader.items(acquisition)
        assert not listing.refused
        found[acquisition.name] = list(reader.decode(acquisition, listing.items))  # type: ignore[arg-type]
    assert {name: len(cells) for name, cells in found.items()} == {
        one.name: 4 for one in plan_movies(PARAMS)
    }
    shares = {name: [cell.told["share_muscle"] for cell in cells] for name, cells in found.items()}
    assert set(shares["mixture_000_0"]) == {0.0}
    assert set(shares["mixture_100_0"]) == {1.0}
    assert [cell.told["proportion"] for cell in found["mixture_050_0"]] == [0.5] * 4
    assert all(np.isnan(float(cell.told["proportion"])) for cell in found["pluripotent_0"])  # type: ignore[arg-type]
    assert all(cell.told["external"] for cell in found["pluripotent_0"])
    assert found["mixture_050_0"][0].pixels.shape == (5, 1, 16, 16)


def test_movies_of_a_culture_share_out_the_range_of_densities() -> None:
    params = PARAMS.model_copy(update={"movies_per_proportion": 4, "pluripotent_movies": 2})
    parts: dict[float | None, list[tuple[float, float]]] = {}
    for plan in plan_movies(params):
        parts.setdefault(plan.proportion, []).append(plan.part)
    quarters = [(0, 0.25), (0.25, 0.5), (0.5, 0.75), (0.75, 1)]
    assert parts == {0.0: quarters, 0.5: quarters, 1.0: quarters, None: [(0, 0.5), (0.5, 1)]}


def test_masks_tables_of_cells_and_composition_agree(images: Path) -> None:
    truth = images.parent / "truth" / "composition"
    for movie in pd.read_csv(images / "movies.csv").itertuples():
        stack, masks = (tifffile.imread(images / str(path)) for path in (movie.path, movie.masks))
        assert (stack.shape, stack.dtype, masks.shape) == ((6, 64, 64), np.uint16, (6, 64, 64))
        areas = pd.read_parquet(truth / f"{movie.movie}.parquet")
        assert len(areas) == 6 * 4
        first = areas[(areas.frame == 2) & (areas.region == "r1c0")].iloc[0]
        part = masks[2, 32:, :32]
        assert [first[name] for name in NAMES] == [(part == k).sum() for k in (1, 2, 3)]
        cells = pd.read_parquet(images / str(movie.cells))
        assert cells.y.between(0, 64).all()
        inside = cells[(cells.length_um > 2 * cells.width_um) & (cells.width_um > 8)]
        for cell in inside.itertuples():
            kind = masks[cell.frame, int(cell.y), int(cell.x)]
            assert kind in {1 + NAMES.index(cell.kind), 1, 2}


def test_areas_of_a_culture_are_mixed_as_the_table_says() -> None:
    """By outlines, over the whole culture; a field of view holds more or less of it."""
    shares = []
    for seed in range(4):
        counts = counts_of(0.3, 900.0**2, KINDS)
        cells = place_cells(counts, KINDS, 900.0, np.random.default_rng(seed))
        _, areas = Clouds(KINDS, 2.0).deposit(cells, shapes_of(cells, KINDS), 450)
        by_kind = areas.sum(axis=(1, 2))
        shares.append(by_kind[MUSCLE] / by_kind.sum())
    assert np.mean(shares) == pytest.approx(0.3, abs=0.02)
    assert counts_of(None, 1e5, KINDS)[:2] == [0, 0]


def test_the_same_seed_gives_the_same_bytes_and_an_interrupted_run_goes_on(
    images: Path, data: StudyData, tmp_path: Path
) -> None:
    again = tmp_path / "again"
    whole = {p.relative_to(images): p.read_bytes() for p in images.rglob("*") if p.is_file()}
    simulate_movies(again, PARAMS, data, 7)
    (again / "simulation.json").unlink()
    lost, kept = (again / "images" / f"mixture_{name}_0.tif" for name in ("050", "000"))
    lost.rename(lost.with_name(f".{lost.name}.1.partial"))
    times = kept.stat().st_mtime_ns
    simulate_movies(again, PARAMS, data, 7)
    made = again / "images"
    assert {p.relative_to(made): p.read_bytes() for p in made.rglob("*") if p.is_file()} == whole
    assert kept.stat().st_mtime_ns == times


def test_studies_that_cannot_be_simulated_are_refused(data: StudyData, tmp_path: Path) -> None:
    for changes, said in (
        ({"canvas": 64}, "hold no snippet of 5 frames of 128 pixels"),
        ({"pixel_size_um": 8.0}, "a pixel of 4 micrometres"),
    ):
        with pytest.raises(ParameterError, match=said):
            simulate_movies(tmp_path, PARAMS, data.model_copy(update=changes), 7)


def test_pure_cultures_are_told_by_the_names_of_their_movies() -> None:
    study = load_params(ROOT / "params.yaml").studies["populations"]
    for recipe in study.recipes.values():
        params = recipe.sections().simulate_monolayers
        assert params is not None
        told = {
            plan.name: classify(plan.name, plan.name, study.data.classes)
            for plan in plan_movies(params)
        }
        assert told == {plan.name: (plan.population, False) for plan in plan_movies(params)}
    assert study.data.class_names == NAMES

"""Simulated movies of monolayers on disk, as the reader `movies` reads them.

    images/movies.csv              a row a movie: what it shows, and how counts become radians
    images/<movie>.tif             uint16, a page a frame
    images/masks/<movie>.tif       uint8, which kind covers a pixel: 0 none, 1 the first of NAMES
    images/cells/<movie>.parquet   a row a cell and frame: place, motion, shape, mass, outline
    truth/composition/<movie>.parquet   area of each kind in each region and frame
    plan.json, simulation.json     written first and last

Movies are whole or absent, so a killed simulation goes on with the missing ones; the same seed
gives the same bytes whatever the number of threads.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any, Final

import numpy as np

from unstained.config.simulate import MonolayersParams
from unstained.config.study import StudyData
from unstained.errors import ParameterError
from unstained.files import whole_file, write_text
from unstained.simulate.monolayers.camera import STEP_RAD, ZERO, Camera
from unstained.simulate.monolayers.kinds import NAMES, Kind, kinds
from unstained.simulate.monolayers.motion import Monolayer, Shapes, place_cells
from unstained.simulate.monolayers.render import Clouds, outlines
from unstained.simulate.streams import stream
from unstained.simulate.whole_study import (
    StoppedError,
    digest_of,
    finish,
    in_threads,
    is_done,
    prepare,
)

VERSION: Final = 3
"""Raise it when the same parameters and seed no longer give the same bytes."""
MARGIN_UM: Final = 52.0
"""Of the culture around what is seen, at least, so that cells come and go on a torus."""
SETTLING: Final = (120, 7.5)
"""Steps and minutes a step before the first frame, in which cells find their places."""
STEP_MIN: Final = 2.5
"""Longest step between frames."""
COVERED: Final = 0.3
"""Of a pixel, from which on a kind covers it."""
PIXELS_UM: Final = (0.3, 2.5)
COLUMNS: Final = (
    "movie", "path", "masks", "cells", "proportion", "population", "external", "interval_min",
    "pixel_um", "rad_per_count", "zero_count",
)  # fmt: skip


@dataclass(frozen=True)
class Plan:
    """One movie before any cell.

    Attributes:
        name: of the movie.
        proportion: share of muscle cells by area, None for pluripotent ones.
        part: of the range of densities that its own is drawn from, its ends between 0 and 1.
    """

    name: str
    proportion: float | None
    part: tuple[float, float]

    @property
    def population(self) -> str:
        """Kind of which all cells are; '' for a mixture."""
        if self.proportion is None:
            return NAMES[2]
        return {0.0: NAMES[0], 1.0: NAMES[1]}.get(self.proportion, "")


def plan_movies(params: MonolayersParams) -> list[Plan]:
    """All movies in order of name; those of one culture share out the range of densities."""
    top, many = params.proportions - 1, params.movies_per_proportion
    cultures = [
        (f"mixture_{100 * step / top:03.0f}", round(step / top, 6), many)
        for step in range(params.proportions)
    ]
    found = [
        Plan(f"{name}_{number}", proportion, (number / count, (number + 1) / count))
        for name, proportion, count in (*cultures, ("pluripotent", None, params.pluripotent_movies))
        for number in range(count)
    ]
    return sorted(found, key=lambda one: one.name)


def counts_of(share: float | None, area_um2: float, of_kinds: Sequence[Kind]) -> list[int]:
    """Cells of each kind, so that muscle covers a share of their area; None: pluripotent alone."""
    shares = (0.0, 0.0, 1.0) if share is None else (1 - share, share, 0.0)
    return [
        round(part * area_um2 / kind.area_um2) for part, kind in zip(shares, of_kinds, strict=True)
    ]


def simulate_movies(
    destination: Path, params: MonolayersParams, data: StudyData, seed: int
) -> Path:
    """Simulate a study's movies, or reuse them where this very study is there already.

    Args:
        destination: directory of its own; see the module's text for what is written there.
        params: size and difficulty of the study.
        data: pixel size, and how the reader will cut.
        seed: of all random numbers.

    Returns:
        The directory of the movies, the reader's source.

    Raises:
        ParameterError: the study's pixels or snippets do not fit what is simulated.
        UnstainedError: the disk is full.
    """
    region = data.canvas * (data.movies.step if data.movies else 1)
    _check(params, data, region)
    maker = _Maker(params, data.recorded_pixel_um, region, seed)
    images = destination / "images"
    if is_done(destination, maker.digest):
        return images
    prepare(destination, maker.digest, "**/.*.partial")
    plans = plan_movies(params)
    missing = [one for one in plans if not (images / f"{one.name}.tif").is_file()]
    cells = params.frames * len(missing)
    in_threads(missing, cells, lambda one, stop: maker.make(one, destination, stop))
    _write_table(images / "movies.csv", plans, params, data.recorded_pixel_um)
    finish(destination, maker.digest, seed)
    return images


def _check(params: MonolayersParams, data: StudyData, region: int) -> None:
    least, most = PIXELS_UM
    if not least <= data.recorded_pixel_um <= most:
        raise ParameterError(
            f"a pixel of {data.recorded_pixel_um:g} micrometres (pixel_size_um times movies.scale) "
            f"is not {least:g} to {most:g}, as whole cells in simulated movies need",
            "correct studies.<study>.data.pixel_size_um, or set studies.<study>.data.source to "
            "real movies",
        )
    if region > params.side_px or params.frames < data.frames:
        raise ParameterError(
            f"movies of {params.frames} frames of {params.side_px} pixels hold no snippet of "
            f"{data.frames} frames of {region} pixels",
            "raise simulate_monolayers.frames or side_px, or lower studies.<study>.data.canvas",
        )


@dataclass(frozen=True)
class _Maker:
    """Makes movies of one study."""

    params: MonolayersParams
    pixel_um: float
    region: int
    seed: int

    @property
    def digest(self) -> str:
        return digest_of({
            "version": VERSION,
            "params": self.params.digest(),
            "seed": self.seed,
            "pixels": [self.pixel_um, self.region],
        })  # fmt: skip

    def make(self, plan: Plan, destination: Path, stop: Event) -> int:
        """Simulate and write one movie; returns its number of frames. Its TIFF is written last."""
        import pandas as pd
        import tifffile

        params = self.params
        of_kinds = kinds(params.difficulty)
        margin = _margin(params.side_px, self.pixel_um)
        pixels = params.side_px + 2 * margin
        culture = self._culture(plan, pixels * self.pixel_um)
        acquisition = stream(self.seed, plan.name, "acquisition", 1)
        camera = Camera.draw(acquisition, params.side_px, params.artefacts)
        clouds = Clouds(of_kinds, self.pixel_um)
        seen = slice(margin, margin + params.side_px)
        frames, masks, cells, regions = [], [], [], []
        for frame in range(params.frames):
            if stop.is_set():
                raise StoppedError
            if frame:
                culture.pass_time(params.interval_min, STEP_MIN)
            phase, areas = clouds.deposit(culture.cells, culture.shapes, pixels)
            part = frame / max(1, params.frames - 1)
            noise = stream(self.seed, plan.name, "noise", frame)
            frames.append(camera.expose(phase, margin, self.pixel_um, part, noise))
            masks.append(_mask(areas[:, seen, seen]))
            cells.append(self._cells(frame, culture, margin))
            regions.append(_composition(frame, masks[-1], self.region))
        images = destination / "images"
        for folder, rows in (
            (images / "cells", cells), (destination / "truth" / "composition", regions)
        ):  # fmt: skip
            with whole_file(folder / f"{plan.name}.parquet") as temporary:
                pd.concat(rows, ignore_index=True).to_parquet(temporary, index=False)
        for path, stack in (
            (images / "masks" / f"{plan.name}.tif", masks), (images / f"{plan.name}.tif", frames)
        ):  # fmt: skip
            with whole_file(path) as temporary:
                tifffile.imwrite(
                    temporary, np.stack(stack), photometric="minisblack", metadata=None,
                    software="", compression="zlib", compressionargs={"level": 1}, predictor=True,
                )  # fmt: skip
        return params.frames

    def _culture(self, plan: Plan, side_um: float) -> Monolayer:
        """Cells that have settled."""
        rng = stream(self.seed, plan.name, "shape")
        of_kinds = kinds(self.params.difficulty)
        low, high = self.params.density
        least, most = (low + part * (high - low) for part in plan.part)
        density = rng.uniform(least, most)
        area = density * side_um**2
        counts = counts_of(plan.proportion, area, of_kinds)
        cells = place_cells(counts, of_kinds, side_um, rng)
        culture = Monolayer(cells, of_kinds, side_um, rng)
        steps, minutes = SETTLING
        for _ in range(steps):
            culture.step(minutes, grow=False)
        return culture

    def _cells(self, frame: int, culture: Monolayer, margin: int) -> Any:
        """Rows of the cells whose middle is seen, in the movie's pixels."""
        import pandas as pd

        cells, shapes = culture.cells, culture.shapes
        y, x = (some / self.pixel_um - margin for some in (cells.y, cells.x))
        side = self.params.side_px
        rows = np.flatnonzero((y >= 0) & (y < side) & (x >= 0) & (x < side))
        some = cells.take(rows)
        shape = Shapes(*(one[rows] for one in (shapes.half_length, shapes.half_width, shapes.mass)))
        return pd.DataFrame({
            "frame": frame, "cell": some.number, "parent": some.parent,
            "kind": np.array(NAMES)[some.kind], "y": y[rows], "x": x[rows],
            "speed": culture.speed[rows], "angle": some.angle % np.pi,
            "length_um": 2 * shape.half_length, "width_um": 2 * shape.half_width,
            "mass": shape.mass,
            "outline": list(outlines(some, shape, culture.kinds, self.pixel_um, margin)),
        })  # fmt: skip


def _mask(areas: np.ndarray) -> np.ndarray:
    """(h, w) uint8 of areas (kinds, h, w): the kind that covers most of a pixel, 0 for none."""
    most, mask = np.full(areas.shape[1:], COVERED), np.zeros(areas.shape[1:], np.uint8)
    for number, area in enumerate(areas, 1):
        covers = area > most if number > 1 else area >= most
        np.copyto(most, area, where=covers)
        mask[covers] = number
    return mask


def _margin(side_px: int, pixel_um: float) -> int:
    """Pixels around the field: MARGIN_UM, and as few more as make the torus quick to transform."""
    from scipy.fft import next_fast_len

    margin = round(MARGIN_UM / pixel_um)
    while next_fast_len(side_px + 2 * margin, real=True) != side_px + 2 * margin:
        margin += 1
    return margin


def _composition(frame: int, mask: np.ndarray, side: int) -> Any:
    """Area of each kind in each region of a frame, in pixels."""
    import pandas as pd

    rows, columns = (length // side for length in mask.shape)
    tiles = mask[: rows * side, : columns * side].reshape(rows, side, columns, side)
    areas = {name: (tiles == k).sum(axis=(1, 3)).ravel() for k, name in enumerate(NAMES, 1)}
    regions = [f"r{row}c{column}" for row in range(rows) for column in range(columns)]
    return pd.DataFrame({"frame": frame, "region": regions, **areas})


def _write_table(path: Path, plans: list[Plan], params: MonolayersParams, pixel_um: float) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for one in plans:
        proportion = "" if one.proportion is None else f"{one.proportion:g}"
        writer.writerow([
            one.name, f"{one.name}.tif", f"masks/{one.name}.tif", f"cells/{one.name}.parquet",
            proportion, one.population, str(one.proportion is None).lower(),
            f"{params.interval_min:g}", f"{pixel_um:g}", f"{STEP_RAD:g}", ZERO,
        ])  # fmt: skip
    write_text(path, text.getvalue())

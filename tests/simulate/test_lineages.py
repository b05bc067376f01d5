"""Distributions that cells are drawn from."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from unstained.simulate.lineages import LINEAGES, MARKERS, TRAITS, Cell, draw_cell
from unstained.simulate.streams import stream


def draw(
    lineage: str,
    count: int,
    *,
    difficulty: float = 0.5,
    debris: float = 0.0,
    doublets: float = 0.0,
    seed: int = 0,
) -> list[Cell]:
    return [
        draw_cell(
            lineage,
            difficulty=difficulty,
            debris=debris,
            doublets=doublets,
            generator=stream(seed, "a_1d1", "shape", i),
        )
        for i in range(count)
    ]


def test_difficulty_one_leaves_nothing_but_the_stain_to_tell_lineages_apart() -> None:
    first, second, third = (draw(name, 20, difficulty=1.0) for name in LINEAGES)
    for a, b, c in zip(first, second, third, strict=True):
        assert np.array_equal(a.traits, b.traits)
        assert np.array_equal(a.traits, c.traits)
        assert np.array_equal(a.uniform, b.uniform)
        assert (a.radius_um, a.density, a.scatter_um) == (b.radius_um, b.density, b.scatter_um)
        assert not np.array_equal(a.stain, b.stain)


def test_difficulty_scales_the_distance_between_lineages() -> None:
    def distance(difficulty: float) -> float:
        means = [
            np.mean([cell.traits[0] for cell in draw(name, 200, difficulty=difficulty)], axis=0)
            for name in LINEAGES
        ]
        return float(np.linalg.norm(means[0] - means[2]))

    assert distance(0.5) == pytest.approx(distance(0.0) / 2, rel=0.05)
    assert distance(0.0) > 4


def test_size_mass_and_focus_do_not_know_the_lineage() -> None:
    cells = [draw(name, 50, difficulty=0.0) for name in LINEAGES]
    for drawn in zip(*cells, strict=True):
        assert len({(c.radius_um, c.density, c.scatter_um, c.margin_um) for c in drawn}) == 1


def test_fractions_of_debris_and_doublets() -> None:
    cells = draw("neuron", 4000, debris=0.1, doublets=0.2)
    kinds = Counter(cell.kind for cell in cells)
    assert kinds["debris"] / 4000 == pytest.approx(0.1, abs=0.02)
    assert kinds["doublet"] / 4000 == pytest.approx(0.2, abs=0.03)
    assert {cell.kind for cell in draw("neuron", 200)} == {"cell"}


def test_artefacts_do_not_change_the_other_draws() -> None:
    plain, mixed = draw("neuron", 50), draw("neuron", 50, debris=0.3, doublets=0.3)
    for a, b in zip(plain, mixed, strict=True):
        assert np.array_equal(a.traits, b.traits)
        assert np.array_equal(a.uniform, b.uniform)


@pytest.mark.parametrize("difficulty", [0.5, 1.0])
def test_stains_follow_lineage_and_morphology(difficulty: float) -> None:
    own = dict(zip(LINEAGES, MARKERS, strict=True))
    followed = {"GFAP": "granularity", "Olig2": "nucleus_size", "NeuN": "elongation"}
    levels = {}
    for lineage in LINEAGES:
        cells = draw(lineage, 600, difficulty=difficulty)
        stain = np.log([cell.stain for cell in cells])
        levels[lineage] = stain.mean(axis=0)
        traits = np.array([cell.traits[0] for cell in cells])
        for index, marker in enumerate(MARKERS):
            trait = traits[:, TRAITS.index(followed[marker])]
            assert 0.45 < np.corrcoef(stain[:, index], trait)[0, 1] < 0.95
            assert 0.4 < stain[:, index].std() < 0.6
    for lineage, marker in own.items():
        index = MARKERS.index(marker)
        others = [levels[name][index] for name in LINEAGES if name != lineage]
        assert levels[lineage][index] > max(others) + 0.8


def test_artefacts_stain_as_what_they_are() -> None:
    def median(kind: str) -> float:
        chances = {"debris": 0.3, "doublets": 0.3}
        cells = [c for c in draw("neuron", 600, **chances) if c.kind == kind]
        return float(np.median([cell.stain.sum() for cell in cells]))

    assert median("debris") < 0.2 * median("cell")
    assert median("doublet") == pytest.approx(2 * median("cell"), rel=0.25)

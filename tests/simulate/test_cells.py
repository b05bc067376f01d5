"""Maps of drawn cells."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from tests.simulate.test_lineages import draw
from unstained.simulate.bodies import bodies_of
from unstained.simulate.cells import INDEX_DIFFERENCE, Maps, render
from unstained.simulate.lineages import LINEAGES, MARKERS, Cell

SAMPLE_UM = 0.165
WAVELENGTH_UM = 0.457


def maps(cells: list[Cell]) -> Maps:
    return render(cells, samples=128, sample_um=SAMPLE_UM, wavelength_um=WAVELENGTH_UM)


def test_phase_volume_is_the_drawn_dry_mass() -> None:
    cells = [cell for lineage in LINEAGES for cell in draw(lineage, 6, difficulty=0.0)]
    got = maps(cells).phase.sum((1, 2)).numpy() * SAMPLE_UM**2
    volume = np.array([4 / 3 * math.pi * c.radius_um**3 * c.density for c in cells])
    assert got == pytest.approx(2 * math.pi / WAVELENGTH_UM * INDEX_DIFFERENCE * volume)
    peak = maps(cells).phase.amax((1, 2))
    assert 1.5 < float(peak.median()) < 6, "leukocytes in suspension: 1.5 to 5.4 rad"


def test_maps_are_clean() -> None:
    got = maps(draw("astrocyte", 8, difficulty=0.0, debris=0.2, doublets=0.2))
    assert (got.phase >= 0).all()
    assert (got.absorption >= 0).all()
    assert torch.equal(got.phase > 0, (got.phase > 0) & got.mask)
    assert (got.phase[got.mask] > 0).float().mean() > 0.99
    for stain in got.stains.values():
        assert (stain >= 0).all()
        assert (stain[~got.mask] == 0).all()


def test_stains_integrate_to_the_drawn_totals() -> None:
    cells = draw("neuron", 6, doublets=0.4)
    got = maps(cells)
    for index, marker in enumerate(MARKERS):
        total = got.stains[marker].sum((1, 2)).numpy()
        assert total == pytest.approx([cell.stain[index] for cell in cells])


def test_a_cell_does_not_depend_on_its_neighbours() -> None:
    cells = draw("oligodendrocyte", 5, debris=0.3, doublets=0.3)
    together = maps(cells)
    for i, cell in enumerate(cells):
        alone = maps([cell])
        assert (together.phase[i] - alone.phase[0]).abs().max() < 1e-12
        assert torch.equal(together.mask[i], alone.mask[0])


@pytest.mark.parametrize("lineage", LINEAGES)
def test_cells_keep_clear_of_the_smallest_crop(lineage: str) -> None:
    """Almost all of every cell is inside 37 x 60 pixels, all of it inside the field."""
    cells = draw(lineage, 60, difficulty=0.0, doublets=0.05)
    mask = maps(cells).mask.numpy()
    assert not mask[:, [0, -1]].any()
    assert not mask[:, :, [0, -1]].any()
    assert mask[:, 27:101, 4:124].sum() > 0.99 * mask.sum()


def extent(mask: np.ndarray) -> float:
    """Ratio of the standard deviations along the long and the short axis."""
    y, x = np.nonzero(mask)
    small, large = np.linalg.eigvalsh(np.cov(y, x))
    return float(np.sqrt(large / small))


def test_lineages_look_as_described() -> None:
    drawn = {name: draw(name, 40, difficulty=0.0) for name in LINEAGES}
    mask = {name: maps(cells).mask.numpy() for name, cells in drawn.items()}
    long = {name: np.median([extent(m) for m in masks]) for name, masks in mask.items()}
    assert long["neuron"] > 1.3 * max(long["astrocyte"], long["oligodendrocyte"])
    area = {name: np.median(masks.sum((1, 2))) for name, masks in mask.items()}
    assert max(area.values()) < 1.25 * min(area.values())
    bodies = {name: bodies_of(cells) for name, cells in drawn.items()}
    granules = {n: (b.granules[:, :, 3] != 0).sum(1).double().mean() for n, b in bodies.items()}
    assert granules["astrocyte"] > 1.4 * max(granules["oligodendrocyte"], granules["neuron"])
    wavy = {n: b.outline.square().sum((1, 2)).mean() for n, b in bodies.items()}
    assert wavy["astrocyte"] > 2.5 * max(wavy["oligodendrocyte"], wavy["neuron"])
    stubs = {n: (b.processes[:, 2:, 1] > 0.3).sum(1).double().mean() for n, b in bodies.items()}
    assert stubs["oligodendrocyte"] > 2
    assert stubs["oligodendrocyte"] > 3 * max(stubs["astrocyte"], stubs["neuron"])


def test_doublets_are_two_and_debris_is_small() -> None:
    cells = draw("oligodendrocyte", 80, doublets=0.3, debris=0.3)
    area = maps(cells).mask.sum((1, 2)).double().numpy()
    kind = np.array([cell.kind for cell in cells])
    typical = np.median(area[kind == "cell"])
    assert np.median(area[kind == "doublet"]) > 1.15 * typical
    assert np.median(area[kind == "debris"]) < 0.4 * typical
    assert len(bodies_of(cells).owner) == len(cells) + (kind == "doublet").sum()

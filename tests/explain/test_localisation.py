"""Where evidence lies: known maps, a planted patch, and peaks near the edge of a mask."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.evaluation.planted import SIDE, StripeDetector, planted
from unstained.explain.activation import evidence_lift
from unstained.explain.gradcam import class_maps
from unstained.explain.localisation import energy_inside, pointing_game
from unstained.explain.saliency import control_saliency
from unstained.imaging.evidence import enlarge


def test_energy_by_hand() -> None:
    maps = np.array([[[3.0, 1.0], [-5.0, 0.0]], [[-1.0, -1.0], [-1.0, -1.0]], [[1.0, 0], [0, 0]]])
    masks = np.array([[[1, 0], [1, 0]], [[1, 1], [0, 0]], [[0, 0], [0, 0]]], bool)
    found = energy_inside(maps, masks)
    assert found[0] == pytest.approx(0.75)
    assert np.isnan(found[1:]).all()


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**31), st.floats(0.1, 9))
def test_energy_is_a_share_and_has_no_unit(seed: int, factor: float) -> None:
    rng = np.random.default_rng(seed)
    maps, masks = rng.normal(size=(4, 5, 5)), rng.random((4, 5, 5)) < 0.4
    masks[:, 0, 0], masks[:, 0, 1] = True, False
    inside, outside = energy_inside(maps, masks), energy_inside(factor * maps, ~masks)
    np.testing.assert_allclose(inside + outside, 1.0)
    for cell in range(4):
        positive = np.maximum(maps[cell], 0)
        share = sum(positive[y, x] for y, x in zip(*np.nonzero(masks[cell]), strict=True))
        assert inside[cell] == pytest.approx(share / positive.sum())


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**31), st.sampled_from([0, 1, 1.5, 2, 3.7]))
def test_pointing_game_is_a_distance(seed: int, tolerance: float) -> None:
    rng = np.random.default_rng(seed)
    maps, masks = rng.random((4, 9, 9)), rng.random((4, 9, 9)) < 0.03
    masks[0] = False
    found = pointing_game(maps, masks, tolerance)
    assert np.isnan(found[0])
    for cell in np.flatnonzero(masks.any(axis=(1, 2))):
        y, x = np.unravel_index(maps[cell].argmax(), (9, 9))
        rows, columns = np.nonzero(masks[cell])
        near = ((rows - y) ** 2 + (columns - x) ** 2).min() <= tolerance**2
        assert found[cell] == near


def test_equal_peaks_count_by_their_share() -> None:
    masks = np.zeros((3, 4, 4), bool)
    masks[:, 0] = True
    maps = np.stack([np.ones((4, 4)), np.zeros((4, 4)), -np.ones((4, 4))])
    found = pointing_game(maps, masks, 0)
    assert found[0] == 0.25
    assert np.isnan(found[1:]).all()


def test_a_planted_patch_is_found() -> None:
    images, masks, labels = planted(48)
    network = StripeDetector().eval()
    own = enlarge(class_maps(network, images, labels), SIDE)
    controls = control_saliency(images, torch.zeros(1), 0)
    assert np.nanmean(evidence_lift(own, masks)) > 8
    assert np.nanmean(pointing_game(own, masks, 2)) > 0.95
    for name, control in controls.items():
        assert np.nanmean(evidence_lift(control, masks)) < 1.5, name
        assert np.nanmean(pointing_game(control, masks, 2)) < 0.3, name

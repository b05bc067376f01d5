"""Deletion and insertion: equal to a plain reading of their definitions, and able to tell."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.evaluation.planted import SIDE, StripeDetector, planted
from unstained.explain import saliency
from unstained.explain.gradcam import class_maps, rectified
from unstained.explain.saliency import Predict
from unstained.imaging.evidence import enlarge
from unstained.statistics.intervals import resample_groups


def linear(seed: int, channels: int, side: int) -> Predict:
    """Probabilities of three classes from a random linear function of all pixels, in float64."""
    weights = torch.from_numpy(np.random.default_rng(seed).normal(size=(channels * side**2, 3)))
    return lambda images: torch.softmax(images.double().flatten(1) @ weights / side, dim=1)


def reference(
    predict: Predict,
    image: np.ndarray,
    places: np.ndarray,
    label: int,
    baseline: np.ndarray,
    mode: str,
    steps: int,
) -> tuple[np.ndarray, float]:
    """Curve and area of one cell, pixel by pixel."""
    curve = []
    for step in range(steps + 1):
        mixed = np.empty_like(image)
        for y in range(image.shape[1]):
            for x in range(image.shape[2]):
                gone = places[y, x] < (step * image[0].size) // steps
                source = baseline if gone == (mode == "deletion") else image
                mixed[:, y, x] = source[:, y, x]
        curve.append(float(predict(torch.from_numpy(mixed)[None])[0, label]))
    area = sum((a + b) / 2 / steps for a, b in pairwise(curve))
    return np.array(curve), area


@pytest.mark.parametrize("mode", ["deletion", "insertion"])
@pytest.mark.parametrize("batch", [7, 1000])
def test_curves_are_those_of_the_definition(mode: str, batch: int) -> None:
    rng = np.random.default_rng(0)
    images, classes = rng.normal(size=(4, 2, 6, 6)), np.array([0, 2, 1, 1])
    baseline = rng.normal(size=(4, 2, 1, 1))
    predict, places = linear(1, 2, 6), saliency.ranks(rng.normal(size=(4, 6, 6)), 0)
    found = saliency.perturbation_curves(
        predict,
        torch.from_numpy(images),
        places,
        classes,
        torch.from_numpy(baseline),
        mode,
        steps=5,
        batch=batch,
    )
    assert found.shape == (4, 6)
    for cell in range(4):
        background = np.broadcast_to(baseline[cell], images[cell].shape)
        label = int(classes[cell])
        curve, area = reference(predict, images[cell], places[cell], label, background, mode, 5)
        np.testing.assert_allclose(found[cell], curve, rtol=1e-13)
        assert saliency.area_under(found)[cell] == pytest.approx(area, rel=1e-13)


def test_order_by_hand() -> None:
    found = saliency.ranks(np.array([[[0.1, 3.0], [-1.0, 0.2]]]), 0)
    assert np.array_equal(found, [[[2, 0], [3, 1]]])
    with pytest.raises(ValueError, match="not finite"):
        saliency.ranks(np.array([[[np.nan]]]), 0)


def test_ties_are_broken_by_lot() -> None:
    """Not by position: the mean place of each pixel of a flat map is the middle."""
    flat = np.zeros((400, 4, 4))
    flat[:, 1, 2] = 1.0
    found = saliency.ranks(flat, 3)
    assert (found[:, 1, 2] == 0).all()
    others = np.delete(found.reshape(400, 16), 6, axis=1).mean(axis=0)
    assert np.abs(others - 8.0).max() < 5 * np.sqrt((15**2 - 1) / 12 / 400)
    assert np.array_equal(saliency.ranks(flat[:10], 3), found[:10])
    assert not np.array_equal(saliency.ranks(flat, 4), found)


maps = st.integers(0, 2**31).map(lambda seed: np.random.default_rng(seed).normal(size=(3, 4, 4)))


@settings(max_examples=60, deadline=None)
@given(maps, st.floats(0.1, 10), st.floats(-3, 3), st.integers(0, 99))
def test_a_monotone_function_changes_no_order(
    values: np.ndarray, factor: float, shift: float, seed: int
) -> None:
    places = saliency.ranks(values, seed)
    assert np.array_equal(np.sort(places.reshape(3, 16)), np.tile(np.arange(16), (3, 1)))
    assert np.array_equal(saliency.ranks(np.exp(factor * values) + shift, seed), places)
    assert np.array_equal(saliency.ranks(-values, seed), 15 - places)


@settings(max_examples=40, deadline=None)
@given(maps, st.integers(0, 2**31), st.sampled_from([1, 2, 8, 16]))
def test_areas_are_probabilities_and_the_modes_mirror(
    values: np.ndarray, seed: int, steps: int
) -> None:
    """What is inserted first in one order is what is deleted last in the opposite one."""
    predict = linear(seed, 1, 4)
    images = torch.from_numpy(np.random.default_rng(seed).normal(size=(3, 1, 4, 4)))
    classes, zero = np.array([0, 1, 2]), torch.zeros(1, 1, 1, 1)
    found = saliency.perturb(predict, images, values, classes, zero, seed=0, steps=steps)
    opposite = saliency.perturb(predict, images, -values, classes, zero, seed=0, steps=steps)
    for area in (found.deletion, found.insertion):
        assert area.shape == (3,)
        assert ((area >= 0) & (area <= 1)).all()
    np.testing.assert_allclose(found.insertion, opposite.deletion, rtol=1e-12)
    np.testing.assert_allclose(found.insertion_curve, opposite.deletion_curve[::-1], rtol=1e-12)
    full = predict(images)[torch.arange(3), torch.arange(3)].mean()
    assert found.deletion_curve[0] == pytest.approx(float(full))
    assert found.insertion_curve[-1] == pytest.approx(float(full))


def test_what_the_model_does_not_see_changes_nothing() -> None:
    images = torch.randn(5, 1, 8, 8)
    constant: Predict = lambda images: torch.full((len(images), 2), 0.5)  # noqa: E731
    order = saliency.control_saliency(images, torch.zeros(1), 0)["random"]
    classes = np.zeros(5, np.int64)
    found = saliency.perturb(constant, images, order, classes, torch.zeros(1), seed=0)
    assert (found.deletion == 0.5).all()
    assert (found.insertion == 0.5).all()


def test_no_cells_have_no_curves() -> None:
    nothing, order = torch.zeros(0, 1, 8, 8), saliency.ranks(np.zeros((0, 8, 8)), 0)
    found = saliency.perturbation_curves(
        linear(0, 1, 8), nothing, order, np.zeros(0, np.int64), torch.zeros(1), "deletion", steps=4
    )
    assert found.shape == (0, 5)


def test_controls() -> None:
    images = 2.0 + torch.randn(3, 2, 9, 9)
    images[:, :, 2, 6] += 9.0
    level = saliency.border_level(images)
    border = np.ones((9, 9), bool)
    border[2:-2, 2:-2] = False
    values = images.numpy()[:, :, border]
    np.testing.assert_array_equal(
        level.numpy()[:, :, 0, 0], np.sort(values)[:, :, (values.shape[2] - 1) // 2]
    )
    found = saliency.control_saliency(images, level, 5)
    assert tuple(found) == saliency.CONTROLS
    again, other = (saliency.control_saliency(images, level, seed) for seed in (5, 6))
    assert np.array_equal(found["random"], again["random"])
    assert not np.array_equal(found["random"], other["random"])
    y, x = np.mgrid[:9, :9] - 4
    order = np.argsort(-found["centre"][1].ravel(), kind="stable")
    assert (np.diff(np.hypot(y, x).ravel()[order]) >= -1e-12).all()
    assert (found["centre"] == found["centre"][0]).all()
    assert (found["intensity"].reshape(3, -1).argmax(axis=1) == 2 * 9 + 6).all()
    by_hand = np.abs(images.numpy() - level.numpy()).mean(axis=1)
    np.testing.assert_allclose(found["intensity"], by_hand, rtol=1e-6)


def test_differences_are_paired_and_leave_out_what_is_undefined() -> None:
    rng = np.random.default_rng(0)
    groups, labels = np.repeat([f"g{i:02d}" for i in range(20)], 10), np.zeros(200, np.int64)
    resampling = resample_groups(groups, labels, 500, 1)
    easy = rng.normal(size=200) * 10
    own, control = easy + 1 + rng.normal(size=200) * 0.1, easy.copy()
    control[3] = np.nan
    found = saliency.differences(own, {"a": control, "own": own}, resampling, 0.95)
    assert found["a"].value == pytest.approx(np.nanmean(own - control))
    assert 0.9 < found["a"].low < found["a"].value < found["a"].high < 1.1
    assert (found["own"].low, found["own"].value, found["own"].high) == (0, 0, 0)
    empty = saliency.mean_difference(own, np.full(200, np.nan), resampling, 0.95)
    assert np.isnan([empty.value, empty.low, empty.high]).all()


def test_temperature_softens_probabilities() -> None:
    network = StripeDetector().eval()
    images, _, labels = planted(6)
    with torch.no_grad():
        logits = network(images).logits.double()
    for temperature in (1.0, 4.0):
        found = saliency.probabilities(network, temperature)(images)
        torch.testing.assert_close(found, torch.softmax(logits / temperature, dim=1))
    assert (found.argmax(dim=1).numpy() == labels).all()


def test_a_map_of_what_the_network_sees_beats_every_control() -> None:
    """A network that sees a patch of stripes alone, among blobs that are brighter and central."""
    network = StripeDetector().eval()
    images, _, labels = planted(48)
    own = enlarge(rectified(class_maps(network, images, labels)), SIDE)
    zero = torch.zeros(1)
    orders = {"own": own, **saliency.control_saliency(images, zero, 0)}
    found = {
        name: saliency.perturb(
            saliency.probabilities(network), images, order, labels, zero, seed=0, steps=16
        )
        for name, order in orders.items()
    }
    resampling = resample_groups(np.arange(48).astype(str), labels, 200, 0)
    for name in saliency.CONTROLS:
        more = saliency.mean_difference(
            found["own"].insertion, found[name].insertion, resampling, 0.95
        )
        less = saliency.mean_difference(
            found["own"].deletion, found[name].deletion, resampling, 0.95
        )
        assert more.low > 0.05, name
        assert less.high < -0.05, name

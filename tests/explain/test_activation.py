"""Activation maps on the canvas: where points lie, and how much evidence lies in the cell."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from unstained.explain import activation as explanation
from unstained.imaging.evidence import enlarge, evidence_picture, png
from unstained.imaging.pictures import grey_picture, grey_range


@pytest.mark.parametrize(("side", "layers"), [(64, 5), (64, 3), (40, 4), (48, 4)])
def test_points_are_drawn_where_the_network_looks(side: int, layers: int) -> None:
    """The centre of a point's receptive field, found by gradients, is the peak of its drawing."""
    blocks = [nn.Conv2d(1, 1, 3, stride=2, padding=1, bias=False) for _ in range(layers)]
    for block in blocks:
        nn.init.constant_(block.weight, 0.1)
        block.weight.data[:, :, 1, 1] = 1.0
    network = nn.Sequential(*blocks)
    image = torch.zeros(1, 1, side, side, requires_grad=True)
    output = network(image)
    points = output.shape[-1]
    output[0, 0, points - 1, 0].backward()
    gradient = image.grad[0, 0].numpy()
    drawn = np.zeros((1, points, points))
    drawn[0, points - 1, 0] = 1.0
    picture = enlarge(drawn, side)[0]
    row, column = np.unravel_index(picture.argmax(), picture.shape)
    assert gradient[row, column] == gradient.max()
    assert column == 0
    assert row == 2**layers * (points - 1)


def test_drawing_is_linear_between_points_and_fades_outside() -> None:
    picture = enlarge(np.ones((1, 4, 4)), 64)[0]
    assert np.allclose(picture[:49, :49], 1.0)
    assert picture[0, 63] == pytest.approx(1 / 16)
    ramp = np.tile(np.arange(4.0), (4, 1))[None]
    assert np.allclose(enlarge(ramp, 64)[0, 0, :49], np.arange(49) / 16)


def test_lift_of_known_maps() -> None:
    mask = np.zeros((1, 8, 8), bool)
    mask[:, 2:6, 2:6] = True
    even, inside, outside = np.ones((1, 8, 8)), mask.astype(float), (~mask).astype(float)
    assert explanation.evidence_lift(even, mask)[0] == pytest.approx(1.0)
    assert explanation.evidence_lift(inside - outside, mask)[0] == pytest.approx(4.0)
    assert explanation.evidence_lift(outside, mask)[0] == 0.0
    assert np.isnan(explanation.evidence_lift(-even, mask)[0])
    assert np.isnan(explanation.evidence_lift(even, np.zeros_like(mask))[0])


def test_a_resized_image_moves_no_point() -> None:
    """A network that sees the canvas at twice its size has its points at half the distances."""
    drawn = np.zeros((1, 7, 7))
    drawn[0, 3, 0] = 1.0
    picture = enlarge(drawn, 112, 224)[0]
    row, column = np.unravel_index(picture.argmax(), picture.shape)
    assert row == 48  # its middle lies at 96.5 of the network's pixels, the point at 96
    assert column == 0
    same = enlarge(np.arange(49.0).reshape(1, 7, 7), 224, 224)
    assert np.array_equal(same, enlarge(np.arange(49.0).reshape(1, 7, 7), 224))


def test_class_map_is_picked_by_cell() -> None:
    maps = np.arange(2 * 3 * 4).reshape(2, 3, 2, 2).astype(float)
    found = explanation.of_class(maps, np.array([2, 0]))
    assert np.array_equal(found, np.stack([maps[0, 2], maps[1, 0]]))


def test_pictures_keep_grey_where_there_is_no_evidence() -> None:
    contrast = np.linspace(-1, 1, 64).reshape(8, 8)
    grey = grey_picture(contrast, grey_range(contrast))
    assert (grey.min(), grey.max()) == (0, 255)
    evidence = np.zeros((8, 8))
    evidence[2, 3], evidence[5, 5] = 2.0, -1.0
    picture = evidence_picture(grey, evidence)
    changed = (picture != grey[:, :, None]).any(axis=2)
    assert changed[2, 3]
    assert changed.sum() == 1
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(png(picture)))), picture)


def test_no_positive_evidence_and_no_contrast_are_drawn() -> None:
    flat = np.zeros((8, 8))
    grey = grey_picture(flat, grey_range(flat))
    assert np.array_equal(evidence_picture(grey, flat - 1)[:, :, 0], grey)

"""A network that sees a cell mirrored and turned gives the mean of what it says of each view."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch

from tests.models.sizes import TINY, lively, parse
from tests.optics import optics
from unstained.explain.gradcam import agreement, class_maps, gradient_maps
from unstained.imaging.symmetry import exchanges, turned
from unstained.models.build import build_model
from unstained.models.complexity import complexity
from unstained.models.ensemble import Ensemble
from unstained.models.network import Network
from unstained.models.view import cells_at_once

Views = dict[int, list[tuple[bool, int]]]
VIEWS: Views = {2: [(False, 0), (True, 0)], 4: list(product((False, True), (0, 2)))}
VIEWS[8] = list(product((False, True), range(4)))
"""Number -> whether left and right are exchanged, and the quarter turns after that."""

KINDS = ("resnet50", "cg_recnet_swapped", "vgg16", "hybrid_gated", "cnn_3d")
"""With maps, with two layers between map and scores, without maps, with crooked heads, for
frames."""


def network(
    name: str, symmetries: int = 1, planes: int = 1, classes: int = 3, **shown: object
) -> Network:
    """The same weights whatever the number."""
    torch.manual_seed(0)
    content = {"symmetries": symmetries, **shown}
    built = lively(build_model(parse(TINY[name], input=content), classes, 2, planes))
    if "mean_image" in dict(built.named_buffers()):
        built.mean_image.normal_()
    assert isinstance(built, Network)
    return built


def cells(count: int = 3, planes: int = 1) -> torch.Tensor:
    return torch.randn(count, planes, 32, 32, generator=torch.Generator().manual_seed(1))


def view(images: np.ndarray, mirrored: bool, quarters: int) -> np.ndarray:
    return np.rot90(np.flip(images, -1) if mirrored else images, quarters, (-2, -1)).copy()


def back(maps: np.ndarray, mirrored: bool, quarters: int) -> np.ndarray:
    upright = np.rot90(maps, -quarters, (-2, -1))
    return np.flip(upright, -1) if mirrored else upright


@torch.inference_mode()
def each_view(plain: Network, images: torch.Tensor, views: list[tuple[bool, int]]) -> list[dict]:
    """What a network that sees one view says of each, in float64, maps turned back."""
    mean = getattr(plain, "mean_image", torch.zeros(1)).numpy()
    found = []
    for how in views:
        turned_cells = view(images.numpy() - mean, *how) + mean
        said = plain(torch.from_numpy(turned_cells))._asdict()
        said = {head: part.double().numpy() for head, part in said.items() if part is not None}
        found.append(said | ({"cam": back(said["cam"], *how)} if "cam" in said else {}))
    return found


@pytest.mark.parametrize("symmetries", VIEWS)
@pytest.mark.parametrize("name", KINDS)
def test_answers_are_the_mean_over_views(name: str, symmetries: int) -> None:
    images = cells()
    alone = each_view(network(name), images, VIEWS[symmetries])
    with torch.inference_mode():
        found = network(name, symmetries)(images)
    assert (found.cam is None) == ("cam" not in alone[0])
    for head in alone[0]:
        expected = np.mean([said[head] for said in alone], axis=0)
        assert np.ptp([said[head] for said in alone], axis=0).max() > 1e-3
        np.testing.assert_allclose(getattr(found, head), expected, rtol=1e-4, atol=1e-5)


def test_a_study_of_values_alone_has_views_too() -> None:
    images = cells()
    for name in ("resnet50", "vgg16"):
        alone = each_view(network(name, classes=0), images, VIEWS[8])
        with torch.inference_mode():
            found = network(name, 8, classes=0)(images)
        assert found.logits.shape == (3, 0)
        expected = np.mean([said["targets"] for said in alone], axis=0)
        np.testing.assert_allclose(found.targets, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", KINDS)
def test_while_it_learns_it_sees_one_view(name: str) -> None:
    one, eight = network(name), network(name, 8)
    assert one.state_dict().keys() == eight.state_dict().keys()
    said = []
    for learner in (one, eight):
        torch.manual_seed(2)
        said.append(learner.train()(cells()))
    for mine, other in zip(*said, strict=True):
        assert (mine is None and other is None) or torch.equal(mine, other)


@pytest.mark.parametrize("symmetries", [2, 4, 8])
def test_a_turned_cell_gets_the_same_answer(symmetries: int) -> None:
    images, seen = cells(), network("cg_recnet", symmetries)
    with torch.inference_mode():
        whole = seen(images)
        for mirrored, quarters in VIEWS[symmetries]:
            moved = torch.from_numpy(view(images.numpy(), mirrored, quarters))
            torch.testing.assert_close(seen(moved).logits, whole.logits, rtol=1e-4, atol=1e-5)


def test_light_from_the_sides_turns_along() -> None:
    images, swaps = cells(planes=4), exchanges(4, [(0, 1, 2, 3)])
    told = network("resnet50", 8, 4, optics=optics(32))
    untold = network("resnet50", 8, 4)
    phase = network("resnet50", 8, 4, view="phase", optics=optics(32))
    with torch.inference_mode():
        for element in range(1, 8):
            moved = turned(images, element, swaps)
            for seen in (told, phase):
                said = seen(moved).logits
                torch.testing.assert_close(said, seen(images).logits, rtol=1e-3, atol=1e-4)
            assert not torch.allclose(untold(moved).logits, untold(images).logits, atol=1e-3)


def test_views_cost_as_many_times_as_much() -> None:
    def cost(name: str, symmetries: int) -> int:
        params = parse(TINY[name], input={"symmetries": symmetries})
        counted = complexity(params, 3, 2, 1, 32)
        assert counted.parameters == complexity(parse(TINY[name]), 3, 2, 1, 32).parameters
        return counted.multiply_accumulates

    for name in ("vgg16", "hybrid_paper"):
        assert cost(name, 8) == 8 * cost(name, 1)
    heads = complexity(parse(TINY["resnet50"]), 6, 4, 1, 32).multiply_accumulates
    heads -= cost("resnet50", 1)  # of as many scores and values again
    assert cost("resnet50", 4) == 4 * (cost("resnet50", 1) - heads) + heads


def test_its_map_is_its_gradients_too() -> None:
    images, seen = cells(), network("resnet50", 8).double()
    called = np.array([0, 1, 2])
    images = images.double()
    own = class_maps(seen, images, called)
    by_gradient = gradient_maps(seen, images, called, "layer4")
    np.testing.assert_allclose(by_gradient, own, rtol=1e-9, atol=1e-12)
    found = agreement(seen, images, called)
    assert max(found.gradient, found.logit) < 1e-12


def test_without_a_map_gradients_of_all_views_are_turned_back() -> None:
    images, called = cells(), np.array([0, 1, 2])
    layer = "trunk.features.0"
    found = gradient_maps(network("vgg16", 8), images, called, layer)
    alone = [
        back(gradient_maps(network("vgg16"), torch.from_numpy(turned_cells), called, layer), *how)
        for how in VIEWS[8]
        for turned_cells in [view(images.numpy(), *how)]
    ]
    np.testing.assert_allclose(found, np.mean(alone, axis=0), rtol=1e-3, atol=1e-6)


def test_a_member_of_an_ensemble_sees_its_own_views() -> None:
    images, members = cells(), [network("resnet50", 8), network("vgg16")]
    with torch.inference_mode():
        found = Ensemble(members)(images).logits
        expected = (members[0](images).logits + members[1](images).logits) / 2
    torch.testing.assert_close(found, expected)


def test_fewer_cells_are_seen_at_once_where_each_has_several_views() -> None:
    eight, one = network("resnet50", 8), network("vgg16")
    found = [cells_at_once(seen, 256) for seen in (eight, one, Ensemble([one, eight]))]
    assert found == [32, 256, 32]
    assert cells_at_once(eight, 4) == 1
    assert cells_at_once(torch.nn.Linear(2, 2), 256) == 256

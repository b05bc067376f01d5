"""Views of contrast: what a network is shown, and what it is not."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from tests.models.sizes import TINY
from unstained.config.models import InputParams, ModelParams
from unstained.models.build import build_model
from unstained.models.view import View, around_disc


def canvases(count: int = 3, side: int = 32, seed: int = 0) -> torch.Tensor:
    return torch.randn(count, 1, side, side, generator=torch.Generator().manual_seed(seed))


def test_the_usual_view_shows_contrast_as_it_is() -> None:
    images = canvases()
    assert torch.equal(View(InputParams())(images), images)


@given(radius=st.integers(2, 80).map(lambda quarters: quarters / 4), side=st.integers(16, 33))
def test_a_disc_hides_the_same_pixels_of_every_cell(radius: float, side: int) -> None:
    seen = View(InputParams(view="background", hidden_px=radius))(canvases(side=side).abs() + 1)
    y, x = np.mgrid[:side, :side] - side // 2
    expected = y * y + x * x > radius**2
    assert np.array_equal(seen.numpy() != 0, np.broadcast_to(expected, seen.shape))


def test_what_the_disc_hides_changes_nothing() -> None:
    network = build_model(with_input({"view": "background", "hidden_px": 12.0}), 3, 1).eval()
    one, two = canvases(seed=1), canvases(seed=2)
    around = around_disc(one, 12.0).bool()
    mixed = torch.where(around, one, two)
    with torch.inference_mode():
        assert torch.equal(network(one).logits, network(mixed).logits)
        assert not torch.equal(network(one).logits, network(two).logits)


@given(gain=st.floats(0.01, 100))
def test_standardised_cells_are_equally_bright(gain: float) -> None:
    view, images = View(InputParams(view="standardised")), canvases()
    torch.testing.assert_close(view(images * gain), view(images))
    torch.testing.assert_close(view(images).square().mean(dim=(1, 2, 3)), torch.ones(3))
    assert torch.equal(view(torch.zeros(1, 1, 8, 8)), torch.zeros(1, 1, 8, 8))


def test_only_a_plain_view_makes_canvases_smaller_ahead_and_changes_nothing_by_it() -> None:
    images = canvases()
    for asked in ({"side": 48}, {}, {"side": 16, "view": "standardised"}):
        assert View(InputParams(**asked)).ahead(images) is images
    view = View(InputParams(side=16))
    small = view.ahead(images)
    assert small.shape[-1] == 16
    assert torch.equal(view(small), view(images))


def test_resizing_keeps_a_ramp_and_a_constant() -> None:
    view = View(InputParams(side=48))
    ramp = torch.arange(32.0).expand(1, 1, 32, 32)
    seen = view(ramp)
    assert seen.shape == (1, 1, 48, 48)
    inner = seen[0, 0, 0, 2:-2].diff()
    torch.testing.assert_close(inner, torch.full_like(inner, 32 / 48))
    torch.testing.assert_close(view(torch.full((1, 1, 32, 32), 3.0)), torch.full_like(seen, 3.0))


@pytest.mark.parametrize("side", [64, 96])
def test_a_resized_network_sees_the_side_alone(side: int) -> None:
    network = build_model(with_input({"side": side}), 3, 1).eval()
    plain = build_model(with_input({}), 3, 1).eval()
    plain.load_state_dict(network.state_dict())
    images = canvases()
    larger = torch.nn.functional.interpolate(images, (side, side), mode="bilinear")
    with torch.inference_mode():
        torch.testing.assert_close(network(images).logits, plain(larger).logits)


def with_input(content: dict[str, object]) -> ModelParams:
    adapter: TypeAdapter[ModelParams] = TypeAdapter(ModelParams)
    return adapter.validate_python(TINY["cg_recnet"] | {"input": content})

"""Views of contrast: what a network is shown, and what it is not."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from tests.models.sizes import TINY
from tests.optics import optics
from unstained.config.model_input import InputParams
from unstained.config.models import ModelParams
from unstained.errors import ParameterError
from unstained.imaging.illumination import HalfAnnulus
from unstained.imaging.weak_object import Sampling, phase_filters
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


def test_phase_is_a_further_plane_a_frame_from_the_planes_lit_from_the_sides() -> None:
    channels = ("Brightfield", "DPC_Top", "DPC_Left", "DPC_Bottom", "DPC_Right")
    told = optics(32, channels, frames=2)
    views = {
        name: View(InputParams(view=name, optics=told))  # type: ignore[arg-type]
        for name in ("phase", "phase_alone")
    }
    images = torch.randn(3, 10, 32, 32, generator=torch.Generator().manual_seed(0))
    seen, alone = (views[name](images) for name in ("phase", "phase_alone"))
    assert torch.equal(seen, torch.cat([images, alone], dim=1))
    sources = [HalfAnnulus(side, 0.4, 0.5, 0.515) for side in ("Left", "Right", "Top", "Bottom")]
    filters = phase_filters(sources, Sampling(0.5, 0.515, 0.2, (32, 32)), 0.03)
    for frame in range(2):
        lit = images.numpy()[:, [5 * frame + place for place in (2, 4, 1, 3)]]
        expected = np.fft.ifft2((filters * np.fft.fft2(lit)).sum(axis=1)).real
        np.testing.assert_allclose(alone[:, frame].numpy(), expected, atol=1e-5)
    assert [views[name].channels(10) for name in views] == [12, 2]
    with pytest.raises(ParameterError, match=r"canvases of 32 px, but the images have 32 x 40"):
        views["phase"](torch.zeros(1, 10, 32, 40))


@pytest.mark.parametrize(("view", "told"), [("phase", False), ("contrast", True)])
def test_phase_needs_optics_and_symmetries_alone_take_them_too(view: str, told: bool) -> None:
    with pytest.raises(ValidationError, match=r"the views of phase need .*\.data\.illumination"):
        InputParams.model_validate({"view": view, "optics": optics(32) if told else None})
    InputParams(symmetries=2, optics=optics(32))

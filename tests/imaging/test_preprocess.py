import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from unstained.imaging.background import border_background
from unstained.imaging.preprocess import Preprocess


def naive(image: np.ndarray, canvas: int, scale: float) -> np.ndarray:
    """(C, h, w) to (C, S, S), pixel by pixel."""
    background = np.maximum(border_background(image), 1)
    out = np.zeros((image.shape[0], canvas, canvas))
    for i in range(canvas):
        for j in range(canvas):
            y, x = image.shape[1] // 2 - canvas // 2 + i, image.shape[2] // 2 - canvas // 2 + j
            if 0 <= y < image.shape[1] and 0 <= x < image.shape[2]:
                out[:, i, j] = (image[:, y, x] / background - 1) / scale
    return out


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.sampled_from([16, 17, 24]), st.integers(0, 999))
def test_any_size_is_centred_cropped_or_padded(height, width, canvas, seed):
    image = np.random.default_rng(seed).integers(0, 4096, (2, height, width)).astype(np.uint16)
    pixels = torch.from_numpy(image.astype(np.int32))[None]
    found = Preprocess(canvas, 0.25)(pixels)[0]
    np.testing.assert_allclose(found.numpy(), naive(image, canvas, 0.25), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("gain", [0.5, 3.0])
def test_lamp_brightness_cancels(gain):
    image = torch.from_numpy(np.random.default_rng(0).uniform(100, 900, (1, 1, 30, 41)))
    preprocess = Preprocess(24, 0.1)
    torch.testing.assert_close(preprocess(gain * image), preprocess(image), rtol=1e-4, atol=1e-4)


def test_a_black_image_stays_finite():
    assert torch.isfinite(Preprocess(16, 0.1)(torch.zeros(1, 1, 20, 20))).all()

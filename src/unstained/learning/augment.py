"""Augmentation of contrast canvases, batched on the device that trains.

A cell in suspension has no up and no left, lies anywhere near the centre, and is recorded with a
lamp, a focus and a camera that drift: the eight symmetries of the square (D4), small integer
shifts, slight zoom, blur, defocus, contrast gain, background offset and white noise imitate that.
Zoom stays small, because size is biology here.

Zoom, shift and blur are separable and linear, so each sample is multiplied by one (S, S) matrix
from the left and one from the right: batched products instead of a resampling and two
convolutions. All random numbers depend on (seed, epoch, step) alone.

One draw moves all planes of a cell alike. Of a cell lit from several sides, mirrors and turns
exchange the planes as well (imaging/symmetry.py): the mirror image of what is lit from the left is
lit from the right. No plane shows what light from 5 degrees off the left would; a rotation by few
degrees takes the sides as they are.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
import torch.nn.functional as F

from unstained.config.learning import AugmentParams
from unstained.imaging.symmetry import Exchanges, exchanged
from unstained.learning.defocus import defocus
from unstained.learning.randomness import Purpose, counter_seed, host_generator

NOISE_GROUP: Final = 16
"""Consecutive samples of the global batch whose noise comes from one generator."""

BLUR_REACH: Final = 4.0
"""Sigmas at which a Gaussian is cut off."""


@dataclass(frozen=True)
class Draws:
    """Random parameters of the samples of one batch, on the host.

    Attributes:
        values: name -> (B,) float32:
            transpose, flip_y, flip_x (0 or 1; together uniform over D4);
            shift_y, shift_x (whole pixels, down and right);
            zoom_y, zoom_x (magnifications, equal without a crop); with one also
            centre_y, centre_x (of the crop from that of the canvas, in sides of the canvas);
            turn (radians, from the axis of columns to that of rows), where cells are rotated;
            defocus (micrometres), where cells are defocused;
            blur (sigma in pixels); gain (factor on contrast);
            offset (added to contrast), noise (sd of white noise): fractions of the background.
        noise_seeds: one seed for each NOISE_GROUP samples of the global batch.
        first: position of sample 0 within the global batch.
    """

    values: dict[str, np.ndarray]
    noise_seeds: tuple[int, ...]
    first: int = 0

    def share(self, start: int, stop: int) -> Draws:
        """The draws of samples start..stop-1, as one worker of several uses them."""
        values = {name: column[start:stop] for name, column in self.values.items()}
        return Draws(values, self.noise_seeds, self.first + start)

    def on(self, device: torch.device) -> dict[str, torch.Tensor]:
        """`values` as tensors on `device`, sent in one copy."""
        table = torch.from_numpy(np.stack(list(self.values.values()))).to(device)
        return dict(zip(self.values, table, strict=True))


def draw(params: AugmentParams, count: int, seed: int, epoch: int, step: int) -> Draws:
    """Random parameters for a global batch of `count` samples at one step."""
    random = host_generator(seed, Purpose.AUGMENT, epoch, step)
    symmetry = random.integers(0, 2, (3, count)) * int(params.dihedral)
    shift = random.integers(-params.shift_px, params.shift_px + 1, (2, count))
    zoom = 1 + params.scale * random.uniform(-1, 1, count)
    values = {
        "transpose": symmetry[0],
        "shift_y": shift[0],
        "shift_x": shift[1],
        "zoom_y": zoom,
        "zoom_x": zoom,
        "flip_y": symmetry[1],
        "flip_x": symmetry[2],
        "blur": params.blur_px * random.uniform(0, 1, count),
        "gain": 1 + params.gain * random.uniform(-1, 1, count),
        "offset": params.offset * random.standard_normal(count),
        "noise": params.noise * random.uniform(0, 1, count),
    }
    if params.mirror:
        values["flip_x"] = random.integers(0, 2, count)
    if params.crop < 1:
        sides, values["centre_y"], values["centre_x"] = _crops(random, params.crop, count)
        values["zoom_y"], values["zoom_x"] = zoom / sides[0], zoom / sides[1]
    if params.rotate_degrees:
        values["turn"] = np.deg2rad(params.rotate_degrees) * random.uniform(-1, 1, count)
    if params.defocus_um:
        values["defocus"] = params.defocus_um * random.uniform(0, 1, count)
    groups = range(-(-count // NOISE_GROUP))
    return Draws(
        {name: column.astype(np.float32) for name, column in values.items()},
        tuple(counter_seed(seed, Purpose.NOISE, epoch, step, group) for group in groups),
    )


def _crops(
    random: np.random.Generator, least: float, count: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Random resized crops (Szegedy et al. 2015), as torchvision's defaults draw them.

    Area is uniform from `least` to 1 and the ratio of the sides log-uniform from 3/4 to 4/3; a side
    that would be longer than the canvas is cut to it.

    Returns:
        Sides (2, count), vertical first, and the vertical and horizontal distance of the crops'
        centres from the canvas's; all in sides of the canvas.
    """
    area = random.uniform(least, 1, count)
    ratio = np.exp(random.uniform(-1, 1, count) * np.log(4 / 3))
    sides = np.minimum(np.sqrt(np.stack([area / ratio, area * ratio])), 1)
    centre = (1 - sides) * random.uniform(-0.5, 0.5, (2, count))
    return sides, centre[0], centre[1]


@torch.no_grad()
def augment(
    contrast: torch.Tensor,
    draws: Draws,
    params: AugmentParams,
    scale: float,
    swaps: Exchanges | None = None,
    pixel_um: float | None = None,
) -> torch.Tensor:
    """Augmented canvases.

    Args:
        contrast: (B, C, S, S) float32, in units of `scale`; not changed.
        draws: of the same B samples.
        params: what is switched on; a part whose parameter is 0 costs nothing.
        scale: contrast's unit as a fraction of the background, which offset and noise refer to.
        swaps: how planes change places where the image is moved; None: they stay.
        pixel_um: side of a pixel of `contrast` in the object, needed where cells are defocused.

    Returns:
        (B, C, S, S) float32. Gain, offset and noise also act where the canvas reaches beyond the
        image, so that the exact zeros there do not tell the size of the crop.
    """
    value = {name: part[:, None, None, None] for name, part in draws.on(contrast.device).items()}
    if params.dihedral or params.mirror:
        moves = (value["transpose"], value["flip_y"], value["flip_x"])
        contrast = dihedral(contrast, *moves, swaps)
    if params.rotate_degrees:
        contrast = rotated(contrast, value["turn"].flatten())
    if params.shift_px or params.scale or params.blur_px or params.crop < 1:
        rows, columns = (_placing(contrast.shape[-1], value, axis) for axis in "yx")
        if params.blur_px:
            reach = math.ceil(BLUR_REACH * params.blur_px)
            kernel = blurring(contrast.shape[-1], value["blur"], reach)
            rows, columns = kernel @ rows, kernel @ columns
        contrast = rows @ contrast @ columns.mT
    if params.defocus_um:
        if pixel_um is None:
            raise ValueError("defocus needs to know how large a pixel is")
        size, most = contrast.shape[-1], params.defocus_um
        optics = defocus(params.lens, pixel_um, size, most, contrast.device)
        contrast = optics(contrast, value["defocus"].flatten())
    if params.gain or params.offset:
        contrast = torch.addcmul(value["offset"] / scale, contrast, value["gain"])
    if params.noise:
        contrast = torch.addcmul(contrast, white_noise(contrast, draws), value["noise"] / scale)
    return contrast


def _placing(size: int, value: Mapping[str, torch.Tensor], axis: str) -> torch.Tensor:
    """Shift, zoom and crop along one axis, as (B, 1, S, S) matrices."""
    shift, zoom = value[f"shift_{axis}"], value[f"zoom_{axis}"]
    if f"centre_{axis}" in value:
        shift = shift - value[f"centre_{axis}"] * size * zoom
    return sampling(size, shift, zoom)


def dihedral(
    contrast: torch.Tensor,
    transpose: torch.Tensor,
    flip_y: torch.Tensor,
    flip_x: torch.Tensor,
    swaps: Exchanges | None = None,
) -> torch.Tensor:
    """Transpose, then flip each sample: an exact permutation of its pixels.

    Args:
        contrast: (B, C, S, S).
        transpose: (B, 1, 1, 1), not 0 where to apply.
        flip_y: likewise.
        flip_x: likewise.
        swaps: how planes change places along with each; None: they stay.
    """
    contrast = torch.where(transpose != 0, exchanged(contrast.mT, swaps, "transpose"), contrast)
    contrast = torch.where(flip_y != 0, exchanged(contrast.flip(-2), swaps, "flip_y"), contrast)
    return torch.where(flip_x != 0, exchanged(contrast.flip(-1), swaps, "flip_x"), contrast)


def rotated(contrast: torch.Tensor, turn: torch.Tensor) -> torch.Tensor:
    """Images about the centre of their canvas, bilinear, 0 from outside.

    Args:
        contrast: (B, C, S, S).
        turn: (B,) radians, from the axis of columns to that of rows: clockwise as shown.
    """
    cosine, sine, none = turn.cos(), turn.sin(), torch.zeros_like(turn)
    back = torch.stack([cosine, sine, none, -sine, cosine, none], dim=1).view(-1, 2, 3)
    places = F.affine_grid(back, list(contrast.shape), align_corners=False)
    return F.grid_sample(contrast, places, padding_mode="zeros", align_corners=False)


def sampling(size: int, shift: torch.Tensor, zoom: torch.Tensor) -> torch.Tensor:
    """Zoom about the canvas centre c, then shift, as matrices along one axis.

    Output position i reads input position u_i = (i - c - shift) / zoom + c with the weights
    max(0, 1 - |u_i - j|): bilinear interpolation taken one axis at a time, 0 from outside. At
    zoom 1 they are one-hot, so pixels keep their values exactly.

    Args:
        size: S.
        shift: (B, 1, 1, 1) pixels.
        zoom: (B, 1, 1, 1) magnifications.

    Returns:
        (B, 1, S, S).
    """
    index = torch.arange(size, device=shift.device, dtype=torch.float32)
    centre = (size - 1) / 2
    position = (index[:, None] - centre - shift) / zoom + centre
    return (position - index).abs_().neg_().add_(1).clamp_min_(0)


def blurring(size: int, sigma: torch.Tensor, reach: int) -> torch.Tensor:
    """Convolution with sampled Gaussians as matrices; what lies outside the canvas is 0.

    Args:
        size: S.
        sigma: (B, 1, 1, 1) standard deviations in pixels; 0 gives the identity.
        reach: pixels from the centre at which the kernel is cut off; the kernel sums to 1.

    Returns:
        (B, 1, S, S).
    """
    distance = torch.arange(max(size, reach + 1), device=sigma.device, dtype=torch.float32)
    precision = 0.5 / sigma.view(-1, 1).clamp_min(1e-3).square()
    taps = torch.where(distance <= reach, torch.exp(-distance.square() * precision), 0.0)
    taps = taps / (2 * taps.sum(dim=1, keepdim=True) - 1)
    index = torch.arange(size, device=sigma.device)
    apart = (index[:, None] - index).abs().flatten()
    return taps.index_select(1, apart).view(-1, 1, size, size)


def white_noise(contrast: torch.Tensor, draws: Draws) -> torch.Tensor:
    """Standard normal noise like `contrast`, the same however a global batch is shared out."""
    shape, device = contrast.shape[1:], contrast.device
    stop = draws.first + len(contrast)
    first_group = draws.first // NOISE_GROUP
    groups = []
    for group in range(first_group, -(-stop // NOISE_GROUP)):
        generator = torch.Generator(device).manual_seed(draws.noise_seeds[group])
        groups.append(torch.randn((NOISE_GROUP, *shape), generator=generator, device=device))
    start = draws.first - first_group * NOISE_GROUP
    return torch.cat(groups)[start : start + len(contrast)]

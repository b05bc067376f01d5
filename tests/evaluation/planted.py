"""Images with a planted patch of stripes, and a network that sees such stripes and nothing else."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from unstained.models.outputs import Outputs

SIDE = 40
PATCH = 8
KERNEL = 5
THRESHOLD = 6.0


def stripes(label: int, side: int) -> np.ndarray:
    """(side, side) lines of +1 and -1, upright for class 0, level for class 1; mean about 0."""
    lines = np.where(np.arange(side) % 2, 1.0, -1.0)
    return np.tile(lines, (side, 1)) if label == 0 else np.tile(lines[:, None], (1, side))


def planted(count: int, seed: int = 0) -> tuple[torch.Tensor, np.ndarray, np.ndarray]:
    """Images (N, 1, S, S) with noise, a bright blob in the middle and stripes off the middle.

    Returns:
        Images, masks of the patches (N, S, S) bool, classes (N,).
    """
    rng = np.random.default_rng(seed)
    images, masks = [], np.zeros((count, SIDE, SIDE), bool)
    labels = rng.integers(0, 2, count)
    y, x = np.mgrid[:SIDE, :SIDE] - SIDE / 2
    for number, label in enumerate(labels):
        image = 0.1 * rng.standard_normal((SIDE, SIDE))
        image += 4 * np.exp(-((y - rng.normal()) ** 2 + (x - rng.normal()) ** 2) / 150)
        inset, far = rng.integers(0, 4, 2), rng.integers(0, 2, 2)  # near one of the corners
        top, left = np.where(far, SIDE - PATCH - inset, inset)
        place = (slice(top, top + PATCH), slice(left, left + PATCH))
        image[place] += stripes(int(label), PATCH)
        masks[number][place] = True
        images.append(image)
    return torch.from_numpy(np.stack(images)[:, None].astype(np.float32)), masks, labels


class StripeDetector(nn.Module):
    """Convolution with both patterns, threshold, mean over space: class evidence with a map."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 2, KERNEL, stride=2, padding=KERNEL // 2)
        self.fc = nn.Linear(2, 2)
        kernels = np.stack([stripes(label, KERNEL) for label in (0, 1)])
        kernels -= kernels.mean(axis=(1, 2), keepdims=True)
        with torch.no_grad():
            self.conv.weight.copy_(torch.from_numpy(kernels)[:, None])
            self.conv.bias.zero_()
            self.fc.weight.copy_(torch.tensor([[10.0, -10.0], [-10.0, 10.0]]))
            self.fc.bias.zero_()

    def forward(self, contrast: torch.Tensor) -> Outputs:
        """(B, 1, S, S) to outputs with the class activation map."""
        # Absolute: stripes may begin with a dark or a bright line.
        maps = torch.relu(self.conv(contrast).abs() - THRESHOLD)
        cam = nn.functional.conv2d(maps, self.fc.weight[:, :, None, None])
        embedding = maps.mean(dim=(2, 3))
        return Outputs(self.fc(embedding), embedding[:, :0], cam, embedding)

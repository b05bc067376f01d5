"""What networks for several frames of a cell share: frames apart, less the mean of training."""

from __future__ import annotations

import torch

from unstained.config.networks import FrameNetworkBase
from unstained.errors import ParameterError
from unstained.models.network import Network


class FrameNetwork(Network):
    """A network that knows which planes are one frame, built for images of one size.

    Args:
        params: frames T, side of the image.
        channels: P = T * C planes of the input (imaging/axes.py).

    Attributes:
        mean_image: (P, S, S) contrast of each pixel of each frame over the training cells, which is
            subtracted (learning/mean_image.py finds it; 0 until then). Differences of frames are
            then less their own means: the mean of X_i - X_(i-k) is that of X_i less that of
            X_(i-k).

    Raises:
        ParameterError: another view than contrast is wanted.
    """

    mean_image: torch.Tensor

    def __init__(self, params: FrameNetworkBase, channels: int) -> None:
        super().__init__(params, channels)
        if params.input.view != "contrast":
            raise ParameterError(
                f"{type(self).__name__} subtracts the mean image of contrast, but input.view is "
                f"{params.input.view}",
                "set models.<model>.input.view to contrast in params.yaml",
            )
        self.side, self.steps = params.image, params.frames
        self.register_buffer("mean_image", torch.zeros(self.images, params.image, params.image))

    def widen(self, contrast: torch.Tensor) -> torch.Tensor:
        """(B, P, H, W) to what the first layer takes, less the mean image of training."""
        return super().widen(contrast) - self.mean_image

    def turned(self, contrast: torch.Tensor) -> torch.Tensor:
        """As `Network.turned`; the mean image stays where the camera saw it, as in training."""
        return super().turned(self.view(contrast) - self.mean_image) + self.mean_image

    def frames(self, images: torch.Tensor) -> torch.Tensor:
        """Planes (B, P, S, S) to frames (B, T, C, S, S)."""
        _, planes, height, width = images.shape
        return images.reshape(-1, self.steps, planes // self.steps, height, width)

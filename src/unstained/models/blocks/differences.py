"""Differences of frames, the input of the streams of a differential network.

Of T frames X_1 ... X_T a lag of k is X_i - X_(i-k), which a paper on mixtures of cells calls its
k-th derivative. The k-th finite difference, sum over j of (-1)^j C(k, j) X_(i-j), is the discrete
one. Both have T - k frames and are the same for k = 1.
"""

from __future__ import annotations

import torch

RAW = "raw"
"""The stream of the frames as they are."""


def order(stream: str) -> int:
    """Frames that a stream looks back: k of 'lag<k>' and 'diff<k>', 0 of 'raw'."""
    return 0 if stream == RAW else int(stream.removeprefix("lag").removeprefix("diff"))


def differences(frames: torch.Tensor, stream: str) -> torch.Tensor:
    """A stream of frames.

    Args:
        frames: (B, T, ...) in order of time.
        stream: 'raw'; 'lag<k>', differences to the frame k before; or 'diff<k>', the k-th finite
            difference; k from 1 to T - 1.

    Returns:
        (B, T - k, ...): the first one belongs to frame k + 1.
    """
    steps = order(stream)
    if stream.startswith("lag"):
        return frames[:, steps:] - frames[:, :-steps]
    for _ in range(steps):
        frames = frames[:, 1:] - frames[:, :-1]
    return frames

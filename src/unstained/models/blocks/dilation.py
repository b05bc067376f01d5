"""Fine last maps: strides left out, and kernels spread so that each sees as far as before.

As DeepLab does (Chen et al. 2017, arXiv:1706.05587, section 3.1): where a stride of 2 is left out,
every later kernel takes each second point, so weights trained with the stride still fit.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from torch import nn


def strides_within(
    strides: Iterable[int], reached: int, output_stride: int | None
) -> Iterator[tuple[int, int]]:
    """For each step its stride, 1 where it would pass `output_stride`, and the dilation after it.

    Args:
        strides: of the steps as published.
        reached: stride before the first of them.
        output_stride: of all of them at the most; None keeps all.
    """
    dilation = 1
    for stride in strides:
        if output_stride is not None and reached * stride > output_stride:
            dilation *= stride
            yield 1, dilation
        else:
            reached *= stride
            yield stride, dilation


def dilate(module: nn.Module, dilation: int) -> None:
    """Spread all odd kernels beyond 1 x 1 in place; the size of their maps stays the same."""
    for conv in module.modules():
        if isinstance(conv, nn.Conv2d) and max(conv.kernel_size) > 1:
            conv.dilation = (dilation, dilation)
            conv.padding = tuple(size // 2 * dilation for size in conv.kernel_size)

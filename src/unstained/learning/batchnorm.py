"""Batch normalisation with statistics over all data-parallel workers, also on CPUs.

torch's SyncBatchNorm runs on GPUs only. This one gathers each worker's mean and sum of squared
deviations and combines them exactly (Chan, Golub and LeVeque 1979), so a global batch gives the
same output and gradient however it is shared out.
"""

from __future__ import annotations

from typing import Any, cast

import torch
import torch.distributed as dist
from torch import nn


class SynchronisedBatchNorm2d(nn.BatchNorm2d):
    """BatchNorm2d over the cells of all workers while training; the same state-dict keys."""

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """(B, D, h, w) to the same; workers may have different B."""
        if not self.training:
            return super().forward(maps)
        shape = (1, -1, 1, 1)
        normal, mean, variance, count = _Normalise.apply(maps.float(), self.eps)
        self._track(mean, variance, count)
        if self.affine:
            normal = normal * self.weight.view(shape) + self.bias.view(shape)
        result: torch.Tensor = normal.to(maps.dtype)
        return result

    @torch.no_grad()
    def _track(self, mean: torch.Tensor, variance: torch.Tensor, count: torch.Tensor) -> None:
        if self.running_mean is None or self.running_var is None:
            return
        if self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
        momentum = cast("float", self.momentum)
        unbiased = variance * (count / (count - 1).clamp_min(1))
        self.running_mean.lerp_(mean, momentum)
        self.running_var.lerp_(unbiased, momentum)


class SynchronisedBatchNormAct2d(SynchronisedBatchNorm2d):
    """timm's BatchNormAct2d over the cells of all workers: then its dropout and activation."""

    drop: nn.Module
    act: nn.Module

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """(B, D, h, w) to the same; workers may have different B."""
        result: torch.Tensor = self.act(self.drop(super().forward(maps)))
        return result


class _Normalise(torch.autograd.Function):
    """(x - mean) / sqrt(variance + eps) with global statistics, and its gradient."""

    @staticmethod
    def forward(
        ctx: Any, maps: torch.Tensor, eps: float
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        dims = (0, 2, 3)
        own_mean = maps.mean(dim=dims)
        own_squares = (maps - own_mean.view(1, -1, 1, 1)).square().sum(dim=dims)
        own_count = own_mean.new_full((1,), maps.numel() // maps.shape[1])
        own = torch.cat([own_mean, own_squares, own_count])
        everyone = [torch.empty_like(own) for _ in range(dist.get_world_size())]
        dist.all_gather(everyone, own)
        table = torch.stack(everyone)
        channels = maps.shape[1]
        means, squares, counts = table[:, :channels], table[:, channels:-1], table[:, -1:]
        count = counts.sum()
        mean = (means * counts).sum(dim=0) / count
        squares = (squares + counts * (means - mean).square()).sum(dim=0)
        variance = squares / count
        inverse = (variance + eps).rsqrt()
        normal = (maps - mean.view(1, -1, 1, 1)) * inverse.view(1, -1, 1, 1)
        ctx.save_for_backward(normal, inverse, count)
        ctx.mark_non_differentiable(mean, variance, count)
        return normal, mean, variance, count

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None]:
        normal, inverse, count = ctx.saved_tensors
        gradient, dims = gradients[0], (0, 2, 3)
        sums = torch.stack([gradient.sum(dim=dims), (gradient * normal).sum(dim=dims)])
        dist.all_reduce(sums)
        mean, projection = (sums / count).unsqueeze(-1).unsqueeze(-1).unsqueeze(1)
        return (gradient - mean - normal * projection) * inverse.view(1, -1, 1, 1), None


def synchronise_batch_norm(module: nn.Module) -> nn.Module:
    """Replace every BatchNorm2d below `module`, and timm's with an activation, by shared ones.

    Parameters and buffers are taken over, not copied.

    Raises:
        TypeError: a batch norm of another kind, or one that keeps cumulative averages; it would
            silently use statistics of a share.
    """
    from timm.layers.norm_act import BatchNormAct2d

    twins: dict[type[nn.Module], type[SynchronisedBatchNorm2d]] = {
        nn.BatchNorm2d: SynchronisedBatchNorm2d,
        BatchNormAct2d: SynchronisedBatchNormAct2d,
    }
    for name, child in list(module.named_children()):
        shared = twins.get(type(child))
        if shared and isinstance(child, nn.BatchNorm2d) and child.momentum is not None:
            twin = shared(child.num_features, child.eps, child.momentum, child.affine)
            twin._parameters, twin._buffers = child._parameters, child._buffers
            twin._modules = child._modules
            twin.train(child.training)
            setattr(module, name, twin)
        elif isinstance(child, nn.modules.batchnorm._BatchNorm):
            raise TypeError(f"{type(child).__name__} cannot share its statistics among workers")
        else:
            synchronise_batch_norm(child)
    return module

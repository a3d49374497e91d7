"""Batch normalisation that, under several processes, uses the statistics of the joined batch.

Training then does not depend on how a batch is split. Networks of timm get it by `with_joined_batch_norms`.
Source: Ioffe and Szegedy 2015, https://arxiv.org/abs/1502.03167.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from ofakit.errors import UsageError
from ofakit.processes import joined_processes

__all__ = ["JoinedBatchNorm2d", "JoinedBatchNormAct2d", "batch_norms", "with_joined_batch_norms"]


class _JoinedNormalisation(torch.autograd.Function):
    """Batch normalisation over the batches of all processes; gradients of `weight` and `bias` are this process's share.

    Shapes: `(B, C, H, W), (C,), (C,), () -> (B, C, H, W), (C,), (C,), ()`.
    """

    @staticmethod
    def forward(
        ctx: Any, images: Tensor, weight: Tensor, bias: Tensor, eps: float
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        x = _accurate(images)
        moments = torch.stack([x.sum((0, 2, 3), dtype=torch.float64), x.square().sum((0, 2, 3), dtype=torch.float64)])
        joined = torch.cat([moments.flatten(), moments.new_tensor([x.numel() / x.shape[1]])])
        dist.all_reduce(joined)
        total = joined[-1]
        mean, square = joined[:-1].view(2, -1) / total
        variance = (square - mean.square()).clamp_min(0)
        scale = (variance + eps).rsqrt().to(x.dtype)
        mean = mean.to(x.dtype)
        slope = weight * scale
        out = x * slope.view(-1, 1, 1) + (bias - mean * slope).view(-1, 1, 1)
        ctx.save_for_backward(images, weight, mean, scale, total)
        ctx.mark_non_differentiable(mean, variance, total)
        return out.to(images.dtype), mean, variance, total

    @staticmethod
    def backward(ctx: Any, grad: Tensor, *_: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        images, weight, mean, scale, total = ctx.saved_tensors
        dy = _accurate(grad)
        normal = (_accurate(images) - mean.view(-1, 1, 1)) * scale.view(-1, 1, 1)
        own = torch.stack([dy.sum((0, 2, 3), dtype=torch.float64), (dy * normal).sum((0, 2, 3), dtype=torch.float64)])
        joined = own.clone()
        dist.all_reduce(joined)
        shift, slope = (joined / total).to(dy.dtype).view(2, -1, 1, 1)
        dx = (dy - shift - normal * slope) * (weight * scale).view(-1, 1, 1)
        grad_bias, grad_weight = own.to(weight.dtype)
        return dx.to(images.dtype), grad_weight, grad_bias, None


def _accurate(x: Tensor) -> Tensor:
    return x if x.dtype == torch.float64 else x.float()


class JoinedBatchNorm2d(nn.BatchNorm2d):
    """Batch normalisation that, in training under several processes, uses the joined batch of all of them.

    Every process must then call it equally often. With one process, or in eval mode, it is `torch.nn.BatchNorm2d`.
    PyTorch's `SyncBatchNorm` does the same on GPUs only.
    """

    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor
    momentum: float

    def forward(self, images: Tensor) -> Tensor:
        """Normalise `(B, C, H, W)` by channel.

        Args:
            images: Activations.

        Raises:
            UsageError: There is one value a channel, of which training can make no statistics.
        """
        if not (self.training and joined_processes().world_size > 1):
            if self.training and images.numel() == images.shape[1]:
                raise UsageError(
                    "batch norm cannot compute statistics from a single value: the batch has one example, with "
                    "features of 1 x 1 pixels. Raise train.dataloader.batch_size_per_gpu or the size of images "
                    "(preprocessor.patch_image_size, or image_size of a retriever's encoder), or freeze the part"
                )
            return super().forward(images)
        out, mean, variance, total = _JoinedNormalisation.apply(images, self.weight, self.bias, self.eps)
        self.update_statistics(mean, variance, total)
        return out

    @torch.no_grad()
    def update_statistics(self, mean: Tensor, variance: Tensor, total: Tensor) -> None:
        """Move the running statistics towards a batch's.

        Args:
            mean: `(C,)` of the batch.
            variance: `(C,)` of the batch, biased.
            total: How many values a channel has; the running variance is the unbiased one.
        """
        self.num_batches_tracked.add_(1)
        unbiased = variance * (total / (total - 1).clamp_min(1)).to(variance.dtype)
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), self.momentum)
        self.running_var.lerp_(unbiased.to(self.running_var.dtype), self.momentum)


class JoinedBatchNormAct2d(JoinedBatchNorm2d):
    """timm's batch normalisation that is followed by an activation, over the joined batch.

    Args:
        norm: timm's `BatchNormAct2d`, whose weights, statistics and activation it takes over.
    """

    def __init__(self, norm: Any) -> None:
        super().__init__(norm.num_features, norm.eps, norm.momentum, norm.affine, norm.track_running_stats)
        _take_over(self, norm)
        self.drop, self.act = norm.drop, norm.act

    def forward(self, images: Tensor) -> Tensor:
        """Normalise `(B, C, H, W)` by channel, then activate.

        Args:
            images: Activations.
        """
        return self.act(self.drop(super().forward(images)))


def with_joined_batch_norms(network: nn.Module) -> nn.Module:
    """The network with its batch norms of images joined over processes; names and numbers stay.

    Args:
        network: Changed in place. One whose statistics are a plain mean over all batches (momentum None) keeps its own.
    """
    from timm.layers import BatchNormAct2d

    for name, module in list(network.named_children()):
        if not isinstance(module, nn.BatchNorm2d) or isinstance(module, JoinedBatchNorm2d) or module.momentum is None:
            with_joined_batch_norms(module)
        elif type(module) is nn.BatchNorm2d:
            joined = JoinedBatchNorm2d(
                module.num_features, module.eps, module.momentum, module.affine, module.track_running_stats
            )
            _take_over(joined, module)
            network.add_module(name, joined)
        elif type(module) is BatchNormAct2d:
            network.add_module(name, JoinedBatchNormAct2d(module))
    return network


def batch_norms(network: nn.Module) -> list[nn.BatchNorm2d]:
    """The batch norms of images in a network.

    Args:
        network: Any.
    """
    return [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]


def _take_over(joined: nn.BatchNorm2d, norm: nn.BatchNorm2d) -> None:
    """The very parameters and buffers of another norm."""
    joined._parameters, joined._buffers, joined.training = norm._parameters, norm._buffers, norm.training

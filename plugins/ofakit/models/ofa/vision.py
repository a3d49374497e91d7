"""The visual backbone: a ResNet of bottleneck blocks cut after its third stage.

The module is timm's, whose parameter names are torchvision's and OFA's. Under several processes its batch
normalisation uses the statistics of the joined batch, so that training does not depend on how a batch is split.
Source: He et al. 2015, https://arxiv.org/abs/1512.03385; ModelScope 1.40.2, `models/multi_modal/ofa/resnet.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ofakit.models.batch_norm import JoinedBatchNorm2d
from ofakit.models.gradient_checkpointing import run_layer
from ofakit.models.ofa.configuration import RESNET_BLOCKS, drop_path_rates
from ofakit.models.recompute import convolve, finish_bottleneck, norm_relu_convolution, recomputed
from ofakit.processes import joined_processes

__all__ = ["VISUAL_WIDTH", "bottlenecks", "build_resnet", "stages", "visual_features"]

VISUAL_WIDTH = 1024
"""Channels that the third stage gives."""

SMALL_IMAGE = 128
"""Images up to this many pixels a side keep the plain memory layout in fp32."""


if TYPE_CHECKING:

    class Bottleneck(nn.Module):
        """timm's block, as far as it is looked into here; timm itself does not say of what type its parts are."""

        conv1: nn.Conv2d
        conv2: nn.Conv2d
        conv3: nn.Conv2d
        bn1: JoinedBatchNorm2d
        bn2: JoinedBatchNorm2d
        bn3: JoinedBatchNorm2d
        downsample: nn.Sequential | None
        drop_path: nn.Module | None

    class ResNet(nn.Module):
        """timm's network, as far as it is looked into here."""

        conv1: nn.Conv2d
        bn1: JoinedBatchNorm2d
        act1: nn.Module
        maxpool: nn.Module
        layer1: nn.Sequential
        layer2: nn.Sequential
        layer3: nn.Sequential


def build_resnet(resnet_type: str, drop_path_rate: float = 0.0) -> ResNet:
    """A freshly initialised backbone, `(B, 3, H, W) -> (B, 1024, H / 16, W / 16)` through `visual_features`.

    Args:
        resnet_type: A key of `RESNET_BLOCKS`.
        drop_path_rate: Probability of dropping a block's branch for one image; grows from 0 within each stage.
    """
    from timm.layers import DropPath
    from timm.models import resnet as timm_resnet

    blocks = RESNET_BLOCKS[resnet_type]
    kind: Any = timm_resnet.Bottleneck  # timm annotates a block where it wants the class
    made = timm_resnet.ResNet(kind, blocks, num_classes=0, norm_layer=JoinedBatchNorm2d, zero_init_last=False)
    resnet = cast("ResNet", made)
    if drop_path_rate > 0:
        for stage, count in zip(stages(resnet), blocks, strict=True):
            for block, rate in zip(bottlenecks(stage), drop_path_rates(drop_path_rate, count), strict=True):
                block.drop_path = DropPath(rate) if rate > 0 else None
    return resnet


def stages(resnet: ResNet) -> tuple[nn.Sequential, nn.Sequential, nn.Sequential]:
    """The three stages of a backbone.

    Args:
        resnet: What `build_resnet` gave.
    """
    return resnet.layer1, resnet.layer2, resnet.layer3


def bottlenecks(stage: nn.Sequential) -> Iterator[Bottleneck]:
    """The blocks of a stage.

    Args:
        stage: One of `stages`.
    """
    return cast("Iterator[Bottleneck]", iter(stage))


def visual_features(resnet: ResNet, images: Tensor) -> Tensor:
    """Run the stem and the three stages.

    Large images and half precision take the channels-last layout, which is faster. Small images in fp32 keep the
    plain one, in which every rounding is the stock code's: elsewhere a ReLU near zero may open or close, and that
    alone changes gradients of the first stages by a thousandth.

    Args:
        resnet: What `build_resnet` gave.
        images: `(B, 3, H, W)`, normalised floats.

    Returns:
        `(B, 1024, ceil(H / 16), ceil(W / 16))`.
    """
    half = images.dtype != torch.float32 or torch.is_autocast_enabled(images.device.type)
    if half or max(images.shape[-2:]) > SMALL_IMAGE:
        images = images.contiguous(memory_format=torch.channels_last)
    if _keeps_little(resnet, images):
        return _thrifty_features(resnet, images)
    x = resnet.maxpool(resnet.act1(resnet.bn1(resnet.conv1(images))))
    return resnet.layer3(resnet.layer2(resnet.layer1(x)))


def _keeps_little(resnet: ResNet, images: Tensor) -> bool:
    """Whether to train with the steps of `recompute`: on a CPU, where they cost little, with plain batch norms."""
    learns = resnet.conv1.weight.requires_grad and torch.is_grad_enabled() and resnet.training
    return learns and images.device.type == "cpu" and joined_processes().world_size == 1


def _thrifty_features(resnet: ResNet, images: Tensor) -> Tensor:
    kind = images.device.type
    x = images.to(torch.get_autocast_dtype(kind)) if torch.is_autocast_enabled(kind) else images
    norm = resnet.bn1

    def stem(pixels: Tensor, weight: Tensor, gain: Tensor, shift: Tensor) -> Tensor:
        z = F.conv2d(pixels, weight.to(pixels.dtype), None, 2, 3)
        y, mean, scale = torch.native_batch_norm(z, gain, shift, None, None, True, 0.0, norm.eps)
        if not torch.is_grad_enabled():
            _follow(norm, mean, scale, z)
        return F.max_pool2d(F.relu_(y), 3, 2, 1)

    x = recomputed(stem, x, resnet.conv1.weight, norm.weight, norm.bias)
    for stage in stages(resnet):
        for block in bottlenecks(stage):
            x = block(x) if block.drop_path is not None else run_layer(block, _thrifty_bottleneck, x)
    return x


def _thrifty_bottleneck(block: Bottleneck, x: Tensor) -> Tensor:
    """What the block itself computes, with less kept for the backward pass."""
    first, second, third = block.bn1, block.bn2, block.bn3
    z1 = convolve(x, block.conv1.weight)
    z2, mean, scale = norm_relu_convolution(
        z1, first.weight, first.bias, block.conv2.weight, block.conv2.stride[0], first.eps
    )
    _follow(first, mean, scale, z1)
    shortcut = x
    if block.downsample is not None:
        convolution, batch_norm = cast("tuple[nn.Conv2d, JoinedBatchNorm2d]", block.downsample)
        shortcut = batch_norm(convolve(x, convolution.weight, convolution.stride[0]))
    norm, last_norm = (second.weight, second.bias), (third.weight, third.bias)
    out, mean, scale, last_mean, last_scale = finish_bottleneck(
        z2, shortcut, norm, block.conv3.weight, last_norm, second.eps
    )
    _follow(second, mean, scale, z2)
    _follow(third, last_mean, last_scale, out)
    return out


def _follow(norm: JoinedBatchNorm2d, mean: Tensor, scale: Tensor, like: Tensor) -> None:
    """Move a norm's running statistics towards a batch's, given its inverse standard deviation."""
    total = torch.tensor(like.numel() / like.shape[1])
    norm.update_statistics(mean, scale.detach().double().pow(-2) - norm.eps, total)

"""Speeds up a model that is not trained: weights are folded together and laid out for the processor.

Batch normalisation is folded into the convolutions and attention gains into the output projections. On a CPU,
convolutions keep their weights in oneDNN's own layout and apply ReLU and sum while they write, as
`ofakit.models.packed_linear` does for linear layers. `OFAModel.prepare_for_inference` does it to a copy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from ofakit.models.adapters.linear import AdaptedLinear
from ofakit.models.ofa.attention import Attention
from ofakit.models.ofa.decoder import Decoder
from ofakit.models.ofa.encoder import Encoder
from ofakit.models.ofa.vision import bottlenecks, stages
from ofakit.models.packed_linear import PackedLinear, pack_linear_layers, packs
from ofakit.models.timm_backbone import TimmBackbone

if TYPE_CHECKING:
    from ofakit.models.ofa.vision import Bottleneck, ResNet

__all__ = ["speed_up"]


def speed_up(encoder: Encoder, decoder: Decoder, dtype: torch.dtype) -> PackedLinear | None:
    """Fold, cast and pack the two halves of a model; to be called in inference mode.

    Args:
        encoder: In evaluation mode; changed in place.
        decoder: As `encoder`; they may share the token embedding.
        dtype: What they shall compute in.

    Returns:
        The output projection, packed, or none where nothing is; the decoder's own stays as it is, since its weight is
        that of the token embedding.
    """
    device = decoder.output_projection.weight.device
    resnet = None if isinstance(encoder.embed_images, TimmBackbone) else encoder.embed_images
    if resnet is not None:
        _fold_backbone(resnet)
    halves = encoder, decoder
    for module in (module for half in halves for module in half.modules() if isinstance(module, Attention)):
        _fold_gains(module)
    for half in halves:
        half.to(dtype)
    if encoder.embed_images is not None:
        encoder.embed_images.to(memory_format=torch.channels_last)
    if not packs(device, dtype) or (resnet is not None and not _convolution_works(dtype)):
        return None
    if resnet is not None:
        _pack_backbone(resnet)
    backbones = [module for half in halves for module in half.modules() if isinstance(module, TimmBackbone)]
    theirs = {module for backbone in backbones for module in backbone.modules()}  # which may look into their own
    for half in halves:
        pack_linear_layers(half, {*theirs, decoder.output_projection})
    return PackedLinear(decoder.output_projection.weight.detach(), None)


class PackedConv(nn.Module):
    """A convolution whose weight lies in oneDNN's layout, with ReLU on request.

    Args:
        conv: What it computes; its batch normalisation is folded in.
        relu: Apply ReLU.
    """

    def __init__(self, conv: nn.Conv2d, relu: bool) -> None:
        super().__init__()
        self.weight, self.bias = conv.weight.detach(), None if conv.bias is None else conv.bias.detach()
        self.geometry = (list(conv.padding), list(conv.stride), list(conv.dilation), conv.groups)
        self.after = "relu" if relu else "none"
        self.packed: Tensor | None = None

    def forward(self, x: Tensor, added: Tensor | None = None) -> Tensor:
        """Convolve, `(B, in, H, W) -> (B, out, H', W')`.

        Args:
            x: In channels-last layout.
            added: `(B, out, H', W')`: the sum with it goes through ReLU, and is written into it.
        """
        if self.packed is None:  # the layout may depend on the size of the first images; others run as well
            self.packed = torch.ops.mkldnn._reorder_convolution_weight(self.weight, *self.geometry, list(x.shape))
        place = self.packed, self.bias, *self.geometry
        if added is None:
            return torch.ops.mkldnn._convolution_pointwise(x, *place, self.after, [], "")
        return torch.ops.mkldnn._convolution_pointwise_(added, x, *place, "add", 1.0, "relu", [], "")


class PackedBottleneck(nn.Module):
    """timm's bottleneck block, `(B, C, H, W) -> (B, C', H', W')`; it may write into its input.

    Args:
        block: The block, its batch normalisation folded in.
    """

    def __init__(self, block: Bottleneck) -> None:
        super().__init__()
        self.conv1, self.conv2 = PackedConv(block.conv1, relu=True), PackedConv(block.conv2, relu=True)
        self.conv3 = PackedConv(block.conv3, relu=False)
        shortcut = block.downsample  # one convolution by now
        self.downsample = PackedConv(shortcut, relu=False) if isinstance(shortcut, nn.Conv2d) else None

    def forward(self, x: Tensor) -> Tensor:
        """Run the branch and add it.

        Args:
            x: `(B, C, H, W)`, channels last.
        """
        y = self.conv2(self.conv1(x))
        return self.conv3(y, added=x if self.downsample is None else self.downsample(x))


class PositiveMaxPool(nn.Module):
    """Max pooling, 3 x 3 with stride 2 and padding 1, of what is not negative: `(B, C, H, W) -> (B, C, H/2, W/2)`.

    Rows first, then columns. Among numbers that are not negative, those of 16 bits stand in the order of their bits
    as integers, which a CPU compares faster; the padding counts as 0.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Pool.

        Args:
            x: What ReLU gave.
        """
        bits = x.view(torch.int16) if x.element_size() == 2 else x
        return _halve(_halve(bits, 2), 3).view(x.dtype)


def _halve(x: Tensor, dim: int) -> Tensor:
    """Maxima of every even place and its two neighbours along one dimension.

    Args:
        x: Any shape.
        dim: The dimension, n long; (n + 1) // 2 in the result.
    """
    all_before = (slice(None),) * dim
    evens, odds = (*all_before, slice(0, None, 2)), (*all_before, slice(1, None, 2))
    even, odd = x[evens], x[odds]
    pairs = odd.shape[dim]
    best = torch.maximum(even.narrow(dim, 0, pairs), odd)
    if even.shape[dim] > pairs:
        best = torch.cat([best, even.narrow(dim, pairs, 1)], dim)
    later = best.narrow(dim, 1, best.shape[dim] - 1)
    torch.maximum(later, odd.narrow(dim, 0, later.shape[dim]), out=later)
    return best


def _convolution_works(dtype: torch.dtype) -> bool:
    """Whether this build of PyTorch has the fused operators for a type, and they give what the plain ones give.

    Args:
        dtype: The type to compute in.
    """
    generator = torch.Generator().manual_seed(0)
    x = torch.randn((2, 16, 8, 8), generator=generator).to(dtype).contiguous(memory_format=torch.channels_last)
    conv = nn.Conv2d(16, 16, 3, padding=1).to(dtype)
    try:
        found = PackedConv(conv, relu=True)(x), PackedConv(conv, relu=False)(x, added=x.clone())
    except (AttributeError, NotImplementedError, RuntimeError, TypeError):
        return False
    wanted = conv(x).relu(), (conv(x) + x).relu()
    return all(torch.allclose(a, b, atol=0.05) for a, b in zip(found, wanted, strict=True))


def _fold_backbone(resnet: ResNet) -> None:
    """Fold every batch normalisation into the convolution before it.

    Args:
        resnet: What `build_resnet` gave, in eval mode; changed in place.
    """
    resnet.conv1 = fuse_conv_bn_eval(resnet.conv1, resnet.bn1)
    resnet.add_module("bn1", nn.Identity())
    for block in (block for stage in stages(resnet) for block in bottlenecks(stage)):
        for number in "123":
            conv, norm = getattr(block, f"conv{number}"), getattr(block, f"bn{number}")
            setattr(block, f"conv{number}", fuse_conv_bn_eval(conv, norm))
            setattr(block, f"bn{number}", nn.Identity())
        if block.downsample is not None:
            convolution, norm = cast("tuple[nn.Conv2d, nn.BatchNorm2d]", block.downsample)
            block.add_module("downsample", fuse_conv_bn_eval(convolution, norm))


def _fold_gains(attention: Attention) -> None:
    """Multiply the output projection by the gains of the heads it reads from.

    Args:
        attention: Changed in place.
    """
    projection = attention.out_proj
    width = projection.in_features // attention.heads
    takes_input = isinstance(projection, AdaptedLinear) and projection.adapter.looks_at_input
    if attention.c_attn is not None and not takes_input:
        attention.out_proj.weight.data = attention.out_proj.weight * attention.c_attn.repeat_interleave(width)
        attention.c_attn = None


def _pack_backbone(resnet: ResNet) -> None:
    """Pack every convolution, and pool in 16 bits.

    Args:
        resnet: Folded; changed in place.
    """
    resnet.add_module("conv1", PackedConv(resnet.conv1, relu=True))
    resnet.act1, resnet.maxpool = nn.Identity(), PositiveMaxPool()
    for stage in stages(resnet):
        for index, block in enumerate(bottlenecks(stage)):
            stage[index] = PackedBottleneck(block)

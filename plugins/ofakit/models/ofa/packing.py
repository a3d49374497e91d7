"""Make a model that only computes faster: weights folded together and laid out for the processor.

Batch normalisation is folded into the convolutions and attention gains into the output projections. On a CPU,
convolutions and linear layers keep their weights in oneDNN's own layout and apply ReLU, sum and GELU while they write;
the operators are those that PyTorch's compiler emits (`torch.ops.mkldnn`), and where a build of PyTorch lacks them the
plain ones stay. `OFAModel.prepare_for_inference` does it to a copy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from ofakit.models.adapters.linear import Adapted, AdaptedLinear
from ofakit.models.ofa.attention import Attention
from ofakit.models.ofa.decoder import Decoder
from ofakit.models.ofa.encoder import Encoder
from ofakit.models.ofa.layers import ResidualLayer
from ofakit.models.ofa.timm_backbone import TimmBackbone
from ofakit.models.ofa.vision import bottlenecks, stages

if TYPE_CHECKING:
    from ofakit.models.ofa.vision import Bottleneck, ResNet

__all__ = ["PackedLinear", "speed_up"]

PACKED = (torch.float32, torch.bfloat16)  # what oneDNN computes fast on CPUs of today
BEAM_ROWS = 40  # rows that weights are packed for: 8 images of 5 beams; others run as well
SMALL_FP32 = 2**20  # fp32 weights with fewer elements are not faster packed


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
    packs = decoder.output_projection.weight.device.type == "cpu" and dtype in PACKED and _operators_work(dtype)
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
    if not packs:
        return None
    if resnet is not None:
        _pack_backbone(resnet)
    for half in halves:
        _pack_linear_layers(half, decoder.output_projection)
    return PackedLinear(decoder.output_projection.weight.detach(), None)


class PackedLinear(nn.Module):
    """A linear layer whose weight lies in oneDNN's layout, with GELU on request.

    Args:
        weight: `(out, in)`.
        bias: `(out,)`, or none.
        gelu: Apply GELU.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None, gelu: bool = False) -> None:
        super().__init__()
        self.packed = torch.ops.mkldnn._reorder_linear_weight(weight.contiguous(), BEAM_ROWS)
        self.bias = bias
        self.after = ("gelu", "none") if gelu else ("none", "")

    def forward(self, x: Tensor) -> Tensor:
        """Project, `(..., in) -> (..., out)`.

        Args:
            x: Of the weight's type.
        """
        return torch.ops.mkldnn._linear_pointwise(x, self.packed, self.bias, self.after[0], [], self.after[1])


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


def _operators_work(dtype: torch.dtype) -> bool:
    """Whether this build of PyTorch has the fused operators for a type, and they give what the plain ones give.

    Args:
        dtype: The type to compute in.
    """
    generator = torch.Generator().manual_seed(0)
    x = torch.randn((2, 16, 8, 8), generator=generator).to(dtype).contiguous(memory_format=torch.channels_last)
    conv = nn.Conv2d(16, 16, 3, padding=1).to(dtype)
    linear = nn.Linear(16, 16).to(dtype)
    try:
        found = PackedConv(conv, relu=True)(x), PackedConv(conv, relu=False)(x, added=x.clone())
        projected = PackedLinear(linear.weight, linear.bias, gelu=True)(x.permute(0, 2, 3, 1))
    except (AttributeError, NotImplementedError, RuntimeError, TypeError):
        return False
    wanted = conv(x).relu(), (conv(x) + x).relu(), nn.functional.gelu(linear(x.permute(0, 2, 3, 1)))
    return all(torch.allclose(a, b, atol=0.05) for a, b in zip((*found, projected), wanted, strict=True))


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


def _pack_linear_layers(half: nn.Module, but: nn.Linear) -> None:
    """Pack the linear layers that are worth it, but not those of a network of timm, which may look into its own.

    Args:
        half: Encoder or decoder, cast; changed in place.
        but: Stays as it is.
    """
    eyes = [module for module in half.modules() if isinstance(module, TimmBackbone)]
    theirs = {module for eye in eyes for module in eye.modules()}
    for module in [module for module in half.modules() if module not in theirs]:
        if isinstance(module, ResidualLayer):
            _pack_feed_forward(module)
        for name, child in list(module.named_children()):
            if isinstance(child, nn.Linear) and child is not but and _worth(child.weight):
                packed = PackedLinear(child.weight.detach(), _bias(child))
                setattr(module, name, Adapted(packed, child.adapter) if isinstance(child, AdaptedLinear) else packed)


def _pack_feed_forward(layer: ResidualLayer) -> None:
    """Let fc1 apply GELU.

    Args:
        layer: Changed in place.
    """
    plain = not isinstance(layer.fc1, AdaptedLinear)
    if layer.activation is nn.functional.gelu and plain and _worth(layer.fc1.weight):
        layer.add_module("fc1", PackedLinear(layer.fc1.weight.detach(), _bias(layer.fc1), gelu=True))
        layer.activation = nn.Identity()


def _bias(linear: nn.Linear) -> Tensor | None:
    return None if linear.bias is None else linear.bias.detach()


def _worth(weight: Tensor) -> bool:
    return weight.dtype != torch.float32 or weight.numel() >= SMALL_FP32

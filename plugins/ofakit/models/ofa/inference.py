"""A copy of a model that only generates, and does it faster.

    fast = prepare_for_inference(model, "bf16")
    hypotheses = generate(fast, batch)

Batch normalisation is folded into the convolutions, attention gains into the output projections, and the weights are
cast once. On a CPU, convolutions and linear layers keep their weights in oneDNN's own layout and apply ReLU, sum and
GELU while they write; the operators are those that PyTorch's compiler emits (`torch.ops.mkldnn`), and where a build of
PyTorch lacks them the plain ones stay.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from ofakit.models.ofa.attention import Attention
from ofakit.models.ofa.layers import ResidualLayer
from ofakit.models.precision import dtype_named

__all__ = ["prepare_for_inference"]

PACKED = (torch.float32, torch.bfloat16)  # what oneDNN computes fast on CPUs of today
BEAM_ROWS = 40  # rows that weights are packed for: 8 images of 5 beams; others run as well
SMALL_FP32 = 2**20  # fp32 weights with fewer elements are not faster packed


def prepare_for_inference(model: nn.Module, precision: str = "fp32") -> nn.Module:
    """Copy a model for generation; the model itself stays as it is.

    Args:
        model: An `OFAModel`, on the device where it will run.
        precision: `fp32`, which gives the same hypotheses, `bf16` or `fp16`.

    Returns:
        A model in eval mode for `generate` and `encode`. It cannot be trained, saved or moved, and does not follow
        later changes of `model`.

    Raises:
        UsageError: There is no such precision.
    """
    dtype = dtype_named(precision)
    fast = copy.deepcopy(model).eval().requires_grad_(False)
    with torch.inference_mode():
        pack = fast.output_embedding.device.type == "cpu" and dtype in PACKED and _operators_work(dtype)
        if hasattr(fast.encoder, "embed_images"):
            _fold_backbone(fast.encoder.embed_images)
        for module in fast.modules():
            if isinstance(module, Attention):
                _fold_gains(module)
        fast.to(dtype)
        if hasattr(fast.encoder, "embed_images"):
            fast.encoder.embed_images.to(memory_format=torch.channels_last)
        if pack:
            _pack(fast)
    return fast


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
        self.weight, self.bias = conv.weight.detach(), conv.bias.detach()
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

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        self.conv1, self.conv2 = PackedConv(block.conv1, relu=True), PackedConv(block.conv2, relu=True)
        self.conv3 = PackedConv(block.conv3, relu=False)
        self.downsample = None if block.downsample is None else PackedConv(block.downsample, relu=False)

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
    before = (slice(None),) * dim
    even, odd = x[(*before, slice(0, None, 2))], x[(*before, slice(1, None, 2))]
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


def _stages(resnet: nn.Module) -> list[nn.Sequential]:
    return [resnet.layer1, resnet.layer2, resnet.layer3]


def _fold_backbone(resnet: nn.Module) -> None:
    """Fold every batch normalisation into the convolution before it.

    Args:
        resnet: What `build_resnet` gave, in eval mode; changed in place.
    """
    resnet.conv1, resnet.bn1 = fuse_conv_bn_eval(resnet.conv1, resnet.bn1), nn.Identity()
    for block in (block for stage in _stages(resnet) for block in stage):
        for number in "123":
            conv, norm = getattr(block, f"conv{number}"), getattr(block, f"bn{number}")
            setattr(block, f"conv{number}", fuse_conv_bn_eval(conv, norm))
            setattr(block, f"bn{number}", nn.Identity())
        if block.downsample is not None:
            block.downsample = fuse_conv_bn_eval(block.downsample[0], block.downsample[1])


def _fold_gains(attention: Attention) -> None:
    """Multiply the output projection by the gains of the heads it reads from.

    Args:
        attention: Changed in place.
    """
    width = attention.out_proj.in_features // attention.heads
    attention.out_proj.weight.data = attention.out_proj.weight * attention.c_attn.repeat_interleave(width)
    attention.c_attn = None


def _pack(model: nn.Module) -> None:
    """Put packed layers in the place of those that are called with many weights.

    Args:
        model: Folded and cast; changed in place.
    """
    if hasattr(model.encoder, "embed_images"):
        resnet = model.encoder.embed_images
        resnet.conv1, resnet.act1 = PackedConv(resnet.conv1, relu=True), nn.Identity()
        resnet.maxpool = PositiveMaxPool()
        for stage in _stages(resnet):
            for index, block in enumerate(stage):
                stage[index] = PackedBottleneck(block)
    for module in list(model.modules()):
        if isinstance(module, ResidualLayer):
            _pack_feed_forward(module)
        for name, child in list(module.named_children()):
            if isinstance(child, nn.Linear) and child is not model.decoder.output_projection and _worth(child.weight):
                setattr(module, name, PackedLinear(child.weight.detach(), _bias(child)))
    model.packed_projection = PackedLinear(model.output_embedding.detach(), None)


def _pack_feed_forward(layer: ResidualLayer) -> None:
    """Let fc1 apply GELU.

    Args:
        layer: Changed in place.
    """
    if layer.activation is nn.functional.gelu and _worth(layer.fc1.weight):
        layer.fc1 = PackedLinear(layer.fc1.weight.detach(), _bias(layer.fc1), gelu=True)
        layer.activation = nn.Identity()


def _bias(linear: nn.Linear) -> Tensor | None:
    return None if linear.bias is None else linear.bias.detach()


def _worth(weight: Tensor) -> bool:
    return weight.dtype != torch.float32 or weight.numel() >= SMALL_FP32

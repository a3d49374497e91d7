"""A device for machines without a GPU: `import tests.pretended_device`, then tensors and modules go `.to("sim")`.

Its tensors hold CPU memory, but meet those of the CPU only in explicit copies, as on a GPU: what mixes devices, or
reads a tensor's memory with NumPy, raises. Operators that PyTorch chooses by the device below its dispatcher are
replaced for the whole process (attention, `torch.tensor`, inference mode, fused AdamW), so use it in a process of its
own. The device is registered by PyTorch's Python backends, an interface that is younger than the PyTorch we require.
"""

from __future__ import annotations

import contextlib
import functools

import torch
from torch.nn import functional as F
from torch.utils import backend_registration
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing
from torch.utils._pytree import tree_leaves, tree_map

NAME = "sim"
COPIES = ("aten::_to_copy", "aten::copy_")
IN_HALF_PRECISION = ("linear", "conv2d", "matmul", "mm", "addmm", "bmm", "baddbmm")
IN_FULL_PRECISION = ("layer_norm", "softmax.int", "log_softmax.int", "exp", "log", "pow.Tensor_Scalar", "nll_loss")
"""What autocast does on CUDA, of what OFA is made of: https://docs.pytorch.org/docs/stable/amp.html."""


def on_device(place):
    return place is not None and torch.device(place).type == NAME


class DeviceTensor(torch.Tensor):
    """A tensor that says it is elsewhere; `memory` holds its numbers."""

    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, memory):
        layout = {"strides": memory.stride(), "storage_offset": memory.storage_offset(), "layout": memory.layout}
        tensor = torch.Tensor._make_wrapper_subclass(
            cls, memory.size(), dtype=memory.dtype, device=torch.device(NAME, 0), **layout
        )
        tensor.memory = memory
        return tensor

    def __repr__(self):
        return f"DeviceTensor({self.memory})"

    def tolist(self):
        return self.detach().memory.tolist()

    def numpy(self, *_, **__):
        raise TypeError(f"can't convert a tensor of the device {NAME} to NumPy")

    __array__ = numpy

    @classmethod
    def __torch_dispatch__(cls, operator, types, args=(), kwargs=None):
        return compute(operator, args, kwargs or {})


def compute(operator, args, kwargs):
    """Run an operator on the memory, after a look at where everything is."""
    leaves = tree_leaves((args, kwargs))
    ours = [leaf for leaf in leaves if isinstance(leaf, DeviceTensor)]
    if operator is torch.ops.aten._local_scalar_dense.default:
        return args[0].memory.item()
    refuse_mixtures(operator.name(), args, leaves, bool(ours))
    if ours:
        refuse_mixed_norm(operator.name(), leaves)
    place = kwargs.get("device")
    here = bool(ours) if place is None else on_device(place)
    if operator.name() == "aten::copy_":
        here = isinstance(args[0], DeviceTensor)
    inside = {**kwargs, **({} if place is None else {"device": "cpu"})}
    made = operator(*tree_map(memory_of, args), **tree_map(memory_of, inside))
    if not here:
        return made
    known = {id(tensor.memory): tensor for tensor in ours}

    def at_home(value):
        if not isinstance(value, torch.Tensor):
            return value
        return known[id(value)] if id(value) in known else DeviceTensor(value)

    made = tree_map(at_home, made)
    return return_and_correct_aliasing(operator, args, kwargs, made) if ours else made


def refuse_mixtures(name, args, leaves, any_here):
    """Raise where a GPU would; integers and masks of the CPU may index what is elsewhere."""
    if not any_here:
        return
    if any(isinstance(leaf, torch.Generator) for leaf in leaves):
        raise RuntimeError(f"{name} gets a generator of the CPU")
    tensors = [leaf for leaf in leaves if isinstance(leaf, torch.Tensor) and not isinstance(leaf, DeviceTensor)]
    strangers = [tuple(leaf.shape) for leaf in tensors if leaf.dim() > 0]
    indexes = name.startswith("aten::index") and isinstance(args[0], DeviceTensor)
    allowed = indexes and not any(leaf.is_floating_point() for leaf in tensors)
    if strangers and name.split(".")[0] not in COPIES and not allowed:
        raise RuntimeError(f"expected all tensors on the same device: {name} gets {strangers} of the CPU")


def refuse_mixed_norm(name, leaves):
    """A layer norm takes one type on a GPU, where a CPU takes half precision with weights in fp32."""
    types = {leaf.dtype for leaf in leaves if isinstance(leaf, torch.Tensor)}
    if name == "aten::native_layer_norm" and len(types) > 1:
        raise RuntimeError(f"layer norm: expected tensors of one type, found {types}")


def memory_of(value):
    return value.memory if isinstance(value, DeviceTensor) else value


def autocast_to(name, choose):
    """Register what autocast does to an operator on the device."""
    packet, _, overload = name.partition(".")
    operator = getattr(getattr(torch.ops.aten, packet), overload or "default")

    def cast(*args, **kwargs):
        keys = torch._C.DispatchKeySet(torch._C.DispatchKey.AutocastPrivateUse1)
        with torch._C._ExcludeDispatchKeyGuard(keys):
            wanted = choose()
            fit = lambda x: x.to(wanted) if isinstance(x, torch.Tensor) and x.is_floating_point() else x  # noqa: E731
            return operator(*tree_map(fit, args), **tree_map(fit, kwargs))

    AUTOCAST.impl(name, cast, "AutocastPrivateUse1")


class Factories(TorchDispatchMode):
    """Makes tensors on the device."""

    def __torch_dispatch__(self, operator, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        ours = any(isinstance(leaf, DeviceTensor) for leaf in tree_leaves((args, kwargs)))
        if ours or on_device(kwargs.get("device")):
            return compute(operator, args, kwargs)
        return operator(*args, **kwargs)


def made_there(make):
    """`torch.tensor` and its like, which never ask the dispatcher."""

    @functools.wraps(make)
    def made(data, *args, device=None, **kwargs):
        if on_device(device) and not isinstance(data, DeviceTensor):
            return make(data, *args, **kwargs).to(NAME)
        return make(data, *args, **kwargs) if device is None else make(data, *args, device=device, **kwargs)

    return made


def attention(query, key, value, attn_mask=None, dropout_p=0.0, is_causal=False, scale=None, enable_gqa=False):
    """Attention by its formula, as strict about the mask's type as a GPU."""
    if not isinstance(query, DeviceTensor):
        return own_attention(query, key, value, attn_mask, dropout_p, is_causal, scale=scale, enable_gqa=enable_gqa)
    assert not is_causal and not enable_gqa and (attn_mask is None or attn_mask.dtype in (torch.bool, query.dtype))
    scores = query @ key.transpose(-1, -2) * (query.shape[-1] ** -0.5 if scale is None else scale)
    if attn_mask is not None and attn_mask.dtype == torch.bool:
        scores, attn_mask = scores.masked_fill(~attn_mask, -torch.inf), None
    return F.dropout((scores if attn_mask is None else scores + attn_mask).softmax(-1), dropout_p) @ value


class PlainAdamW(torch.optim.AdamW):
    """Without the fused kernel, which the device lacks."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **{**kwargs, "fused": False, "foreach": False})


def without_gradients(mode=True):
    """Inference mode's tensors have no place for a subclass."""
    if callable(mode):
        return torch.no_grad()(mode)
    return torch.no_grad() if mode else contextlib.nullcontext()


backend_registration._setup_privateuseone_for_python_backend(NAME)
getattr(torch, NAME).get_amp_supported_dtype = lambda: [torch.bfloat16, torch.float16]
EVERY, AUTOCAST = torch.library.Library("_", "IMPL"), torch.library.Library("aten", "IMPL")
EVERY.fallback(torch.library.fallthrough_kernel, "AutocastPrivateUse1")
for operator_name in IN_HALF_PRECISION:
    autocast_to(operator_name, lambda: torch.get_autocast_dtype(NAME))
for operator_name in IN_FULL_PRECISION:
    autocast_to(operator_name, lambda: torch.float32)
torch.__future__.set_swap_module_params_on_conversion(True)
own_attention, F.scaled_dot_product_attention = F.scaled_dot_product_attention, attention
torch.tensor, torch.as_tensor = made_there(torch.tensor), made_there(torch.as_tensor)
torch.inference_mode = without_gradients
torch.optim.AdamW = PlainAdamW
Factories().__enter__()

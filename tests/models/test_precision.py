"""Precisions by name, and that matrix products really compute in them."""

import pytest
import torch
from ofakit.errors import UsageError
from ofakit.models.precision import PRECISIONS, autocast, compute_dtype, dtype_named

from tests.models.ofa.small import build, inputs


@pytest.mark.parametrize("precision, kind", [("bf16", torch.bfloat16), ("fp16", torch.float16)])
def test_half_precision_really_computes_in_it(precision, kind):
    model, batch = build().eval(), inputs()
    seen = []
    model.encoder.layers[0].fc1.register_forward_hook(lambda *args: seen.append(args[-1].dtype))
    with torch.no_grad():
        exact = model(**batch).logits
        with autocast("cpu", precision):
            rough = model(**batch).logits
    assert seen == [torch.float32, kind]
    assert (rough.float() - exact).abs().max() < 0.1 * exact.abs().max()
    with pytest.raises(UsageError, match="bf16"):
        autocast("cpu", "bf61")


def test_a_model_in_bf16_computes():
    model, batch = build().eval().bfloat16(), inputs()
    with torch.no_grad():
        assert model(**batch).logits.dtype == torch.bfloat16


@pytest.mark.parametrize(("precision", "kind"), PRECISIONS.items())
def test_products_with_states_and_the_type_that_says_so(precision, kind):
    states = torch.randn(2, 3)
    assert dtype_named(precision) == kind
    with autocast(torch.device("cpu"), precision):
        assert compute_dtype(states) == kind == (states @ states.t()).dtype
    assert compute_dtype(states) == torch.float32
    assert compute_dtype(states.double()) == torch.float64


def test_fp32_leaves_an_autocast_outside_alone():
    with torch.autocast("cpu", torch.bfloat16), autocast("cpu", "fp32"):
        assert compute_dtype(torch.zeros(1)) == torch.bfloat16


def test_a_gpu_without_bf16_is_refused_by_name(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: including_emulation)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "GTX 1080")
    with pytest.raises(UsageError, match="GTX 1080 does not support bf16; choose precision fp16 or fp32"):
        autocast("cuda:0", "bf16")


@pytest.mark.parametrize("function", [dtype_named, lambda name: autocast("cpu", name)])
def test_an_unknown_precision(function):
    with pytest.raises(UsageError, match="unknown precision 'bf61': did you mean 'bf16'"):
        function("bf61")


def test_a_mac_computes_in_bf16_from_macos_14_on(monkeypatch):
    monkeypatch.setattr(torch.backends.mps, "is_macos_or_newer", lambda major, minor: False)
    with pytest.raises(UsageError, match="needs macOS 14; choose precision fp16 or fp32"):
        autocast("mps", "bf16")
    asked = []
    monkeypatch.setattr(torch, "autocast", lambda *arguments: asked.append(arguments))
    autocast("mps", "fp16")
    monkeypatch.setattr(torch.backends.mps, "is_macos_or_newer", lambda major, minor: (major, minor) == (14, 0))
    autocast("mps", "bf16")
    assert asked == [("mps", torch.float16), ("mps", torch.bfloat16)]

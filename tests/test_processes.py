"""Where a process computes."""

from __future__ import annotations

import pytest
import torch
from ofakit.errors import UsageError
from ofakit.processes import device_named


def test_the_cpu_is_always_there():
    assert device_named("cpu") == torch.device("cpu")


@pytest.mark.parametrize("name", ["tpu", "cuda:99", "gpu:99", "cpu:3", "cuda:x"])
def test_a_device_that_is_not_there_is_refused_by_name(name):
    with pytest.raises(UsageError, match=f"'{name}' is not on this machine; it has cpu"):
        device_named(name)


def test_a_process_takes_its_own_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert device_named() == device_named("gpu") == device_named("cuda") == torch.device("cuda", 1)
    assert device_named("gpu:0") == torch.device("cuda", 0)
    monkeypatch.setenv("LOCAL_RANK", "2")
    with pytest.raises(UsageError, match="it has cpu, cuda:0, cuda:1"):
        device_named()

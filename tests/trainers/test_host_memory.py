"""Freed memory stays with the process, where the C library can be told so."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

SCRIPT = """
import sys
import torch
from ofakit.trainers.host_memory import keep_freed_memory

def resident():
    with open("/proc/self/statm") as numbers:
        return int(numbers.read().split()[1]) * 4096

if sys.argv[1] == "keep":
    assert keep_freed_memory()
start = resident()
tensor = torch.ones(50_000_000)
del tensor
print(resident() - start)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc is told")
def test_a_freed_tensor_stays_with_the_process():
    def left(how):
        done = subprocess.run([sys.executable, "-c", SCRIPT, how], capture_output=True, text=True, check=True)
        return int(done.stdout)

    assert left("plain") < 50e6 < 150e6 < left("keep")


def test_other_systems_are_left_alone(monkeypatch):
    from ofakit.trainers import host_memory

    monkeypatch.setattr(host_memory.sys, "platform", "darwin")
    assert not host_memory.keep_freed_memory()

"""The rows of two processes make the whole, and the whole is divided as FSDP divides it."""

from __future__ import annotations

import pytest
import torch
from ofakit.trainers.parts_of_tensors import like, own_part, whole

from tests.two_processes import run_two

ROWS = (1, 2, 5, 6)
PARTS = """
import sys
from pathlib import Path
import torch
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import Shard, distribute_tensor
from ofakit.processes import join_processes
from tests.trainers.test_parts_of_tensors import *

processes = join_processes("cpu")
mesh = init_device_mesh("cpu", (2,))
found = {}
for rows in ROWS:
    values = torch.arange(3.0 * rows).view(rows, 3)
    divided = distribute_tensor(values, mesh, [Shard(0)])
    made = like(values, divided)
    assert torch.equal(own_part(made), own_part(divided)), rows
    assert torch.equal(whole(made), values) and made.shape == divided.shape, rows
    found[str(rows)] = own_part(made)
torch.save(found, Path(sys.argv[1]) / f"{processes.rank}.pt")
"""


def test_tensors_of_any_length_are_divided_and_joined(tmp_path):
    run_two(PARTS, tmp_path)
    parts = [torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2)]
    assert [[len(part[str(rows)]) for part in parts] for rows in ROWS] == [[1, 0], [1, 1], [3, 2], [3, 3]]


@pytest.mark.parametrize("function", [own_part, whole, lambda tensor: like(tensor, torch.zeros(2))])
def test_what_is_not_divided_stays(function):
    tensor = torch.ones(2)
    assert function(tensor) is tensor

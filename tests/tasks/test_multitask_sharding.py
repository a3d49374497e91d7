"""Several tasks with divided weights: two processes with them end where one with all of them does, and resume."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from ofakit.json_text import to_json
from safetensors.torch import load_file

from tests.tasks.test_multitask import PER_TASK, searching, several  # noqa: F401 (fixtures)
from tests.trainers.conftest import trained
from tests.two_processes import ENDED, run_two

ADAPTERS = {"none": None, "shared": {**PER_TASK, "tasks": None}, "per task": PER_TASK}
STEPS = 6
RUNS = """
import json, sys
from ofakit.config import parse_config
from tests.trainers.conftest import trained

for values, snapshot in json.loads(sys.argv[2]):
    trained(parse_config(values), snapshot)
"""


def settings(searching, name, adapter, sharding="none", processes=2):  # noqa: F811
    """Captions, answers and retrieval, without dropout, which processes draw apart."""
    hooks = [{"type": "SnapshotHook", "save_strategy": "by_step", "interval": 3, "max_checkpoint_num": None}]
    train = {
        "max_steps": STEPS, "optimizer": {"lr": 1e-3, "eps": 1e-3}, "sharding": sharding, "hooks": hooks,
        "dataloader": {"batch_size_per_gpu": 8 // processes},
    }  # fmt: skip
    config = searching(name, model={"adapter": adapter}, train=train)
    config.model.config.update(dict.fromkeys(("dropout", "attention_dropout", "activation_dropout"), 0.0))
    return config


def on_two(folder, *runs):
    folder.mkdir()
    written = [[config.model_dump(mode="json"), None if start is None else str(start)] for config, start in runs]
    run_two(RUNS, folder, to_json(written), leave=ENDED)


def snapshot_of(config, step):
    return Path(config.work_dir) / "checkpoints" / f"step_{step}"


def assert_near(one, other):
    ours, theirs = (load_file(snapshot_of(config, STEPS) / "model.safetensors") for config in (one, other))
    assert ours.keys() == theirs.keys() and len(ours) > 20
    for name, value in ours.items():
        torch.testing.assert_close(theirs[name], value, atol=1e-5, rtol=1e-5, msg=name)


@pytest.mark.parametrize("adapter", ADAPTERS.values(), ids=ADAPTERS)
def test_divided_weights_learn_several_tasks_as_whole_ones_do(searching, tmp_path, adapter):  # noqa: F811
    one = settings(searching, "one", adapter, processes=1)
    sampler = trained(one).loading.sampler
    turns = [turn.group for turn in (sampler.turns(0) + sampler.turns(1))[:STEPS]]
    assert set(turns[:3]) | set(turns[3:]) == {0, 1, 2}
    grad, full = (settings(searching, kind, adapter, kind) for kind in ("grad", "full"))
    grown = settings(searching, "grown", adapter, "full")
    again = settings(searching, "again", adapter, "grad")
    on_two(tmp_path / "script", (grad, None), (full, None), (grown, snapshot_of(one, 3)), (again, snapshot_of(full, 3)))
    shrunk = settings(searching, "shrunk", adapter, processes=1)
    trained(shrunk, str(snapshot_of(grad, 3)))
    for other in (grad, full, grown, again, shrunk):
        assert_near(one, other)

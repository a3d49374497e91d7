"""Snapshots have the same bytes for the same weights, and say what is wrong when they cannot be read."""

from __future__ import annotations

import math
import os
import re
import subprocess
import sys

import pytest
import torch
from ofakit.errors import UsageError
from ofakit.trainers.state import (
    all_finite,
    latest_snapshot,
    load_weights,
    random_state,
    read_state,
    restore_optimizer,
    restore_random_state,
    save_state,
    snapshot_folder,
)
from safetensors.torch import load_file, save_file

SAVE = """
import sys, torch
from pathlib import Path
from ofakit.trainers.state import save_state
from tests.trainers.test_state import sharing_model
model = sharing_model()
save_state(Path(sys.argv[1]), model, torch.optim.AdamW(model.parameters()), {})
"""


def sharing_model():
    """Three layers of one weight, so that two of three names are left out of a file."""
    torch.manual_seed(0)
    model = torch.nn.Sequential(*(torch.nn.Linear(3, 3, bias=False) for _ in range(6)), torch.nn.BatchNorm1d(3))
    for layer in model[1:6]:
        layer.weight = model[0].weight
    return model


@pytest.fixture
def snapshot(tmp_path):
    model = sharing_model()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.5)
    model(torch.ones(2, 3)).sum().backward()
    optimizer.step()
    save_state(tmp_path, model, optimizer, {"iter": 3, "random": [torch.arange(2)]})
    return tmp_path, model, optimizer


def test_a_snapshot_gives_back_what_it_was_given(snapshot):
    folder, model, optimizer = snapshot
    other = sharing_model()
    load_weights(folder, other)
    assert other[5].weight is other[0].weight
    assert all(torch.equal(value, model.state_dict()[name]) for name, value in other.state_dict().items())
    state = read_state(folder)
    assert state["iter"] == 3 and torch.equal(state["random"][0], torch.arange(2))
    again = torch.optim.AdamW(other.parameters())
    again.load_state_dict(state["optimizer"])
    assert again.param_groups[0]["lr"] == 0.5
    assert torch.equal(again.state[other[0].weight]["exp_avg"], optimizer.state[model[0].weight]["exp_avg"])


def test_equal_weights_give_equal_bytes_in_every_process(tmp_path):
    files = []
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([os.getcwd(), *sys.path])}
    for name in ("one", "two", "three"):
        (tmp_path / name).mkdir()
        subprocess.run([sys.executable, "-c", SAVE, str(tmp_path / name)], env=environment, check=True, timeout=300)
        files.append((tmp_path / name / "model.safetensors").read_bytes())
    assert files[0] == files[1] == files[2]


@pytest.mark.parametrize("name", ["state.json", "state.safetensors", "model.safetensors"])
@pytest.mark.parametrize("keep", [0, 20])
def test_a_file_that_was_cut_is_called_damaged(snapshot, name, keep):
    folder, model, _ = snapshot
    (folder / name).write_bytes((folder / name).read_bytes()[:keep])
    with pytest.raises(UsageError, match="is damaged.*remove it"):
        read_state(folder)
        load_weights(folder, model)


def snapshots(work_dir, *steps):
    """Whole ones, each of a model with a weight and a moment."""
    for step in steps:
        model = torch.nn.Linear(3, 3)
        optimizer = torch.optim.AdamW(model.parameters())
        model(torch.ones(2, 3)).sum().backward()
        optimizer.step()
        folder = snapshot_folder(work_dir, step)
        folder.mkdir(parents=True)
        save_state(folder, model, optimizer, {"iter": step})
    return work_dir / "checkpoints"


def spoil(path, name, value):
    tensors = load_file(path)
    tensors[next(key for key in tensors if name in key)].view(-1)[0] = value
    save_file(tensors, path)


DAMAGE = {
    "cut": (lambda folder: os.truncate(folder / "model.safetensors", 100), "is damaged"),
    "empty": (lambda folder: (folder / "state.json").write_text(""), "is damaged"),
    "no text": (lambda folder: (folder / "state.json").write_bytes(b"\xff"), "is damaged"),
    "another": (lambda folder: (folder / "state.json").write_text("[1]"), "is damaged"),
    "missing": (lambda folder: (folder / "state.safetensors").unlink(), "not a snapshot"),
    "NaN": (lambda folder: spoil(folder / "model.safetensors", "weight", math.nan), "not finite in weight"),
    "inf": (lambda folder: spoil(folder / "state.safetensors", "exp_avg_sq", math.inf), "not finite in .*exp_avg_sq"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_the_newest_that_is_whole_and_finite_is_taken_and_the_others_are_named(tmp_path, damage):
    folder = snapshots(tmp_path, 2, 9, 10)
    spoiled, said = DAMAGE[damage]
    spoiled(folder / "step_10")
    heard = []
    assert latest_snapshot(tmp_path, heard.append) == folder / "step_9"
    assert len(heard) == 1 and re.search(f"skipped: .*step_10.*{said}", heard[0])
    for name in ("step_2", "step_9"):
        spoiled(folder / name)
    with pytest.raises(UsageError, match=r"no snapshot in .* can be resumed from: .*step_10.*step_9.*step_2"):
        latest_snapshot(tmp_path)


def test_other_things_among_the_snapshots_stop_nothing(tmp_path):
    assert latest_snapshot(tmp_path) is None
    folder = snapshots(tmp_path, 3)
    for name in ("step_4_backup", "step_", "step_\N{SUPERSCRIPT TWO}", "step_007", "notes"):
        (folder / name).mkdir()
    (folder / "step_99").write_text("a file")
    (folder / ".step_8.new").mkdir()  # a kill left it
    (folder / "step_3").rename(folder / ".step_3.old")
    assert latest_snapshot(tmp_path) == folder / "step_3"


def test_finite_tensors_of_any_type():
    assert all_finite(
        [torch.ones(2), torch.zeros(0), torch.tensor(True), torch.tensor([2**62]), torch.ones(2).bfloat16()]
    )
    assert not all_finite([torch.ones(2), torch.tensor([1.0, math.nan]).half()])
    assert not all_finite([torch.tensor(-math.inf)])
    huge = [torch.full((9,), 3e38), torch.full((9,), 6e4).half(), torch.full((9,), -1e300, dtype=torch.double)]
    assert all_finite(huge) and not all_finite([*huge, torch.tensor([3e38, math.nan])])


def test_weights_of_another_model_are_refused(snapshot):
    with pytest.raises(UsageError, match="another model"):
        load_weights(snapshot[0], torch.nn.Linear(3, 4))


def test_moments_come_back_in_the_layout_of_their_weights(tmp_path):
    """A fused optimizer goes through memory, whatever the strides say."""
    torch.manual_seed(0)
    inputs, ours = torch.randn(3, 2, 5, 5), torch.nn.Conv2d(2, 4, 3).to(memory_format=torch.channels_last)
    theirs = torch.nn.Conv2d(2, 4, 3).to(memory_format=torch.channels_last)

    def step(model, optimizer):
        optimizer.zero_grad()
        model(inputs).square().sum().backward()
        optimizer.step()

    first = torch.optim.AdamW(ours.parameters(), fused=True)
    step(ours, first)
    save_state(tmp_path, ours, first, {})
    second = torch.optim.AdamW(theirs.parameters(), fused=True)
    load_weights(tmp_path, theirs)
    restore_optimizer(second, read_state(tmp_path)["optimizer"])
    assert second.state[theirs.weight]["exp_avg"].stride() == theirs.weight.stride()
    for _ in range(3):
        step(ours, first)
        step(theirs, second)
    assert torch.equal(ours.weight, theirs.weight)


def test_the_generator_of_a_mac_goes_along(monkeypatch):
    given = []
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    monkeypatch.setattr(torch.mps, "get_rng_state", lambda: torch.tensor([3], dtype=torch.uint8))
    monkeypatch.setattr(torch.mps, "set_rng_state", given.append)
    restore_random_state(random_state())
    assert [state.tolist() for state in given] == [[3]]

"""A snapshot on its way holds up nothing, keeps the one before until it is whole, and tells what went wrong."""

from __future__ import annotations

import errno
import math
import os
import threading

import pytest
import torch
from ofakit.files import SaveError
from ofakit.trainers import snapshot_writer
from ofakit.trainers import state as state_module
from ofakit.trainers.snapshot_writer import SnapshotWriter
from ofakit.trainers.state import latest_snapshot, take_state
from safetensors.torch import load_file


def taken(writer, value):
    model = torch.nn.Linear(3, 2)
    torch.nn.init.constant_(model.weight, value)
    return model, take_state(model, torch.optim.AdamW(model.parameters()), {"iter": 1}, writer.copies)


def test_the_writer_returns_before_the_snapshot_is_there_and_changes_do_not_reach_it(tmp_path, monkeypatch):
    go, real, arrived = threading.Event(), snapshot_writer.write_state, []
    monkeypatch.setattr(snapshot_writer, "write_state", lambda *a: (go.wait(60), real(*a)))
    writer = SnapshotWriter(in_background=True)
    model, state = taken(writer, 1.0)
    folder = tmp_path / "checkpoints" / "step_1"
    writer.write(folder, state, arrived.append)
    writer.look()
    assert not folder.exists() and not arrived
    torch.nn.init.zeros_(model.weight)
    go.set()
    writer.wait()
    assert arrived == [folder] == [latest_snapshot(tmp_path)] and writer.longest > 0
    assert snapshot_weight(folder) == 1.0


def test_weights_may_change_once_they_are_copied_and_statistics_at_once(tmp_path, monkeypatch):
    go, real = threading.Event(), state_module._copied
    writer = SnapshotWriter(in_background=True)
    model = torch.nn.BatchNorm1d(3)
    state = take_state(model, torch.optim.AdamW(model.parameters()), {"iter": 1}, writer.copies, later=True)
    monkeypatch.setattr(state_module, "_copied", lambda *a: (go.wait(60), real(*a))[1])
    folder = tmp_path / "checkpoints" / "step_1"
    writer.write(folder, state)
    model.running_mean.fill_(7.0)
    waiting = threading.Thread(target=lambda: (writer.let_change(), model.weight.data.zero_()))
    waiting.start()
    waiting.join(0.2)
    assert waiting.is_alive() and bool(model.weight.all())
    go.set()
    waiting.join(60)
    writer.wait()
    assert writer.waited > 0.1 and not model.weight.any()
    kept = load_file(folder / "model.safetensors")
    assert kept["weight"].tolist() == [1.0] * 3 and kept["running_mean"].tolist() == [0.0] * 3


def test_values_that_are_not_finite_are_not_written(tmp_path):
    said = []
    writer = SnapshotWriter(True, said.append)
    writer.write(tmp_path / "checkpoints" / "step_1", taken(writer, math.nan)[1])
    writer.wait()
    assert said == ["a weight or an optimizer moment is not finite"] and latest_snapshot(tmp_path) is None


def snapshot_weight(folder):
    return float(load_file(folder / "model.safetensors")["weight"][0, 0])


def test_memory_is_used_again():
    writer = SnapshotWriter(in_background=True)
    _, first = taken(writer, 1.0)
    _, second = taken(writer, 2.0)
    assert first.weights["weight"].data_ptr() == second.weights["weight"].data_ptr()
    assert float(second.weights["weight"][0, 0]) == 2.0


@pytest.mark.parametrize("in_background", [True, False])
def test_what_went_wrong_is_raised_once_and_the_one_before_is_whole(tmp_path, monkeypatch, in_background):
    writer = SnapshotWriter(in_background)
    folder = tmp_path / "checkpoints" / "step_1"
    writer.write(folder, taken(writer, 1.0)[1])
    writer.wait()

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(snapshot_writer, "write_state", full)
    with pytest.raises(SaveError, match="No space left on device.*intact"):
        writer.write(folder, taken(writer, 2.0)[1])
        writer.wait()
    writer.wait()
    assert latest_snapshot(tmp_path) == folder and snapshot_weight(folder) == 1.0


def test_a_killed_process_leaves_the_one_before(tmp_path, monkeypatch):
    folder = tmp_path / "checkpoints" / "step_1"
    writer = SnapshotWriter(in_background=False)
    writer.write(folder, taken(writer, 1.0)[1])
    child = os.fork()
    if child == 0:
        real = snapshot_writer.write_state

        def killed(place, state):
            real(place, state)
            os._exit(9)

        snapshot_writer.write_state = killed
        later = SnapshotWriter(in_background=True)
        later.write(folder.with_name("step_2"), taken(later, 2.0)[1])
        later.wait()
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    assert latest_snapshot(tmp_path) == folder and snapshot_weight(folder) == 1.0

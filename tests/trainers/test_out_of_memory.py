"""A step that runs out of memory goes on with half the batch, and has the same gradient."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from ofakit.errors import OfakitError
from ofakit.processes import Processes
from ofakit.trainers import Trainer
from ofakit.trainers.out_of_memory import halves, is_out_of_memory, note_halvings, noted_halvings
from ofakit.trainers.state import latest_snapshot, read_plain
from ofakit.trainers.update import Updater

from tests.trainers.conftest import trained
from tests.trainers.test_update import CrossEntropy, golden_batch, golden_model, update_gradients, updater_of
from tests.two_processes import run_two


class Cramped(CrossEntropy):
    """Runs out of memory with more than so many examples, in the middle of its backward pass."""

    most = 2

    def __call__(self, model, batch, normalizer, step):
        loss, logs = super().__call__(model, batch, normalizer, step)
        self.sizes = [*getattr(self, "sizes", []), len(batch["target"])]
        return loss, logs


def cramp(model, objective):
    """Lets the backward pass fail after most of it is done."""

    def fail(gradient):
        if objective.sizes[-1] > objective.most:
            raise torch.OutOfMemoryError("CUDA out of memory")

    bias = model.encoder.image_proj.bias
    bias.register_hook(fail)


def with_index(batch):
    return {**batch, "index": torch.arange(len(batch["target"]))}


def test_halved_batches_give_the_same_gradient_from_then_on(shared):
    batch = with_index(golden_batch(shared, "image_text"))
    plain = update_gradients(updater_of(golden_model(shared, "image_text").eval()), [batch], 1)
    objective, model = Cramped(label_smoothing=0.1), golden_model(shared, "image_text").eval()
    updater = updater_of(model, objective)
    cramp(model, objective)
    found = update_gradients(updater, [batch], 1)
    assert objective.sizes == [4, 2, 2] and updater.halvings == 1
    assert found.keys() == plain.keys()
    for name, gradient in plain.items():
        torch.testing.assert_close(found[name], gradient, atol=1e-6, rtol=1e-4)
    updater([batch], 2)
    assert objective.sizes == [4, 2, 2, 2, 2]


def test_statistics_move_as_if_the_failed_pass_had_not_been(shared):
    batch = with_index(golden_batch(shared, "image_text"))
    objective, model = Cramped(), golden_model(shared, "image_text").train()
    cramp(model, objective)
    updater = updater_of(model, objective)
    updater([batch], 1)
    twin = golden_model(shared, "image_text").train()
    updater_of(twin, CrossEntropy())([*halves(batch)], 1)
    for name, value in twin.named_buffers():
        torch.testing.assert_close(dict(model.named_buffers())[name], value)


@pytest.mark.parametrize("several", [False, True])
def test_what_cannot_be_halved_ends_with_what_to_do(shared, several):
    objective, model = Cramped(), golden_model(shared, "image_text").eval()
    objective.most = 0
    cramp(model, objective)
    updater = updater_of(model, objective)
    if several:
        updater.processes = Processes(0, 2, torch.device("cpu"))
        updater._normalizers = lambda batches: [1.0]
    words = " of process 0; start .* --resume auto to continue with halved batches.* or lower" if several else "; lower"
    with pytest.raises(OfakitError, match=f"out of memory in step 4{words} train.dataloader.batch_size_per_gpu, or"):
        updater([with_index(golden_batch(shared, "image_text"))], 3)
    assert objective.sizes[-1] == (4 if several else 1)


def test_batches_of_questions_and_passages_are_not_halved():
    passages = {"query": {"input_ids": torch.zeros(2, 3)}, "owner": torch.zeros(5), "index": torch.arange(2)}
    assert halves(passages) is None and halves({"index": torch.arange(1)}) is None


@pytest.mark.parametrize(
    ("error", "full"),
    [
        (torch.OutOfMemoryError("x"), True),
        (MemoryError(), True),
        (RuntimeError("MPS backend out of memory"), True),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: not enough memory: you tried"), True),
        (RuntimeError("size mismatch"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_which_errors_say_that_memory_is_full(error, full):
    assert is_out_of_memory(error) == full


def test_a_run_says_so_and_its_snapshots_remember(experiment, monkeypatch):
    gradients, sizes = Updater.gradients, []

    def cramped(self, batches, step):
        sizes.append(max(len(batch["index"]) for batch in batches))
        if sizes[-1] > 4:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return gradients(self, batches, step)

    monkeypatch.setattr(Updater, "gradients", cramped)
    trainer = trained(experiment(train={"max_steps": 3}))
    assert sizes == [8, 4, 4, 4]
    log = (Path(trainer.work_dir) / "train.log").read_text()
    assert "step 1 ran out of memory: from now on each batch is split into 2 parts" in log
    snapshot = latest_snapshot(Path(trainer.work_dir))
    assert read_plain(snapshot)["batches"] == {"batch_size": 8, "accumulation": 2, "halvings": 1}
    sizes.clear()
    trained(experiment(train={"max_steps": 5}), checkpoint=str(snapshot))
    assert sizes[0] == 4


CRAMPED_FROM_STEP_3 = """
import os, sys
from ofakit.cli._failures import said_of
from ofakit.config import parse_config
from ofakit.trainers.out_of_memory import StepOutOfMemory
from tests.trainers.test_out_of_memory import *

values, begins = json.loads(sys.argv[2]), sys.argv[3] == "begins"
gradients = Updater.gradients

def cramped(self, batches, step):
    if os.environ["RANK"] == "1" and step >= 2 and max(len(batch["index"]) for batch in batches) > 4:
        raise torch.OutOfMemoryError("CUDA out of memory")
    return gradients(self, batches, step)

Updater.gradients = cramped
trainer = Trainer(experiment=parse_config(values), device="cpu")
snapshot = None if begins else str(latest_snapshot(Path(trainer.work_dir)))
try:
    trainer.train(snapshot)
except StepOutOfMemory as error:
    assert begins and "out of memory in step 3 of process 1" in str(error)
    os._exit(0)
except RuntimeError as error:
    assert begins and "another process of the run has exited" in said_of(error)
    os._exit(0)
assert not begins
"""


def test_of_several_processes_one_ends_all_and_all_go_on_with_the_smaller_batch(experiment, tmp_path):
    hooks = [{"type": "SnapshotHook", "save_strategy": "by_step", "interval": 1}]
    train = {"batch_size": "auto", "examples_per_step": 16, "gradient_accumulation": 1, "max_steps": 4, "hooks": hooks}
    config = experiment(train=train)
    for when in ("begins", "goes on"):
        (tmp_path / when).mkdir()
        run_two(CRAMPED_FROM_STEP_3, tmp_path / when, json.dumps(config.model_dump(mode="json")), when)
        assert noted_halvings(Path(config.work_dir)) == 1
    log = (Path(config.work_dir) / "train.log").read_text()
    assert "the run ran out of memory earlier: from now on each batch is split into 2 parts" in log
    state = read_plain(latest_snapshot(Path(config.work_dir)))
    assert (state["iter"], state["batches"]) == (4, {"batch_size": 8, "accumulation": 1, "halvings": 1})


@pytest.mark.parametrize("goes_on", [True, False])
def test_a_run_without_a_snapshot_takes_up_a_note_only_where_it_goes_on(experiment, goes_on):
    trainer = Trainer(experiment=experiment(train={"max_steps": 1}), device="cpu")
    note_halvings(Path(trainer.work_dir), 3, 2)
    trainer.train(goes_on=goes_on)
    assert trainer.updater.halvings == (2 if goes_on else 0)
    assert noted_halvings(Path(trainer.work_dir)) == (2 if goes_on else 0)
    assert noted_halvings(Path(trainer.work_dir) / "earlier" / "1") == 2

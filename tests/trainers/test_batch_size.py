"""The largest batch is found, divided as the configuration wants it, written down, and repeated by a resumed run."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from ofakit.cli._outlook import outlook_lines
from ofakit.config import load_config
from ofakit.config.schema import TrainSection
from ofakit.errors import UsageError
from ofakit.trainers import Trainer, host_memory
from ofakit.trainers import batch_size as module
from ofakit.trainers.batch_size import batches_of_step, largest_batch
from ofakit.trainers.dry_run import dry_run
from ofakit.trainers.state import latest_snapshot
from ofakit.trainers.update import Updater
from pydantic import ValidationError

from tests.trainers.conftest import trained, weights


class Memory:
    """Holds so many examples."""

    def __init__(self, most):
        self.most, self.tried = most, []

    def __call__(self, size):
        self.tried.append(size)
        if size > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory")


@pytest.mark.parametrize("holds", [1, 2, 3, 7, 8, 31, 100, 1000, 5000])
def test_the_largest_batch_is_found_to_an_eighth_in_few_trials(holds):
    memory = Memory(holds)
    found = largest_batch(memory, 3000)
    assert min(holds, 3000) - max(1, found // 8) < found <= min(holds, 3000)
    assert len(memory.tried) < 18 and max(memory.tried) <= 3000


def test_other_errors_are_no_lack_of_memory_and_a_single_example_must_fit():
    with pytest.raises(ZeroDivisionError):
        largest_batch(lambda size: 1 / 0, 10)
    with pytest.raises(UsageError, match="not even a single example fits in memory; set train.recompute"):
        largest_batch(Memory(0), 10)


def test_examples_of_a_step_are_divided_exactly():
    for examples in (1, 7, 24, 60, 256):
        for largest in (1, 5, 9, 300):
            for world_size in (1, 2, 4):
                if examples % world_size:
                    with pytest.raises(UsageError, match="cannot be divided among"):
                        batches_of_step(examples, largest, world_size)
                    continue
                batch, count = batches_of_step(examples, largest, world_size)
                assert batch * count * world_size == examples and batch <= largest


def cramped(monkeypatch, most):
    """Lets no gradient be made of more examples than that; gives the sizes that were tried or trained."""
    gradients, sizes = Updater.gradients, []

    def limited(self, batches, step):
        sizes.append(max(len(batch["index"]) for batch in batches))
        if sizes[-1] > most:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return gradients(self, batches, step)

    monkeypatch.setattr(Updater, "gradients", limited)
    return sizes


def test_a_run_finds_its_batch_writes_it_down_and_a_resumed_one_repeats_it(experiment, monkeypatch):
    auto = {"batch_size": "auto", "examples_per_step": 12}
    config = experiment("auto", train={**auto, "max_steps": 6})
    with monkeypatch.context() as patch:
        sizes = cramped(patch, 5)
        first = trained(config)
        assert sizes[0] == 1 and sizes[-1] == 4 and max(sizes) > 5
    assert "batches of 4 examples (found by trial), 3 a step" in (Path(first.work_dir) / "train.log").read_text()
    assert config.train.batch_size == "auto"  # what the caller has stays as it was
    written = load_config(Path(first.work_dir) / "conf.json").train
    found = written.batch_size, written.dataloader.batch_size_per_gpu, written.gradient_accumulation
    assert found == (None, 4, 3)
    plain = {"dataloader": {"batch_size_per_gpu": 4}, "gradient_accumulation": 3, "max_steps": 6}
    same = trained(experiment("plain", train=plain))
    for name, value in weights(same).items():
        assert torch.equal(value, weights(first)[name]), name
    snapshot = latest_snapshot(Path(first.work_dir))
    resumed = trained(experiment("auto", train={**auto, "max_steps": 7}), checkpoint=str(snapshot))
    assert resumed.experiment.train.dataloader.batch_size_per_gpu == 4 and resumed.iter == 7


def test_a_step_of_so_many_examples_goes_on_in_batches_of_another_size(experiment):
    train = {"examples_per_step": 12, "optimizer": {"lr": 1e-3, "eps": 1e-3}, "max_steps": 4, "freeze": ["visual"]}
    still = {"model": {"config": {"dropout": 0.0}}}
    whole = trained(experiment("whole", train={**train, "dataloader": {"batch_size_per_gpu": 4}}, **still))
    snapshot = Path(whole.work_dir) / "checkpoints" / "step_3"
    other = experiment("other", train={**train, "dataloader": {"batch_size_per_gpu": 6}}, **still)
    resumed = trained(other, checkpoint=str(snapshot))
    assert (resumed.iter, resumed.experiment.train.gradient_accumulation) == (4, 2)
    for name, value in weights(whole).items():
        torch.testing.assert_close(weights(resumed)[name], value, atol=1e-5, rtol=1e-5, msg=name)


def test_a_dry_run_says_what_would_be_tried(experiment, monkeypatch):
    monkeypatch.setattr(module, "available_memory", lambda: 90 * 2**20)
    config = experiment("auto", train={"batch_size": "auto", "gradient_accumulation": 2, "max_steps": 1})
    outlook = dry_run(config, "cpu")
    found, tried = outlook["batch_size"], outlook["would_try"]
    assert tried[:2] == [1, 2] and found in tried and max(tried) > found
    assert outlook["examples_per_step"] == 2 * found and outlook["memory"]["activations_bytes"] > 0
    assert f"would try batches of 1, 2, {tried[2]}, " in "\n".join(outlook_lines(outlook))
    taken = trained(config).experiment.train.dataloader.batch_size_per_gpu
    assert abs(taken - found) <= max(1, taken // 4)


def test_trying_leaves_model_and_random_numbers_as_they_were(experiment, monkeypatch):
    seen = []
    found = module.find_batch_size

    def watched(loading, *others):
        before = {name: value.clone() for name, value in loading.bundle.model.state_dict().items()}
        chance = torch.get_rng_state()
        size = found(loading, *others)
        after = loading.bundle.model.state_dict()
        seen.append(size)
        assert all(torch.equal(value, after[name]) for name, value in before.items())
        assert torch.equal(chance, torch.get_rng_state())
        assert all(weight.grad is None for weight in loading.bundle.model.parameters())
        return size

    monkeypatch.setattr("ofakit.trainers.trainer.find_batch_size", watched)
    trained(experiment(train={"batch_size": "auto", "gradient_accumulation": 1, "max_steps": 1}))
    assert seen[0] > 8


def test_on_a_cpu_what_is_available_decides(experiment, monkeypatch):
    sizes = {}
    for mebibytes in (60, 90):
        monkeypatch.setattr(module, "available_memory", lambda size=mebibytes: size * 2**20)
        config = experiment(f"with_{mebibytes}", train={"batch_size": "auto", "max_steps": 1})
        sizes[mebibytes] = trained(config).experiment.train.dataloader.batch_size_per_gpu
    assert 1 <= sizes[60] < sizes[90]
    monkeypatch.setattr(module, "available_memory", lambda: None)
    with pytest.raises(UsageError, match="the available memory cannot be determined here"):
        trained(experiment("untold", train={"batch_size": "auto", "max_steps": 1}))


@pytest.mark.parametrize(
    ("examples", "message"), [(20, "not a multiple of 1 x dataloader.batch_size_per_gpu 8; use 5")]
)
def test_examples_of_a_step_that_do_not_fit_the_batch_are_refused(experiment, examples, message):
    with pytest.raises(UsageError, match=message):
        Trainer(experiment=experiment(train={"examples_per_step": examples}), device="cpu")


def test_a_number_in_its_place_is_sent_to_where_numbers_stand():
    with pytest.raises(ValidationError, match="expected auto or null, found 32; set a number as dataloader.batch_size"):
        TrainSection(batch_size=32)


def test_examples_of_a_step_make_the_accumulation(experiment):
    trainer = Trainer(experiment=experiment(train={"examples_per_step": 32}), device="cpu")
    assert trainer.experiment.train.gradient_accumulation == 4


def test_the_memory_of_a_container_counts(tmp_path):
    (tmp_path / "meminfo").write_text("MemTotal: 100 kB\nMemAvailable:   40 kB\n")
    assert host_memory.available_memory(tmp_path / "meminfo", tmp_path) == 40 * 1024
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "memory.current").write_text("2000\n")
    assert host_memory.available_memory(tmp_path / "meminfo", tmp_path) == 40 * 1024
    (tmp_path / "memory.max").write_text("12000\n")
    assert host_memory.available_memory(tmp_path / "meminfo", tmp_path) == 10_000
    assert host_memory.available_memory(tmp_path / "none", tmp_path) is None

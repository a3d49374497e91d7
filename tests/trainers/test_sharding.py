"""Divided weights: the gradient of the joined batch, runs that go on with more or fewer processes, whole models."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from ofakit.config.component import Component
from ofakit.errors import UsageError
from ofakit.hub import load_bundle
from ofakit.models.gradient_checkpointing import recompute_layers
from ofakit.objectives.cross_entropy import CrossEntropy
from ofakit.processes import Processes
from ofakit.trainers import Trainer
from ofakit.trainers.optimization import build_optimizer
from ofakit.trainers.parts_of_tensors import whole
from ofakit.trainers.sharding import Sharding
from ofakit.trainers.state import latest_snapshot, read_plain
from ofakit.trainers.update import Updater, WeightedObjectives
from safetensors.torch import load_file

from tests.models.encoders.kinds import SMALL_BERT
from tests.models.ofa.small import build
from tests.tasks.small_retrieval import small_config
from tests.trainers.conftest import merged, trained, weights
from tests.trainers.test_update import ONE, OptimizerSection, model_and_batch, slices
from tests.two_processes import ENDED, run_two

KINDS = ("grad", "full")
CASES = [(kind, again, apart) for kind in KINDS for again, apart in ((False, False), (True, True))]


class Apart(CrossEntropy):
    """Uses a weight outside of the layers, and one that is not divided, for the first example alone."""

    def __call__(self, model, batch, normalizer, step):
        loss, logs = super().__call__(model, batch, normalizer, step)
        if (batch["index"] == 0).any():
            extra = model.decoder.embed_image_positions.weight[3].sum() + model.encoder.pos_ln.bias.square().sum()
            loss = loss + extra / normalizer
        return loss, logs


def learnt(shared, processes, kind=None, again=False, apart=False, clip_norm=None):
    """Gradients, weights and numbers of a step of two micro-batches, in double precision."""
    model, batch = model_and_batch(shared, "image_text", "double")
    batch["index"] = torch.arange(4)
    if again:
        recompute_layers(model)
    module = WeightedObjectives(model, {"loss": (Apart if apart else CrossEntropy)(label_smoothing=0.1)}, [1.0], "fp32")
    of_losses = ["encoder.pos_ln.bias"]
    sharding = None if kind is None else Sharding(module, kind, processes, of_losses)
    optimizer = build_optimizer(model, OptimizerSection(lr=1e-3), of_losses)
    scheduler = torch.optim.lr_scheduler.ConstantLR(optimizer, 1.0)
    updater = Updater(module, optimizer, scheduler, processes, clip_norm, 3, sharding)
    found = {}

    def keep(*_):
        named = model.named_parameters()
        found["gradients"] = {name: whole(weight.grad).clone() for name, weight in named if weight.grad is not None}

    optimizer.register_step_pre_hook(keep)
    if processes.world_size == 1:
        mine = slices(batch, 0, 2, 4)
    else:
        parts = slices(batch, 0, 1, 2, 3, 4)
        mine = [parts[processes.rank], parts[2 + processes.rank]]
    logs = updater(mine, 0)
    after = {name: whole(value.detach()).clone() for name, value in model.named_parameters()}
    return {**found, "logs": logs, "weights": after, "buffers": dict(model.named_buffers())}


GRADIENTS = """
import sys
from pathlib import Path
from tests.trainers.test_sharding import *
from ofakit.processes import join_processes

folder, shared = map(Path, sys.argv[1:])
processes = join_processes("cpu")
for number, (kind, again, apart) in enumerate(CASES):
    found = learnt(shared, processes, kind, again, apart, 0.5 if again else None)
    if processes.is_main:
        torch.save(found, folder / f"{number}.pt")
"""


@pytest.fixture(scope="module")
def of_two(shared, tmp_path_factory):
    folder = tmp_path_factory.mktemp("two")
    run_two(GRADIENTS, folder, shared)
    return folder


@pytest.mark.parametrize("number", range(len(CASES)))
def test_two_processes_give_the_gradient_of_the_joined_batch(shared, of_two, number):
    kind, again, apart = CASES[number]
    two = torch.load(of_two / f"{number}.pt", weights_only=True)
    one = learnt(shared, ONE, None, False, apart, 0.5 if again else None)
    assert two["gradients"].keys() == one["gradients"].keys() and len(one["gradients"]) > 50
    for name in ("gradients", "weights", "buffers"):
        for key, value in one[name].items():
            assert torch.allclose(two[name][key], value, atol=1e-9, rtol=1e-6), (kind, name, key)
    assert two["logs"]["grad_norm"] == pytest.approx(one["logs"]["grad_norm"], rel=1e-9)
    assert two["logs"]["loss"] == pytest.approx(one["logs"]["loss"], rel=1e-6)


PLAIN = {
    "model": {"config": {"dropout": 0.0}},
    "train": {
        "optimizer": {"lr": 1e-3, "eps": 1e-3},
        "gradient_accumulation": 1,
        "max_steps": 6,
        "freeze": ["visual"],
        "ema": {"decay": 0.5},
        "hooks": [
            {"type": "EvaluationHook", "interval": 1},
            {"type": "BestSnapshotHook"},
            {"type": "SnapshotHook", "save_strategy": "by_step", "interval": 3, "max_checkpoint_num": None},
        ],
    },
}
"""In single precision and with AdamW: dropout, which processes draw apart, and moments near 0 would drown the rest."""

RUNS = """
import sys
from ofakit.config import parse_config
from tests.trainers.test_sharding import *

for values, snapshot in json.loads(sys.argv[2]):
    trained(parse_config(values), checkpoint=snapshot)
"""


def settings(experiment, name, processes, **train):
    batch = {"dataloader": {"batch_size_per_gpu": 8 // processes}}
    return experiment(name, **merged(json.loads(json.dumps(PLAIN)), {"train": {**batch, **train}}))


def run_on_two(tmp_path, *runs):
    folder = tmp_path / "script"
    folder.mkdir()
    written = [(config.model_dump(mode="json"), None if start is None else str(start)) for config, start in runs]
    run_two(RUNS, folder, json.dumps(written), leave=ENDED)


def assert_near(one, other):
    for name in ("output", "best"):
        ours, theirs = (load_bundle(Path(run.work_dir) / name).model.state_dict() for run in (one, other))
        assert ours.keys() == theirs.keys()
        for key, value in ours.items():
            torch.testing.assert_close(theirs[key], value, atol=1e-5, rtol=1e-5, msg=f"{name}: {key}")


def test_runs_go_on_with_more_and_with_fewer_processes(experiment, tmp_path):
    one = settings(experiment, "one", 1)
    trained(one)
    half_of_one = Path(one.work_dir) / "checkpoints" / "step_3"
    two = settings(experiment, "two", 2, sharding="full")
    grown = settings(experiment, "grown", 2, sharding="grad")
    run_on_two(tmp_path, (two, None), (grown, half_of_one))
    shrunk = settings(experiment, "shrunk", 1)
    half_of_two = Path(two.work_dir) / "checkpoints" / "step_3"
    trained(shrunk, checkpoint=str(half_of_two))
    for other in (two, grown, shrunk):
        assert_near(one, other)
    files = [sorted(path.name for path in folder.iterdir()) for folder in (half_of_one, half_of_two)]
    assert files[0] == files[1] and {"model.safetensors", "state.safetensors"} < {*files[0]}
    assert latest_snapshot(Path(two.work_dir)).name == "step_6"
    scores = [json.loads((Path(run.work_dir) / "eval" / "val.json").read_text()) for run in (one, two)]
    assert scores[0].keys() == scores[1].keys() and scores[1]["captions"] == scores[0]["captions"]


def test_captions_that_the_model_writes_and_losses_of_joined_batches_are_learnt_alike(experiment, tmp_path):
    """Two processes with divided weights end where two with all of them do."""
    train = {"max_steps": 2, "hooks": [], "freeze": [], "recompute": True}
    runs = {}
    for kind in ("none", "full"):
        written = settings(experiment, f"written_{kind}", 2, sharding=kind, **train)
        written.data.val = None
        written.objectives = [Component(type="scst", sample=True), Component(type="cross_entropy")]
        retriever = small_config(
            tmp_path / f"retriever_{kind}",
            tmp_path / "base",
            data={"val": None},
            objectives=[{"type": "contrastive", "loss": "clip"}, {"type": "contrastive", "name": "dpr"}],
            train={**PLAIN["train"], **train, "sharding": kind, "dataloader": {"batch_size_per_gpu": 4}},
        )
        retriever.model.config = {"encoder": {**SMALL_BERT, "projection": 8, "max_length": 16}}
        runs[kind] = written, retriever
    run_on_two(tmp_path, *((config, None) for pair in runs.values() for config in pair))
    for plain, divided in zip(*runs.values(), strict=True):
        one, other = (
            load_file(Path(run.work_dir) / "checkpoints" / "step_2" / "model.safetensors") for run in (plain, divided)
        )
        assert one.keys() == other.keys() and len(one) > 20
        for key, value in one.items():
            torch.testing.assert_close(other[key], value, atol=1e-5, rtol=1e-5, msg=key)


def test_a_batch_of_another_size_over_all_processes_is_refused(experiment):
    half_of_one = trained(settings(experiment, "one", 1, max_steps=3))
    snapshot = latest_snapshot(Path(half_of_one.work_dir))
    assert "the number of processes" not in read_plain(snapshot)["fixed"]
    other = settings(experiment, "other", 2, max_steps=6)
    with pytest.raises(UsageError, match="global_batch_size = 8, found 4 now"):
        trained(other, checkpoint=str(snapshot))


def test_one_process_divides_nothing(experiment):
    trainer = trained(settings(experiment, "one", 1, max_steps=1, sharding="full"))
    assert trainer.sharding is None and weights(trainer)


def test_what_cannot_be_divided_is_refused(experiment):
    two = Processes(0, 2, torch.device("cpu"))
    for key in ("encoder_layerdrop", "decoder_layerdrop"):
        module = WeightedObjectives(build(**{key: 0.1}), {}, [], "fp32")
        with pytest.raises(UsageError, match=f"every process must run every layer, but the model's {key} skips"):
            Sharding(module, "full", two)
    trainer = Trainer(experiment=settings(experiment, "half", 1, precision="fp16"), device="cpu")
    with pytest.raises(UsageError, match="fp16 loss scaling does not work with sharding; choose bf16 or fp32"):
        trainer._refuse_to_shard(None)
    trainer.experiment.train.precision = "bf16"
    with pytest.raises(UsageError, match="the trainer must make the optimizer"):
        trainer._refuse_to_shard(object())

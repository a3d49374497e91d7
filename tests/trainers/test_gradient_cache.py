"""A loss over the joined batch has the gradient of one process that holds it all, dropout masks included."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from ofakit.models.ofa import OFAConfig, OFAModel
from ofakit.models.precision import autocast
from ofakit.objectives.base import JoinedObjective
from ofakit.objectives.cross_entropy import CrossEntropy
from ofakit.trainers.gradient_cache import _generators, _generators_at, joined_loss
from torch.nn.utils.rnn import pad_sequence

from tests.device_scripts import NEEDS_DEVICE, run_script
from tests.two_processes import ONE, plain_updater, run_two, update_gradients

CONFIG = {
    "vocab_size": 60, "d_model": 16, "encoder_layers": 2, "decoder_layers": 1, "encoder_attention_heads": 2,
    "decoder_attention_heads": 2, "encoder_ffn_dim": 32, "decoder_ffn_dim": 32, "use_image_feature": False,
    "token_bucket_size": 16, "max_position_embeddings": 32, "init_std": 0.2,
}  # fmt: skip
CUTS = {"whole": [32], "micro": [4] * 8, "uneven": [20, 12]}


class InBatch(JoinedObjective):
    """Each text shall find the one with its number among all texts of the joined batch; it never finds itself."""

    def represent(self, model, batch):
        encoded = model.encode(input_ids=batch["input_ids"])
        there = ~encoded.padding_mask[..., None]
        pooled = (encoded.last_hidden_state * there).sum(1) / there.sum(1)
        return {"text": pooled, "number": batch["number"]}

    def loss(self, representations):
        text, number = representations["text"], representations["number"]
        similarity = (text @ text.t()).fill_diagonal_(-torch.inf)
        same = (number[:, None] == number).fill_diagonal_(False)
        loss = -similarity.log_softmax(-1)[same].mean()
        return loss, {"texts": len(text)}


def model_of(dropout=0.0, dtype=torch.float32):
    torch.manual_seed(0)
    return OFAModel(OFAConfig(**CONFIG, dropout=dropout)).to(dtype).train()


def batches_of(counts, device="cpu"):
    """The same 32 texts of different lengths, two of each number, cut into batches that are padded by themselves."""
    generator = torch.Generator().manual_seed(1)
    lengths = torch.randint(3, 20, (32,), generator=generator).tolist()
    texts = [torch.randint(4, 60, (n,), generator=generator) for n in lengths]
    numbers = torch.arange(16).repeat(2)
    batches, start = [], 0
    for count in counts:
        ids = pad_sequence(texts[start : start + count], True, 1)
        batches.append({"input_ids": ids.to(device), "number": numbers[start : start + count].to(device)})
        start += count
    return batches


def gradients_of(counts, dtype):
    updater = plain_updater(model_of(dtype=dtype), {"in_batch": InBatch()}, [1.0], ONE)
    return update_gradients(updater, batches_of(counts), 0)


def apart_as_a_whole(found, wanted):
    """The relative difference of the gradient, for half precision, where that of a small part of it is but rounding."""
    found, wanted = (torch.cat([gradients[name].flatten() for name in wanted]) for gradients in (found, wanted))
    return ((found - wanted).norm() / wanted.norm()).item()


def apart(found, wanted):
    """The largest relative difference of a parameter's gradient.

    The bias of a key projection has no gradient but rounding, so that one is measured by the whole gradient's norm.
    """
    assert found.keys() == wanted.keys() and len(wanted) > 20
    least = 1e-3 * torch.cat([gradient.flatten() for gradient in wanted.values()]).norm()
    return max(
        ((found[name] - gradient).norm() / gradient.norm().clamp(min=least)).item() for name, gradient in wanted.items()
    )


LIMITS = {torch.float32: 1e-5, torch.float64: 1e-12}


@pytest.mark.parametrize("dtype", LIMITS)
@pytest.mark.parametrize("cut", ["micro", "uneven"])
def test_micro_batches_give_the_gradient_of_the_whole(cut, dtype):
    model, (batch,) = model_of(dtype=dtype), batches_of(CUTS["whole"])
    loss, _ = InBatch()(model, batch, 1, 0)
    loss.backward()
    wanted = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    assert apart(gradients_of(CUTS["whole"], dtype), wanted) < LIMITS[dtype]
    assert apart(gradients_of(CUTS[cut], dtype), wanted) < LIMITS[dtype]


TWO_PROCESSES = """
import sys
from types import SimpleNamespace
from pathlib import Path
from ofakit.processes import join_processes
from tests.trainers.test_gradient_cache import *

folder = Path(sys.argv[1])
processes = join_processes("cpu")
for dtype in LIMITS:
    updater = plain_updater(model_of(dtype=dtype), {"in_batch": InBatch()}, [1.0], processes)
    cut = [16, 16] if dtype == torch.float32 else [5, 11, 9, 7]
    half = len(cut) // 2
    mine = batches_of(cut)[half * processes.rank :][:half]
    found = update_gradients(updater, mine, 0)
    if processes.is_main:
        torch.save(found, folder / f"{dtype}.pt".replace("torch.", ""))
"""


def test_two_processes_give_the_gradient_of_the_whole(tmp_path):
    run_two(TWO_PROCESSES, tmp_path)
    for dtype, limit in LIMITS.items():
        two = torch.load(tmp_path / f"{dtype}.pt".replace("torch.", ""), weights_only=True)
        assert apart(two, gradients_of(CUTS["whole"], dtype)) < limit


def gradients_under_masks(device, precision, cached, dtype=torch.float32):
    """With dropout: through the cache, or through one graph over all micro-batches with the same masks."""
    model, batches, objective = model_of(0.3, dtype).to(device), batches_of(CUTS["micro"], device), InBatch()
    torch.manual_seed(5)
    if cached:
        found = joined_loss(objective, model, batches, ONE, precision)
        for batch, replay in zip(batches, found.replays, strict=True):
            with autocast(device, precision):
                surrogate = replay.surrogate(objective, model, batch)
            surrogate.backward()
    else:
        with autocast(device, precision):
            parts = [objective.represent(model, batch) for batch in batches]
        joined = {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
        objective.loss({**joined, "text": joined["text"].to(dtype)})[0].backward()
    return {name: p.grad.to("cpu") for name, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize(
    ("precision", "dtype", "limit"),
    [("fp32", torch.float32, 1e-5), ("fp32", torch.float64, 1e-12), ("bf16", torch.float32, 1e-2)],
)
def test_the_second_pass_has_the_masks_of_the_first(precision, dtype, limit):
    cached, wanted = (gradients_under_masks("cpu", precision, through, dtype) for through in (True, False))
    assert (apart_as_a_whole if precision == "bf16" else apart)(cached, wanted) < limit


ELSEWHERE = """
import json, torch
from tests import pretended_device
from tests.trainers.test_gradient_cache import *

print(json.dumps({
    precision: measure(*(gradients_under_masks("sim", precision, cached) for cached in (True, False)))
    for precision, measure in (("fp32", apart), ("bf16", apart_as_a_whole))
}))
"""


@NEEDS_DEVICE
def test_on_another_device_too():
    found = run_script(ELSEWHERE)
    assert found["fp32"] < 1e-5 and found["bf16"] < 2e-2


def test_random_numbers_go_on_behind_the_first_pass():
    model, batches = model_of(0.3), batches_of([16, 16])
    torch.manual_seed(5)
    found = joined_loss(InBatch(), model, batches, ONE)
    after = torch.get_rng_state()
    found.replays[0].surrogate(InBatch(), model, batches[0])
    assert torch.equal(torch.get_rng_state(), after)


def test_beside_an_objective_of_examples_each_has_its_share():
    def both(counts):
        model = model_of(dtype=torch.float64)
        batches = batches_of(counts)
        for batch in batches:
            batch |= {"target": batch["input_ids"], "decoder_input_ids": batch["input_ids"]}
        updater = plain_updater(model, {"cross_entropy": CrossEntropy(0.0), "in_batch": InBatch()}, [1.0, 0.5], ONE)
        return update_gradients(updater, batches, 0), updater(batches, 0)

    (whole, logs), (parts, _) = both(CUTS["whole"]), both(CUTS["micro"])
    assert apart(parts, whole) < 1e-12
    assert logs["in_batch/texts"] == 32
    assert logs["loss"] == pytest.approx(logs["cross_entropy/loss"] + 0.5 * logs["in_batch/loss"])


class Counting(InBatch):
    """Logs a pair, which is a mean."""

    def loss(self, representations):
        return super().loss(representations)[0], {"share": (torch.tensor(3.0), 4), "texts": 32}


def test_a_pair_in_its_logs_is_a_mean():
    alone = plain_updater(model_of(), {"in_batch": Counting()}, [2.0], ONE)(batches_of(CUTS["micro"]), 0)
    value = InBatch()(model_of(), batches_of(CUTS["whole"])[0], 1, 0)[0].item()
    assert (alone["share"], alone["texts"]) == (0.75, 32) and alone["loss"] == pytest.approx(2 * value, rel=1e-5)


def test_two_of_them_share_the_gradient_by_their_weights():
    one, two = (
        update_gradients(plain_updater(model_of(dtype=torch.float64), named, weights, ONE), batches_of([20, 12]), 0)
        for named, weights in (({"a": InBatch()}, [1.5]), ({"a": InBatch(), "b": InBatch()}, [1.0, 0.5]))
    )
    assert apart(two, one) < 1e-12


class Nothing(InBatch):
    """Finds nothing to compare."""

    def loss(self, representations):
        return torch.zeros(()), {}


@pytest.mark.parametrize("why", ["frozen", "nothing to compare"])
def test_what_teaches_nothing_leaves_the_rest_to_the_others(why):
    def gradients_beside(**joined):
        model, batches = model_of(dtype=torch.float64), batches_of([20, 12])
        if why == "frozen":
            model.freeze(["encoder", "embeddings"])
        for batch in batches:
            batch |= {"target": batch["input_ids"], "decoder_input_ids": batch["input_ids"]}
        objectives = {"cross_entropy": CrossEntropy(0.0), **joined}
        return update_gradients(plain_updater(model, objectives, [1.0] * len(objectives), ONE), batches, 0)

    alone = gradients_beside()
    both = gradients_beside(in_batch=InBatch() if why == "frozen" else Nothing())
    assert both.keys() == alone.keys() and len(alone) > 10
    assert all(torch.equal(both[name], gradient) for name, gradient in alone.items())


def test_a_step_with_nothing_to_compare_is_one_that_changes_nothing():
    model = model_of()
    before = model.output_embedding.clone()
    logs = plain_updater(model, {"in_batch": Nothing()}, [1.0], ONE)(batches_of(CUTS["micro"]), 0)
    assert (logs["loss"], logs["grad_norm"]) == (0.0, 0.0) and torch.equal(model.output_embedding, before)


class Broken(InBatch):
    def loss(self, representations):
        loss, logs = super().loss(representations)
        return loss * torch.nan, logs


def test_a_loss_that_is_not_finite_changes_nothing():
    model = model_of()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    updater = plain_updater(model, {"in_batch": Broken()}, [1.0], ONE)
    updater(batches_of(CUTS["micro"]), 0)
    assert updater.bad_steps == 1
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


class Statistics(InBatch):
    """Has a batch normalisation run beside it, whose statistics would show a second pass."""

    def __init__(self, norm):
        self.norm = norm

    def represent(self, model, batch):
        found = super().represent(model, batch)
        return {**found, "text": self.norm(found["text"])}


def test_running_statistics_move_once_a_step():
    model = model_of()
    model.norm = torch.nn.BatchNorm1d(16)
    updater = plain_updater(model, {"in_batch": Statistics(model.norm)}, [1.0], ONE)
    updater(batches_of(CUTS["micro"]), 0)
    assert int(model.norm.num_batches_tracked) == 8


def test_one_piece_on_one_process_needs_one_pass():
    passes = []

    class Counted(InBatch):
        def represent(self, model, batch):
            passes.append(torch.is_grad_enabled())
            return super().represent(model, batch)

    model = model_of()
    model.norm = torch.nn.BatchNorm1d(16)
    for counts, expected in (([32], [True]), ([16, 16], [False, False, True, True])):
        passes.clear()
        plain_updater(model, {"in_batch": Counted()}, [1.0], ONE)(batches_of(counts), 0)
        assert passes == expected
    updater = plain_updater(model, {"in_batch": Statistics(model.norm)}, [1.0], ONE)
    updater(batches_of([32]), 0)
    assert int(model.norm.num_batches_tracked) == 1


def test_the_generator_of_a_mac_is_set_back_too(monkeypatch):
    mac = SimpleNamespace(parameters=lambda: iter([SimpleNamespace(device=torch.device("mps"))]))
    now, given = ["first"], []
    monkeypatch.setattr(torch.mps, "get_rng_state", lambda: now[0])
    monkeypatch.setattr(torch.mps, "set_rng_state", given.append)
    states = _generators(mac)
    drawn = torch.rand(3)
    now[0] = "later"
    with pytest.raises(RuntimeError), _generators_at(states, mac):
        assert torch.equal(torch.rand(3), drawn) and given == ["first"]
        raise RuntimeError
    assert given == ["first", "later"] and not torch.equal(torch.rand(3), drawn)

"""Cross entropy beside a plain implementation of its formulas, and beside twenty steps of the stock criterion."""

import json
import pickle
import subprocess
import sys

import pytest
import torch
from ofakit.errors import UsageError
from ofakit.models.ofa import OFAConfig, OFAModel
from ofakit.objectives import OBJECTIVES, _projection
from ofakit.objectives.cross_entropy import CrossEntropy, label_smoothed_cross_entropy, r_drop_loss, token_losses
from safetensors.torch import load_file
from torch.nn import functional as F


def problem(tokens=7, vocabulary=11, width=5, dtype=torch.float64, seed=0):
    generator = torch.Generator().manual_seed(seed)
    hidden = torch.randn(tokens, width, generator=generator, dtype=dtype, requires_grad=True)
    weight = torch.randn(vocabulary, width, generator=generator, dtype=dtype, requires_grad=True)
    return hidden, weight, torch.randint(0, vocabulary, (tokens,), generator=generator)


def plain(hidden, weight, target, epsilon):
    log_p = F.log_softmax(hidden @ weight.t(), -1)
    nll = -log_p.gather(-1, target[:, None])[:, 0]
    each = epsilon / (log_p.shape[-1] - 1)
    return (1 - epsilon - each) * nll - each * log_p.sum(-1), nll, log_p


@pytest.fixture(params=[1, 3, 1000], ids=["a row at a time", "chunks", "whole"])
def chunks(request, monkeypatch):
    monkeypatch.setattr(_projection, "CHUNK_NUMBERS", {"cpu": 11 * request.param})


@pytest.mark.parametrize("epsilon", [0.0, 0.1])
def test_loss_and_gradient_are_those_of_the_formula(epsilon, chunks):
    hidden, weight, target = problem()
    loss, nll = label_smoothed_cross_entropy(hidden, weight, target, epsilon, 0.25)
    expected, expected_nll, _ = plain(hidden, weight, target, epsilon)
    torch.testing.assert_close(loss, expected.sum() / 4)
    torch.testing.assert_close(nll, expected_nll.sum() / 4)
    found = torch.autograd.grad(loss * 3, (hidden, weight))
    torch.testing.assert_close(found, torch.autograd.grad(expected.sum() * 0.75, (hidden, weight)))
    each, each_nll = token_losses(hidden, weight, target, epsilon)
    torch.testing.assert_close(each, expected.detach())
    torch.testing.assert_close(each_nll, expected_nll.detach())


def test_gradcheck(chunks):
    hidden, weight, target = problem(tokens=4)
    assert torch.autograd.gradcheck(lambda h, w: label_smoothed_cross_entropy(h, w, target, 0.1)[0], (hidden, weight))
    other = problem(tokens=4, seed=1)[0]
    assert torch.autograd.gradcheck(
        lambda a, b, w: r_drop_loss(a, b, w, target, 0.1, 0.7)[0], (hidden, other, weight), atol=1e-4
    )


def test_r_drop_is_that_of_the_formula(chunks):
    hidden, weight, target = problem()
    other = problem(seed=1)[0]
    loss, nll = r_drop_loss(hidden, other, weight, target, 0.1, 2.0, 0.5)
    (one, one_nll, p), (two, two_nll, q) = plain(hidden, weight, target, 0.1), plain(other, weight, target, 0.1)
    kl = F.kl_div(p, q.exp(), reduction="sum") + F.kl_div(q, p.exp(), reduction="sum")
    torch.testing.assert_close(loss, (one.sum() + two.sum() + 2.0 * kl / 2) / 2)
    torch.testing.assert_close(nll, (one_nll.sum() + two_nll.sum()) / 2)


def test_without_a_target_the_loss_is_zero():
    hidden, weight, target = problem(tokens=0)
    loss, _ = label_smoothed_cross_entropy(hidden, weight, target, 0.1)
    loss.backward()
    assert loss == 0 and weight.grad.abs().max() == 0


def test_no_gradient_is_computed_when_none_is_wanted():
    hidden, weight, target = problem()
    with torch.no_grad():
        loss, _ = label_smoothed_cross_entropy(hidden, weight, target, 0.1)
    assert not loss.requires_grad
    frozen = weight.detach()
    label_smoothed_cross_entropy(hidden, frozen, target, 0.1)[0].backward()
    assert hidden.grad is not None and frozen.grad is None


def golden(shared, name):
    folder = shared / "golden" / "ofa_training" / name
    if not folder.exists():
        pytest.skip(f"no golden case {folder}")
    return json.loads((folder / "expected.json").read_text()), load_file(folder / "batches.safetensors")


def stock_model(shared, case):
    folder = shared / "golden" / "ofa" / case
    model = OFAModel(OFAConfig(**json.loads((folder / "expected.json").read_text())["config"]))
    model.load_stock_state_dict({k: v.float() for k, v in load_file(folder / "weights_fp16.safetensors").items()})
    return model


def batch_of(batches, number):
    names = ("input_ids", "decoder_input_ids", "target", "patch_images")
    batch = {name: batches[f"{name}.{number}"] for name in names}
    batch["patch_images"] = batch["patch_images"].float()
    batch["patch_masks"] = torch.ones(len(batch["target"]), dtype=torch.bool)
    return batch


@pytest.mark.parametrize("name", ["training_plain", "training_drop_worst"])
def test_twenty_steps_follow_the_stock_criterion(shared, name):
    expected, batches = golden(shared, name)
    model = stock_model(shared, expected["start_from"]).train()
    objective = OBJECTIVES.build({"type": "cross_entropy", **expected["criterion"]})
    settings = {k: v for k, v in expected["optimizer"].items() if k != "type"}
    optimizer = torch.optim.AdamW(model.parameters(), **settings)
    for step, rate in enumerate(expected["lr"]):
        optimizer.param_groups[0]["lr"] = rate
        batch = batch_of(batches, step % 4)
        loss, logs = objective(model, batch, objective.normalizer(batch), step)
        assert loss.item() == pytest.approx(expected["loss"][step], abs=1e-3), step
        if "drop" not in name:
            assert logs["nll"].item() == pytest.approx(expected["nll"][step], abs=1e-3), step
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), expected["clip"])
        assert norm.item() == pytest.approx(expected["grad_norm_before_clip"][step], rel=1e-2), step
        optimizer.step()
        optimizer.zero_grad()


def small_model(**keys):
    torch.manual_seed(0)
    sizes = {"d_model": 32, "encoder_layers": 1, "decoder_layers": 1, "encoder_ffn_dim": 64, "decoder_ffn_dim": 64}
    heads = {"encoder_attention_heads": 4, "decoder_attention_heads": 4, "vocab_size": 60, "use_image_feature": False}
    return OFAModel(OFAConfig(**sizes, **heads, **{"dropout": 0.0, **keys}))


def text_batch(size=4, length=6):
    generator = torch.Generator().manual_seed(3)
    target = torch.randint(4, 60, (size, length), generator=generator)
    target[0, 4:] = 1
    previous = torch.cat([torch.zeros(size, 1, dtype=torch.long), target[:, :-1]], 1)
    source = torch.randint(4, 60, (size, 5), generator=generator)
    return {"input_ids": source, "decoder_input_ids": previous, "target": target}


@pytest.mark.parametrize("alpha", [0.0, 0.5])
def test_micro_batches_add_up_to_the_joined_batch(alpha):
    model, batch, objective = small_model(), text_batch(), CrossEntropy(r_drop_alpha=alpha)
    count = objective.normalizer(batch)
    objective(model, batch, count, 0)[0].backward()
    whole = [p.grad.clone() for p in model.parameters() if p.grad is not None]
    model.zero_grad()
    for rows in (slice(0, 1), slice(1, 4)):
        objective(model, {k: v[rows] for k, v in batch.items()}, count, 0)[0].backward()
    parts = [p.grad for p in model.parameters() if p.grad is not None]
    torch.testing.assert_close(parts, whole, atol=1e-6, rtol=1e-5)


def test_r_drop_runs_two_passes_with_their_own_dropout():
    model, batch = small_model(dropout=0.3).train(), text_batch()
    torch.manual_seed(0)
    plain_loss = CrossEntropy()(model, batch, 20, 0)[0]
    torch.manual_seed(0)
    assert CrossEntropy(r_drop_alpha=5.0)(model, batch, 20, 0)[0] > plain_loss + 0.01


@pytest.mark.parametrize("ratio", [0.0, 0.25])
@pytest.mark.parametrize("alpha", [0.0, 2.0])
def test_the_objective_is_that_of_the_formula(alpha, ratio):
    """The mean over the tokens that stay, those with the best smoothed loss, plus alpha times the divergences' sum."""
    model, batch, epsilon = small_model(dropout=0.3, init_std=0.5).train(), text_batch(), 0.9
    passes = 2 if alpha else 1
    objective = CrossEntropy(epsilon, drop_worst_ratio=ratio, r_drop_alpha=alpha)
    there = batch["target"] != 1
    torch.manual_seed(0)
    loss, logs = objective(model, batch, objective.normalizer(batch), 1)
    torch.manual_seed(0)
    ids = {name: torch.cat([batch[name]] * passes) for name in ("input_ids", "decoder_input_ids")}
    states = model.decode(ids["decoder_input_ids"], model.encode(ids["input_ids"])).chunk(passes)
    found = [plain(of[there], model.output_embedding, batch["target"][there], epsilon) for of in states]
    count = int(there.sum() * (1 - ratio))
    best = found[0][0].topk(count, largest=False).indices
    assert not ratio or set(best.tolist()) != set(found[0][1].topk(count, largest=False).indices.tolist())
    expected = sum(smoothed[best].mean() for smoothed, _, _ in found) / passes
    if alpha:
        p, q = (log_p[best] for _, _, log_p in found)
        expected += alpha * (F.kl_div(p, q.exp(), reduction="sum") + F.kl_div(q, p.exp(), reduction="sum")) / 2
    torch.testing.assert_close(loss, expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(logs["nll"], sum(nll[best].mean() for _, nll, _ in found) / passes)


def test_dropping_the_worst_waits_for_its_step():
    model, batch = small_model(), text_batch()
    objective = CrossEntropy(drop_worst_ratio=0.5, drop_worst_after=10)
    before, after = (objective(model, batch, objective.normalizer(batch), step)[0] for step in (10, 11))
    assert before == CrossEntropy()(model, batch, objective.normalizer(batch), 0)[0]
    assert after < before


SCRIPT = """
import sys, torch, torch.distributed as dist
from ofakit.objectives.cross_entropy import best_tokens
rank = int(sys.argv[1])
dist.init_process_group("gloo", init_method="file://" + sys.argv[2], rank=rank, world_size=2)
losses = [torch.tensor([5.0, 1.0, 4.0]), torch.tensor([2.0, 9.0])][rank]
kept, share = best_tokens(losses, 0.4)
print(sorted(kept.tolist()), share)
"""


def test_the_worst_are_those_of_all_processes(tmp_path):
    command = [sys.executable, "-c", SCRIPT]
    runs = [
        subprocess.Popen([*command, str(rank), str(tmp_path / "meet")], stdout=subprocess.PIPE, text=True)
        for rank in range(2)
    ]
    assert [run.communicate(timeout=120)[0].strip() for run in runs] == ["[1, 2] 0.6", "[0] 0.6"]


def test_bad_settings_and_other_padding_are_refused():
    with pytest.raises(UsageError, match="drop_worst_ratio"):
        CrossEntropy(drop_worst_ratio=1.0)
    with pytest.raises(UsageError, match="r_drop_alpha"):
        CrossEntropy(r_drop_alpha=-1)
    with pytest.raises(UsageError, match="pad_token_id"):
        CrossEntropy(pad_token_id=7)(small_model(), text_batch(), 20, 0)


def test_it_pickles():
    assert vars(pickle.loads(pickle.dumps(CrossEntropy(drop_worst_ratio=0.2)))) == vars(
        CrossEntropy(drop_worst_ratio=0.2)
    )

"""Distillation by whole captions: they are the teacher's, written once, and learnt by cross entropy."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from ofakit.errors import UsageError
from ofakit.hub import load_bundle
from ofakit.models.generation.generate import generate
from ofakit.objectives import OBJECTIVES, _teacher_captions
from ofakit.objectives._teacher_captions import FILE
from ofakit.objectives.cross_entropy import label_smoothed_cross_entropy
from ofakit.objectives.sequence_distillation import SequenceDistillation
from ofakit.preprocessors import CaptionPreprocessor
from ofakit.trainers.update import WeightedObjectives

from tests.two_processes import ONE, plain_updater, run_two, update_gradients

from .conftest import make_batch, make_bundle, make_examples


def prepared(bundle, examples, teacher, work_dir, **arguments):
    objective = OBJECTIVES.build({"type": "sequence_distillation", "teacher": str(teacher), **arguments})
    objective.prepare(examples, bundle, work_dir)
    return objective


def completed(objective, bundle, batch):
    return {**batch, **objective.complete(bundle.model, batch, 0)}


def captions_in(work_dir):
    return [json.loads(line)["caption"] for line in (work_dir / FILE).read_text().splitlines()[1:]]


def test_the_captions_are_those_that_the_teacher_writes(bundle, examples, batch, teacher, tmp_path):
    objective = prepared(bundle, examples, teacher, tmp_path / "run", num_beams=3)
    taught = load_bundle(teacher)
    inputs = make_batch(taught, examples)
    found = generate(taught.model, inputs, **{**taught.generation.model_dump(exclude={"rerank"}), "num_beams": 3})
    expected = [taught.tokenizer.decode(hypotheses[0].tokens).strip() for hypotheses in found]
    assert captions_in(tmp_path / "run") == expected and all(expected)
    whole = completed(objective, bundle, batch)
    encode = CaptionPreprocessor(bundle.tokenizer, bundle.styles, "train", bundle.preprocessor).target
    for row, previous, text in zip(
        whole["sequence_distillation/target"], whole["sequence_distillation/decoder_input_ids"], expected, strict=True
    ):
        ids = encode(text)
        assert row[row != 1].tolist() == ids["target"].tolist()
        assert previous[: len(ids["target"])].tolist() == ids["decoder_input_ids"].tolist()
    assert objective.normalizer(whole) == sum(len(encode(text)["target"]) for text in expected)


def test_the_loss_is_cross_entropy_of_them_and_shares_the_encoder(bundle, examples, batch, teacher, tmp_path):
    bundle.model.eval()
    objective = prepared(bundle, examples, teacher, tmp_path / "run", label_smoothing=0.1)
    whole = completed(objective, bundle, batch)
    loss, logs = objective(bundle.model, whole, objective.normalizer(whole), 0)
    target = whole["sequence_distillation/target"]
    encoded = bundle.model.encode(batch["input_ids"], batch["patch_images"], batch["patch_masks"])
    hidden = bundle.model.decode(whole["sequence_distillation/decoder_input_ids"], encoded)[target != 1]
    expected, nll = label_smoothed_cross_entropy(
        hidden, bundle.model.output_embedding, target[target != 1], 0.1, 1 / objective.normalizer(whole)
    )
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(logs["nll"], nll)
    runs = []
    handle = bundle.model.encoder.register_forward_pre_hook(lambda *_: runs.append(1))
    objectives = {"cross_entropy": OBJECTIVES.build({"type": "cross_entropy"}), "sequence_distillation": objective}
    WeightedObjectives(bundle.model, objectives, [0.5, 0.5], "fp32")(whole, [10.0, 10.0], 0)
    handle.remove()
    assert runs == [1]


def test_examples_of_one_image_in_one_style_have_the_same_target(bundle, examples, teacher, tmp_path):
    twice = [replace(e, id=f"{e.id}#{k}", text=f"{e.text} {k}") for e in examples for k in range(2)]
    objective = prepared(bundle, twice, teacher, tmp_path / "run")
    assert [objective.targets[2 * k] is objective.targets[2 * k + 1] for k in range(4)] == [True] * 4
    assert SequenceDistillation.one_example_per == "image"


def test_images_about_which_the_teacher_says_nothing_teach_nothing(
    bundle, examples, batch, teacher, tmp_path, monkeypatch
):
    write = _teacher_captions.write_captions

    def first_is_mute(*arguments):
        captions = write(*arguments)
        return [[], *captions[1:]]

    monkeypatch.setattr(_teacher_captions, "write_captions", first_is_mute)
    objective = prepared(bundle, examples, teacher, tmp_path / "run")
    whole = completed(objective, bundle.model.eval() and bundle, batch)
    assert (whole["sequence_distillation/target"][0] == 1).all()
    loss = objective(bundle.model, whole, 10.0, 0)[0]
    others = {name: value[1:] for name, value in whole.items()}
    assert loss.item() == pytest.approx(objective(bundle.model, others, 10.0, 0)[0].item(), rel=1e-5)
    alone = {name: value[:1] for name, value in whole.items()}
    assert objective.normalizer(alone) == 0 and objective(bundle.model, alone, 1.0, 0)[0].item() == 0


def test_the_vocabulary_may_differ(bundle, examples, teacher, tmp_path):
    bundle.tokenizer.add_tokens(["<new>"])
    bundle.model.resize_token_embeddings(len(bundle.tokenizer))
    assert len(prepared(bundle, examples[:2], teacher, tmp_path / "run").targets) == 2


@pytest.mark.parametrize(
    "spec, words",
    [
        ({}, "sequence_distillation: expected a model directory or hub id as 'teacher'"),
        ({"teacher": "./nowhere"}, "no model directory ./nowhere"),
        ({"teacher": ".", "label_smoothing": 1.0}, "label_smoothing of at least 0 and below 1"),
        ({"teacher": ".", "batch_size": 0}, "batch_size of at least 1"),
    ],
)
def test_a_missing_teacher_and_wrong_numbers_are_refused(spec, words):
    with pytest.raises(UsageError, match=words):
        OBJECTIVES.build({"type": "sequence_distillation", **spec})


TWO_PROCESSES = """
import sys
from pathlib import Path
from tests.objectives.test_sequence_distillation import *
from ofakit.processes import join_processes

processes, folder = join_processes("cpu"), Path(sys.argv[1])
found = updater_gradients(processes, (0, 1, 4)[processes.rank : processes.rank + 2], folder, folder / "two")
if processes.is_main:
    torch.save(found, folder / "two.pt")
"""


def updater_gradients(processes, bounds, folder, work_dir):
    """The gradients just before the optimizer uses them, the student in double precision."""
    bundle, examples = make_bundle(), make_examples()
    objective = prepared(bundle, examples, (folder / "teacher").read_text(), work_dir, batch_size=1)
    bundle.model.double().train()
    batch = make_batch(bundle, examples)
    batch = {name: value[slice(*bounds)] for name, value in batch.items()}
    batch["patch_images"] = batch["patch_images"].double()
    updater = plain_updater(bundle.model, {"sequence_distillation": objective}, [1.0], processes)
    return update_gradients(updater, [batch], 0)


def test_two_gloo_processes_write_the_same_and_give_the_gradient_of_the_joined_batch(teacher, tmp_path):
    (tmp_path / "teacher").write_text(teacher)
    run_two(TWO_PROCESSES, tmp_path)
    one = updater_gradients(ONE, (0, 4), tmp_path, tmp_path / "one")
    assert (tmp_path / "one" / FILE).read_text() == (tmp_path / "two" / FILE).read_text()
    two = torch.load(tmp_path / "two.pt", weights_only=True)
    assert len(one) > 50 and sum(g.abs().sum() for g in one.values()) > 0
    for name, gradient in one.items():
        torch.testing.assert_close(two[name], gradient, atol=1e-12, rtol=1e-9)

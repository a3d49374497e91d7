"""A teacher is found, loaded frozen, and refused where it speaks another language than the student."""

from __future__ import annotations

import copy

import pytest
import torch
from ofakit.errors import UsageError
from ofakit.hub import save_bundle
from ofakit.objectives._teacher import find_teacher, load_teacher, refuse_other_inputs, refuse_other_vocabulary
from ofakit.text import StyleSet

from .conftest import make_bundle

STYLES = ["happy", "gloomy", None]


@pytest.mark.parametrize(
    ("named", "words"),
    [
        (None, "objective: expected a model directory or hub id as 'teacher', found None"),
        ("", "found ''"),
        ("./no/such/teacher", "objective: the teacher could not be loaded: no model directory ./no/such/teacher"),
        (".", r"the teacher \. is not a model directory: it has no config.json"),
    ],
)
def test_what_is_no_model_is_refused(tmp_path, monkeypatch, named, words):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=words):
        find_teacher("objective", named)


def test_a_teacher_is_frozen_and_draws_no_random_number(tmp_path):
    folder = save_bundle(make_bundle(), tmp_path / "teacher")
    before = torch.get_rng_state()
    teacher = load_teacher(find_teacher("objective", str(folder)), torch.device("cpu"))
    assert torch.equal(before, torch.get_rng_state())
    assert not any(module.training for module in teacher.model.modules())
    assert not any(parameter.requires_grad for parameter in teacher.model.parameters())


def test_the_same_language_is_accepted(bundle, tmp_path):
    other = make_bundle(d_model=48)
    refuse_other_vocabulary(bundle, other, tmp_path)
    refuse_other_inputs(bundle, other, tmp_path, STYLES)


def test_another_vocabulary_is_refused_with_the_first_difference(bundle, tmp_path):
    other = make_bundle()
    vocab = dict(other.tokenizer.base_vocab)
    pair = sorted((token for token in vocab if len(token) > 2 and token[0] == "Ġ"), key=vocab.__getitem__)[:2]
    vocab[pair[0]], vocab[pair[1]] = vocab[pair[1]], vocab[pair[0]]
    other.tokenizer = type(other.tokenizer)(vocab, other.tokenizer.merges, other.tokenizer.added)
    first = min(vocab[token] for token in pair)
    with pytest.raises(UsageError) as refused:
        refuse_other_vocabulary(bundle, other, tmp_path)
    message = str(refused.value)
    assert f"token {first} = {bundle.tokenizer.id_to_token(first)!r} in the student" in message
    assert f"token {first} = {other.tokenizer.id_to_token(first)!r} in {tmp_path}" in message
    assert f"model.tokenizer.path={tmp_path}" in message


def test_a_row_that_only_one_of_them_has_is_refused(bundle, tmp_path):
    other, size = make_bundle(), len(bundle.tokenizer)
    other.model.resize_token_embeddings(size + 1)
    with pytest.raises(UsageError, match=f"found no token {size} in the student .* and token {size} = None in"):
        refuse_other_vocabulary(bundle, other, tmp_path)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"mean_std": "imagenet"}, "known.*'half', found 'imagenet'; set preprocessor.mean_std to 'half'"),
        ({"patch_image_size": 80}, "cannot read images of 80 x 80 pixels.*5 x 5 patches.*4 x 4"),
        ({"prompt": " what, {}?"}, "prompt for the style 'happy'.*describe.*found.*what, "),
    ],
)
def test_other_images_and_prompts_are_refused(bundle, tmp_path, changes, words):
    student = copy.copy(bundle)
    student.preprocessor = bundle.preprocessor.model_copy(update=changes)
    with pytest.raises(UsageError, match=words.replace("known", "as for the teacher in")):
        refuse_other_inputs(student, bundle, tmp_path, STYLES)


def test_images_of_another_size_that_it_takes_are_none_of_its_business(bundle, tmp_path):
    student = copy.copy(bundle)
    student.preprocessor = bundle.preprocessor.model_copy(update={"patch_image_size": 48})
    refuse_other_inputs(student, bundle, tmp_path, STYLES)


def test_styles_with_other_codes_are_refused_where_the_examples_have_them(bundle, tmp_path):
    student = copy.copy(bundle)
    student.styles = StyleSet(["gloomy", "happy"])
    with pytest.raises(UsageError, match="prompt for the style 'happy'.*code_0.*code_1"):
        refuse_other_inputs(student, bundle, tmp_path, STYLES)
    refuse_other_inputs(student, bundle, tmp_path, [None])

"""Pairs of texts are scored as the model alone would score them, whatever they are batched with."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from ofakit.errors import ModelNotFinite, UsageError
from ofakit.inference import CrossEncoder
from ofakit.inference.cross_encoder import batches_by_length

from tests.inference.cross_encoders import save_cross_encoder

PAIRS = [("a b c ?", "d e f g h i j k l m"), ("a ?", "b"), ("", ""), ("x y z", "a " * 60), ("a ?", "q r s")]


def logits_one_by_one(encoder, pairs):
    rows = []
    for first, second in pairs:
        inputs = encoder.tokenizer([first], [second], truncation=True, max_length=32, return_tensors="pt")
        with torch.no_grad():
            rows.append(encoder.model(**inputs).logits[0])
    return torch.stack(rows)


@pytest.mark.parametrize("batch_tokens", [1, 40, 10_000])
def test_scores_are_the_logits_of_each_pair_alone(tmp_path, batch_tokens):
    encoder = CrossEncoder(save_cross_encoder(tmp_path / "one"), device="cpu", batch_tokens=batch_tokens)
    wanted = logits_one_by_one(encoder, PAIRS)[:, 0].numpy()
    found = encoder.score(PAIRS)
    assert found.dtype == np.float32 and np.ptp(wanted) > 0.05
    np.testing.assert_allclose(found, wanted, atol=1e-6)
    np.testing.assert_allclose(encoder.score(PAIRS, probabilities=True), 1 / (1 + np.exp(-wanted)), atol=1e-6)
    np.testing.assert_allclose(encoder.score(PAIRS[::-1]), found[::-1], atol=1e-6)


def test_of_two_labels_the_second_is_relevant_and_of_more_the_named_one(tmp_path):
    two = CrossEncoder(save_cross_encoder(tmp_path / "two", labels=2), device="cpu")
    wanted = logits_one_by_one(two, PAIRS).softmax(1)[:, 1].numpy()
    np.testing.assert_allclose(two.score(PAIRS, probabilities=True), wanted, atol=1e-6)
    np.testing.assert_allclose(two.score(PAIRS), np.log(wanted / (1 - wanted)), atol=1e-5)
    folder = save_cross_encoder(tmp_path / "three", labels=3)
    with pytest.raises(UsageError, match="has 3 labels, LABEL_0, LABEL_1, LABEL_2; name the one"):
        CrossEncoder(folder, device="cpu")
    with pytest.raises(UsageError, match="no label 'LABEL_3'"):
        CrossEncoder(folder, label="LABEL_3", device="cpu")
    three = CrossEncoder(folder, label="LABEL_0", device="cpu")
    wanted = logits_one_by_one(three, PAIRS).softmax(1)[:, 0].numpy()
    np.testing.assert_allclose(three.score(PAIRS, probabilities=True), wanted, atol=1e-6)


def test_nothing_is_nothing(tmp_path):
    assert CrossEncoder(save_cross_encoder(tmp_path / "one"), device="cpu").score([]).shape == (0,)


def test_the_length_is_the_models_or_the_callers(tmp_path):
    folder = save_cross_encoder(tmp_path / "one")
    encoder, short = CrossEncoder(folder, device="cpu"), CrossEncoder(folder, max_length=8, device="cpu")
    assert encoder.max_length == 32
    cut, long = [("x y", "a a a")], [("x y", "a " * 60)]
    assert short.score(long) == pytest.approx(short.score(cut)) and abs(short.score(long) - encoder.score(long)) > 1e-3


def test_what_is_no_cross_encoder_is_refused(tmp_path):
    with pytest.raises(UsageError, match="is not a cross-encoder: it lacks classifier.bias, classifier.weight"):
        CrossEncoder(save_cross_encoder(tmp_path / "headless", head=False), device="cpu")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="no sequence-classification model of transformers in .*empty"):
        CrossEncoder(tmp_path / "empty", device="cpu")
    with pytest.raises(UsageError, match="no model directory"):
        CrossEncoder("./not/there", device="cpu")


def test_a_score_that_is_not_finite_names_its_pair(tmp_path):
    encoder = CrossEncoder(save_cross_encoder(tmp_path / "one"), device="cpu")
    with torch.no_grad():
        encoder.model.classifier.weight[0, 0] = torch.nan
    with pytest.raises(ModelNotFinite, match="gives 'a b c ?.*with 'd e f.*the score nan; expected a finite one"):
        encoder.score(PAIRS)


def test_batches_hold_everything_once_and_stay_small():
    lengths = [5, 1, 9, 9, 3, 2, 30]
    batches = batches_by_length(lengths, 18)
    assert sorted(sum(batches, [])) == list(range(7)) and batches[0] == [6]
    assert all(len(rows) * max(lengths[row] for row in rows) <= 18 for rows in batches[1:])

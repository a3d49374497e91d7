"""Beam search of T5 and BART beside that of transformers, whose own models do the work; golden cases: models/vl."""

from __future__ import annotations

import pytest
import torch
from ofakit.models.generation import generate
from ofakit.models.vl import VLModel

transformers = pytest.importorskip("transformers")


@pytest.fixture(scope="module", params=["bart", "t5"])
def pair(request, tmp_path_factory):
    """Their model and ours, with strong random weights, so that sequences end at different places."""
    torch.manual_seed(3)
    if request.param == "bart":
        sizes = {"d_model": 32, "encoder_layers": 2, "decoder_layers": 2, "encoder_ffn_dim": 48, "decoder_ffn_dim": 48}
        heads = {"encoder_attention_heads": 4, "decoder_attention_heads": 4}
        theirs = transformers.BartForConditionalGeneration(
            transformers.BartConfig(vocab_size=60, init_std=0.4, forced_eos_token_id=2, **sizes, **heads)
        )
    else:
        config = transformers.T5Config(vocab_size=60, d_model=32, d_kv=8, d_ff=48, num_layers=2, num_heads=4,
                                       decoder_start_token_id=0, initializer_factor=1.5)  # fmt: skip
        theirs = transformers.T5ForConditionalGeneration(config)
    folder = tmp_path_factory.mktemp(request.param)
    theirs.eval().save_pretrained(folder)
    return theirs, VLModel.from_pretrained(folder)


@pytest.mark.parametrize("beams", [2, 4])
@pytest.mark.parametrize("penalty", [0.0, 1.0, 2.0])
@pytest.mark.parametrize("ngram", [0, 2])
@pytest.mark.parametrize("early", [True, False])
def test_tokens_and_scores_are_those_of_transformers(pair, beams, penalty, ngram, early):
    theirs, ours = pair
    if penalty and not ours.search_rules.forced_eos:
        pytest.skip("later versions of transformers count the length of a sequence that is cut off in another way")
    ids = torch.randint(5, 60, (6, 7), generator=torch.Generator().manual_seed(beams))
    settings = {"num_beams": beams, "max_length": 12, "length_penalty": penalty, "no_repeat_ngram_size": ngram}
    made = theirs.generate(input_ids=ids, early_stopping=early, do_sample=False, return_dict_in_generate=True,
                           output_scores=True, **settings)  # fmt: skip
    found = [row[0] for row in generate(ours, {"input_ids": ids}, early_stopping=early, min_length=0, **settings)]
    eos = ours.special_tokens.eos
    wanted = [row[: row.index(eos) + 1] if eos in row else row for row in made.sequences[:, 1:].tolist()]
    assert [hypothesis.tokens for hypothesis in found] == wanted
    forced = [len(row) == 11 and ours.search_rules.forced_eos for row in wanted]
    for hypothesis, score, last in zip(found, made.sequences_scores.tolist(), forced, strict=True):
        if not last:
            assert hypothesis.score == pytest.approx(score, abs=2e-5)


def test_an_example_gives_the_same_alone_and_in_a_batch(pair):
    _, ours = pair
    ids = torch.randint(5, 60, (5, 7), generator=torch.Generator().manual_seed(9))
    together = generate(ours, {"input_ids": ids}, num_beams=3, num_return_sequences=3, max_length=10)
    for index in range(5):
        (alone,) = generate(
            ours, {"input_ids": ids[index : index + 1]}, num_beams=3, num_return_sequences=3, max_length=10
        )
        assert [h.tokens for h in alone] == [h.tokens for h in together[index]]
        assert [h.score for h in alone] == pytest.approx([h.score for h in together[index]], abs=1e-5)


def test_sampling_counts_start_and_eos_too(pair):
    _, ours = pair
    ids = torch.randint(5, 60, (4, 7))
    found = generate(ours, {"input_ids": ids}, do_sample=True, num_return_sequences=3, max_length=6, seed=1)
    assert max(len(hypothesis.tokens) for row in found for hypothesis in row) <= 5

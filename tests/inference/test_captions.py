"""A batch becomes captions, in the order of their scores or of a reranker."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from ofakit.inference.captions import caption_batches, write_captions
from ofakit.inference.reranking import Reranker
from ofakit.models.generation.generate import generate
from ofakit.models.ofa import prepare_for_inference
from ofakit.preprocessors import CaptionPreprocessor, Collate, normalize

from tests.objectives.conftest import make_bundle, make_examples

SETTINGS = {"num_beams": 4, "max_length": 5, "no_repeat_ngram_size": 0}


@pytest.fixture(scope="module")
def bundle():
    made = make_bundle()
    made.model.eval()
    return made


@pytest.fixture(scope="module")
def batch(bundle):
    """As the collator makes it: images as bytes."""
    preprocessor = CaptionPreprocessor(bundle.tokenizer, bundle.styles, "inference", bundle.preprocessor)
    return Collate(1)([preprocessor(example) for example in make_examples()])


@pytest.mark.parametrize("mean_std", ["half", "imagenet"])
def test_captions_are_the_decoded_hypotheses(bundle, batch, mean_std):
    bundle = replace(bundle, preprocessor=bundle.preprocessor.model_copy(update={"mean_std": mean_std}))
    inputs = {**batch, "patch_images": normalize(batch["patch_images"], mean_std)}
    expected = generate(bundle.model, inputs, **SETTINGS, num_return_sequences=3)
    found = write_captions(bundle.model, bundle, batch, {**SETTINGS, "num_return_sequences": 3, "rerank": None})
    assert [[(c.text, c.score, c.p_yes) for c in captions] for captions in found] == [
        [(bundle.tokenizer.decode(h.tokens).strip(), h.score, None) for h in hypotheses] for hypotheses in expected
    ]


@pytest.mark.parametrize("sample, hypotheses", [(False, 4), (True, 1)])
def test_an_evaluation_gets_all_hypotheses_of_a_beam(bundle, batch, sample, hypotheses):
    settings = bundle.generation.model_copy(update={**SETTINGS, "do_sample": sample})
    searching = replace(bundle, generation=settings)
    rows = {**batch, "index": torch.tensor([5, 3, 4, 6])}
    found = list(caption_batches(searching, [rows], [None] * 7))
    assert [(index, len(captions), first) for index, captions, first in found] == [
        (index, hypotheses, None) for index in (5, 3, 4, 6)
    ]
    if not sample:
        single = write_captions(bundle.model, bundle, batch, {**SETTINGS, "num_return_sequences": 1})
        assert [captions[0].text for _, captions, _ in found] == [captions[0].text for captions in single]


@pytest.mark.parametrize("sample", [False, True])
def test_a_reranker_is_given_a_beam_of_each_image_and_orders_it(bundle, batch, sample):
    seen = []

    def shorter_is_better(model, inputs, styles, captions):
        seen.append((styles, [len(of) for of in captions]))
        return [[-float(len(text)) for text in of] for of in captions]

    styles = [example.style for example in make_examples()]
    settings = {**SETTINGS, "do_sample": sample, "seed": 1, "num_return_sequences": 2}
    found = write_captions(bundle.model, bundle, batch, settings, styles, shorter_is_better)
    everything = write_captions(bundle.model, bundle, batch, {**settings, "num_return_sequences": 4})
    assert seen == [(styles, [4, 4, 4, 4])] and [len(captions) for captions in found] == [2] * 4
    for captions, whole in zip(found, everything, strict=True):
        assert [c.p_yes for c in captions] == sorted((-float(len(c.text)) for c in whole), reverse=True)[:2]
        assert {(c.text, c.score) for c in captions} <= {(c.text, c.score) for c in whole}


@pytest.mark.parametrize("precision, tolerance", [("fp32", 1e-5), ("bf16", 0.1)])
def test_a_prepared_model_can_rerank_its_own_captions(bundle, batch, precision, tolerance):
    bundle.objectives = ("itm",)
    reranker, styles = Reranker(bundle), [example.style for example in make_examples()]
    captions = [["a dog", "a sunny sea"]] * 4
    inputs = {**batch, "patch_images": normalize(batch["patch_images"], "half")}
    plain = reranker(bundle.model, inputs, styles, captions)
    prepared = prepare_for_inference(bundle.model, precision)
    for one, other in zip(plain, reranker(prepared, inputs, styles, captions), strict=True):
        assert other == pytest.approx(one, abs=tolerance)
    found = write_captions(prepared, bundle, batch, SETTINGS, styles, reranker)
    assert all(len(captions) == 1 and 0 < captions[0].p_yes < 1 for captions in found)

"""A captioner answers every request in its place: with a caption, or with what is wrong."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from ofakit.errors import UsageError
from ofakit.hub import AnswerBundle, RetrievalBundle, save_bundle
from ofakit.inference.captioner import Captioner, CaptionResult
from ofakit.models.generation.generate import generate
from PIL import Image

from tests.objectives.conftest import make_batch, make_bundle, make_examples


@pytest.fixture(scope="module")
def captioner():
    return Captioner(make_bundle(), "cpu", generation={"num_beams": 3, "num_return_sequences": 2})


@pytest.fixture(scope="module")
def requests():
    examples = make_examples()
    return [example.image for example in examples], [example.style for example in examples]


def test_captions_are_the_best_of_the_search_and_the_others_stand_behind(captioner, requests):
    bundle = captioner.bundle
    settings = bundle.generation.model_dump(exclude={"rerank"}) | {"num_beams": 3, "num_return_sequences": 2}
    expected = generate(bundle.model, make_batch(bundle, make_examples()), **settings)
    found = captioner.caption(*requests)
    assert [result.style for result in found] == requests[1]
    for result, (best, other) in zip(found, expected, strict=True):
        assert result.caption == bundle.tokenizer.decode(best.tokens).strip()
        assert result.score == pytest.approx(best.score, abs=1e-5) and result.error is result.p_yes is None
        assert [caption.text for caption in result.alternatives] == [bundle.tokenizer.decode(other.tokens).strip()]


@pytest.mark.parametrize("batch_size", [1, 3])
def test_requests_are_answered_in_their_place_whatever_the_batch(captioner, requests, batch_size):
    images, styles = requests
    alone = [captioner.caption([image], [style])[0].caption for image, style in zip(images, styles, strict=True)]
    odd = [images[0], "gone.png", images[1], images[2], images[3], np.zeros((4, 4, 3), np.uint8)]
    found = captioner.caption(odd, [styles[0], "happy", *styles[1:], 7], batch_size)
    assert [result.caption for result in found] == [alone[0], None, *alone[1:], None]
    assert "gone.png" in found[1].error and "found 7" in found[5].error
    assert found[1].style == "happy" and found[1].score is None and found[1].alternatives == ()


def test_no_request_is_no_answer(captioner):
    assert captioner.caption([], []) == []


def test_an_unknown_style_is_an_error_where_that_is_asked_for(captioner):
    image = Image.new("RGB", (32, 32))
    assert captioner.caption([image], ["angry"])[0].error is None
    with pytest.raises(UsageError, match="not trained on the style 'angry'; it knows: happy, gloomy"):
        captioner.caption([image], ["angry"], strict=True)
    assert captioner.caption([image] * 2, ["HAPPY", None], strict=True)[1].error is None


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((["a.png"], []), "as many styles as images, found 0 and 1"),
        ((["a.png"], [None], 0), "batch_size of at least 1, found 0"),
        ((["a.png"], [None], -1), "batch_size of at least 1, found -1"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(captioner, arguments, words):
    with pytest.raises(UsageError, match=words):
        captioner.caption(*arguments)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"beams": 3}, "unknown generation setting 'beams': did you mean 'num_beams'"),
        ({"num_beams": 0}, "num_beams: expected an integer of at least 1, found 0"),
        ({"num_return_sequences": 9}, "at most num_beams, 5, found 9"),
        ({"rerank": "imt"}, "did you mean 'itm'"),
    ],
)
def test_settings_of_generation_are_checked_before_anything_is_captioned(bundle, settings, words):
    with pytest.raises(UsageError, match=words):
        Captioner(bundle, "cpu", generation=settings)


def test_samples_can_be_drawn_again(bundle, requests):
    drawing = Captioner(bundle, "cpu", generation={"do_sample": True, "seed": 3})
    assert drawing.caption(*requests) == drawing.caption(*requests)


def test_reranked_captions_say_how_sure_the_model_is(bundle, requests):
    bundle.objectives = ("itm",)
    for result in Captioner(bundle, "cpu", generation={"rerank": "itm"}).caption(*requests):
        assert 0 < result.p_yes < 1


def test_a_model_that_gives_nan_has_an_error_and_no_caption(bundle, requests):
    with torch.no_grad():
        bundle.model.output_embedding.fill_(torch.nan)
    images, styles = requests
    (found,) = Captioner(bundle, "cpu").caption(images[:1], styles[:1])
    assert found == CaptionResult(None, None, "happy", "no caption could be generated (the model gave NaN)")


def test_it_is_loaded_from_a_directory_with_its_styles(captioner, bundle, requests, tmp_path):
    folder = save_bundle(bundle, tmp_path / "model")
    loaded = Captioner.from_pretrained(folder, device="cpu", generation={"num_beams": 3, "num_return_sequences": 2})
    assert loaded.styles == ["happy", "gloomy"]
    assert [r.caption for r in loaded.caption(*requests)] == [r.caption for r in captioner.caption(*requests)]
    bundle.styles = None
    assert Captioner(bundle, "cpu").styles == []


def test_models_of_other_tasks_are_refused(bundle):
    answerer = AnswerBundle(bundle.model, bundle.tokenizer)
    for other in (answerer, RetrievalBundle.__new__(RetrievalBundle)):
        with pytest.raises(UsageError, match=f"expected a model that writes captions, found one for {other.task}"):
            Captioner(other, "cpu")

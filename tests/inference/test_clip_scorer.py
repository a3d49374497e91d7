"""CLIPScore by a directory of transformers: equal to transformers itself, whatever the batches."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import torch
from ofakit.errors import UsageError
from ofakit.inference import ClipScorer
from PIL import Image

from tests.small_clip import small_clip

CAPTIONS = ["A red flag.", "the capital", "a star on the ground with a circle", "", "a red flag with a red star " * 9]
REFERENCES = [["a flag", "a red flag."], ["A capital!"], ["a star", "the star", "two stars"], ["white"], ["a flag"]]


@pytest.fixture(scope="module", params=["clip", "siglip"])
def directory(tmp_path_factory, request):
    return small_clip(tmp_path_factory.mktemp(request.param), request.param)


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """Noise of several sizes and shapes, as files and in memory."""
    generator, folder = np.random.default_rng(0), tmp_path_factory.mktemp("images")
    sizes = [(40, 60), (32, 32), (90, 50), (20, 24), (33, 47)]
    arrays = [generator.integers(0, 256, (*size, 3), dtype=np.uint8) for size in sizes]
    for number, array in enumerate(arrays[:3]):
        Image.fromarray(array).save(folder / f"{number}.png")
    return [*(folder / f"{number}.png" for number in range(3)), arrays[3], Image.fromarray(arrays[4])]


def plainly(directory, images, captions, references):
    """The scores as a script of transformers' own classes computes them, one item at a time."""
    from transformers import AutoImageProcessor, AutoModel, AutoTokenizer

    model, tokenizer = AutoModel.from_pretrained(directory).eval(), AutoTokenizer.from_pretrained(directory)
    processor = AutoImageProcessor.from_pretrained(directory, backend="pil")
    padding = "max_length" if model.config.model_type == "siglip" else False

    def vector(found):
        found = getattr(found, "pooler_output", found)[0].double()
        return found / found.norm()

    def text(words):
        inputs = tokenizer(
            "A photo depicts " + words, return_tensors="pt", truncation=True, max_length=48, padding=padding
        )
        ids, mask = inputs["input_ids"], inputs["attention_mask"]
        return vector(model.get_text_features(ids, **({} if padding else {"attention_mask": mask})))

    rows = []
    with torch.no_grad():
        for image, caption, own in zip(images, captions, references, strict=True):
            opened = Image.fromarray(image) if isinstance(image, np.ndarray) else image
            opened = Image.open(opened) if isinstance(opened, str) or hasattr(opened, "suffix") else opened
            seen = vector(
                model.get_image_features(processor(opened.convert("RGB"), return_tensors="pt")["pixel_values"])
            )
            said = text(caption)
            score = 2.5 * max(float(seen @ said), 0)
            near = max(0, *(float(said @ text(words)) for words in own))
            rows.append((score, 2 * score * near / (score + near) if score + near else 0.0))
    return np.array(rows).T


def test_the_scores_are_those_of_transformers(directory, images):
    expected = plainly(directory, images, CAPTIONS, REFERENCES)
    assert np.count_nonzero(expected[0]) > 1 and len(set(expected[0].round(4))) > 2
    found = ClipScorer(str(directory), device="cpu").scores(images, CAPTIONS, REFERENCES)
    np.testing.assert_allclose(found["clip_score"].per_item, expected[0], atol=1e-5)
    np.testing.assert_allclose(found["ref_clip_score"].per_item, expected[1], atol=1e-5)
    assert found["clip_score"].corpus == pytest.approx(found["clip_score"].per_item.mean())


def test_batches_and_order_change_nothing(directory, images):
    whole = ClipScorer(str(directory), device="cpu").scores(images, CAPTIONS, REFERENCES)
    one = ClipScorer(str(directory), device="cpu", batch_size=1)
    turned = one.scores(images[::-1] * 2, CAPTIONS[::-1] * 2, REFERENCES[::-1] * 2)
    for name, score in whole.items():
        np.testing.assert_allclose(turned[name].per_item[:5][::-1], score.per_item, atol=1e-5)
        np.testing.assert_array_equal(turned[name].per_item[:5], turned[name].per_item[5:])


def test_equal_images_and_texts_are_computed_once(directory, images, monkeypatch):
    scorer = ClipScorer(str(directory), device="cpu")
    seen = []
    own = scorer._vectors
    monkeypatch.setattr(
        scorer,
        "_vectors",
        lambda inputs, kind: seen.append((kind, len(inputs[next(iter(inputs))]))) or own(inputs, kind),
    )
    scorer.scores([images[0], str(images[0]), images[3]], ["a", "a", "b"], [["a"], ["b"], ["c", "c"]])
    assert seen == [("image", 2), ("text", 3)]


def test_without_references_only_clip_score_is_given(directory, images):
    assert list(ClipScorer(str(directory), device="cpu").scores(images[:1], ["a flag"])) == ["clip_score"]


def test_missing_and_broken_images_are_refused_by_name(directory, images, tmp_path):
    (tmp_path / "broken.jpg").write_text("no image")
    scorer = ClipScorer(str(directory), device="cpu", batch_size=1)
    bad = [tmp_path / "gone.jpg", images[0], tmp_path / "broken.jpg"]
    with pytest.raises(
        UsageError, match=r"needs every image, but 2 of 3 cannot be read: .*gone\.jpg: no such file; .*broken"
    ):
        scorer.scores(bad, ["a"] * 3)
    with pytest.raises(UsageError, match="; …$"):
        scorer.scores([f"{number}.jpg" for number in range(9)], ["a"] * 9)


@pytest.mark.parametrize(
    ("captions", "references", "message"),
    [
        (["a"], None, "expected as many candidates as images, found {'candidates': 1} and 2"),
        (["a", "b"], [["a"]], "as many candidates and references as images"),
        (["a", "b"], [["a"], []], "item 1: expected at least one reference"),
    ],
)
def test_what_does_not_match_is_refused(directory, images, captions, references, message):
    with pytest.raises(UsageError, match=message):
        ClipScorer(str(directory), device="cpu").scores(images[:2], captions, references)


def test_a_directory_that_is_no_clip_or_not_whole_is_named(directory, tmp_path):
    with pytest.raises(UsageError, match="no model directory"):
        ClipScorer(str(tmp_path / "gone"))
    for name in directory.iterdir():
        shutil.copy(name, tmp_path)
    (tmp_path / "preprocessor_config.json").unlink()
    with pytest.raises(UsageError, match=r"does not say how images are preprocessed \(preprocessor_config\.json\)"):
        ClipScorer(str(tmp_path), device="cpu")
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"}))
    with pytest.raises(UsageError, match="is not a model of images and texts"):
        ClipScorer(str(tmp_path), device="cpu")
    with pytest.raises(UsageError, match="batch_size: expected 1 or more, found 0"):
        ClipScorer(str(directory), batch_size=0)
